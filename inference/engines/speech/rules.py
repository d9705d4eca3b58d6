"""Which token may come next: Whisper's rules for timestamps (OpenAI's `ApplyTimestampRules`) for windows of any length.

Timestamps come in pairs around segments, never go back, and a segment's end lies within the window. With silence behind
the sound these rules are what ends a transcript: without them, or without the silence, a short window goes on in loops.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from fastembed.inference.engines.speech.vocabulary import TICK_S, SpeechVocabulary

Row = NDArray[np.float32]


class TokenRules:
    """The rules of one model, for one window of sound."""

    def __init__(self, vocabulary: SpeechVocabulary, window_s: float) -> None:
        self._vocabulary = vocabulary
        self._last_time = vocabulary.first_time + round(window_s / TICK_S)

    def choose(self, row: Row, said: Sequence[int], drafted: int | None = None, near: int = 0) -> tuple[int, float]:
        """Return the likeliest token that may follow what was said, and its log probability.

        row: logits [tokens], changed in place. drafted: a time that is taken in the place of one at most `near` ticks
        away.
        """
        token = self._choose(row, said)
        first = self._vocabulary.first_time
        if drafted is not None and min(token, drafted) >= first and abs(token - drafted) <= near:
            token = drafted if np.isfinite(row[drafted]) else token
        return token, float(row[token]) - _log_sum(row)

    def _choose(self, row: Row, said: Sequence[int]) -> int:
        words = self._vocabulary
        first = words.first_time
        row[words.suppressed] = -np.inf
        row[words.no_timestamps] = -np.inf
        row[words.start : words.no_timestamps] = -np.inf
        row[self._last_time + 1 :] = -np.inf
        if not said:
            row[words.suppressed_first] = -np.inf
            row[:first] = -np.inf
            row[first + words.longest_start + 1 :] = -np.inf
            return int(row.argmax())
        self._pair(row, said)
        if _log_sum(row[first:]) > float(row[:first].max()):
            return first + int(row[first:].argmax())
        return int(row.argmax())

    def _pair(self, row: Row, said: Sequence[int]) -> None:
        first, end = self._vocabulary.first_time, self._vocabulary.end
        newest = next((token for token in reversed(said) if token >= first), first)
        if said[-1] < first:
            row[first : newest + 1] = -np.inf  # no empty segment
        elif len(said) < 2 or said[-2] >= first:  # noqa: PLR2004 - the segment has just begun
            row[first:] = -np.inf
        else:
            row[:end] = -np.inf  # it has just ended: the next one's start, or the end
            row[first:newest] = -np.inf


def _log_sum(row: Row) -> float:
    top = row.max()
    return float(top + np.log(np.exp(row - top).sum())) if np.isfinite(top) else float(top)
