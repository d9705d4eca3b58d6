"""One loudness for every utterance: a quiet microphone reads like a loud one.

The loud part of an utterance (the frames that few are louder than, so that neither pauses nor a click count) is brought
to
-20 dBFS, up or down; what then is beyond full scale is bent, not cut. Whisper was trained on speech of about that
level, and its features see 80 dB below the loudest frame only.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

_FRAME: Final = 320  # 20 ms
_LOUD: Final = 0.95  # of the frames are no louder
_TARGET: Final = 0.1  # -20 dBFS
_MOST: Final = 300.0  # 50 dB: below, there is more of the converter's noise than of a voice
_KNEE: Final = 0.8


def levelled(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the samples at the level that speech is heard best at."""
    loud = loudness(samples)
    if loud <= 0.0:
        return samples
    return soft_limited(samples * np.float32(min(_TARGET / loud, _MOST)))


def loudness(samples: NDArray[np.float32]) -> float:
    """Return the root mean square of the loud frames."""
    if len(samples) < _FRAME:
        return float(np.sqrt(np.mean(samples**2))) if len(samples) else 0.0
    frames = samples[: len(samples) // _FRAME * _FRAME].reshape(-1, _FRAME)
    power = np.einsum("ij,ij->i", frames, frames) / _FRAME
    return float(np.sqrt(np.quantile(power, _LOUD)))


def soft_limited(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """Bend what is beyond 0.8 of full scale so that it stays within it."""
    over = np.abs(samples) > _KNEE
    if not over.any():
        return samples
    bent = samples.copy()
    rest = np.float32(1.0 - _KNEE)
    beyond = (np.abs(samples[over]) - np.float32(_KNEE)) / rest
    bent[over] = np.sign(samples[over]) * (np.float32(_KNEE) + rest * np.tanh(beyond))
    return bent
