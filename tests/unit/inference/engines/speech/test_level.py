"""One loudness for every utterance."""

import numpy as np
import pytest

from fastembed.inference.engines.speech.level import levelled, loudness, soft_limited

SPEECH = (np.sin(np.arange(32_000) * 0.2) * np.where(np.arange(32_000) % 8_000 < 6_000, 0.2, 0.002)).astype(np.float32)


@pytest.mark.parametrize("gain", [0.01, 0.1, 1.0, 3.0])
def test_a_quiet_microphone_reads_like_a_loud_one(gain: float) -> None:
    assert loudness(levelled(SPEECH * np.float32(gain))) == pytest.approx(0.1, rel=0.05)


def test_neither_pauses_nor_a_click_count() -> None:
    clicked = SPEECH.copy()
    clicked[1_000:1_010] = 1.0
    assert loudness(clicked) == pytest.approx(loudness(SPEECH), rel=0.05)


def test_nothing_is_amplified_without_end() -> None:
    assert np.abs(levelled(SPEECH * np.float32(1e-5))).max() < 0.001
    assert not levelled(np.zeros(16_000, np.float32)).any()
    assert levelled(np.zeros(0, np.float32)).size == 0


def test_what_is_beyond_full_scale_is_bent_and_keeps_its_order() -> None:
    ramp = np.linspace(-3, 3, 601).astype(np.float32)
    bent = soft_limited(ramp)
    assert np.abs(bent).max() <= 1.0
    assert (np.diff(bent) >= 0).all()
    assert np.array_equal(bent[np.abs(ramp) < 0.79], ramp[np.abs(ramp) < 0.79])
