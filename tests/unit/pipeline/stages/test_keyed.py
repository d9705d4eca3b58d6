"""Operators that see each key as a stream of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator

from fastembed.pipeline.component import operator
from fastembed.pipeline.item import END_OF_KEY, Item
from fastembed.pipeline.testing import run_values, step


def test_a_keyed_operator_sees_each_key_as_a_stream_and_flushes_at_its_end():
    @operator
    async def total(stream: AsyncIterator[Item[int]]) -> AsyncIterator[Item[int]]:
        result, last = 0, None
        async for item in stream:
            result, last = result + item.value, item
            if result > 100:
                yield item.derive(-1)
        if last is not None:
            yield last.derive(result)

    items = [Item(1, key="a"), Item(10, key="b"), Item(2, key="a"), Item(END_OF_KEY, key="a"), Item(20, key="b")]
    pipeline = run_values(items, step(total))
    assert [value for value in pipeline.sink.values if value is not END_OF_KEY] == [3, 30]
