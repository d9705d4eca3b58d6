"""When each token was said: dynamic time warping over the cross attention (OpenAI's `whisper/timing.py`)."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from fastembed.inference.engines.speech.vocabulary import TICK_S

_MEDIAN: Final = 7


def token_times(scores: NDArray[np.float32], sound_s: float) -> NDArray[np.float64]:
    """Return when each token begins, and when the last ends: seconds [tokens + 1].

    scores: [heads, tokens + 1, positions], before the softmax; the last token is the one behind the text.
    """
    heard = max(1, min(scores.shape[2], round(sound_s / TICK_S)))
    weights = scores[:, :, :heard]
    weights = np.exp(weights - weights.max(axis=2, keepdims=True))
    weights /= weights.sum(axis=2, keepdims=True)
    deviation = weights.std(axis=1, keepdims=True)
    weights = (weights - weights.mean(axis=1, keepdims=True)) / np.maximum(deviation, 1e-10)
    path = _path(-_median(weights).mean(axis=0))
    times = np.append(path * TICK_S, sound_s)
    begins: NDArray[np.float64] = np.minimum(times[: scores.shape[1]], sound_s)
    return begins


def _median(weights: NDArray[np.float32]) -> NDArray[np.float32]:
    """Smooth along the positions."""
    if weights.shape[2] <= _MEDIAN // 2:
        return weights
    padded = np.pad(weights, ((0, 0), (0, 0), (_MEDIAN // 2, _MEDIAN // 2)), mode="reflect")
    smoothed: NDArray[np.float32] = np.median(np.lib.stride_tricks.sliding_window_view(padded, _MEDIAN, axis=2), axis=3)
    return smoothed


def _path(cost: NDArray[np.float32]) -> NDArray[np.int64]:
    """Return the position at which each token begins on the cheapest way through cost [tokens, positions].

    The table is filled by its antidiagonals, each at once: in the cell (i, j) of the diagonal i + j the ways come from
    (i - 1, j - 1), two diagonals before, and (i - 1, j) and (i, j - 1), one before.
    """
    tokens, positions = cost.shape
    steps = np.zeros((tokens + positions, tokens), np.int8)
    before = np.full(tokens + 1, np.inf)
    last = np.full(tokens + 1, np.inf)
    before[0] = 0.0
    for diagonal in range(tokens + positions - 1):
        rows = np.arange(max(0, diagonal - positions + 1), min(tokens, diagonal + 1))
        ways = np.stack((before[rows], last[rows], last[rows + 1]))
        step = ways.argmin(axis=0)
        steps[diagonal, rows] = step
        now = np.full(tokens + 1, np.inf)
        now[rows + 1] = ways[step, np.arange(len(rows))] + cost[rows, diagonal - rows]
        before, last = last, now
    return _begins(steps, tokens, positions)


def _begins(steps: NDArray[np.int8], tokens: int, positions: int) -> NDArray[np.int64]:
    begins = np.zeros(tokens, np.int64)
    row, column = tokens - 1, positions - 1
    while row >= 0 and column >= 0:
        begins[row] = column
        step = steps[row + column, row]
        row -= step != 2  # noqa: PLR2004 - 0: both back, 1: a token back, 2: a position back
        column -= step != 1
    return begins
