"""Branching: route (an item takes the first arm whose condition holds) and fork (it takes every arm).

Each arm is a stream of its own behind a bounded queue, driven by its own task, so that a slow arm holds up the others
only when its queue is full. Order is kept within an arm, not across arms; `fork` with `join: all` restores it.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterable, AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from aiostream import pipable_operator, streamcontext

from fastembed.pipeline.channel import Channel
from fastembed.pipeline.errors import InvalidInput
from fastembed.pipeline.item import END_OF_KEY, Ack, Item, Outcome
from fastembed.pipeline.observe import StageStats
from fastembed.pipeline.plan import Expression
from fastembed.pipeline.policy import QueuePolicy
from fastembed.pipeline.stages.outlet import Outlet
from fastembed.pipeline.tasks import Tasks

log = logging.getLogger("fastembed.pipeline")

_WINDOW = 64  # items that may wait before an arm, and items that may be inside a joined fork


@dataclass(frozen=True, slots=True)
class Arm:
    """One way through. run(items): the arm's stream, which yields nothing where the arm ends in a sink of its own."""

    name: str
    condition: Expression | None
    run: Callable[[AsyncIterable[Item[Any]]], AsyncIterator[Item[Any]]]
    has_sink: bool


class _Arms:
    """The arms of one running stage: their queues, tasks, and the ends of keys, which pass through all."""

    def __init__(self, arms: Sequence[Arm], stats: StageStats, *, strict: bool = False) -> None:
        self.outlet = Outlet(strict=strict, capacity=_WINDOW)
        self.tasks = Tasks(self.outlet.fail)
        self._stats = stats
        self._arms = arms
        self._queues = [Channel[Any](QueuePolicy(max_items=_WINDOW)) for _ in arms]
        self._open = len(arms)
        self._through = sum(not arm.has_sink for arm in arms)
        self._ends: dict[str | None, _End] = {}
        stats.waiting = lambda: sum(map(len, self._queues))

    async def run(self, source: AsyncIterable[Item[Any]]) -> AsyncIterator[Item[Any]]:
        """Feed the arms from `source` and yield what comes out of them."""
        self.tasks.start(self._feed(source), name=f"{self._stats.name}:feed")
        for arm, queue in zip(self._arms, self._queues, strict=True):
            self.tasks.start(self._drive(arm, queue), name=f"{self._stats.name}:{arm.name}")
        try:
            async for item in self.outlet:
                self._stats.items_out += 1
                yield item
        finally:
            await self.tasks.close()

    async def place(self, item: Item[Any]) -> None:
        """Put an item into the queue of its arm or arms."""
        raise NotImplementedError

    async def receive(self, arm: Arm, item: Item[Any]) -> None:  # noqa: ARG002 - a join asks which arm it was
        """Receive an output of an arm."""
        await self.outlet.put(0, item)

    async def _feed(self, source: AsyncIterable[Item[Any]]) -> None:
        async with streamcontext(source) as items:
            async for item in items:
                self._stats.items_in += 1
                if item.value is END_OF_KEY:
                    await self._end_key(item)
                else:
                    await self.place(item)
        for queue in self._queues:
            queue.close()

    async def _drive(self, arm: Arm, queue: Channel[Any]) -> None:
        async with streamcontext(arm.run(queue)) as outputs:
            async for item in outputs:
                if item.value is END_OF_KEY:
                    await self._end_seen(item)
                else:
                    await self.receive(arm, item)
        self._open -= 1
        if not self._open:
            self.outlet.finish()

    async def _end_key(self, end: Item[Any]) -> None:
        """Send the end of a key down every arm."""
        # The end may leave only behind the last item of its key, and some arms are slower than others: every arm gets a
        # copy, and the last copy to arrive goes on. Arms that end in a sink return none, so they are not counted.
        if self._through:
            self._ends[end.key] = _End(self.outlet.ticket(), self._through)
        for queue in self._queues:
            await queue.put(end.derive(END_OF_KEY))
        end.settle(Outcome.FILTERED)

    async def _end_seen(self, end: Item[Any]) -> None:
        """Pass on a key's end once every arm has returned it."""
        seen = self._ends[end.key]
        seen.missing -= 1
        if seen.missing:
            end.settle(Outcome.FILTERED)
            return
        del self._ends[end.key]
        await self.outlet.put(seen.ticket, end)
        self.outlet.close(seen.ticket)


