"""The end of a stream: hand items to a sink, settle them.

A sink with one worker writes one item after the other. One with several (`workers`; the `reply` sink has many) serves
its callers side by side: what comes of one source item, or belongs to one key, is one caller's and stays in order. A
caller that does not keep up is cut off when `_CALLER_WINDOW` results wait for it, so that it never holds up the others.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterable, Callable, Hashable
from time import perf_counter
from typing import Any, Final

from aiostream import streamcontext

from fastembed.pipeline.errors import Overloaded
from fastembed.pipeline.item import END_OF_KEY, Item, Outcome
from fastembed.pipeline.raised import RAISED, component_error
from fastembed.pipeline.step import Step, outcome_of
from fastembed.pipeline.tasks import Tasks

_CALLER_WINDOW: Final = 1024
"""Results that may wait for one caller: seconds of the fastest chat answer, so a pause of the network cuts none."""


WriteNowait = Callable[[Item[Any]], bool]


async def deliver(
    stream: AsyncIterable[Item[Any]],
    step: Step,
    *,
    transactional: object | None,
    write_nowait: WriteNowait | None,
    workers: int,
) -> None:
    """Write every item of the stream.

    `step.call` is the sink's write. transactional: the sink if it commits later. write_nowait: writes an item if it
    can at once, and says whether it did.
    """
    writer = _Writer(step, transactional, write_nowait)
    loop_time = asyncio.get_running_loop().time
    callers = _Callers(writer, workers) if workers > 1 else None
    try:
        async with streamcontext(stream) as items:
            async for item in items:
                step.stats.items_in += 1
                if item.value is not END_OF_KEY and step.skips(item, loop_time()):
                    continue
                if callers is not None:
                    await callers.write(item)
                elif write_nowait is None or not writer.write_nowait(item):
                    await writer.write(item)
        if callers is not None:
            await callers.join()
    finally:
        if callers is not None:
            await callers.close()


class _Writer:
    """Writes one item and settles it."""

    def __init__(self, step: Step, transactional: object | None, write_nowait: WriteNowait | None) -> None:
        self.step = step
        self._transactional = transactional
        self._write_nowait = write_nowait

    def write_nowait(self, item: Item[Any]) -> bool:
        """Write an item if the sink can without waiting."""
        if self._write_nowait is None or item.value is END_OF_KEY:
            return False
        try:
            written = self._write_nowait(item)
            if written is False:
                return False
            if written is not True:  # None, most likely: writing it again could write it twice
                raise TypeError(f"found {written!r:.80} returned by write_nowait, expected True (written) or False")
        except RAISED as error:  # the runner: whatever a sink raises is this item's
            self.step.fail(item, component_error(error))
        else:
            self._delivered(item)
        return True

    async def write(self, item: Item[Any]) -> None:
        """Write an item."""
        step = self.step
        if item.value is END_OF_KEY:
            item.settle(Outcome.DELIVERED)
            return
        started = perf_counter()
        try:
            await step.call(item if step.wants_item else item.value)
        except RAISED as error:  # the runner, as above
            step.fail(item, component_error(error))
        else:
            step.stats.latency.observe(perf_counter() - started)
            self._delivered(item)

    def _delivered(self, item: Item[Any]) -> None:
        if self._transactional is not None:
            item.ack.enlist(self._transactional)
        self.step.stats.ended(Outcome.DELIVERED)
        item.settle(Outcome.DELIVERED)


class _Callers:
    """Writes side by side, each caller's items in order; a task exists only for a caller that makes us wait."""

    def __init__(self, writer: _Writer, limit: int) -> None:
        self._writer = writer
        self._limit = limit
        self._waiting: dict[Hashable, deque[Item[Any]]] = {}
        self._error: BaseException | None = None
        self._tasks = Tasks(self._crashed)
        self._free: asyncio.Future[None] | None = None

    async def write(self, item: Item[Any]) -> None:
        """Write at once, or behind what waits for the same caller."""
        if self._error is not None:
            raise self._error
        # A caller has an entry in `_waiting` exactly while a task serves it; its items queue behind that task's.
        # Without an entry nothing of that caller is under way, so a write at once cannot overtake anything.
        caller: Hashable = item.ack if item.key is None else item.key
        waiting = self._waiting.get(caller)
        if waiting is not None:
            if len(waiting) < _CALLER_WINDOW:
                waiting.append(item)
            else:
                self._cut_off(item)
            return
        if self._writer.write_nowait(item):
            return
        # All places are taken by slow callers: the stream waits. Only this task calls `write`, so one future is enough.
        while len(self._waiting) >= self._limit:
            self._free = asyncio.get_running_loop().create_future()
            await self._free
        self._waiting[caller] = deque([item])
        self._tasks.start(self._serve(caller), name=f"{self._writer.step.id}:caller")

    async def join(self) -> None:
        """Wait until everything is written."""
        await self._tasks.join()
        if self._error is not None:
            raise self._error

    async def close(self) -> None:
        """Cancel all writes."""
        await self._tasks.close()

    async def _serve(self, caller: Hashable) -> None:
        waiting = self._waiting[caller]
        while waiting:
            item = waiting[0]
            if item.ack.cancelled:
                self._writer.step.cancelled(item)
            else:
                await self._write(item)
            waiting.popleft()  # not before it is written: an empty queue means that nothing is under way
        del self._waiting[caller]
        if self._free is not None and not self._free.done():
            self._free.set_result(None)

    async def _write(self, item: Item[Any]) -> None:
        """Write one item, in a task of its own so that the caller's leaving ends the wait."""
        # `wait`, not `await task`: a caller that leaves cancels the task, and that must not look like a cancellation of
        # this one, which goes on with the caller's other items.
        task = asyncio.ensure_future(self._writer.write(item))
        item.ack.on_cancel(item, task.cancel)
        try:
            await asyncio.wait([task])
        finally:
            item.ack.off_cancel(item)
            if not task.done():
                task.cancel()
        if task.cancelled():
            self._writer.step.cancelled(item)
        else:
            task.result()

    def _cut_off(self, item: Item[Any]) -> None:
        error = Overloaded(f"found {_CALLER_WINDOW} results waiting for this caller, which reads them too slowly")
        self._writer.step.stats.ended(outcome_of(error))
        item.settle(outcome_of(error), error, self._writer.step.id)
        item.ack.cancel()

    def _crashed(self, error: BaseException) -> None:
        self._error = self._error or error
