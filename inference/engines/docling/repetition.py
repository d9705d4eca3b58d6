"""Whether a model that writes token by token has got stuck in a loop."""

from __future__ import annotations

from typing import Final

import numpy as np

_LONGEST_UNIT: Final = 96
_ROUNDS: Final = 4
_TOKENS: Final = 192
"""An empty table of 20 rows and 8 columns repeats itself for 180 tokens."""


class Repetition:
    """Watches one answer: the same stretch of at most 96 tokens, at least 4 times and for 192 tokens in a row.

    For every period p it counts how many of the last tokens equal the one p places before.
    """

    __slots__ = ("_history", "_needed", "_runs")

    def __init__(self) -> None:
        """Nothing seen yet."""
        periods = np.arange(1, _LONGEST_UNIT + 1)
        self._history = np.full(_LONGEST_UNIT, -1, np.int64)  # newest first
        self._runs = np.zeros(_LONGEST_UNIT, np.int64)
        self._needed = np.maximum(_TOKENS, _ROUNDS * periods) - periods

    def add(self, token: int) -> bool:
        """Take the next token; whether the answer loops."""
        self._runs = np.where(self._history == token, self._runs + 1, 0)
        self._history = np.roll(self._history, 1)
        self._history[0] = token
        return bool((self._runs >= self._needed).any())