@dataclass(slots=True)
class _End:
    """The end of one key on its way through the arms."""

    ticket: int
    missing: int


class _Route(_Arms):
    async def place(self, item: Item[Any]) -> None:
        try:
            index = next(i for i, arm in enumerate(self._arms) if arm.condition is None or arm.condition.evaluate(item))
        except Exception as error:  # the runner: a condition that raises ends its item only
            log.warning("%s: the condition of an arm failed", self._stats.name, exc_info=error)
            refusal = InvalidInput(f"{self._stats.name}: its condition cannot be evaluated for this item: {error}")
            self._stats.ended(Outcome.REJECTED)
            item.settle(Outcome.REJECTED, refusal, self._stats.name)
        else:
            await self._queues[index].put(item)


class _Fork(_Arms):
    async def place(self, item: Item[Any]) -> None:
        copies = [item.derive(item.value) for _ in self._arms]
        item.settle(Outcome.FILTERED)  # after its copies exist, so that the ack never counts to zero in between
        for queue, copy in zip(self._queues, copies, strict=True):
            await queue.put(copy)


@dataclass(slots=True)
class _Gathering:
    """One item whose branches are under way."""

    item: Item[Any]
    ticket: int
    pending: int
    values: dict[str, list[Any]] = field(default_factory=dict)
    worst: Ack | None = None


class _Join(_Arms):
    def __init__(self, arms: Sequence[Arm], stats: StageStats) -> None:
        super().__init__(arms, stats, strict=True)
        self._branches: dict[Ack, _Gathering] = {}

    async def place(self, item: Item[Any]) -> None:
        gathering = _Gathering(item, self.outlet.ticket(), len(self._arms))
        copies = [item.branch(self._branch_done) for _ in self._arms]
        for copy in copies:  # all before the first is put: a branch may end while another still waits for its queue
            self._branches[copy.ack] = gathering
        for queue, copy in zip(self._queues, copies, strict=True):
            await queue.put(copy)
        await self.outlet.room(_WINDOW)

    async def receive(self, arm: Arm, item: Item[Any]) -> None:
        self._branches[item.ack].values.setdefault(arm.name, []).append(item.value)
        item.settle(Outcome.DELIVERED)

    def _branch_done(self, ack: Ack) -> None:
        gathering = self._branches.pop(ack)
        if ack.outcome not in (Outcome.DELIVERED, Outcome.FILTERED) and gathering.worst is None:
            gathering.worst = ack
        gathering.pending -= 1
        if gathering.pending == 0:
            self._joined(gathering)

    def _joined(self, gathering: _Gathering) -> None:
        item, worst = gathering.item, gathering.worst
        if worst is not None and worst.outcome is not None:
            self._stats.ended(worst.outcome)
            item.settle(worst.outcome, worst.error, worst.step)
        else:
            item.value = {arm.name: _single(gathering.values.get(arm.name, [])) for arm in self._arms}
            self.outlet.put_nowait(gathering.ticket, item)
        self.outlet.close(gathering.ticket)


def _single(values: list[Any]) -> Any:
    """Return the value of an arm with one output, None without output, else the list."""
    return values[0] if len(values) == 1 else values or None


@pipable_operator
def route(source: AsyncIterable[Item[Any]], arms: Sequence[Arm], stats: StageStats) -> AsyncIterator[Item[Any]]:
    """Send each item down the first arm whose condition holds; the last arm has none."""
    return _Route(arms, stats).run(source)


@pipable_operator
def fork(source: AsyncIterable[Item[Any]], arms: Sequence[Arm], stats: StageStats) -> AsyncIterator[Item[Any]]:
    """Send every item down every arm; all outputs go on."""
    return _Fork(arms, stats).run(source)


@pipable_operator
def join(source: AsyncIterable[Item[Any]], arms: Sequence[Arm], stats: StageStats) -> AsyncIterator[Item[Any]]:
    """Send every item down every arm; it goes on when all are done, its value a dict: arm name -> what came of it.

    One failed branch fails the item. An arm that made several values gives a list of them, none gives None.
    """
    return _Join(arms, stats).run(source)
