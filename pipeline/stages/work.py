"""One unit of work for each kind of operator: call it, pass on its outputs, settle items that have none."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterable
from contextlib import aclosing, nullcontext
from typing import Any, Final

from fastembed.pipeline.component import Batch, OperatorKind
from fastembed.pipeline.errors import Expired
from fastembed.pipeline.item import END_OF_KEY, Item, Outcome
from fastembed.pipeline.raised import RAISED, component_error, in_thread
from fastembed.pipeline.stages.dispatch import Emit, Work
from fastembed.pipeline.stages.outputs import as_async, as_value, derived, from_thread
from fastembed.pipeline.step import Step

_MAX_ON_THEIR_WAY: Final = 256
"""Outputs of one item between the operator that makes them and the sink."""


def work_of(step: Step) -> Work:
    """Return what one worker of this step does."""
    if step.kind is OperatorKind.BATCH:
        return _batch(step)
    if step.kind is OperatorKind.EXPAND:
        paced = step.first is not None or step.idle is not None
        return _one(step, _expand_in_thread if step.in_thread and not paced else _expand_stream)
    return _one(step, _replace)


def _one(step: Step, apply: Callable[[Step, Item[Any], Emit], Awaitable[None]]) -> Work:
    """Wrap the work on one item: handle skipped, cancelled and failed items."""

    # A worker owns its item until it has emitted or settled it, on every path: one that is lost here would never be
    # counted, and the pipeline's drain would wait for it until its timeout.
    async def work(items: list[Item[Any]], emit: Emit) -> None:
        item = items[0]
        if item.value is END_OF_KEY:
            await emit(item)
            return
        try:
            if step.applies(item):
                await apply(step, item, emit)
                return
        except RAISED as error:  # the runner: whatever an operator raises is this item's
            if not step.fail(item, component_error(error)):
                return
        await emit(item)

    return work


async def _replace(step: Step, item: Item[Any], emit: Emit) -> None:
    """One in, one out: a coroutine function, or a plain function, in a thread if it blocks."""
    argument = item if step.wants_item else item.value
    directly = step.is_async and not step.in_thread
    result = await step.attempt(lambda: step.call(argument) if directly else _call(step, argument))
    if result is None:
        step.filtered(item)
        return
    item.value = as_value(result)
    await emit(item)


async def _call(step: Step, argument: Any) -> Any:
    """Call a plain function."""
    return await in_thread(step.call, argument) if step.in_thread else step.call(argument)


async def _expand_in_thread(step: Step, item: Item[Any], emit: Emit) -> None:
    """One in, many out: a generator that blocks; all of its outputs are made before the first goes on."""
    argument = item if step.wants_item else item.value
    outputs = await step.attempt(lambda: in_thread(lambda: list(step.call(argument) or ())))
    await emit_all(item, outputs, emit)


async def _expand_stream(step: Step, item: Item[Any], emit: Emit) -> None:
    """One in, many out, each as soon as it is there. Tried again only while nothing has gone on yet."""
    argument = item if step.wants_item else item.value
    count = 0

    async def run() -> None:
        nonlocal count
        try:
            async with aclosing(_outputs(step, argument)) as outputs:
                async for value in _paced(step, outputs):
                    count += 1
                    await emit(derived(item, value))
                    # A generator that is faster than the caller reads: it waits here, between two of its outputs, with
                    # the model's place taken. Half is what keeps it from waking for each output that is consumed.
                    if item.ack.pending > _MAX_ON_THEIR_WAY:
                        await _room(item)
        except RAISED as error:  # raised again below: what has gone on cannot be tried again
            if count:
                raise _BrokenOff(component_error(error)) from error
            raise

    try:
        await step.attempt(run)
    except _BrokenOff as broken:
        raise broken.cause from None
    if count:
        item.settle(Outcome.FILTERED)
    else:
        step.filtered(item)


def _outputs(step: Step, argument: Any) -> AsyncGenerator[Any, None]:
    if step.in_thread:
        return from_thread(lambda: step.call(argument))
    return as_async(step.call(argument))


async def _room(item: Item[Any]) -> None:
    """Wait until half of the item's outputs have been consumed, so that a slow reader delays only its own item."""
    room = asyncio.Event()
    item.ack.when_pending_below(_MAX_ON_THEIR_WAY // 2, room.set)
    await room.wait()


class _BrokenOff(Expired):
    """An item failed after its first outputs: a retry would repeat them. `attempt` never retries an `Expired`."""

    def __init__(self, cause: BaseException) -> None:
        super().__init__("broken off")
        self.cause = cause


async def _paced(step: Step, outputs: AsyncIterator[Any]) -> AsyncIterator[Any]:
    """Bound the wait for the first output, and between two."""
    limit = step.first
    while True:
        try:
            with nullcontext() if limit is None else limit():
                value = await anext(outputs)
        except StopAsyncIteration:
            return
        yield value
        limit = step.idle


async def emit_all(item: Item[Any], values: Iterable[Any], emit: Emit) -> None:
    """Hand out several outputs of one item and end it; no output: it is filtered."""
    for value in values:
        await emit(derived(item, value))
    item.settle(Outcome.FILTERED)


def _batch(step: Step) -> Work:
    """Many in, as many out; an exception among the results fails its item alone, a raised one fails the batch."""

    async def work(items: list[Item[Any]], emit: Emit) -> None:
        chosen = [item for item in items if item.value is not END_OF_KEY and _chosen(step, item)]
        if chosen:
            arguments = Batch(chosen if step.wants_item else [item.value for item in chosen])
            try:
                results = await step.attempt(lambda: _call_batch(step, arguments))
            except RAISED as error:  # the runner, as in `_one`
                results = [component_error(error)] * len(chosen)
            for item, result in zip(chosen, results, strict=True):
                _settle_result(step, item, result)
        # In the order of arrival, ends of keys among them: `_settle_result` has ended those that go no further.
        for item in items:
            if item.live:
                await emit(item)

    return work


def _chosen(step: Step, item: Item[Any]) -> bool:
    """Evaluate `if` for one item of a batch."""
    try:
        return step.applies(item)
    except Exception as error:  # noqa: BLE001 - the runner, as in `_one`
        step.fail(item, error)
        return False


async def _call_batch(step: Step, arguments: Batch[Any]) -> list[Any]:
    if step.in_thread:
        results = await in_thread(lambda: list(step.call(arguments)))
    else:
        results = [result async for result in as_async(step.call(arguments))]
    if len(results) != len(arguments):
        raise ValueError(f"found {len(results)} results for {len(arguments)} inputs, expected one each")
    return results


def _settle_result(step: Step, item: Item[Any], result: Any) -> None:
    if isinstance(result, BaseException):  # `gather` returns a CancelledError among results, which is no Exception
        step.fail(item, result)
    elif item.ack.cancelled:
        step.cancelled(item)
    elif result is None:
        step.filtered(item)
    else:
        item.value = result
