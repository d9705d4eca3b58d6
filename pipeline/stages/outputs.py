"""Normalises what operators return: iterators of either kind, bare values or items."""

from __future__ import annotations

import inspect
from collections.abc import AsyncGenerator, Callable
from typing import Any, Final

from fastembed.pipeline.item import Item
from fastembed.pipeline.raised import in_thread

_NOTHING: Final = object()


def derived(item: Item[Any], output: Any) -> Item[Any]:
    """Return an operator's output as an item: a bare value is derived from the input, an item is taken as it is."""
    if not isinstance(output, Item):
        return item.derive(output)
    return output if output.admitted and output is not item else item.derive(output.value)


async def as_async(outputs: Any) -> AsyncGenerator[Any, None]:
    """Iterate over what an operator returned: an iterator of either kind, a coroutine that gives one, or None."""
    if inspect.iscoroutine(outputs):
        outputs = await outputs
    if hasattr(outputs, "__aiter__"):
        stream = aiter(outputs)
        try:
            async for value in stream:
                yield value
        finally:
            if (close := getattr(stream, "aclose", None)) is not None:  # a generator has it, an iterator need not
                await close()
    elif outputs is not None:
        for value in outputs:
            yield value


async def from_thread(call: Callable[[], Any]) -> AsyncGenerator[Any, None]:
    """Iterate over what a blocking operator returns, each output made in a thread when it is asked for."""
    outputs = await in_thread(lambda: iter(call() or ()))
    while (value := await in_thread(next, outputs, _NOTHING)) is not _NOTHING:
        yield value
