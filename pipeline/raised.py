"""What a component may raise beside an `Exception`, and how the engine tells it from its own.

A `CancelledError` out of an operator is either the engine's (it cancelled the task: a stop, a timeout, a caller who
left) or the component's: it awaited a task or a future that somebody cancelled. Taken for the engine's, it would end a
task in silence, its item with it. `Task.cancelling` tells the two apart. `SystemExit` is what a library's `main` raises
for bad arguments: one item's error, no reason to end the process.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final, TypeVar

T = TypeVar("T")

RAISED: Final = (Exception, asyncio.CancelledError, SystemExit)
"""What `except` has to catch where a component's code is called; then ask `component_error`."""


def component_error(error: BaseException) -> BaseException:
    """Return what a component raised; raises it again where it is the engine that cancels the current task."""
    if isinstance(error, asyncio.CancelledError):
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise error
    return error


def as_exception(error: BaseException) -> Exception:
    """Return what a source raised as an error that breaks its pipeline, and nothing else."""
    if isinstance(error, Exception):
        return error
    broken = RuntimeError(f"the source raised {error!r}")
    broken.__cause__ = error
    return broken


async def in_thread(call: Callable[..., T], *arguments: Any) -> T:
    """Call a plain function in a thread.

    A `StopIteration` (of a bare `next`) becomes a RuntimeError, as in a generator: asyncio cannot hand one over, and
    whoever awaits the thread would wait for ever (Python 3.11).
    """
    return await asyncio.to_thread(_without_stop_iteration, call, *arguments)


def _without_stop_iteration(call: Callable[..., T], *arguments: Any) -> T:
    try:
        return call(*arguments)
    except StopIteration as error:
        raise RuntimeError(
            "the function raised StopIteration, expected a result or an error of another kind"
        ) from error
