"""What a signature can be: what the engine can drive is described, the rest is refused with the reason."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from typing import Any, overload

import pytest

from fastembed.pipeline.component import Batch, OperatorKind, operator, sink, source, threaded_operator
from fastembed.pipeline.item import Item
from fastembed.pipeline.spec import describe


@sink
def plain_sink(value: object) -> None:
    raise NotImplementedError(value)


@sink
async def yielding_sink(value: object) -> AsyncIterator[object]:
    yield value


@sink
class PlainWrite:
    def write(self, value: object) -> None:
        raise NotImplementedError(value)


@sink
class NoWrite:
    async def wirte(self, value: object) -> None:
        raise NotImplementedError(value)


@sink
class WriteOfTwo:
    async def write(self, value: object, table: str) -> None:
        raise NotImplementedError(value, table)


@source
def plain_source() -> list[Item[int]]:
    return [Item(1)]


@source
def generating_source() -> Iterator[Item[int]]:
    yield Item(1)


@source
async def returning_source() -> AsyncIterator[Item[int]]:
    raise NotImplementedError


@source
class PlainItems:
    def items(self) -> Iterator[Item[int]]:
        yield Item(1)


@source
class ItemsOfOne:
    async def items(self, count: int) -> AsyncIterator[Item[int]]:
        yield Item(count)


@threaded_operator
async def threaded_coroutine(value: int) -> int:
    return value


@threaded_operator
async def threaded_stream(items: AsyncIterator[Item[int]]) -> AsyncIterator[int]:
    async for item in items:
        yield item.value


@operator
async def returning_stream(items: AsyncIterator[Item[int]]) -> list[int]:
    return [item.value async for item in items]


@operator
def plain_stream(items: Iterable[Item[int]]) -> Iterator[int]:
    for item in items:
        yield item.value


@operator
def returns_item(value: int) -> Item[int]:
    return Item(value)


@operator
def batch_to_one(values: Batch[int]) -> int:
    return sum(values)


@operator
def batch_to_items(values: Batch[int]) -> list[Item[int]]:
    return [Item(value) for value in values]


@operator
def positional_option(value: int, factor: int = 2, /) -> int:
    return value * factor


@operator
class CallOfTwo:
    def __call__(self, value: int, factor: int) -> int:
        return value * factor


@pytest.mark.parametrize(
    ("target", "problem"),
    [
        (plain_sink, "found a plain function, expected a coroutine function: async def"),
        (yielding_sink, "found an async generator function, expected a coroutine function: async def"),
        (PlainWrite, "found a plain function for write(), expected a coroutine function: async def"),
        (NoWrite, "NoWrite has no method write(); did you mean 'wirte'?"),
        (WriteOfTwo, "found write() with the parameter table, expected options in the constructor only"),
        (plain_source, "found a plain function, expected an async generator function"),
        (generating_source, "found a generator function, expected an async generator function"),
        (returning_source, "found a coroutine function without yield, expected an async generator"),
        (PlainItems, "found a generator function for items(), expected an async generator function"),
        (ItemsOfOne, "found items() with the parameter count, expected options in the constructor only"),
        (threaded_coroutine, "marked threaded_operator, expected a plain function, or @operator"),
        (threaded_stream, "marked threaded_operator, expected a plain function, or @operator"),
        (returning_stream, "that takes a stream, expected an async generator function"),
        (plain_stream, "found a plain iterator of items for a stream, expected AsyncIterator[Item[...]]"),
        (returns_item, "found Item as the return type, expected the type of its value"),
        (batch_to_one, "found int for a batch, expected a list: one result an input"),
        (batch_to_items, "found a list of items for a batch, expected their values"),
        (positional_option, "found factor, a positional-only parameter, expected named options only"),
        (CallOfTwo, "found __call__() with the parameter factor, expected options in the constructor only"),
    ],
)
def test_what_the_engine_cannot_drive_is_refused(target: Callable[..., Any], problem: str):
    with pytest.raises(TypeError) as caught:
        describe(target, "made")
    assert problem in str(caught.value)


@operator
def total(numbers: Iterable[int]) -> int:
    return sum(numbers)


@operator
def perhaps(value: int) -> Iterator[int] | None:
    return iter([value]) if value else None


@operator
async def later(value: int) -> Iterator[int]:
    return iter([value])


@operator
class Generating:
    async def __call__(self, value: int) -> AsyncIterator[int]:
        yield value


@operator
async def untyped(items: AsyncIterator) -> AsyncIterator:  # type: ignore[type-arg] # a plug-in need not say
    async for item in items:
        yield item.value


@operator
async def of_values(items: AsyncIterator[int]) -> AsyncIterator[int]:
    async for value in items:
        yield value


@operator
async def of_items(items: AsyncIterator[Item[int]]) -> AsyncIterator[Item[str]]:
    async for item in items:
        yield item.derive(str(item.value))


@pytest.mark.parametrize(
    ("target", "kind", "wants_item", "gives_items"),
    [
        (total, OperatorKind.MAP, False, False),
        (perhaps, OperatorKind.EXPAND, False, False),
        (later, OperatorKind.EXPAND, False, False),
        (Generating, OperatorKind.EXPAND, False, False),
        (untyped, OperatorKind.STREAM, True, False),
        (of_values, OperatorKind.STREAM, False, False),
        (of_items, OperatorKind.STREAM, True, True),
    ],
)
def test_the_signature_says_how_an_operator_is_driven(
    target: Callable[..., Any], kind: OperatorKind, *, wants_item: bool, gives_items: bool
):
    spec = describe(target, "made")
    assert (spec.kind, spec.wants_item, spec.gives_items) == (kind, wants_item, gives_items)


def test_overloads_say_what_comes_of_what():
    @operator
    class Twice:
        @overload
        async def __call__(self, item: Item[str]) -> str: ...
        @overload
        async def __call__(self, item: Item[int]) -> float: ...
        async def __call__(self, item: Item[str] | Item[int]) -> str | float:
            return item.value * 2

    assert describe(Twice, "twice").cases == ((str, str), (int, float))
