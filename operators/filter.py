"""Let some items through."""

from __future__ import annotations

from typing import TypeVar

from fastembed.pipeline.component import operator
from fastembed.pipeline.config.option_types import Condition
from fastembed.pipeline.item import Item

T = TypeVar("T")


@operator
class Filter:
    """Let the items through for which a condition holds; the others end here, and count as filtered.

    In: anything. Out: the same.

    Args:
        where: the condition, such as `value.score > 0.5`.

    """

    def __init__(self, where: Condition) -> None:
        self._where = where

    def __call__(self, item: Item[T]) -> T | None:
        """Test one item; runs on the event loop."""
        return item.value if self._where.evaluate(item) else None
