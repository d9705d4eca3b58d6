import numpy as np
import pytest

from fastembed.inference.engines.speech.resample import Resampler

RATES = [8_000, 11_025, 22_050, 24_000, 32_000, 44_100, 48_000]


def tone(rate_hz: int, hz: float, seconds: float = 1.0) -> np.ndarray:
    return (0.5 * np.sin(2 * np.pi * hz * np.arange(round(rate_hz * seconds)) / rate_hz)).astype(np.float32)


def whole(samples: np.ndarray, from_hz: int) -> np.ndarray:
    resampler = Resampler(from_hz, 16_000)
    return np.concatenate([resampler.push(samples), resampler.flush()])


@pytest.mark.parametrize("rate_hz", RATES)
@pytest.mark.parametrize("hz", [200.0, 1_000.0, 3_000.0])
def test_a_tone_stays_the_same_tone_in_the_same_place(rate_hz: int, hz: float) -> None:
    out = whole(tone(rate_hz, hz), rate_hz)
    error = np.abs(out - tone(16_000, hz)[: len(out)])[200:-200]
    assert error.max() < 1e-3


@pytest.mark.parametrize("rate_hz", RATES)
def test_a_second_stays_a_second(rate_hz: int) -> None:
    assert abs(len(whole(tone(rate_hz, 440), rate_hz)) - 16_000) <= 1


@pytest.mark.parametrize("rate_hz", [22_050, 24_000, 44_100, 48_000])
def test_what_16_khz_cannot_hold_is_removed_not_folded_back(rate_hz: int) -> None:
    out = whole(tone(rate_hz, 9_500), rate_hz)
    assert np.abs(out[300:-300]).max() < 1e-3


def test_an_equal_rate_passes_unchanged() -> None:
    samples = tone(16_000, 440)
    assert whole(samples, 16_000) is not samples
    assert np.array_equal(whole(samples, 16_000), samples)


def test_after_a_flush_the_stream_begins_anew() -> None:
    resampler = Resampler(24_000, 16_000)
    first = np.concatenate([resampler.push(tone(24_000, 440)), resampler.flush()])
    second = np.concatenate([resampler.push(tone(24_000, 440)), resampler.flush()])
    assert np.array_equal(first, second)


def test_a_rate_without_a_simple_ratio_is_refused() -> None:
    with pytest.raises(ValueError, match="found a sample rate of 44099 Hz"):
        Resampler(44_099, 16_000)
