"""What a voice speaks in one go."""

import pytest

from fastembed.operators.speaking.pieces import CLAUSE_PAUSE_S, SENTENCE_PAUSE_S, WORD_PAUSE_S, pieces

LONG = (
    "Please send the report to the manager before the end of the week, because she needs it for the meeting. "
    "Dr. Smith paid $1,234.50 for it. Yes."
)


def texts(text, **options):
    return [piece.text for piece in pieces(text, **options)]


def test_sentences_are_spoken_one_by_one():
    assert texts("It rains. Dr. Smith stays at home! Why?") == ["It rains.", "Dr. Smith stays at home!", "Why?"]


@pytest.mark.parametrize("quick", [False, True])
@pytest.mark.parametrize("text", [LONG, "word " * 300, "x" * 1000, "Hi.", "a, b, c, " * 90, "One. Two. Three."])
def test_no_word_is_lost_and_none_comes_twice(text, quick):
    found = texts(text, quick=quick)
    assert "".join("".join(found).split()) == "".join(text.split())
    assert max(map(len, found)) <= 240


def test_the_beginning_is_short_where_sound_is_waited_for_and_ends_behind_a_mark_or_before_a_word_that_links():
    found = texts(LONG, quick=True)
    assert found[0] == "Please send the report"
    assert len(found[0]) <= 24 < len(found[1])
    assert texts("Sure, here is the list that you asked for this morning.", quick=True)[0] == "Sure,"
    assert texts("Well, the weather in the mountains was cold.", quick=True)[0] == "Well,"


def test_a_short_first_sentence_stays_whole():
    assert texts("Of course. The weather was cold.", quick=True)[0] == "Of course."
    assert texts("Of course I will be here now.", quick=True) == ["Of course I will be here now."]


def test_the_silence_behind_a_piece_depends_on_how_it_ends():
    (first, second) = pieces("We stayed at home all day long, since the weather was cold", most=35)
    assert (first.pause_s, second.pause_s) == (CLAUSE_PAUSE_S, SENTENCE_PAUSE_S)
    (first, *_) = pieces("word " * 20, most=35)
    assert first.pause_s == WORD_PAUSE_S


@pytest.mark.parametrize("text", ["", "  ", "...", "?! -- !", "\n\n"])
def test_what_has_no_letter_and_no_digit_is_not_spoken(text):
    assert texts(text) == []
