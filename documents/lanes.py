"""Two lanes before the parser processes, so that documents which take long do not hold up the others.

Theory of operation. Nobody knows how long a document takes before it is read: 60 KB can be minutes. So each begins
in the fast lane. One that is not done after `patience_s` moves on to the slow lane, with its process, as soon as there
is a place; its place in the fast lane is free then. While the slow lane is full it stays where it is, since to begin
anew would cost all that was done; but after `hold_s`, if others wait, its process is killed and it waits for the slow
lane. So long documents may take all places of the fast lane for `hold_s` at most.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, Final, Generic, TypeVar

T = TypeVar("T")

FAST: Final = 2
SLOW: Final = 2
PATIENCE_S: Final = 8.0
HOLD_S: Final = 60.0


class Lanes(Generic[T]):
    """Runs work in lanes. For one event loop."""

    def __init__(
        self, *, fast: int = FAST, slow: int = SLOW, patience_s: float = PATIENCE_S, hold_s: float = HOLD_S
    ) -> None:
        """`fast`, `slow`: how much runs in each lane at a time."""
        self._fast = asyncio.Semaphore(fast)
        self._slow = asyncio.Semaphore(slow)
        self._patience_s = patience_s
        self._hold_s = hold_s
        self._waiting = 0

    async def run(self, work: Callable[[], Awaitable[T]]) -> T:
        """Return what `work` returns; it is called again where it was cancelled to make way."""
        self._waiting += 1
        try:
            await self._fast.acquire()
        finally:
            self._waiting -= 1
        place = _Place(self._fast)
        task = asyncio.ensure_future(work())
        try:
            await asyncio.wait([task], timeout=self._patience_s)
            if not task.done() and not await self._move(task, place):
                await _cancelled(task)
                place.leave()
                await place.enter(self._slow)
                task = asyncio.ensure_future(work())
            return await task
        finally:
            await _cancelled(task)
            place.leave()

    async def _move(self, task: asyncio.Future[T], place: _Place) -> bool:
        """Wait until the task is done or has moved to the slow lane; False if it has to make way."""
        slow: asyncio.Future[Any] = asyncio.ensure_future(self._slow.acquire())
        either: list[asyncio.Future[Any]] = [task, slow]
        moved = False
        try:
            while True:
                await asyncio.wait(either, timeout=self._hold_s, return_when=asyncio.FIRST_COMPLETED)
                if slow.done() and not task.done():
                    place.leave()
                    place.take(self._slow)
                    moved = True
                if task.done() or moved:
                    return True
                if self._waiting:
                    return False
        finally:
            if not moved:
                slow.cancel()
                with suppress(asyncio.CancelledError):
                    if await slow:
                        self._slow.release()


class _Place:
    """The place in a lane that a document has."""

    def __init__(self, lane: asyncio.Semaphore) -> None:
        self._lane: asyncio.Semaphore | None = lane

    def take(self, lane: asyncio.Semaphore) -> None:
        self._lane = lane

    async def enter(self, lane: asyncio.Semaphore) -> None:
        await lane.acquire()
        self._lane = lane

    def leave(self) -> None:
        if self._lane is not None:
            self._lane.release()
            self._lane = None


async def _cancelled(task: asyncio.Future[T]) -> None:
    """Cancel a task that is not done, and wait until it is."""
    if not task.done():
        task.cancel()
        await asyncio.wait([task])
