"""Collect items into lists."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Annotated, Any, cast

from pydantic import Field

from fastembed.pipeline.component import operator
from fastembed.pipeline.item import Ack, Item, Outcome
from fastembed.pipeline.units import Duration


@operator
class Window:
    """Collect the values of each key, and send them on as a list: so many, of so long a time, or up to a pause.

    Several bounds close a window at the first that is met; the end of the stream closes the last one.

    In: anything. Out: list of values, in order. What comes of a list comes of all its items: if it fails they fail.

    Args:
        count: this many values make a window.
        time: a window is closed so long after its first value.
        session: a window is closed by a pause of this length.

    """

    def __init__(
        self,
        count: Annotated[int, Field(ge=1)] | None = None,
        *,
        time: Duration | None = None,
        session: Duration | None = None,
    ) -> None:
        if count is None and not time and not session:
            msg = "expected at least one of count, time and session: `window: {count: 100, time: 5s}`"
            raise ValueError(msg)
        self._count = count
        self._time_s = time
        self._session_s = session

    async def __call__(self, items: AsyncIterator[Item[object]]) -> AsyncIterator[Item[list[Any]]]:
        """Yield the windows of one key."""
        loop = asyncio.get_running_loop()
        # The next item is awaited by a task of its own, which a window that closes by the clock leaves waiting: a
        # cancelled `anext` would lose the item that had just been taken for it.
        arriving = asyncio.ensure_future(anext(items, None))
        held: list[Item[object]] = []
        opened_s = last_s = 0.0
        try:
            while True:
                await asyncio.wait([arriving], timeout=self._patience(held, opened_s, last_s))
                if not arriving.done():
                    yield _together(held)
                    held = []
                    continue
                item = arriving.result()
                if item is None:
                    break
                last_s = loop.time()
                opened_s = opened_s if held else last_s
                held.append(item.derive(item.value))  # keeps it open when the next one is asked for
                if len(held) == self._count:
                    yield _together(held)
                    held = []
                arriving = asyncio.ensure_future(anext(items, None))
            if held:
                yield _together(held)
                held = []
        finally:
            arriving.cancel()
            with suppress(asyncio.CancelledError, StopAsyncIteration):
                await arriving
            for item in held:  # the step failed or stopped: nothing was made of them
                item.settle(Outcome.FILTERED)

    def _patience(self, held: list[Item[object]], opened_s: float, last_s: float) -> float | None:
        """Return after how long the open window closes by itself; None: never, or none is open."""
        if not held:
            return None
        ends = [last_s + self._session_s] if self._session_s else []
        if self._time_s:
            ends.append(opened_s + self._time_s)
        return max(0.0, min(ends) - asyncio.get_running_loop().time()) if ends else None


def _together(held: list[Item[object]]) -> Item[list[Any]]:
    """Return one item of several: it is derived from the last, and the others end as it does."""
    *others, last = held

    def ended(child: Ack) -> None:
        for item in (last, *others):
            item.settle(child.outcome or Outcome.FILTERED, child.error, child.step)

    together = cast("Item[Any]", last.branch(ended))
    together.value = [item.value for item in held]
    return together
