"""What is no answer is told from what merely looks odd."""

import json
import math
import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastembed.inference.engines.sanity import Fault, TextCheck, check_vectors, endless
from fastembed.pipeline.errors import Unavailable

LEGITIMATE = {
    "laughter": "ha " * 300,
    "a rule of dashes": "# Title\n" + "-" * 600 + "\nmore",
    "a table of equal rows": "| name | value |\n|------|-------|\n" + "| - | 0 |\n" * 300,
    "a table with wide rules": ("+" + ("-" * 30 + "+") * 4 + "\n" + "|" + (" " * 30 + "|") * 4 + "\n") * 20,
    "rows of a table that count": "\n".join(f"| {n} | open | nobody | - |" for n in range(900)),
    "JSON rows that differ little": json.dumps([{"id": n, "name": "x", "tags": []} for n in range(800)], indent=1),
    "JSON rows that are the same": json.dumps([{"name": "x", "tags": [], "ok": True}] * 120),
    "a zero vector": json.dumps([0.0] * 1000),
    "a hundred lines for a pupil": "I will not talk in class.\n" * 100,
    "ASCII art": "\n".join(" " * (40 - n) + "*" * (2 * n) for n in range(40)) * 3,
    "a chessboard": ("# . " * 20 + "\n" + ". # " * 20 + "\n") * 20,
    "code with the same lines": "    assert check(x) is None\n" * 80 + "def f():\n    pass\n",
    "a song": ("La la la, sing with me\n" * 4 + "and the river runs\n") * 12,
    "digits of one third": "0." + "3" * 900,
    "base64 of zeros": "A" * 900,
    "a cry": "A" + "a" * 500 + "rgh!" * 3,
    "Chinese": "我们一起去吃饭吧。" * 60,
    "emoji": "🎉" * 400,
    "escape sequences": "\x1b[31mred\x1b[0m " * 200,
    "one broken character": "caf\ufffd is French",
    "a log": "2026-01-01 00:00:00 INFO ok\n" * 150,
}
ENDLESS = {
    "one character": "!" * 4000,
    "white space": '{"a": 1' + " " * 4000,
    "a word": "The answer is" + " the" * 4000,
    "a sentence": "Hello. I am a model that was trained to help. " * 400,
    "a paragraph": "".join(random.Random(1).choices("abcdefg hijk ", k=900)) * 40,
    "lines": "Beginning.\n" + "- item\n" * 3000,
}


def first_fault(text, size):
    """Feed a text in pieces; return what was found and after how many characters."""
    check = TextCheck()
    for start in range(0, len(text), size):
        if check.feed(text[start : start + size]):
            return check.fault, start + size
    return check.end(), len(text)


@pytest.mark.parametrize("size", [1, 4, 97])
@pytest.mark.parametrize("text", LEGITIMATE.values(), ids=LEGITIMATE)
def test_what_merely_repeats_itself_passes(text, size):
    assert first_fault(text, size) == (None, len(text))


@pytest.mark.parametrize("size", [1, 4, 97])
@pytest.mark.parametrize("text", ENDLESS.values(), ids=ENDLESS)
def test_what_would_never_end_is_found_within_a_few_pages(text, size):
    fault, after = first_fault(text, size)
    assert fault is Fault.ENDLESS
    assert after <= 16_384


def test_an_answer_that_counts_is_not_taken_for_endless():
    assert not endless("\n".join(f"{n}. The same thing again." for n in range(2000)))


@given(st.text(min_size=1, max_size=12), st.integers(0, 300))
def test_what_is_short_is_never_endless(unit, times):
    assert not endless((unit * times)[:1000])


@given(st.text(alphabet="abc", min_size=2, max_size=40), st.text(max_size=50))
def test_any_period_is_found(unit, before):
    assert endless((before + unit * 8000)[:16_384])


def test_garble_is_found_early_and_held_back_from_the_first_piece():
    check = TextCheck()
    check.feed("\ufffd\ufffd")
    assert check.suspect
    assert not check.fault
    assert check.end() is Fault.GARBLE
    assert check.feed("\ufffd\x01" * 8) is Fault.GARBLE


def test_a_good_answer_is_never_suspect():
    check = TextCheck()
    for piece in ("H", "ello", "\ufffd", " wor", "\n"):
        check.feed(piece)
        assert not check.suspect
    assert check.end() is None


def test_garble_in_the_middle_is_found_when_it_outweighs_the_rest():
    check = TextCheck()
    check.feed("A good beginning of an answer. ")
    assert not check.feed("\ufffd" * 12)
    assert check.feed("\ufffd" * 12) is Fault.GARBLE


def test_nothing_at_all_is_empty():
    assert TextCheck().end() is Fault.EMPTY


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_a_vector_with_a_number_that_is_none_is_refused(bad):
    vectors = np.ones((3, 4), np.float32)
    check_vectors(vectors, "minilm")
    vectors[1, 2] = bad
    with pytest.raises(Unavailable, match="minilm gave 1 of 12 numbers NaN or infinite, expected none"):
        check_vectors(vectors, "minilm")


def test_the_largest_numbers_are_numbers():
    check_vectors(np.full((64, 384), np.finfo(np.float32).max), "minilm")
