"""Leave out what was there before."""

from __future__ import annotations

import asyncio
from typing import Annotated, TypeVar

from pydantic import Field

from fastembed.pipeline.component import operator
from fastembed.pipeline.config.option_types import KeyExpression
from fastembed.pipeline.item import Item
from fastembed.pipeline.recent import Recent
from fastembed.pipeline.units import Duration

T = TypeVar("T")


@operator
class Dedupe:
    """Let the first item of each kind through; its repetitions end here, and count as filtered.

    In: anything. Out: the same. What was seen is remembered in memory: after a restart it is new again.

    Args:
        by: an expression for what makes two items the same, text or a number: `dedupe: value.url`.
        within: only repetitions within so long after the first count; by default as long as it is remembered.
        remember: how many kinds are remembered; beyond that the longest unused are forgotten.

    Raises:
        InvalidInput: an item for which `by` gives no text or number.

    """

    def __init__(
        self,
        by: KeyExpression,
        *,
        within: Duration | None = None,
        remember: Annotated[int, Field(ge=1)] = 100_000,
    ) -> None:
        self._by = by
        self._within = within
        self._seen: Recent[str | None, float] = Recent(remember)

    def __call__(self, item: Item[T]) -> T | None:
        """Test one item; runs on the event loop."""
        kind = self._by.evaluate(item)
        now_s = asyncio.get_running_loop().time()
        first_s = self._seen.get(kind)
        if first_s is not None and (self._within is None or now_s - first_s < self._within):
            return None
        self._seen.set(kind, now_s)
        return item.value
