"""Bounded parallel work: single items or batches, in strict order, in order by key, or as they finish.

aiostream's own concurrent `map` costs 94 to 117 us an item, pulls its source without bound when no limit is given, and
counts finished items against the limit; this is written for streams that run for months: a feeder takes items in
while the window has room, `Waiting` decides what is next, each unit of work is one task (so that it can be cancelled
alone), and `Outlet` puts the outputs back in order.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Coroutine
from functools import partial
from time import perf_counter
from typing import TYPE_CHECKING, Any

from aiostream import pipable_operator, streamcontext

from fastembed.pipeline.item import END_OF_KEY, Item
from fastembed.pipeline.policy import Order
from fastembed.pipeline.stages.outlet import Outlet
from fastembed.pipeline.stages.waiting import Waiting
from fastembed.pipeline.step import Step
from fastembed.pipeline.tasks import Tasks

if TYPE_CHECKING:
    from opentelemetry.trace import Span

Emit = Callable[[Item[Any]], Awaitable[None]]
Work = Callable[[list[Item[Any]], Emit], Coroutine[Any, Any, None]]


@pipable_operator
async def dispatch(
    source: AsyncIterable[Item[Any]],
    step: Step,
    work: Work,
    waiting: Waiting,
    *,
    workers: int,
    order: Order,
    window: int,
) -> AsyncIterator[Item[Any]]:
    """Run `work(items, emit)` on up to `workers` units at once.

    window: how many items may be inside the stage: waiting, at work, or finished before their turn.
    """
    stage = _Dispatch(step, work, waiting, workers=workers, order=order, window=window)
    step.stats.waiting = waiting.__len__
    step.stats.oldest_s = stage.oldest_s
    stage.tasks.start(stage.feed(source), name=f"{step.id}:feed")
    try:
        async for item in stage.outlet:
            step.stats.items_out += 1
            yield item
    finally:
        await stage.close()


class _Dispatch:
    """The state of one running stage."""

    def __init__(self, step: Step, work: Work, waiting: Waiting, *, workers: int, order: Order, window: int) -> None:
        self.outlet = Outlet(strict=order == "strict", capacity=window)
        self.tasks = Tasks(self.outlet.fail)
        self._step = step
        self._work = work
        self._waiting = waiting
        self._workers = workers
        self._window = window
        self._running = 0
        # From an item's id to its place in the order of the outputs. An item has a ticket from `_offer` to `_leave`,
        # whether it waits, is at work, or was cancelled in between; a ticket that is never closed would hold up all
        # that come after it.
        self._tickets: dict[int, int] = {}
        self._closing = False  # the source has ended: what waits goes at once, batches that are not full too
        self._closed = False  # the stage is torn down: callbacks of cancelled tasks change nothing any more
        self._timer: asyncio.TimerHandle | None = None
        self._loop = asyncio.get_running_loop()

    async def feed(self, source: AsyncIterable[Item[Any]]) -> None:
        async with streamcontext(source) as items:
            async for item in items:
                self._step.stats.items_in += 1
                if item.value is END_OF_KEY or not self._step.skips(item, self._loop.time()):
                    self._offer(item)
                await self.outlet.room(self._window)
        self._closing = True
        self._start()

    async def close(self) -> None:
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
        await self.tasks.close()

    def oldest_s(self) -> float:
        since = self._waiting.oldest()
        return 0.0 if since is None else self._loop.time() - since

    def _offer(self, item: Item[Any]) -> None:
        try:
            superseded = self._waiting.offer(item, self._loop.time())
        except Exception as error:  # noqa: BLE001 - the runner: a `cost` or `latest` that raises is this item's
            self._refuse(item, error)
            return
        if superseded is None:
            self._tickets[item.id] = self.outlet.ticket()
        else:  # the newer item takes over the place in the queue and in the order of the outputs
            self._tickets[item.id] = self._tickets.pop(superseded.id)
            superseded.ack.off_cancel((self, superseded))
            self._step.filtered(superseded)
        # The token is (stage, item), not the item alone: two stages may wait for the same item's cancellation, since
        # the next one may have it before this one has let go. Once it is at work `_start` puts `task.cancel` in its
        # place.
        item.ack.on_cancel((self, item), lambda: self._cancel_waiting(item))
        self._start()

    def _refuse(self, item: Item[Any], error: Exception) -> None:
        """End an item that cannot wait here, or let it pass by in its turn."""
        ticket = self.outlet.ticket()
        if self._step.fail(item, error):
            self.outlet.put_nowait(ticket, item)
        self.outlet.close(ticket)

    def _cancel_waiting(self, item: Item[Any]) -> None:
        if self._waiting.remove(item):
            self._leave(item)
            self._step.cancelled(item)
            self._start()

    def _start(self) -> None:
        """Start whatever may start now, and set the timer for what may start later."""
        while self._running < self._workers:
            items = self._waiting.take(self._loop.time(), self._running, closing=self._closing)
            if not items:
                break
            self._running += 1
            # A batch writes all its outputs under the ticket of its first item; `_ended` closes the tickets of all.
            task = self.tasks.start(
                self._work(items, partial(self.outlet.put, self._tickets[items[0].id])), self._step.id
            )
            task.add_done_callback(partial(self._ended, items, perf_counter()))
            if (tracing := self._step.tracing) is not None:
                for span in filter(None, [tracing.start(item, self._step.id) for item in items]):
                    task.add_done_callback(partial(_end, span))
            if len(items) == 1:
                items[0].ack.on_cancel((self, items[0]), task.cancel)
            else:
                for item in items:
                    item.ack.off_cancel((self, item))  # a batch goes on without those who left
        if self._closing and not self._running and not len(self._waiting):
            self.outlet.finish()
            return
        # A batch may be due by time alone: with a free worker, look again then. A busy worker looks when it is done.
        due = self._waiting.due() if self._running < self._workers else None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if due is not None:
            self._timer = self._loop.call_at(due, self._start)

    def _ended(self, items: list[Item[Any]], started: float, task: asyncio.Task[None]) -> None:
        """Make room for the next unit of work. A callback: a task that is cancelled before it ran runs no `finally`."""
        if self._closed:
            return
        self._step.stats.latency.observe(perf_counter() - started)
        # Whatever the work did, or did not begin to do, this runs once for each unit: the counts cannot drift.
        self._running -= 1
        for item in items:
            item.ack.off_cancel((self, item))
            if task.cancelled() and item.ack.cancelled:
                self._step.cancelled(item)
            self._leave(item)
        self._waiting.finished(items)
        self._start()

    def _leave(self, item: Item[Any]) -> None:
        self.outlet.close(self._tickets.pop(item.id))


def _end(span: Span, _: object) -> None:
    span.end()
