"""The signals that ask for a graceful stop, and the end of a process that does not come to one.

Theory of operation. The first signal asks for a stop, the second one for a stop at once. Neither may depend on what
runs: an operator that swallows its cancellation keeps its pipeline for ever, and a source that blocks the event loop
keeps even asyncio's own signal handlers from being called. So the handlers are Python's, which run between two byte
codes of the main thread, and a timer of the kernel is armed beside each stop. When it fires the process ends, as by a
SIGKILL: that loses no row and no file.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Final

_log: Final = logging.getLogger("fastembed.server")
_AT_ONCE_S: Final = 5.0
"""How long a stop at once may take."""
_GRACE_S: Final = 15.0
"""How much longer than its drain a graceful stop may take: connections and models are closed too."""


def stop_signals() -> list[signal.Signals]:
    """Return the signals that ask for a graceful stop; a closed terminal is one, unless `nohup` has it ignored."""
    asked = [signal.SIGINT, signal.SIGTERM]
    hangup = getattr(signal, "SIGHUP", None)  # Windows has none
    if hangup is not None and signal.getsignal(hangup) is signal.SIG_DFL:
        asked.append(hangup)
    return asked


@contextmanager
def stopped_by_signals(stop: Callable[[], None], *, drain_s: Callable[[], float]) -> Iterator[None]:
    """Call `stop` on the event loop at each signal; end a process that has not left the context in time.

    drain_s(): how long the stop may take that the first signal asks for. In a thread other than the main one
    nothing is done: whoever owns it stops it.
    """
    last = _LastResort(drain_s)
    loop = asyncio.get_running_loop()

    def asked(number: int, _frame: FrameType | None) -> None:
        last.arm(number)
        loop.call_soon_threadsafe(stop)

    replaced = {}
    try:
        for number in stop_signals():
            replaced[number] = signal.signal(number, asked)
    except ValueError:  # not the main thread
        replaced.clear()
    try:
        yield
    finally:
        last.disarm()
        for number, handler in replaced.items():
            signal.signal(number, handler)


class _LastResort:
    """A timer that ends the process. It exists from the first signal on, where there are such timers (POSIX)."""

    def __init__(self, drain_s: Callable[[], float]) -> None:
        self._drain_s = drain_s
        self._patience_s = _AT_ONCE_S
        self._number = 0
        self._replaced: Callable[[int, FrameType | None], object] | int | None = None

    def arm(self, number: int) -> None:
        """Start the timer at the first signal, shorten it at the second."""
        if not hasattr(signal, "setitimer"):
            return
        if self._number:
            self._patience_s = _AT_ONCE_S
        else:
            self._patience_s = self._drain_s() + _GRACE_S
            self._replaced = signal.signal(signal.SIGALRM, self._end)
        self._number = number
        signal.setitimer(signal.ITIMER_REAL, self._patience_s)

    def disarm(self) -> None:
        """Stop the timer."""
        if self._number:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, self._replaced)

    def _end(self, _number: int, _frame: FrameType | None) -> None:
        _log.critical(
            "not stopped within %g s: a component ignores its cancellation, or blocks the event loop; the process ends",
            self._patience_s,
        )
        os._exit(128 + self._number)
