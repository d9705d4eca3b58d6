"""What a question asks for, and whether a sentence has it."""

from __future__ import annotations

import pytest

from fastembed.operators.asking.confidence import doubts
from fastembed.operators.asking.kinds import asked_words, counted_words, fits
from fastembed.operators.asking.ranking import asked_and_around
from fastembed.pipeline.payload.asking import Passage

FERRY = "Foot passengers check in thirty minutes before departure, cars sixty."


@pytest.mark.parametrize(
    ("question", "words"),
    [
        ("How many passengers fit on the ferry?", ["passengers", "fit"]),
        ("Which operating system do the machines run?", ["operating", "system"]),
        ("What is the population of Iceland?", ["population"]),
        ("Who painted the dial of the clock?", ["painted"]),
        ("When was the mill built?", ["built"]),
        ("Where is it?", []),
        ("What does it do?", []),
    ],
)
def test_the_words_that_name_what_is_asked_for_are_found(question: str, words: list[str]) -> None:
    assert asked_words(question) == words


def test_numbers_count_the_words_behind_them_and_at_the_end_the_one_before() -> None:
    assert counted_words(FERRY) == ["minutes", "cars"]
    assert counted_words("The ferry takes 240 passengers.") == ["passengers"]
    assert counted_words("Nobody counts.") == []


@pytest.mark.parametrize(
    ("question", "sentence", "expected"),
    [
        ("How many passengers fit?", "It takes 240 passengers.", True),
        ("How many passengers fit?", "It leaves after 20 minutes.", False),
        ("How many books can I borrow?", "Up to fifteen items may be borrowed.", None),
        ("When are the stitches removed?", "They are taken out on the twelfth day.", True),
        ("When can I meet him?", "He is there on weekdays between seven and nine.", True),
        ("When was it built?", "It has a red roof.", False),
        ("How tall is the tower?", "It can be seen for twenty-two nautical miles.", False),
        ("Who directs the quarry?", "Two thirds went to the mole at Visby.", False),
        ("Who directs the quarry?", "It is directed by Ingrid Solberg.", True),
        ("What is the surgeon's name?", "The operation takes an hour.", False),
        ("Where is the key?", "The key hangs behind the door.", True),
        ("Where is the key?", "The key works.", False),
        ("Why did it stop?", "It stopped because a bearing had failed.", True),
        ("Why did it stop?", "A bearing had failed.", None),
        ("Is the rent paid by the landlord?", "No.", None),
    ],
)
def test_a_sentence_has_the_kind_of_thing_that_is_asked_for(
    question: str, sentence: str, *, expected: bool | None
) -> None:
    assert fits(question, sentence) is expected


def test_what_is_asked_for_is_compared_only_with_what_a_sentence_counts() -> None:
    passage = Passage(1, FERRY, "ferry.md", title="Ferry")
    assert asked_and_around("How many passengers fit on the ferry?", FERRY, passage) == (
        ["passengers"],
        ["minutes", "cars"],
    )
    assert asked_and_around("How many cars fit on the ferry?", FERRY, passage) == ([], [])
    assert asked_and_around("Which ferry is it?", FERRY, passage) == ([], [])


def test_doubts_say_what_speaks_against_an_answer() -> None:
    assert doubts(()) == ("no passage was found",)
    assert doubts((0.9, 1.0, 0.5, 1.0, 0.0, 1.0)) == ()
    assert "does not name" in " ".join(doubts((0.9, 1.0, 0.5, 0.0, 0.0, 0.2)))
    assert "no such thing" in " ".join(doubts((0.9, 1.0, 0.5, 0.0, 1.0, 1.0)))
