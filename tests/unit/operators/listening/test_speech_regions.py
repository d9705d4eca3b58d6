"""Stretches of speech, by a judge that hears what is loud."""

from __future__ import annotations

import numpy as np
import pytest

from fastembed.operators.listening.speech_regions import SpeechRegion, SpeechRegions
from tests.unit.operators.listening.loudness import Loudness

RATE = 16_000


def sound(*seconds: float) -> np.ndarray:
    """Return silence and speech in turns, silence first."""
    pieces = [np.full(int(length * RATE), 0.6 * (place % 2), np.float32) for place, length in enumerate(seconds)]
    return np.concatenate(pieces)


def regions(samples: np.ndarray, step: int = 4_000) -> list[SpeechRegion]:
    found = SpeechRegions(Loudness())
    made = [region for start in range(0, len(samples), step) for region in found.push(samples[start : start + step])]
    return [*made, *found.finish()]


def times(found: list[SpeechRegion]) -> list[tuple[float, float]]:
    return [(region.start / RATE, (region.start + len(region.samples)) / RATE) for region in found]


def test_a_pause_of_a_quarter_of_a_second_parts_two_regions() -> None:
    found = times(regions(sound(1, 2, 0.5, 1, 0.1, 1, 1)))
    np.testing.assert_allclose(found, [(1, 3), (3.5, 5.6)], atol=0.12)


@pytest.mark.parametrize("step", [1, 511, 16_000])
def test_regions_do_not_depend_on_how_the_recording_was_cut(step: int) -> None:
    samples = sound(0.1, 0.7, 0.4, 0.5)
    assert times(regions(samples, step)) == times(regions(samples))


def test_a_click_is_no_speech() -> None:
    assert regions(sound(1, 0.05, 1)) == []


def test_speech_without_a_pause_is_handed_over_every_minute_and_none_is_lost() -> None:
    found = regions(sound(1, 130, 1))
    assert len(found) == 3
    assert 129.9 < sum(len(region.samples) for region in found) / RATE < 130.6
