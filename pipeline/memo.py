"""A step's `cache`: the results of the latest distinct values, so that the same input is not worked on twice."""

from __future__ import annotations

import functools
import inspect
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, Final

_MISSING: Final = object()


def memoized(call: Callable[..., Any], entries: int) -> Callable[..., Any]:
    """Return `call` with a memory of its `entries` most recently used results; values that cannot be hashed pass by.

    Only for operators whose result depends on the value alone. Errors are not remembered.
    """
    memory: OrderedDict[Any, Any] = OrderedDict()

    def recall(value: Any) -> Any:
        try:
            if value not in memory:
                return _MISSING
        except TypeError:
            return _MISSING
        memory.move_to_end(value)
        return memory[value]

    def remember(value: Any, result: Any) -> Any:
        try:
            memory[value] = result
        except TypeError:
            return result
        if len(memory) > entries:
            memory.popitem(last=False)
        return result

    if inspect.iscoroutinefunction(call) or inspect.iscoroutinefunction(type(call).__call__):

        async def ask_async(value: Any) -> Any:
            found = recall(value)
            return remember(value, await call(value)) if found is _MISSING else found

        return _with_attributes(ask_async, call)

    def ask(value: Any) -> Any:
        found = recall(value)
        return remember(value, call(value)) if found is _MISSING else found

    return _with_attributes(ask, call)


def _with_attributes(wrapper: Callable[..., Any], call: Callable[..., Any]) -> Callable[..., Any]:
    """Keep what the engine asks an operator for."""
    if hasattr(call, "workers"):
        wrapper.workers = call.workers  # type: ignore[attr-defined] # functions take attributes
    return functools.update_wrapper(wrapper, call, assigned=(), updated=())
