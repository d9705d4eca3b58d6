"""A condition without a lock, for one event loop: waiters are woken by each change and check again."""

from __future__ import annotations

import asyncio
from collections import deque


class Waiters:
    """Tasks that wait; `wake` wakes all of them, in order. A woken task must check whether its turn has come."""

    __slots__ = ("_futures",)

    def __init__(self) -> None:
        self._futures: deque[asyncio.Future[None]] = deque()

    def __len__(self) -> int:
        return len(self._futures)

    async def wait(self) -> None:
        """Wait for the next `wake`; one that is cancelled meanwhile is passed over."""
        future = asyncio.get_running_loop().create_future()
        self._futures.append(future)
        await future

    def wake(self) -> None:
        """Wake every waiter."""
        while self._futures:
            future = self._futures.popleft()
            if not future.done():
                future.set_result(None)
