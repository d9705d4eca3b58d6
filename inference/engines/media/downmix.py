"""One channel out of several, in which every speaker is heard, whatever the others hold.

The mean of all channels, which is what libav makes, loses a voice that one channel has upside down (a cable wired
wrongly, a stereo effect), and buries one that stands beside a noisy channel. Here every channel counts by its power:
the loudest as much as in the mean, so that nothing clips, a noisy one beside it less, and one that is the loudest
upside down is turned. How loud the whole is does not matter: every utterance is brought to one level.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

_MEMORY: Final = 0.5
"""What of the powers of the pieces before counts in the next: half a second of them, at four pieces a second."""
_INVERTED: Final = -0.7
"""A correlation with the loudest channel below this is its mirror image; rooms give 0 and above."""
_QUIET: Final = 1e-12


class Downmix:
    """A stream's channels as one. The weights follow the sound, blended from piece to piece so that nothing clicks."""

    def __init__(self) -> None:
        self._products: NDArray[np.float64] | None = None
        self._weights: NDArray[np.float32] | None = None

    def push(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return float32 [n] of [n, channels]."""
        count, channels = samples.shape
        if channels == 1 or not count:
            return np.ascontiguousarray(samples[:, 0]) if channels else np.empty(0, np.float32)
        found = (samples.T.astype(np.float64) @ samples) / count
        self._products = found if self._products is None else _MEMORY * self._products + (1 - _MEMORY) * found
        weights = _weights(self._products)
        before = weights if self._weights is None else self._weights
        self._weights = weights
        mixed: NDArray[np.float32] = samples @ weights
        if not np.array_equal(before, weights):
            fade = np.linspace(0.0, 1.0, count, dtype=np.float32)
            mixed = mixed * fade + (samples @ before) * (1.0 - fade)
        return mixed


def _weights(products: NDArray[np.float64]) -> NDArray[np.float32]:
    """Return each channel's weight; their sizes add up to 1 at most. products: means of every two channels' product."""
    powers = np.diag(products)
    if powers.sum() < _QUIET:
        return np.full(len(powers), 1 / len(powers), np.float32)
    loudest = int(powers.argmax())
    correlation = products[loudest] / np.sqrt(np.maximum(powers * powers[loudest], _QUIET**2))
    signs = np.where(correlation < _INVERTED, -1.0, 1.0)
    weights: NDArray[np.float32] = np.asarray(signs * powers / powers[loudest] / len(powers), np.float32)
    return weights
