"""Sub-streams: an operator that sees the whole stream of one key (a session) runs once a key, all keys side by side.

Each key has a bounded queue and a task that drives the operator's async generator over it. An input counts as consumed
when the operator asks for the next one (or ends), unless it passed the input itself on. What the operator yields it
derives from an input (`item.derive(value)`), so that cancellation, tracing and replies follow. When the key ends, or
the stream does, the operator's iterator ends, it flushes, and the end of the key travels on behind its last output.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterable, AsyncIterator
from contextlib import aclosing, suppress
from typing import Any

from aiostream import pipable_operator, streamcontext

from fastembed.pipeline.channel import Channel
from fastembed.pipeline.errors import Overloaded
from fastembed.pipeline.item import END_OF_KEY, Item, Outcome
from fastembed.pipeline.policy import QueuePolicy
from fastembed.pipeline.raised import RAISED, component_error
from fastembed.pipeline.stages.outlet import Outlet
from fastembed.pipeline.stages.outputs import as_async
from fastembed.pipeline.step import Step
from fastembed.pipeline.tasks import Tasks

log = logging.getLogger("fastembed.pipeline")

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
        # The source has ended: every session that is still open flushes now, in its own task. `_fed` before the check,
        # which the last session to end repeats: whoever of the two comes last finishes the outlet.
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
        # Taken out first: an item of this key that comes from now on begins a new session with an operator of its own.
        channel = self._inputs.pop(end.key, None)
        if channel is None:  # a key without items: nothing runs that could pass its end on
            await self.outlet.put(0, end)
        else:
            await channel.put(end)
            channel.close()

    async def _session(self, channel: Channel[Any]) -> None:
        """Run the operator over one key's items, anew after an error: one bad item does not end a session."""
        inputs = _Inputs(channel, self._step, self.outlet)
        # One round is one run of the operator. It ends when the inputs end (the normal case), when the operator raises
        # (the next round goes on with the next input), or when the operator returns early (the rest is filtered).
        while not inputs.ended:
            try:
                async with aclosing(as_async(self._step.call(inputs))) as outputs:
                    async for output in outputs:
                        await self.outlet.put(0, inputs.derived(output))
            except RAISED as error:  # the runner: whatever an operator raises is this item's
                await self._failed(inputs, component_error(error))
            else:
                inputs.consumed()
                while unwanted := await inputs.take():  # the operator stopped by itself: what still comes is not wanted
                    self._step.filtered(unwanted)
        if inputs.end is not None:
            await self.outlet.put(0, inputs.end)
        self._sessions -= 1
        self._finish_if_done()

    async def _failed(self, inputs: _Inputs, error: BaseException) -> None:
        """End the item that the operator was at, or the next where it took none: its error has to end something."""
        # An error with no input to blame may come again at once (an operator that raises before its first input), and a
        # session must not spin: the next input ends with it, so that each round consumes one.
        failed = inputs.take_current() or await inputs.take()
        inputs.take_current()  # what `take` returned is settled below, so it must not stay current
        if failed is None:
            log.error("%s: its output at the end of the stream is lost: %s", self._step.id, error, exc_info=error)
        elif self._step.fail(failed, error):
            await self.outlet.put(0, failed)

    def _finish_if_done(self) -> None:
        if self._fed and self._sessions == 0:
            self.outlet.finish()


# States of an input that the operator was given, `_current`:
#     open      given and not settled yet: outputs may be derived from it
#     answered  open, and something was derived from it: with a caller waiting it need not stay open any longer
#     passed    yielded by the operator itself: it is the next stage's, `_current` is empty
#     consumed  settled as filtered, once the operator asks for the next one, or ends
class _Inputs:
    """One key's items as the operator sees them: an iterator, not a generator, so that none is left open.

    An operator that yields bare values, not items, has them derived from the input that it is at. It may have something
    to say when its inputs have ended (a total): where its annotations do not promise items, an input stays open until
    the next one is there, so that the last words have one to be derived from. The exception is an input without a key
    that a caller waits for, or that something was made of: there the next one may never come.
    """

    def __init__(self, channel: Channel[Any], step: Step, outlet: Outlet) -> None:
        self.ended = False
        self.end: Item[Any] | None = None
        self._channel = channel
        self._step = step
        self._outlet = outlet
        self._current: Item[Any] | None = None
        self._answered = False

    def __aiter__(self) -> AsyncIterator[Any]:
        return self

    async def __anext__(self) -> Any:  # an Item, or the value that the operator's annotation asks for
        item = await self.take()
        if item is None:
            raise StopAsyncIteration
        return item if self._step.wants_item else item.value

    async def take(self) -> Item[Any] | None:
        """Return the next item that is for the operator, None: no more. Those that its `if` leaves out go past it."""
        if not self._stays_open():
            self.consumed()
        while not self.ended:
            item = await anext(self._channel, None)
            if item is None or item.value is END_OF_KEY:
                self.ended, self.end = True, item
            elif not self._step.skips(item, asyncio.get_running_loop().time()) and await self._is_for_it(item):
                self.consumed()  # only now: an input that stayed open is closed by the next one, not before
                self._current, self._answered = item, False
                return item
        return None

    def derived(self, output: Any) -> Item[Any]:
        """Return an output as an item; TypeError for a bare value with no open input to derive it from."""
        current = self._current
        self._answered = True
        # An admitted item is one of ours: derived from an input, or the input itself. One that the operator made by
        # calling `Item` has no ack, and is taken for a wrapped value.
        if isinstance(output, Item) and output.admitted:
            if output is current:  # passed on: it is left to whoever comes next
                self._current = None
            return output
        if current is None:
            raise TypeError(
                f"found {output!r:.80} that belongs to no open input, expected item.derive(value) of an open one"
            )
        return current.derive(output.value if isinstance(output, Item) else output)

    def take_current(self) -> Item[Any] | None:
        """Return the item that the operator is at, and forget it."""
        current, self._current = self._current, None
        return current

    def consumed(self) -> None:
        """End the item that the operator was at."""
        if (current := self.take_current()) is not None:
            current.settle(Outcome.FILTERED)

    def _stays_open(self) -> bool:
        """Whether the input stays open although the operator asks for the next one."""
        current = self._current
        if current is None or self._step.plan.component.gives_items:
            return False
        return current.key is not None or (current.reply is None and not self._answered)

    async def _is_for_it(self, item: Item[Any]) -> bool:
        """Evaluate the step's `if`; what it does not hold for, or fails and passes, goes on at once."""
        try:
            if self._step.applies(item):
                return True
        except Exception as error:  # noqa: BLE001 - the runner: a condition that raises is this item's
            if not self._step.fail(item, error):
                return False
        await self._outlet.put(0, item)
        return False
