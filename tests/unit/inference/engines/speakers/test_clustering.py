"""Voices as vectors: how many there are, and whose each window is."""

from __future__ import annotations

import numpy as np
import pytest

from fastembed.inference.engines.speakers.clustering import cluster, fewest


def voices(order: list[int], spread: float = 0.02, seed: int = 0) -> np.ndarray:
    """Return a vector for each window of the speakers in `order`, which have orthogonal voices."""
    found = np.eye(256, dtype=np.float32)[order]
    found += np.random.default_rng(seed).normal(0, spread, found.shape).astype(np.float32)
    return found / np.linalg.norm(found, axis=1, keepdims=True)


def labels(order: list[int], regions: list[int] | None = None, sure: list[bool] | None = None) -> list[int]:
    count = len(order)
    places = np.array(regions or range(count))
    return cluster(voices(order), places, np.array(sure or [True] * count)).tolist()


def test_speakers_are_numbered_in_order_of_appearance() -> None:
    assert labels([7] * 10 + [3] * 10 + [7] * 10) == [0] * 10 + [1] * 10 + [0] * 10


def test_four_voices_are_four() -> None:
    order = [place for _ in range(3) for place in (1, 2, 3, 4) for _ in range(8)]
    assert labels(order) == [place - 1 for place in order]


@pytest.mark.parametrize("count", [1, 2, 30])
def test_one_voice_is_one_speaker(count: int) -> None:
    assert labels([5] * count) == [0] * count


def test_a_few_windows_of_a_long_recording_are_no_speaker() -> None:
    assert set(labels([1] * 40 + [2] * 40 + [3] * 3)) == {0, 1}


def test_a_short_recording_has_speakers_of_few_windows() -> None:
    assert fewest(12) < fewest(200) == 6
    assert labels([1] * 4 + [2] * 4) == [0] * 4 + [1] * 4


def test_one_odd_window_within_a_stretch_of_speech_does_not_change_the_speaker() -> None:
    found = voices([1] * 10 + [2] * 10)
    found[4] = found[4] + 1.05 * found[15]
    found[4] /= np.linalg.norm(found[4])
    regions = np.array([0] * 10 + [1] * 10)
    assert cluster(found, regions, np.ones(20, bool)).tolist() == [0] * 10 + [1] * 10


def test_windows_too_short_to_tell_a_voice_by_found_no_speaker_but_get_one() -> None:
    order = [1] * 10 + [3, 3, 2] + [2] * 10
    sure = [True] * 10 + [False] * 3 + [True] * 10
    found = labels(order, sure=sure)
    assert set(found) == {0, 1}
    assert found[12] == 1


def test_of_a_very_long_recording_every_window_gets_its_speaker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fastembed.inference.engines.speakers.clustering.MOST", 50)
    order = ([1] * 30 + [2] * 30) * 5
    assert labels(order) == [place - 1 for place in order]


def alike(order: list[int], cosine: float) -> np.ndarray:
    """Return windows of speakers whose mean voices have this cosine; single windows differ as much as speakers do."""
    base = np.eye(256, dtype=np.float32)
    means = np.stack([np.sqrt(cosine) * base[0] + np.sqrt(1 - cosine) * base[1 + place] for place in order])
    found = means + np.random.default_rng(3).normal(0, 0.5 / 16, means.shape).astype(np.float32)
    return found / np.linalg.norm(found, axis=1, keepdims=True)


@pytest.mark.parametrize(("cosine", "count"), [(0.7, 2), (0.78, 2), (0.92, 1)])
def test_voices_of_one_kind_are_parted_by_their_means_and_halves_of_one_are_not(cosine: float, count: int) -> None:
    order = ([0] * 8 + [1] * 8) * 4
    found = cluster(alike(order, cosine), np.arange(64) // 8, np.ones(64, bool))
    assert found.tolist() == (order if count == 2 else [0] * 64)
