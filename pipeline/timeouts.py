"""Timeouts of one length for many concurrent waits, on one timer.

`asyncio.timeout` makes a timer for each wait, most of which are cancelled soon after: 8 us, against 2 here. Since all
take the same time, the first to begin is the first that is due; a dict keeps them in that order.
"""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Any, Self

from fastembed.pipeline.errors import Expired


class SharedTimeout:
    """Call it for one wait's context manager, on one event loop.

    limit_s: how long each may take, in loop time. message: of the `Expired` that one raises which takes longer.
    """

    __slots__ = ("_due", "_limit_s", "_loop", "_timer", "message")

    def __init__(self, limit_s: float, message: str) -> None:
        self.message = message
        self._limit_s = limit_s
        self._due: dict[Wait, float] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._timer: asyncio.TimerHandle | None = None

    def __call__(self) -> Wait:
        """Return a wait that begins when it is entered."""
        return Wait(self)

    def begin(self, wait: Wait) -> asyncio.Task[Any]:
        """Start the wait's time; return the task that waits."""
        loop = self._loop
        if loop is None:
            loop = self._loop = asyncio.get_running_loop()
        task = asyncio.current_task(loop)
        if task is None:
            raise RuntimeError("found no task, expected a timeout to be entered in one")
        due = self._due[wait] = loop.time() + self._limit_s
        if self._timer is None:
            self._timer = loop.call_at(due, self._fire, loop)
        return task

    def end(self, wait: Wait) -> None:
        """Forget a wait."""
        self._due.pop(wait, None)

    def _fire(self, loop: asyncio.AbstractEventLoop) -> None:
        self._timer = None
        now = loop.time()
        while self._due:
            wait, due = next(iter(self._due.items()))
            if due > now:
                self._timer = loop.call_at(due, self._fire, loop)
                return
            del self._due[wait]
            wait.expire()


class Wait:
    """One wait: like the context manager of `asyncio.timeout`, but not `async`."""

    __slots__ = ("_cancelling", "_expired", "_shared", "_task")

    def __init__(self, shared: SharedTimeout) -> None:
        self._shared = shared
        self._expired = False

    def __enter__(self) -> Self:
        self._task = self._shared.begin(self)
        self._cancelling = self._task.cancelling()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._shared.end(self)
        if self._expired and self._task.uncancel() <= self._cancelling and isinstance(error, asyncio.CancelledError):
            raise Expired(self._shared.message) from error

    def expire(self) -> None:
        """Cancel the task: its time is over."""
        self._expired = True
        self._task.cancel()
