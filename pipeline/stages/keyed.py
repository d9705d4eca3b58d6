"""Sub-streams: an operator that sees the whole stream of one key (a session) runs once a key, all keys side by side.

Each key has a bounded queue and a task that drives the operator's async generator over it. An input counts as consumed
when the operator asks for the next one (or ends), unless it passed the input itself on. What the operator yields it
derives from an input (`item.derive(value)`), so that cancellation, tracing and replies follow. When the key ends, or
the stream does, the operator's iterator ends, it flushes, and the end of the key travels on behind its last output.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, AsyncIterator
from contextlib import aclosing, suppress
from typing import Any

from aiostream import pipable_operator, streamcontext

from fastembed.pipeline.channel import Channel
from fastembed.pipeline.errors import Overloaded
from fastembed.pipeline.item import END_OF_KEY, Item, Outcome
from fastembed.pipeline.policy import QueuePolicy
from fastembed.pipeline.stages.outlet import Outlet
from fastembed.pipeline.step import Step
from fastembed.pipeline.tasks import Tasks

_OUTPUTS = 64  # how many outputs of all keys may wait for the next stage


@pipable_operator
async def keyed(source: AsyncIterable[Item[Any]], step: Step, *, queue: QueuePolicy) -> AsyncIterator[Item[Any]]:
    """Run the step's operator over the sub-stream of every key; order is kept within a key.

    queue: what may wait for one key. With overflow block a slow key holds up the others; with drop or reject it loses
    its own items only.
    """
    stage = _Keyed(step, queue)
    stage.tasks.start(stage.feed(source), name=f"{step.id}:feed")
    step.stats.waiting = stage.waiting
    try:
        async for item in stage.outlet:
            step.stats.items_out += 1
            yield item
    finally:
        await stage.tasks.close()


class _Keyed:
    """The state of one running stage."""

    def __init__(self, step: Step, queue: QueuePolicy) -> None:
        self.outlet = Outlet(strict=False, capacity=_OUTPUTS)
        self.tasks = Tasks(self.outlet.fail)
        self._step = step
        self._policy = queue
        self._inputs: dict[str | None, Channel[Any]] = {}
        self._sessions = 0
        self._fed = False

    def waiting(self) -> int:
        return sum(map(len, self._inputs.values()))

    async def feed(self, source: AsyncIterable[Item[Any]]) -> None:
        loop = asyncio.get_running_loop()
        async with streamcontext(source) as items:
            async for item in items:
                self._step.stats.items_in += 1
                if item.value is END_OF_KEY:
                    await self._end(item)
                elif not self._step.skips(item, loop.time()):
                    with suppress(Overloaded):  # the item has ended as rejected; the stream goes on
                        await self._input(item.key).put(item)
        for channel in self._inputs.values():
            channel.close()
        self._inputs.clear()
        self._fed = True
        self._finish_if_done()

    def _input(self, key: str | None) -> Channel[Any]:
        channel = self._inputs.get(key)
        if channel is None:
            channel = self._inputs[key] = Channel(self._policy)
            self._sessions += 1
            self.tasks.start(self._session(channel), name=f"{self._step.id}:{key}")
        return channel

    async def _end(self, end: Item[Any]) -> None:
        """Close the key's stream; the end itself goes last, from the session's own task."""
        channel = self._inputs.pop(end.key, None)
        if channel is None:
            await self.outlet.put(0, end)
        else:
            await channel.put(end)
            channel.close()

    async def _session(self, channel: Channel[Any]) -> None:
        """Run the operator over one key's items, anew after an error: one bad item does not end a session."""
        inputs = _Inputs(channel, self._step)
        while not inputs.ended:
            try:
                async with aclosing(self._step.call(inputs)) as outputs:
                    async for output in outputs:
                        inputs.forwarded(output)
                        await self.outlet.put(0, output)
            except Exception as error:  # noqa: BLE001 - the runner: whatever an operator raises is this item's
                if (failed := inputs.take_current()) is not None and self._step.fail(failed, error):
                    await self.outlet.put(0, failed)
            else:
                inputs.consumed()
                async for unwanted in inputs:  # the operator stopped by itself: what still comes is not wanted
                    self._step.filtered(unwanted)
        if inputs.end is not None:
            await self.outlet.put(0, inputs.end)
        self._sessions -= 1
        self._finish_if_done()

    def _finish_if_done(self) -> None:
        if self._fed and self._sessions == 0:
            self.outlet.finish()


class _Inputs:
    """One key's items as the operator sees them: an iterator, not a generator, so that none is left open."""

    def __init__(self, channel: Channel[Any], step: Step) -> None:
        self.ended = False
        self.end: Item[Any] | None = None
        self._channel = channel
        self._step = step
        self._current: Item[Any] | None = None

    def __aiter__(self) -> AsyncIterator[Item[Any]]:
        return self

    async def __anext__(self) -> Item[Any]:
        self.consumed()
        while not self.ended:
            item = await anext(self._channel, None)
            if item is None or item.value is END_OF_KEY:
                self.ended, self.end = True, item
            elif not self._step.skips(item, asyncio.get_running_loop().time()):
                self._current = item
                return item
        raise StopAsyncIteration

    def take_current(self) -> Item[Any] | None:
        """Return the item that the operator is at, and forget it."""
        current, self._current = self._current, None
        return current

    def consumed(self) -> None:
        """End the item that the operator was at."""
        if (current := self.take_current()) is not None:
            current.settle(Outcome.FILTERED)

    def forwarded(self, output: Item[Any]) -> None:
        """Leave an input that the operator passed on itself to whoever comes next."""
        if output is self._current:
            self._current = None
