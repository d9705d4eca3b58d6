"""A circuit breaker: what fails again and again is left alone for a while, then tried by one call.

Theory of operation. CLOSED, calls pass, and failures are counted: `failures` of them within `window`, each success
taking one back, open it. OPEN, nothing passes for `recovery` seconds. Then it is HALF_OPEN: one call at a time passes,
the probe; if it succeeds the breaker closes, if it fails it is open again, for twice as long each time, eight times
`recovery` at most. A call that ends without saying anything
about the engine (its caller left, or sent what cannot be right) gives its place back.

A call enters with a `Pass` and leaves with the same one. What calls say that entered before the last change of state is
old news, and does not count. (M. Nygard, Release It!, chapter 5.)
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Final, Literal

from fastembed.inference.library.policies import BreakerPolicy

BreakerState = Literal["closed", "open", "half_open"]
"""What a breaker does with the next call."""
_MOST_DOUBLINGS: Final = 3  # four minutes with the default of 30 s: longer, and a mended engine would stand idle


@dataclass(frozen=True, slots=True)
class Pass:
    """The right to make one call. epoch: the breaker's changes of state before it."""

    epoch: int


class Breaker:
    """One breaker. Times are seconds of any clock that never goes back; nothing here waits or reads one."""

    __slots__ = ("_epoch", "_failed_s", "_open", "_opened_s", "_policy", "_probes_lost", "_probing", "opened")

    def __init__(self, policy: BreakerPolicy | None = None) -> None:
        """Begin closed. opened: how often it has opened."""
        self._policy = policy or BreakerPolicy()
        # Times of the failures that count, oldest first. A success takes the oldest away, so an engine that fails one
        # call in three stays closed, and one that fails four in five opens.
        self._failed_s: deque[float] = deque(maxlen=self._policy.failures)
        self._open = False
        self._opened_s = 0.0
        self._probing = False
        self._probes_lost = 0
        self._epoch = 0
        self.opened = 0

    def state(self, now_s: float) -> BreakerState:
        """Return what it is now."""
        if not self._open:
            return "closed"
        return "open" if now_s < self._opened_s + self._recovery_s else "half_open"

    def failures(self, now_s: float) -> int:
        """Return how many failures count now."""
        self._forget(now_s)
        return len(self._failed_s)

    def retry_after_s(self, now_s: float) -> float:
        """Return after how many seconds a call may pass; 0: now. While another call probes, one second."""
        left_s = self._opened_s + self._recovery_s - now_s
        if not self._open or (left_s <= 0 and not self._probing):
            return 0.0
        return max(1.0, left_s)

    def enter(self, now_s: float) -> Pass | None:
        """Let a call pass, or not (None). What it comes to must be told: succeeded, failed or abandoned."""
        if self._open:
            if self._probing or self.state(now_s) == "open":
                return None
            self._probing = True
        return Pass(self._epoch)

    def succeeded(self, entered: Pass) -> None:
        """Note that the engine did its work."""
        # Of another epoch: a slow call from before it opened says nothing of the engine that is there now.
        if entered.epoch != self._epoch:
            return
        if self._open:  # then it is the probe: nothing else passes while it is open
            self._change(is_open=False)
        elif self._failed_s:
            self._failed_s.popleft()

    def failed(self, entered: Pass, now_s: float, *, surely: bool = False) -> None:
        """Note that the engine did not. surely: the next call would fail too, so it opens at once."""
        if entered.epoch != self._epoch:
            return
        self._forget(now_s)
        self._failed_s.append(now_s)
        if self._open or surely or len(self._failed_s) == self._policy.failures:
            # Failed while open: the probe. Each lost probe doubles the pause; opening from closed begins anew.
            self._probes_lost = self._probes_lost + 1 if self._open else 0
            self._change(is_open=True)
            self._opened_s = now_s
            self.opened += 1

    def abandoned(self, entered: Pass) -> None:
        """Note that the call ended and says nothing about the engine."""
        if entered.epoch == self._epoch:
            self._probing = False

    @property
    def _recovery_s(self) -> float:
        return self._policy.recovery * float(2 ** min(self._probes_lost, _MOST_DOUBLINGS))

    def _change(self, *, is_open: bool) -> None:
        self._open = is_open
        self._epoch += 1
        self._probing = False
        self._failed_s.clear()

    def _forget(self, now_s: float) -> None:
        while self._failed_s and self._failed_s[0] < now_s - self._policy.window:
            self._failed_s.popleft()
