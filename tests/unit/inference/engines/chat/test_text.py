"""Ids to text, stop strings and reasoning, at every cut."""

import pytest

from fastembed.inference.engines.chat.detokenize import BytesDetokenizer, Detokenizer
from fastembed.inference.engines.chat.reasoning import ReasoningSplitter, thinks
from fastembed.inference.engines.chat.stops import StopStrings

TEXT = "héllo wörld 😀 漢字 done"


def decode(ids):
    return bytes(ids).decode("utf-8", "replace")


def detokenized(pieces):
    detokenizer, shown = Detokenizer(), []
    for number, ids in enumerate(pieces):
        last = number == len(pieces) - 1
        shown += detokenizer.accept(ids, [decode(row) for row in detokenizer.rows(ids)], last=last)
    return shown


@pytest.mark.parametrize("size", [1, 2, 3, 5, 100])
def test_bytes_become_the_text_however_many_come_at_once(size):
    ids = list(TEXT.encode())
    shown = detokenized([ids[at : at + size] for at in range(0, len(ids), size)])
    assert "".join(shown) == TEXT
    assert "\ufffd" not in "".join(shown)
    assert len(shown) == len(ids)


def test_half_a_character_waits():
    first, *rest = "é".encode()
    detokenizer = Detokenizer()
    assert detokenizer.accept([first], [decode(row) for row in detokenizer.rows([first])]) == [""]
    assert detokenizer.pending
    assert detokenizer.accept(rest, [decode(row) for row in detokenizer.rows(rest)]) == ["é"]
    assert not detokenizer.pending


def test_half_a_character_at_the_end_is_shown_as_it_is():
    assert "".join(detokenized([[ord("a")], ["é".encode()[0]]])) == "a\ufffd"


def test_half_a_character_is_shown_when_the_end_comes_without_a_token():
    assert "".join(detokenized([["é".encode()[0]], []])) == "\ufffd"


def test_the_window_stays_short():
    detokenizer = Detokenizer()
    longest = 0
    for one in b"a" * 1000:
        rows = detokenizer.rows([one])
        longest = max(longest, *map(len, rows))
        detokenizer.accept([one], [decode(row) for row in rows])
    assert longest <= 3


def test_bytes_that_are_pieces_of_text_need_no_window():
    detokenizer = BytesDetokenizer()
    pieces = [bytes([one]) for one in TEXT.encode()]
    shown = detokenizer.accept(pieces)
    assert "".join(shown) == TEXT
    assert len(shown) == len(pieces)
    assert detokenizer.accept([b"a", "é".encode()[:1]], last=True) == ["a", "", "\ufffd"]


@pytest.mark.parametrize("size", range(1, 12))
def test_nothing_of_a_stop_string_shows_however_it_is_split(size):
    stops = StopStrings(["END", "ENOUGH"])
    text = "the EN of EEND and more"
    shown = "".join(stops.feed(text[at : at + size]) for at in range(0, len(text), size))
    assert shown + stops.flush() == "the EN of E"
    assert stops.found


def test_what_only_began_like_a_stop_string_is_shown_at_the_end():
    stops = StopStrings(["END"])
    assert stops.feed("the EN") == "the "
    assert stops.flush() == "EN"
    assert not stops.found


def test_the_first_of_several_stop_strings_counts():
    stops = StopStrings(["b", "ab", ""])
    assert stops.feed("xxabc") == "xx"


def split(pieces, **options):
    splitter = ReasoningSplitter(**options)
    parts = [splitter.feed(piece) for piece in pieces] + [splitter.flush()]
    return "".join(part[0] for part in parts), "".join(part[1] for part in parts)


@pytest.mark.parametrize("cut", [str.split, list, lambda text: [text]])
def test_reasoning_is_told_from_the_answer(cut):
    pieces = ["<think>\nhm", "m < n\n</th", "ink>\n\nForty", " <think> two"] if cut is str.split else None
    text = "<think>\nhmm < n\n</think>\n\nForty <think> two"
    assert split(pieces or cut(text), enabled=True) == ("hmm < n\n", "Forty <think> two")


def test_a_prompt_that_opens_the_reasoning():
    assert split(list("\nhmm</think>x"), enabled=True, opened=True) == ("hmm", "x")


def test_an_answer_without_reasoning():
    assert split(list("\n<thin ice"), enabled=True) == ("", "\n<thin ice")
    assert split(["<think>a</think>"], enabled=False) == ("", "<think>a</think>")


def test_reasoning_that_never_ends():
    assert split(list("<think>a</thi"), enabled=True) == ("a</thi", "")


def test_the_template_tells_whether_a_model_thinks():
    assert thinks("{{ '<think>' }}")
    assert not thinks("{{ content }}")
