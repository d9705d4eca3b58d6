"""Log-mel spectrograms as Whisper was trained on (Radford et al. 2022; OpenAI's `whisper/audio.py`)."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

RATE_HZ: Final = 16_000
HOP: Final = 160
"""Samples a frame: 10 ms."""
_FFT: Final = 400
_LINEAR_MELS: Final = 15.0  # Slaney's scale is linear below 1 kHz, which is 15 mel
_WINDOW: Final = np.hanning(_FFT + 1)[:-1].astype(np.float32)


def log_mel(samples: NDArray[np.float32], frames: int, mels: int = 80) -> NDArray[np.float32]:
    """Return [mels, frames] of samples, float32 at 16 kHz, with silence behind them where they are shorter.

    Silence is not computed: a frame of nothing is the floor that the loudest frame sets.
    """
    sound = samples[: frames * HOP]
    full = min(frames, math.ceil((len(sound) + _FFT // 2) / HOP))
    padded = np.pad(sound, (0, max(0, full * HOP + _FFT // 2 - len(sound))))
    padded = np.pad(padded, (_FFT // 2, 0), mode="reflect")
    windows = np.lib.stride_tricks.sliding_window_view(padded, _FFT)[::HOP][:full]
    spectrum = np.fft.rfft(windows * _WINDOW, axis=1)
    power = spectrum.real**2 + spectrum.imag**2
    logs = np.full((mels, frames), -10.0, np.float32)
    logs[:, :full] = np.log10(np.maximum(power @ mel_filters(mels), 1e-10)).T
    np.maximum(logs, logs.max() - 8.0, out=logs)
    logs += 4.0
    logs *= 0.25
    return logs


@lru_cache(maxsize=4)
def mel_filters(mels: int) -> NDArray[np.float32]:
    """Return Slaney's mel filters [201, mels], each of the same area, as librosa's default."""
    top = _LINEAR_MELS + 27 * math.log(8) / math.log(6.4)
    edges = _hertz(np.linspace(0, top, mels + 2))
    bins = np.linspace(0, RATE_HZ / 2, _FFT // 2 + 1)
    rise = (bins[None, :] - edges[:-2, None]) / (edges[1:-1] - edges[:-2])[:, None]
    fall = (edges[2:, None] - bins[None, :]) / (edges[2:] - edges[1:-1])[:, None]
    area = (2 / (edges[2:] - edges[:-2]))[:, None]
    return np.ascontiguousarray((np.maximum(0, np.minimum(rise, fall)) * area).T, np.float32)


def _hertz(mel: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.where(mel < _LINEAR_MELS, mel * 200 / 3, 1000 * np.exp(np.log(6.4) / 27 * (mel - _LINEAR_MELS)))
