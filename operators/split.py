"""Make many items of one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import numpy as np

from fastembed.pipeline.component import operator
from fastembed.pipeline.config.option_types import ValueExpression
from fastembed.pipeline.errors import InvalidInput, TooLarge
from fastembed.pipeline.item import Item
from fastembed.pipeline.payload.plain import PlainValue

MAX_PARTS: Final = 1_000_000


@operator
class Split:
    """Send on each entry of a list by itself, in order; an empty list gives nothing.

    In: anything. Out: the entries, or mappings that hold one each.

    Args:
        entries: an expression for the list; by default the value itself (`split`, `split: value.lines`).
        into: put each entry under this name, beside the value's other fields; the value must be a mapping then.
        index: with `into`: put the entry's number under this name, from 0.

    Raises:
        InvalidInput: no list, or, with `into`, a value that is no mapping.
        TooLarge: more than a million entries.

    """

    def __init__(
        self, entries: ValueExpression | None = None, *, into: str | None = None, index: str | None = None
    ) -> None:
        if index is not None and into is None:
            msg = "found index without into, expected both: {into: line, index: number}"
            raise ValueError(msg)
        self._entries = entries
        self._into = into
        self._index = index

    def __call__(self, item: Item[object]) -> Iterator[PlainValue]:
        """Yield one value's entries."""
        entries = item.value if self._entries is None else self._entries.evaluate(item)
        if isinstance(entries, str | bytes) or not isinstance(entries, Sequence | np.ndarray):
            raise InvalidInput(f"found {type(entries).__name__}, expected a list to split")
        if len(entries) > MAX_PARTS:
            raise TooLarge(f"found {len(entries)} entries, expected at most {MAX_PARTS}")
        if self._into is None:
            yield from entries
            return
        if not isinstance(item.value, Mapping):
            raise InvalidInput(f"found {type(item.value).__name__}, expected a mapping whose fields can be kept")
        for number, entry in enumerate(entries):
            numbered = {} if self._index is None else {self._index: number}
            yield {**item.value, self._into: entry, **numbered}
