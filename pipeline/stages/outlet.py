"""Merges the outputs of concurrent workers into one stream, in order where that is asked for.

With order strict each unit of work holds a ticket; outputs leave in the order of the tickets: those of the first
unfinished ticket at once, those of later ones when their turn comes. Otherwise outputs leave as they come. A worker
that is ahead of a slow consumer waits in `put`: backpressure reaches the work itself.
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator
from typing import Any

from fastembed.pipeline.item import Item
from fastembed.pipeline.waiters import Waiters


class Outlet(AsyncIterator[Item[Any]]):
    """A bounded meeting point of many writers and one reader; `capacity` items a ticket, or in all without tickets."""

    def __init__(self, *, strict: bool, capacity: int) -> None:
        self._strict = strict
        self._capacity = capacity
        # `_head` is the first ticket that is not closed: its outputs go to `_ready` directly, those of later ones to
        # `_held`. Closing the head moves it on over all that are closed already, and what they held becomes ready.
        self._ready: deque[Item[Any]] = deque()
        self._held: dict[int, deque[Item[Any]]] = {}
        self._closed_tickets: set[int] = set()
        self._next_ticket = 0
        self._head = 0
        self._finished = False
        self._error: BaseException | None = None
        self._readers = Waiters()
        self._writers = Waiters()

    def __len__(self) -> int:
        return len(self._ready) + sum(map(len, self._held.values()))

    @property
    def open_tickets(self) -> int:
        """Return how many units of work have not left yet: under way, waiting, or finished before their turn."""
        return self._next_ticket - self._head

    def ticket(self) -> int:
        """Draw the next number."""
        self._next_ticket += 1
        return self._next_ticket - 1

    def put_nowait(self, ticket: int, item: Item[Any]) -> None:
        """Hand out one output although the consumer may be behind: for stages that bound their inputs instead."""
        queue = self._queue(ticket)
        queue.append(item)
        if queue is self._ready:
            self._readers.wake()

    async def put(self, ticket: int, item: Item[Any]) -> None:
        """Hand out one output of the ticket's work; waits while the consumer is behind."""
        # The queue is looked up in each round: while this waited, its ticket may have become the head's.
        while len(self._queue(ticket)) >= self._capacity:
            await self._writers.wait()
        self.put_nowait(ticket, item)

    def close(self, ticket: int) -> None:
        """End the ticket: its work has no more outputs."""
        self._writers.wake()
        if not self._strict:
            self._head += 1  # only the count matters: tickets without order
            return
        self._closed_tickets.add(ticket)
        while self._head in self._closed_tickets:
            self._closed_tickets.discard(self._head)
            self._head += 1
            self._ready.extend(self._held.pop(self._head, ()))
        self._readers.wake()

    async def room(self, limit: int) -> None:
        """Wait until fewer than `limit` tickets are open."""
        while self.open_tickets >= limit:
            await self._writers.wait()

    def finish(self) -> None:
        """End the stream after what is ready."""
        self._finished = True
        self._readers.wake()

    def fail(self, error: BaseException) -> None:
        """End the stream with an error: the stage itself is broken, not an item."""
        self._error = self._error or error
        self._readers.wake()

    async def __anext__(self) -> Item[Any]:
        # What is ready goes first, also before an error: those items are whole, and whoever comes next settles them.
        while not self._ready:
            if self._error is not None:
                raise self._error
            if self._finished:
                raise StopAsyncIteration
            await self._readers.wait()
        item = self._ready.popleft()
        if self._writers:
            self._writers.wake()
        return item

    def _queue(self, ticket: int) -> deque[Item[Any]]:
        if not self._strict or ticket == self._head:
            return self._ready
        return self._held.setdefault(ticket, deque())
