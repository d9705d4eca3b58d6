"""What a pass takes a sound to say."""

import threading
from pathlib import Path

import numpy as np

from fastembed.inference.engines.speech.hypothesis import Hypothesis, Sound
from tests.unit.inference.engines.speech.vocabularies import END, FIRST, GERMAN, NO_SPEECH, SIZE, START, vocabulary

SAMPLES = np.zeros(32_000, np.float32)


def likely(*tokens: int) -> np.ndarray:
    """Return logits, a row a token, that is by far the likeliest in it."""
    rows = np.zeros((len(tokens), SIZE), np.float32)
    rows[range(len(tokens)), tokens] = 20.0
    return rows


def begun(folder: Path, *draft: int, alone: bool = True, left: threading.Event | None = None) -> Hypothesis:
    sound = Sound(SAMPLES, "en", draft=draft, left=left)
    return Hypothesis(sound, vocabulary(folder), 4.0, alone=alone)


def test_a_draft_stands_as_far_as_it_would_have_been_chosen(tmp_path: Path) -> None:
    found = begun(tmp_path, FIRST, 0, 1, 2)
    assert found.next() == [FIRST, 0, 1, 2]
    assert found.take(likely(FIRST, 0, 5, 2, END), None) == 2
    assert (found.tokens, found.accepted, found.over) == ([FIRST, 0, 5], 2, False)
    assert found.next() == [5]


def test_a_draft_that_stands_whole_leaves_nothing_to_take_back(tmp_path: Path) -> None:
    found = begun(tmp_path, FIRST, 0)
    assert found.take(likely(FIRST, 0, 1), None) == 0
    assert found.tokens == [FIRST, 0, 1]


def test_a_time_nearly_where_the_pass_puts_it_stands(tmp_path: Path) -> None:
    found = begun(tmp_path, FIRST + 3, 0)
    assert found.take(likely(FIRST, 0, 1), None) == 0
    assert found.tokens[0] == FIRST + 3


def test_the_end_ends_it_and_a_caller_that_leaves_too(tmp_path: Path) -> None:
    found = begun(tmp_path)
    found.take(likely(FIRST), None)
    found.take(likely(0), None)
    found.take(likely(FIRST + 50), None)
    found.take(likely(END), None)
    assert found.over
    assert found.ended
    left = threading.Event()
    gone = begun(tmp_path, left=left)
    left.set()
    gone.take(likely(FIRST), None)
    assert gone.over
    assert not gone.ended


def test_what_says_more_than_can_be_said_is_stopped(tmp_path: Path) -> None:
    found = begun(tmp_path)
    found.take(likely(FIRST), None)
    for _ in range(100):
        if not found.over:
            found.take(likely(0), None)
    assert found.over
    assert not found.ended
    assert len(found.tokens) <= 8 + 8 * 2


def test_the_rest_of_a_draft_is_tried_again_only_where_nobody_waits_for_it(tmp_path: Path) -> None:
    draft = (FIRST, 0, 1, 2, 0, 1, 2, 0, 1, 2, 0, 1)
    for alone, rest in ((True, 7), (False, 0)):
        found = begun(tmp_path, *draft, alone=alone)
        found.take(likely(FIRST, 0, 1, 2, 5, *draft[5:], 2), None)
        assert len(found.next()) == 1 + rest


def test_language_and_silence_are_told_from_what_follows_the_start(tmp_path: Path) -> None:
    found = Hypothesis(Sound(SAMPLES), vocabulary(tmp_path), 4.0, alone=True)
    row = np.full(SIZE, -20.0, np.float32)
    row[[GERMAN, NO_SPEECH]] = 1.0
    found.detect(row)
    assert found.language == "de"
    assert abs(found.no_speech - 0.5) < 0.01
    assert found.head == [START]
