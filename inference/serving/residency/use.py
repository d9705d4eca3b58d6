"""How often a model is used, remembered over minutes, hours and days at once."""

from __future__ import annotations

from typing import Final

HALF_LIVES_S: Final = (300.0, 3_600.0, 86_400.0)
"""A burst, a session, a habit."""
_HABIT: Final = len(HALF_LIVES_S) - 1
_LN2: Final = 0.6931471805599453


class Use:
    """Uses of one model, each fading at three half-lives.

    The hot path adds to `pending`, and sets `last_s`, and nothing more; `rate` folds that in. Uses at `rate` since the
    last fold all count as if they were at `last_s`.
    """

    __slots__ = ("_counts", "_folded", "_folded_s", "last_s", "pending")

    def __init__(self) -> None:
        """Nothing was used yet."""
        self.pending = 0.0
        self.last_s: float | None = None
        self._counts = [0.0] * len(HALF_LIVES_S)
        self._folded = 0.0
        self._folded_s = 0.0

    @property
    def total(self) -> float:
        """All uses, by their weights."""
        return self._folded + self.pending

    def add(self, now_s: float, weight: float = 1.0) -> None:
        """Note a use. weight: 1 for a normal request, more for an urgent one."""
        self.pending += weight
        self.last_s = now_s

    def rate(self, now_s: float) -> float:
        """Return the uses a second to expect: the mean of what the three memories say.

        A silence refutes the two shorter ones: after a minute of it they say one a minute at most. That, and the
        half-lives, were chosen on simulated traces (`bench/residency.py`, seeds from 100 on).
        """
        last_s = now_s if self.last_s is None else self.last_s
        most = 1.0 / max(1.0, now_s - last_s)
        total = 0.0
        for place, half_life_s in enumerate(HALF_LIVES_S):
            count = self._counts[place] * 0.5 ** (max(0.0, last_s - self._folded_s) / half_life_s) + self.pending
            self._counts[place] = count
            rate = count * 0.5 ** (max(0.0, now_s - last_s) / half_life_s) * _LN2 / half_life_s
            total += rate if place == _HABIT else min(rate, most)
        self._folded_s = max(last_s, self._folded_s)
        self._folded += self.pending
        self.pending = 0.0
        return total / len(HALF_LIVES_S)
