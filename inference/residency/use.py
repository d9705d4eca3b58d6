"""How often a model is used, remembered over minutes, hours and days at once."""

from __future__ import annotations

from typing import Final

HALF_LIVES_S: Final = (300.0, 3_600.0, 86_400.0)
"""A burst, a session, a habit."""
_LN2: Final = 0.6931471805599453


class Use:
    """Uses of one model, each fading at three half-lives.

    The hot path adds to `pending`, and sets `last_s`, and nothing more; `rate` folds that in. Uses at `rate` since the
    last fold all count as if they were at `last_s`.
    """

    __slots__ = ("_counts", "_folded_s", "last_s", "pending")

    def __init__(self) -> None:
        """Nothing was used yet."""
        self.pending = 0.0
        self.last_s: float | None = None
        self._counts = [0.0] * len(HALF_LIVES_S)
        self._folded_s = 0.0

    def add(self, now_s: float, weight: float = 1.0) -> None:
        """Note a use. weight: 1 for a normal request, more for an urgent one."""
        self.pending += weight
        self.last_s = now_s

    def rate(self, now_s: float) -> float:
        """Return the uses a second to expect: the mean of what the three memories say."""
        last_s = now_s if self.last_s is None else self.last_s
        total = 0.0
        for place, half_life_s in enumerate(HALF_LIVES_S):
            count = self._counts[place] * 0.5 ** (max(0.0, last_s - self._folded_s) / half_life_s) + self.pending
            self._counts[place] = count
            total += count * 0.5 ** (max(0.0, now_s - last_s) / half_life_s) * _LN2 / half_life_s
        self._folded_s = max(last_s, self._folded_s)
        self.pending = 0.0
        return total / len(HALF_LIVES_S)
