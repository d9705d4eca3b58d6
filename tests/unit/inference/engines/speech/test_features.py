"""Log-mel spectrograms."""

import numpy as np
import pytest

from fastembed.inference.engines.speech.features import HOP, RATE_HZ, log_mel


def tone(hertz: float, seconds: float = 1.0) -> np.ndarray:
    return np.sin(2 * np.pi * hertz * np.arange(round(seconds * RATE_HZ)) / RATE_HZ).astype(np.float32) * 0.3


def test_a_frame_is_ten_milliseconds_and_has_a_row_a_mel() -> None:
    assert log_mel(tone(440), 300).shape == (80, 300)
    assert log_mel(tone(440), 300, mels=128).shape == (128, 300)


def test_silence_behind_the_sound_is_the_floor_that_the_loudest_frame_sets() -> None:
    features = log_mel(tone(440), 300)
    assert features[:, 110:].max() == features.min() == pytest.approx(features.max() - 2.0)


def test_a_higher_tone_is_in_a_higher_row() -> None:
    rows = [int(log_mel(tone(hertz), 100)[:, 20:80].mean(axis=1).argmax()) for hertz in (200, 800, 3_000)]
    assert rows == sorted(set(rows))


def test_silence_that_is_not_computed_is_that_which_would_be() -> None:
    sound = np.random.default_rng(1).normal(0, 0.1, RATE_HZ).astype(np.float32)
    padded = np.pad(sound, (0, 2 * RATE_HZ))
    assert np.allclose(log_mel(sound, 300), log_mel(padded, 300), atol=1e-4)


def test_what_is_behind_the_window_is_not_heard() -> None:
    quiet, loud = tone(440) * 0.01, tone(440)
    whole = log_mel(np.concatenate([quiet, loud]), 100)
    assert np.allclose(whole[:, :95], log_mel(quiet, 100)[:, :95], atol=1e-4)
    assert len(quiet) == 100 * HOP
