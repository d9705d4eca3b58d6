"""What of a growing utterance is settled."""

from collections.abc import Iterable

import numpy as np
import pytest

from fastembed.inference.engines.speech.engine import SpokenWord
from fastembed.inference.engines.speech.progress import SettledSpeech, settled

RATE_HZ = 16_000
FIRST = 1_000


class Words:
    """Token n is the nth letter; 10 and 11 are marks."""

    first_time = FIRST

    def text(self, tokens: Iterable[int]) -> str:
        return " ".join("abcdefghij,."[token] for token in tokens if token < FIRST)


WORDS = Words()


def at(seconds: float) -> int:
    return FIRST + round(seconds / 0.02)


def speech(length_s: float, *pauses: tuple[float, float]) -> np.ndarray:
    samples = np.sin(np.arange(round(length_s * RATE_HZ)) * 0.3).astype(np.float32) * 0.3
    for start_s, end_s in pauses:
        samples[round(start_s * RATE_HZ) : round(end_s * RATE_HZ)] = 0
    return samples


SAID = (at(0), 1, 2, 3, at(4.5), at(5), 4, 5, 6, at(11))
PAUSED = speech(12, (4.6, 4.9))


def test_words_that_two_passes_agree_on_are_settled_up_to_the_pause_behind_their_segment() -> None:
    cut = settled(SAID, (at(0), 1, 2, 3, at(4.4), at(5), 4, at(8)), PAUSED, WORDS)
    assert cut is not None
    assert cut.tokens == 5
    assert 4.6 < cut.at_s < 4.9
    assert cut.rest[1:] == (4, 5, 6, cut.rest[-1])
    assert 0 <= cut.rest[0] - FIRST <= 20
    assert cut.rest[-1] - FIRST == pytest.approx((11 - cut.at_s) / 0.02, abs=1)


def test_marks_may_differ_between_the_passes_that_agree() -> None:
    comma, stop = (at(0), 1, 2, 3, 10, at(4.5), at(5), 4, 5, at(11)), (at(0), 1, 2, 3, 11, at(4.5), at(5), 4, at(8))
    cut = settled(comma, stop, PAUSED, WORDS)
    assert cut is not None
    assert cut.tokens == 6


@pytest.mark.parametrize(
    ("before", "samples"),
    [
        ((at(0), 1, 9, 3, at(4.5)), PAUSED),
        ((at(0), 1, 2, 3, at(4.5)), PAUSED),
        ((), PAUSED),
        (SAID, PAUSED[: 8 * RATE_HZ]),
        (SAID, speech(12)),
    ],
    ids=["the passes differ", "no word follows in the one before", "first pass", "short", "no pause"],
)
def test_nothing_is_settled_without_agreement_length_and_a_pause(before: tuple[int, ...], samples: np.ndarray) -> None:
    assert settled(SAID, before, samples, WORDS) is None


def test_a_segment_without_enough_behind_it_stays_open() -> None:
    said = (at(0), 1, 2, 3, at(9), at(9.2), 4, at(11))
    assert settled(said, said, speech(12, (9, 9.2)), WORDS) is None


def test_what_is_heard_behind_settled_words_has_their_times_behind_it() -> None:
    first = SettledSpeech().behind(4.0, [(" one", 0.0, 3.5)], [SpokenWord("one", 0.0, 3.5)], "en")
    both = first.behind(2.0, [(" two", 0.5, 1.5)], [SpokenWord("two", 0.5, 1.5)], "de").heard()
    assert (both.text, both.language) == ("one two", "en")
    assert both.words == both.segments == (SpokenWord("one", 0.0, 3.5), SpokenWord("two", 4.5, 5.5))
