"""The end of a stream: hand items to a sink, settle them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable
from time import perf_counter
from typing import Any

from aiostream import streamcontext

from pipeline.item import END_OF_KEY, Item, Outcome
from pipeline.stages.dispatch import Emit, dispatch
from pipeline.stages.waiting import OneByOne
from pipeline.step import Step


async def deliver(stream: AsyncIterable[Item[Any]], step: Step, *, transactional: object | None, workers: int) -> None:
    """Write every item of the stream. `step.call` is the sink's write, `transactional` the sink if it commits later.

    workers 1: one after the other. More: side by side, what comes of one source item (or belongs to one key) in order.
    """
    writer = _Writer(step, transactional)
    if workers > 1:
        waiting = OneByOne("key", key_of=lambda item: item.ack if item.key is None else item.key)
        stream = dispatch(
            stream, step, writer.work, waiting, workers=workers, order="none", window=max(64, 2 * workers)
        )
        async with streamcontext(stream) as outputs:
            async for _ in outputs:
                raise AssertionError("a sink yields nothing")
        return
    loop_time = asyncio.get_running_loop().time
    async with streamcontext(stream) as items:
        async for item in items:
            step.stats.items_in += 1
            if item.value is END_OF_KEY or not step.skips(item, loop_time()):
                started = perf_counter()
                await writer.write(item)
                step.stats.latency.observe(perf_counter() - started)


class _Writer:
    """Writes one item and settles it."""

    def __init__(self, step: Step, transactional: object | None) -> None:
        self._step = step
        self._transactional = transactional

    async def work(self, items: list[Item[Any]], emit: Emit) -> None:  # noqa: ARG002 - a sink hands nothing on
        for item in items:
            await self.write(item)

    async def write(self, item: Item[Any]) -> None:
        step = self._step
        if item.value is END_OF_KEY:
            item.settle(Outcome.DELIVERED)
            return
        try:
            await step.attempt(lambda: step.call(item if step.wants_item else item.value))
        except Exception as error:  # noqa: BLE001 - the runner: whatever a sink raises is this item's
            step.fail(item, error)
            return
        if self._transactional is not None:
            item.ack.enlist(self._transactional)
        step.stats.ended(Outcome.DELIVERED)
        item.settle(Outcome.DELIVERED)
