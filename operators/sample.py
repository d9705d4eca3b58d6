"""Let a part of the items through."""

from __future__ import annotations

import asyncio
from typing import Annotated, TypeVar

from pydantic import Field

from fastembed.pipeline.component import operator
from fastembed.pipeline.item import Item
from fastembed.pipeline.recent import Recent
from fastembed.pipeline.units import Duration

T = TypeVar("T")


@operator
class Sample:
    """Let every n-th item through, or one in a time; the others end here, and count as filtered.

    In: anything. Out: the same. The first item of each key always passes.

    Args:
        every: let one of so many through, of each key.
        interval: let at most one through in so long a time, of each key: `sample: {interval: 1s}` for frames.

    """

    def __init__(self, every: Annotated[int, Field(ge=1)] | None = None, *, interval: Duration | None = None) -> None:
        if (every is None) == (interval is None):
            msg = "expected one of every and interval: `sample: 10`, `sample: {interval: 1s}`"
            raise ValueError(msg)
        self._every = every
        self._interval_s = interval or 0.0
        self._state: Recent[str | None, float] = Recent()

    def __call__(self, item: Item[T]) -> T | None:
        """Test one item; runs on the event loop."""
        if self._every is not None:
            count = int(self._state.get(item.key) or 0)
            self._state.set(item.key, (count + 1) % self._every)
            return item.value if count == 0 else None
        now_s = asyncio.get_running_loop().time()
        next_s = self._state.get(item.key)
        if next_s is not None and now_s < next_s - 1e-9:  # less than the rounding of sums
            return None
        self._state.set(item.key, now_s + self._interval_s)
        return item.value
