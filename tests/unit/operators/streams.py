"""Keyed operators without a pipeline: values in, values out, every ack counted."""

from collections.abc import AsyncIterator, Callable, Iterable
from typing import Any

from fastembed.pipeline.item import Ack, Item, Outcome


class Stream:
    """One session's items, as the kernel hands them to an operator: each is settled when the next is asked for."""

    def __init__(self, values: Iterable[Any]) -> None:
        self.acks: list[Ack] = []
        self._values = values

    async def __aiter__(self) -> AsyncIterator[Item[Any]]:
        for value in self._values:
            item: Item[Any] = Item(value, key="s")
            item.ack = Ack(item, lambda _: None)
            self.acks.append(item.ack)
            yield item
            item.settle(Outcome.FILTERED)


async def through(operator: Callable[..., Any], values: Iterable[Any]) -> list[Any]:
    """Return the values that come out; every item must have ended."""
    stream = Stream(values)
    out = []
    async for item in operator(aiter(stream)):
        out.append(item.value)
        item.settle(Outcome.DELIVERED)
    assert all(ack.done for ack in stream.acks)
    return out
