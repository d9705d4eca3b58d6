"""One item to many by a plain generator function, inline: no task, no queue."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, AsyncIterator
from time import perf_counter
from typing import Any

from aiostream import pipable_operator, streamcontext

from fastembed.pipeline.item import END_OF_KEY, Item, Outcome
from fastembed.pipeline.raised import RAISED, component_error
from fastembed.pipeline.stages.outputs import derived
from fastembed.pipeline.step import Step


@pipable_operator
async def expand(source: AsyncIterable[Item[Any]], step: Step) -> AsyncIterator[Item[Any]]:
    """Yield one derived item for each output; the input is filtered if there is none."""
    loop_time = asyncio.get_running_loop().time
    stats = step.stats
    async with streamcontext(source) as items:
        async for item in items:
            if item.value is END_OF_KEY:
                yield item
                continue
            stats.items_in += 1
            if step.skips(item, loop_time()):
                continue
            started, count = perf_counter(), 0
            try:
                applies = step.applies(item)
                outputs = iter((step.call(item if step.wants_item else item.value) if applies else None) or ())
                while (value := next(outputs, _NOTHING)) is not _NOTHING:
                    count += 1
                    stats.items_out += 1
                    yield derived(item, value)
            except RAISED as error:  # the runner: whatever an operator raises is this item's
                if step.fail(item, component_error(error)):
                    yield item
                continue
            ended = perf_counter()
            stats.latency.observe(ended - started)
            if step.tracing is not None:
                step.tracing.stage(item, step.id, started, ended)
            if not applies:
                yield item
            elif count:
                item.settle(Outcome.FILTERED)
            else:
                step.filtered(item)


_NOTHING = object()
