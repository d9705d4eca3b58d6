"""Normalises what operators return: iterators of either kind, bare values or items."""

from __future__ import annotations

import inspect
from collections.abc import AsyncGenerator, Callable
from types import CoroutineType
from typing import Any, Final

from fastembed.pipeline.item import Item
from fastembed.pipeline.raised import in_thread

_NOTHING: Final = object()
_NO_VALUES: Final = (CoroutineType, Item)


def as_value(result: Any) -> Any:
    """Return what a one-to-one operator gave; TypeError for a coroutine that nobody awaits, and for an item."""
    if not isinstance(result, _NO_VALUES):
        return result
    if isinstance(result, Item):
        raise TypeError("found an item as the result, expected its value: the engine wraps it")
    result.close()
    raise TypeError("found a coroutine as the result, expected a value: declare the operator with `async def`")


def giving_values(call: Callable[..., Any]) -> Callable[..., Any]:
    """Return a plain function whose results are looked at: its signature does not tell what they are."""
    return lambda argument: as_value(call(argument))


def is_undeclared(call: Callable[..., Any], out_type: Any) -> bool:
    """Whether a signature tells nothing of the results: it has no return type, or is that of what a decorator wraps."""
    return out_type is Any or hasattr(call, "__wrapped__")


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
