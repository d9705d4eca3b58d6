"""What the GE2E encoder hears: power mel spectrograms without a logarithm, of speech that was brought to one level.

Loudness is part of such a spectrogram, and so of the "voice": the same 1.6 s at -20 dB have a cosine of 0.77. So every
stretch of speech is raised or lowered to one level first; with gains of +-12 dB between turns that took the equal error
rate from 7.9 % to 3.3 % (LibriSpeech test-other, 10 speakers).
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from fastembed.inference.engines.speech.features import HOP, mel_filters

FRAMES: Final = 160
"""Frames of a window: 1.6 s."""
STEP: Final = 40
"""Frames from one window to the next."""
MELS: Final = 40
FRAMES_A_SECOND: Final = 100
_FFT: Final = 400
_LEVEL: Final = 10 ** (-30 / 20)
_MOST: Final = 1_000.0
_BLOCK: Final = 4_096
_WINDOW: Final = np.hanning(_FFT + 1)[:-1].astype(np.float32)


def power_mel(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return [frames, 40] of samples, float32 at 16 kHz, a frame every 10 ms."""
    padded = np.pad(samples, _FFT // 2)
    frames = np.lib.stride_tricks.sliding_window_view(padded, _FFT)[::HOP]
    mel = np.empty((len(frames), MELS), np.float32)
    for start in range(0, len(frames), _BLOCK):
        spectrum = np.fft.rfft(frames[start : start + _BLOCK] * _WINDOW, axis=1)
        mel[start : start + _BLOCK] = (spectrum.real**2 + spectrum.imag**2) @ mel_filters(MELS)
    return mel


def levelled(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return samples at -30 dBFS."""
    level = float(np.sqrt(np.mean(np.square(samples)) + 1e-12)) if len(samples) else 1.0
    return samples * np.float32(min(_LEVEL / level, _MOST))


def windows(samples: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Return the spectrograms [n, 160, 40] of a stretch of speech, and the centre of each in seconds from its start.

    One that is shorter than a window is repeated until it fills one, never padded with silence.
    """
    mel = power_mel(levelled(samples))
    if len(mel) <= FRAMES:
        return np.resize(mel, (1, FRAMES, MELS)), np.array([len(mel) / 2 / FRAMES_A_SECOND])
    starts = list(range(0, len(mel) - FRAMES + 1, STEP))
    if starts[-1] < len(mel) - FRAMES:
        starts.append(len(mel) - FRAMES)
    centres = (np.array(starts) + FRAMES / 2) / FRAMES_A_SECOND
    return np.stack([mel[start : start + FRAMES] for start in starts]), centres
