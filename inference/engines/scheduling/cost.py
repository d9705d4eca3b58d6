"""What a model call takes, learnt while it runs: a line a*n + b over the padded size n, for each range of lengths.

Least squares with exponential forgetting (Haykin, Adaptive Filter Theory, on recursive least squares): b is what a call
costs whatever is in it, a what a token costs; both change with the length (attention grows with its square) and with
what else the machine does.
"""

from __future__ import annotations

from typing import Final

_KEPT: Final = 0.98
"""What a call weighs after the next one: those of the last fifty count most."""
_FEWEST: Final = 4.0
"""Weight of calls before anything is said."""


class CostModel:
    """Learns from finished calls. size: padded tokens of a call; longest: tokens of its longest row."""

    def __init__(self) -> None:
        """Know nothing."""
        self._lines: dict[int, _Line] = {}

    def learn(self, size: int, longest: int, seconds: float) -> None:
        """Note what one call took."""
        self._lines.setdefault(longest.bit_length(), _Line()).add(size, seconds)

    def seconds(self, size: int, longest: int) -> float | None:
        """Return what a call is expected to take; None before enough calls of such lengths."""
        fitted = self._fitted(longest)
        return None if fitted is None else fitted[0] * size + fitted[1]

    def most(self, seconds: float, longest: int) -> int | None:
        """Return the padded tokens that are expected to take so long; None where nothing is known, or size is free."""
        fitted = self._fitted(longest)
        if fitted is None or fitted[0] <= 0:
            return None
        a, b = fitted
        return max(0, int((seconds - b) / a))

    def _fitted(self, longest: int) -> tuple[float, float] | None:
        line = self._lines.get(longest.bit_length())
        return line.fitted() if line and line.weight >= _FEWEST else None


class _Line:
    """Weighted sums of one range of lengths."""

    __slots__ = ("size", "size_seconds", "size_size", "time", "weight")

    def __init__(self) -> None:
        self.weight = self.size = self.time = self.size_size = self.size_seconds = 0.0

    def add(self, size: int, seconds: float) -> None:
        """Let what was fade, and add one call."""
        self.weight = self.weight * _KEPT + 1
        self.size = self.size * _KEPT + size
        self.time = self.time * _KEPT + seconds
        self.size_size = self.size_size * _KEPT + size * size
        self.size_seconds = self.size_seconds * _KEPT + size * seconds

    def fitted(self) -> tuple[float, float]:
        """Return (a, b), neither below 0; where all sizes were alike, all of it goes by size."""
        spread = self.weight * self.size_size - self.size * self.size
        if spread > 1e-9 * self.size_size * self.weight:
            a = (self.weight * self.size_seconds - self.size * self.time) / spread
            b = (self.time - a * self.size) / self.weight
            if a >= 0 and b >= 0:
                return a, b
            if a < 0:
                return 0.0, self.time / self.weight
        return self.size_seconds / self.size_size, 0.0
