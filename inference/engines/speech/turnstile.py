"""Who uses an engine next, where there are fewer engines than speakers."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Collection
from typing import Generic, TypeVar

T = TypeVar("T")


class Turnstile(Generic[T]):
    """Lends a fixed set of things. Finished utterances wait their turn; a partial that would wait is refused."""

    def __init__(self) -> None:
        """Lend nothing yet."""
        self._free: list[T] = []
        self._waiting: deque[asyncio.Future[T]] = deque()
        self._closed: BaseException | None = None

    def take(self, preferred: T | None = None, *, among: Collection[T] | None = None) -> T | None:
        """Return a free one at once, `preferred` if that is free, or None. Nobody overtakes those who wait.

        among: only one of these will do.
        """
        if not self._free or self._waiting:
            return None
        if among is not None:
            preferred = next((thing for thing in self._free if thing in among), None)
            if preferred is None:
                return None
        if preferred is not None and preferred in self._free:
            self._free.remove(preferred)
            return preferred
        return self._free.pop()

    async def wait(self, preferred: T | None = None) -> T:
        """Return one as soon as there is one, in order of arrival."""
        if self._closed is not None:
            raise self._closed
        if (free := self.take(preferred)) is not None:
            return free
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._waiting.append(future)
        try:
            return await future
        except asyncio.CancelledError:
            if future.done() and not future.cancelled() and future.exception() is None:
                self.give(future.result())
            raise

    def give(self, thing: T) -> None:
        """Give one back, or add one."""
        while self._waiting:
            future = self._waiting.popleft()
            if not future.done():
                future.set_result(thing)
                return
        self._free.append(thing)

    def close(self, reason: BaseException) -> list[T]:
        """Refuse everyone with `reason`; return what is free."""
        self._closed = reason
        while self._waiting:
            future = self._waiting.popleft()
            if not future.done():
                future.set_exception(reason)
        free, self._free = self._free, []
        return free
