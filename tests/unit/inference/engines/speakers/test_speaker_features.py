"""Spectrograms for the speaker encoder."""

from __future__ import annotations

import numpy as np
import pytest

from fastembed.inference.engines.speakers.features import FRAMES, MELS, levelled, windows


def tone(seconds: float, gain: float = 1.0) -> np.ndarray:
    return (gain * np.sin(2 * np.pi * 220 * np.arange(int(seconds * 16_000)) / 16_000)).astype(np.float32)


@pytest.mark.parametrize("gain", [0.001, 0.05, 0.9])
def test_loud_and_quiet_speech_looks_the_same(gain: float) -> None:
    np.testing.assert_allclose(windows(tone(2, gain))[0], windows(tone(2, 0.3))[0], rtol=1e-3, atol=1e-6)


def test_silence_stays_silent() -> None:
    assert np.abs(levelled(np.zeros(1_600, np.float32))).max() == 0


def test_windows_of_1_6_s_follow_each_other_every_0_4_s_up_to_the_end() -> None:
    mels, centres = windows(tone(3.1))
    assert mels.shape == (len(centres), FRAMES, MELS)
    np.testing.assert_allclose(centres, [0.8, 1.2, 1.6, 2.0, 2.31], atol=0.011)


def test_shorter_speech_is_repeated_until_it_fills_a_window() -> None:
    mels, centres = windows(tone(0.5))
    assert mels.shape == (1, FRAMES, MELS)
    np.testing.assert_allclose(mels[0, 51:102], mels[0, :51])
    np.testing.assert_allclose(centres, [0.255])
