"""A step's `cache`: an LRU cache of results, so that equal inputs are computed once."""

from __future__ import annotations

import inspect
import threading
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

_MISSING: Final = object()


def memoized(call: Callable[..., Any], entries: int) -> Callable[..., Any]:
    """Return `call` with a memory of its `entries` most recently used results; values that cannot be hashed pass by.

    Only for operators whose result depends on the value alone. Errors are not remembered.
    """
    memory: OrderedDict[Any, Any] = OrderedDict()

    lock = threading.Lock()  # a blocking operator runs in several threads

    def recall(value: Any) -> Any:
        try:
            with lock:
                memory.move_to_end((type(value), value))  # 1, 1.0 and True are equal, and not the same input
                return memory[type(value), value]
        except (TypeError, KeyError):
            return _MISSING

    def remember(value: Any, result: Any) -> Any:
        with lock, suppress(TypeError):
            memory[type(value), value] = result
            if len(memory) > entries:
                memory.popitem(last=False)
        return result

    if inspect.iscoroutinefunction(call) or inspect.iscoroutinefunction(type(call).__call__):

        async def ask_async(value: Any) -> Any:
            found = recall(value)
            return remember(value, await call(value)) if found is _MISSING else found

        return ask_async

    def ask(value: Any) -> Any:
        found = recall(value)
        return remember(value, call(value)) if found is _MISSING else found

    return ask
