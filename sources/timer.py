"""Yields an item at a time of the clock, again and again."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from typing import Any

from fastembed.pipeline.component import Context, source
from fastembed.pipeline.item import Item
from fastembed.pipeline.units import Duration


@source
class Timer:
    """Yield a tick every so often, at the beat of the clock: with `every: 1h` at each full hour, in UTC.

    Delivery: at most once; ticks that a slow pipeline or a pause of the machine misses are left out, not made up for.
    Restart: the next beat is the next tick.

    Out: mapping with `time` (`2026-01-31T08:00:00Z`), `seconds` since the epoch, `count` from 1, and what `value` has.

    Args:
        every: how long from beat to beat.
        at_start: also tick at once when the pipeline starts.
        value: a mapping whose fields every tick has.

    """

    resumes = True

    def __init__(self, every: Duration, *, at_start: bool = False, value: dict[str, Any] | None = None) -> None:
        if every <= 0:
            msg = "found every: 0, expected a time such as 10s"
            raise ValueError(msg)
        self._every_s = every
        self._at_start = at_start
        self._value = value or {}
        self._once = False
        self._count = 0
        self._clock: Callable[[], float] = time.time

    async def open(self, context: Context) -> None:
        """Learn whether only one tick is wanted."""
        self._once = context.once

    async def items(self) -> AsyncIterator[Item[dict[str, Any]]]:
        """Yield ticks; with `run --once` one, at once."""
        if self._at_start or self._once:
            yield self._tick(self._clock())
        while not self._once:
            now_s = self._clock()
            beat_s = (now_s // self._every_s + 1) * self._every_s
            await asyncio.sleep(beat_s - now_s)
            yield self._tick(beat_s)

    def _tick(self, at_s: float) -> Item[dict[str, Any]]:
        self._count += 1
        text = datetime.fromtimestamp(at_s, tz=UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        return Item({**self._value, "time": text, "seconds": at_s, "count": self._count}, event_time=at_s)
