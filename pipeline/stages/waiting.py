"""Queues before concurrent operators: which items wait, and which are taken next. Pure: no await, no clock.

`OneByOne` hands out single items: in order of arrival, or, by key, never two of a key at a time. A `latest` expression
marks items of which only the newest is worth the work: a newer one takes the place of one that still waits.
`Batches` hands out several: at once while the operator is idle, else when a batch is full or its first item has waited.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable
from typing import Any, Protocol

from fastembed.pipeline.item import END_OF_KEY, Item
from fastembed.pipeline.policy import BatchPolicy, Order


class Waiting(Protocol):
    """The items between a stage's input and its workers."""

    def __len__(self) -> int:
        """Return how many live items wait."""

    def offer(self, item: Item[Any], now: float) -> Item[Any] | None:
        """Add an item; return the one whose place it took, if any."""

    def remove(self, item: Item[Any]) -> bool:
        """Forget a waiting item that was cancelled; False if it does not wait any more."""

    def take(self, now: float, running: int, *, closing: bool) -> list[Item[Any]]:
        """Return what to work on next, while `running` units of work are under way; empty: nothing yet."""

    def finished(self, items: list[Item[Any]]) -> None:
        """Note that the work on these items, which `take` returned, has ended."""

    def due(self) -> float | None:
        """Return when to `take` again although nothing arrives or finishes, or None."""

    def oldest(self) -> float | None:
        """Return the time at which the first waiting item was offered, or None."""


class _Cell:
    """A place in the queue; `latest` replaces what stands in it, a cancelled item leaves it empty."""

    __slots__ = ("item", "since")

    def __init__(self, item: Item[Any], since: float) -> None:
        self.item: Item[Any] | None = item
        self.since = since


class OneByOne:
    """Single items. order key: an item starts when the one before it of the same key has finished."""

    def __init__(
        self,
        order: Order,
        latest: Callable[[Item[Any]], bool] | None = None,
        key_of: Callable[[Item[Any]], Hashable] = lambda item: item.key,
    ) -> None:
        # With order key a key is busy from the moment that one of its items is ready until that item's work has ended:
        # it has an entry in `_blocked` then, an empty one if nothing else waits. So at most one cell a key is in
        # `_ready` or at work, and the order within a key needs no other bookkeeping.
        self._by_key = order == "key"
        self._key_of = key_of
        self._latest = latest
        self._ready: deque[_Cell] = deque()
        self._blocked: dict[Hashable, deque[_Cell]] = {}  # keys that are busy, and what waits for them
        self._replaceable: dict[Hashable, _Cell] = {}
        self._cells: dict[int, _Cell] = {}

    def __len__(self) -> int:
        return len(self._cells)

    def offer(self, item: Item[Any], now: float) -> Item[Any] | None:
        """Add an item, or put it in the place of the waiting one that it supersedes, which is returned."""
        if self._latest is not None:
            if item.value is not END_OF_KEY and self._latest(item):
                # The newer item inherits the place, and `since`: a partial transcript that is replaced every 400 ms
                # would otherwise stand at the end of the line for ever.
                if (cell := self._replaceable.get(self._key_of(item))) is not None and (old := cell.item) is not None:
                    cell.item = item
                    self._cells[item.id] = self._cells.pop(old.id)
                    return old
                cell = self._replaceable[self._key_of(item)] = _Cell(item, now)
                self._append(cell, item)
                return None
            # An item that is not replaceable (a final) closes the cell before it: what comes later must not take the
            # place of something that was said earlier.
            self._replaceable.pop(self._key_of(item), None)
        self._append(_Cell(item, now), item)
        return None

    def remove(self, item: Item[Any]) -> bool:
        """Empty the item's cell; its place in the deque goes when its turn comes."""
        cell = self._cells.pop(item.id, None)
        if cell is None:
            return False
        cell.item = None
        if self._replaceable.get(self._key_of(item)) is cell:
            del self._replaceable[self._key_of(item)]
        # It was the ready one of its key: the next takes over. One that waited behind another is skipped in `_release`.
        if self._by_key and cell in self._ready:
            self._release(self._key_of(item))
        return True

    def take(self, now: float, running: int, *, closing: bool) -> list[Item[Any]]:  # noqa: ARG002 - see Batches
        """Return the first item that is ready."""
        while self._ready:
            cell = self._ready.popleft()
            item = cell.item
            if item is None:
                continue
            del self._cells[item.id]
            if self._replaceable.get(self._key_of(item)) is cell:
                del self._replaceable[self._key_of(item)]
            return [item]
        return []

    def finished(self, items: list[Item[Any]]) -> None:
        """Make the next item of the same key ready."""
        if self._by_key:
            for item in items:
                self._release(self._key_of(item))

    def due(self) -> float | None:
        """Return None: items become ready by arriving or by others finishing."""
        return None

    def oldest(self) -> float | None:
        """Return when the first ready item arrived."""
        return next((cell.since for cell in self._ready if cell.item is not None), None)

    def _append(self, cell: _Cell, item: Item[Any]) -> None:
        self._cells[item.id] = cell
        if not self._by_key:
            self._ready.append(cell)
        elif self._key_of(item) in self._blocked:
            self._blocked[self._key_of(item)].append(cell)
        else:
            self._blocked[self._key_of(item)] = deque()
            self._ready.append(cell)

    def _release(self, key: Hashable) -> None:
        waiting = self._blocked.get(key)
        while waiting:
            cell = waiting.popleft()
            if cell.item is not None:
                self._ready.append(cell)
                return
        self._blocked.pop(key, None)  # the key is free: its next item is ready as it comes


