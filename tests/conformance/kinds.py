"""Every kind of operator that a plug-in may hold, each giving back the number that it takes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

from fastembed.pipeline.component import Batch, operator, sink, source, threaded_operator
from fastembed.pipeline.item import Item

ARRIVED: list[Any] = []


@source
async def numbers(count: int = 3) -> AsyncIterator[Item[int]]:
    """Yield numbers."""
    for number in range(count):
        yield Item(number)


@source
async def keyed_numbers(count: int = 3) -> AsyncIterator[Item[int]]:
    """Yield numbers of two keys."""
    for number in range(count):
        yield Item(number, key=str(number % 2))


@source
async def bare_numbers(count: int = 3) -> AsyncIterator[int]:
    """Yield numbers that are no items."""
    for number in range(count):
        yield number


@sink
async def kept(value: int) -> None:
    """Keep what arrives."""
    ARRIVED.append(value)


@operator
def plain(value: int) -> int:
    """Return it."""
    return value


@operator
def untyped(value):  # type: ignore[no-untyped-def]
    """Return it."""
    return value


@operator
def plain_of_item(item: Item[int]) -> int:
    """Return its value."""
    return item.value


@operator
async def coroutine(value: int) -> int:
    """Return it later."""
    await asyncio.sleep(0)
    return value


@operator
async def coroutine_of_item(item: Item[int]) -> int:
    """Return its value."""
    return item.value


@threaded_operator
def threaded(value: int) -> int:
    """Return it."""
    return value


@operator
def generator(value: int) -> Iterator[int]:
    """Yield it."""
    yield value


@operator
def generator_of_items(item: Item[int]) -> Iterator[Item[int]]:
    """Yield it as an item."""
    yield item.derive(item.value)


@operator
def returned_iterator(value: int) -> Iterator[int] | None:
    """Return what yields it."""
    return iter([value])


@threaded_operator
def threaded_generator(value: int) -> Iterator[int]:
    """Yield it."""
    yield value


@operator
async def async_generator(value: int) -> AsyncIterator[int]:
    """Yield it."""
    yield value


@operator
async def async_generator_of_items(item: Item[int]) -> AsyncIterator[Item[int]]:
    """Yield the item itself."""
    yield item


@operator
async def awaited_iterator(value: int) -> Iterator[int]:
    """Return what yields it."""
    return iter([value])


class _Once:
    """An async iterator that is no generator."""

    def __init__(self, value: int) -> None:
        self._values = [value]

    def __aiter__(self) -> AsyncIterator[int]:
        return self

    async def __anext__(self) -> int:
        if not self._values:
            raise StopAsyncIteration
        return self._values.pop()


@operator
def returned_async_iterator(value: int) -> AsyncIterator[int]:
    """Return what yields it."""
    return _Once(value)


@operator
class PlainClass:
    """Return it."""

    def __init__(self, *, factor: int = 1) -> None:
        self._factor = factor

    def __call__(self, value: int) -> int:
        """Return it."""
        return value * self._factor


@operator
class AsyncClass:
    """Return it."""

    workers = 2

    async def __call__(self, value: int) -> int:
        """Return it."""
        return value


@operator
class GeneratorClass:
    """Yield it."""

    def __call__(self, value: int) -> Iterator[int]:
        """Yield it."""
        yield value


@operator
class AsyncGeneratorClass:
    """Yield it."""

    async def __call__(self, value: int) -> AsyncIterator[int]:
        """Yield it."""
        yield value


@operator
class StreamClass:
    """Yield every value of a key's stream."""

    async def __call__(self, stream: AsyncIterator[Item[int]]) -> AsyncIterator[int]:
        """Yield them."""
        async for item in stream:
            yield item.value


@operator
def plain_batch(values: Batch[int]) -> list[int]:
    """Return them."""
    return list(values)


@operator
def batch_of_items(items: Batch[Item[int]]) -> list[int]:
    """Return their values."""
    return [item.value for item in items]


@operator
async def async_batch(values: Batch[int]) -> list[int]:
    """Return them."""
    return list(values)


@threaded_operator
def threaded_batch(values: Batch[int]) -> list[int]:
    """Return them."""
    return list(values)


@operator
def generator_batch(values: Batch[int]) -> Iterator[int]:
    """Yield them."""
    yield from values


@operator
async def async_generator_batch(values: Batch[int]) -> AsyncIterator[int]:
    """Yield them."""
    for value in values:
        yield value


@operator
class CostedBatch:
    """Return them."""

    def cost(self, value: int) -> float:
        """Return what one counts in a batch."""
        return float(value)

    def __call__(self, values: Batch[int]) -> list[int]:
        """Return them."""
        return list(values)


@operator
async def stream_of_items(items: AsyncIterator[Item[int]]) -> AsyncIterator[Item[int]]:
    """Yield items derived from them."""
    async for item in items:
        yield item.derive(item.value)


@operator
async def stream_passed_on(items: AsyncIterator[Item[int]]) -> AsyncIterator[Item[int]]:
    """Yield the items themselves."""
    async for item in items:
        yield item


@operator
async def stream_to_values(items: AsyncIterator[Item[int]]) -> AsyncIterator[int]:
    """Yield their values."""
    async for item in items:
        yield item.value


@operator
async def stream_of_values(values: AsyncIterator[int]) -> AsyncIterator[int]:
    """Yield values."""
    async for value in values:
        yield value


@operator
async def stream_untyped(items: AsyncIterator):  # type: ignore[type-arg, no-untyped-def]
    """Yield new items of their values."""
    async for item in items:
        yield Item(item.value)


@operator
async def stream_at_the_end(items: AsyncIterator[Item[int]]) -> AsyncIterator[int]:
    """Yield nothing before a key's stream has ended, then everything."""
    values = [item.value async for item in items]
    for value in values:
        yield value
