"""Let items through at a bounded rate."""

from __future__ import annotations

import asyncio
from typing import Annotated, Final, Literal, TypeVar

from pydantic import Field

from fastembed.pipeline.component import operator
from fastembed.pipeline.errors import Overloaded
from fastembed.pipeline.item import Item
from fastembed.pipeline.recent import Recent
from fastembed.pipeline.units import Duration

T = TypeVar("T")
_ROUNDING_S: Final = 1e-9


@operator
class Throttle:
    """Let at most so many items through in a time; more of them wait, end here, or are refused.

    In: anything. Out: the same. The bound is a token bucket: after a pause up to `count` items pass at once, then one
    each `per / count`.

    Args:
        count: how many items.
        per: in how long a time.
        each: `all` items together have one bound, or those of each `key` have their own.
        over: what becomes of an item above the bound: it waits (`wait`), ends here as filtered (`drop`), or its caller
            gets 429 with the time to come back (`refuse`).

    Raises:
        Overloaded: above the bound, with `over: refuse`.

    """

    def __init__(
        self,
        count: Annotated[int, Field(ge=1)],
        *,
        per: Duration = 1.0,
        each: Literal["all", "key"] = "all",
        over: Literal["wait", "drop", "refuse"] = "wait",
    ) -> None:
        if per <= 0:
            msg = "found per: 0, expected a time such as 1s"
            raise ValueError(msg)
        self._pause_s = per / count
        self._burst_s = per - self._pause_s
        self._each = each
        self._over = over
        self._due: Recent[str | None, float] = Recent()

    async def __call__(self, item: Item[T]) -> T | None:
        """Pass one item on when its time has come."""
        now_s = asyncio.get_running_loop().time()
        key = item.key if self._each == "key" else None
        due_s = max(self._due.get(key) or now_s, now_s)
        # `due_s` runs ahead of the clock by what passed lately; up to `_burst_s` ahead an item need not wait.
        wait_s = due_s - now_s - self._burst_s
        if wait_s > _ROUNDING_S and self._over != "wait":
            if self._over == "refuse":
                raise Overloaded("found more items than the step throttle lets through", retry_after_s=wait_s)
            return None
        self._due.set(key, due_s + self._pause_s)
        if wait_s > 0:
            await asyncio.sleep(wait_s)
        return item.value