class Batches:
    """Several items at once, up to `max_items` and `max_cost`; one item above `max_cost` goes alone.

    An idle operator gets what there is at once. While it is busy with other batches a new one waits until it is full or
    its first item has waited `wait_s`: waiting costs nothing then, and fuller batches cost less an item.
    """

    def __init__(self, policy: BatchPolicy, cost: Callable[[Any], float] | None = None) -> None:
        self._policy = policy
        self._cost = cost or (lambda _: 1.0)
        # `_waiting` may hold dead entries (cancelled), `_live` says which are not; `_total_cost` is of the live ones.
        self._waiting: deque[tuple[Item[Any], float, float]] = deque()  # item, cost, since
        self._live: set[int] = set()
        self._total_cost = 0.0

    def __len__(self) -> int:
        return len(self._live)

    def offer(self, item: Item[Any], now: float) -> Item[Any] | None:
        """Add an item. Batches supersede nothing."""
        cost = 0.0 if item.value is END_OF_KEY else float(self._cost(item.value))
        self._waiting.append((item, cost, now))
        self._live.add(item.id)
        self._total_cost += cost
        return None

    def remove(self, item: Item[Any]) -> bool:
        """Forget a cancelled item; its entry goes when its turn comes."""
        if item.id not in self._live:
            return False
        self._live.discard(item.id)
        self._total_cost -= next(cost for other, cost, _ in self._waiting if other is item)
        return True

    def take(self, now: float, running: int, *, closing: bool) -> list[Item[Any]]:
        """Return a batch if the operator is idle, or a batch is full, or the first item has waited long enough."""
        self._skip_dead()
        if not self._live or not (running == 0 or closing or self._full() or now >= self._due_at()):
            return []
        taken: list[Item[Any]] = []
        total = 0.0
        limit = self._policy.max_cost
        while self._waiting and len(taken) < self._policy.max_items:
            item, cost, _ = self._waiting[0]
            if item.id not in self._live:
                self._waiting.popleft()
                continue
            # The first is taken whatever it costs, or an item above the limit would block the queue for ever. No later
            # item that would fit passes this one: batches keep the order of arrival.
            if taken and limit is not None and total + cost > limit:
                break
            self._waiting.popleft()
            self._live.discard(item.id)
            self._total_cost -= cost
            total += cost
            taken.append(item)
        return taken

    def finished(self, items: list[Item[Any]]) -> None:
        """Change nothing: batches do not wait for each other."""

    def due(self) -> float | None:
        """Return when the first waiting item has waited `wait_s`."""
        self._skip_dead()
        return self._due_at() if self._live else None

    def oldest(self) -> float | None:
        """Return when the first waiting item arrived."""
        self._skip_dead()
        return self._waiting[0][2] if self._waiting else None

    def _skip_dead(self) -> None:
        while self._waiting and self._waiting[0][0].id not in self._live:
            self._waiting.popleft()

    def _due_at(self) -> float:
        return self._waiting[0][2] + self._policy.wait_s

    def _full(self) -> bool:
        policy = self._policy
        return len(self._live) >= policy.max_items or (
            policy.max_cost is not None and self._total_cost >= policy.max_cost
        )
