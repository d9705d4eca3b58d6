"""Asks again for a stream that broke before its first event: nothing of it was seen yet, so nothing is seen twice.

OpenAI's client tries a request again until the response's status is there. What goes wrong between that and the first
event (a connection that is cut, a server that became too busy) it raises; here it counts as one of the same retries.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any, Final

from openai import APIConnectionError, APIError, AsyncStream, Stream

_FIRST_S: Final = 0.5
_MOST_S: Final = 8.0
_PASSING: Final = frozenset(("rate_limit_error", "server_error", "overloaded_error"))


def retry_stream(stream: Stream[Any], again: Callable[[], Stream[Any]], retries: int) -> None:
    """Let a stream replace its response, at most `retries` times, until its first event is there."""
    stream._iterator = _events(stream, stream._iterator, again, retries)  # noqa: SLF001 - see the tests: no public way in


def retry_async_stream(
    stream: AsyncStream[Any], again: Callable[[], Awaitable[AsyncStream[Any]]], retries: int
) -> None:
    """Do the same to an asynchronous stream."""
    stream._iterator = _async_events(stream, stream._iterator, again, retries)  # noqa: SLF001


def _events(
    stream: Stream[Any], events: Iterator[Any], again: Callable[[], Stream[Any]], retries: int
) -> Iterator[Any]:
    for attempt in range(retries + 1):
        begun = False
        try:
            for event in events:
                begun = True
                yield event
        except APIError as error:
            if begun or attempt == retries or not _passes(error):
                raise
        else:
            return
        stream.response.close()
        time.sleep(_pause_s(attempt))
        fresh = again()
        stream.response, events = fresh.response, fresh._iterator  # noqa: SLF001


async def _async_events(
    stream: AsyncStream[Any], events: AsyncIterator[Any], again: Callable[[], Awaitable[AsyncStream[Any]]], retries: int
) -> AsyncIterator[Any]:
    for attempt in range(retries + 1):
        begun = False
        try:
            async for event in events:
                begun = True
                yield event
        except APIError as error:
            if begun or attempt == retries or not _passes(error):
                raise
        else:
            return
        await stream.response.aclose()
        await asyncio.sleep(_pause_s(attempt))
        fresh = await again()
        stream.response, events = fresh.response, fresh._iterator  # noqa: SLF001


def _passes(error: APIError) -> bool:
    """Whether the same request may succeed a moment later."""
    return isinstance(error, APIConnectionError) or error.type in _PASSING


def _pause_s(attempt: int) -> float:
    """Return how long to wait: doubling, with up to a quarter less, so that clients do not come back together."""
    return float(min(_MOST_S, _FIRST_S * 2.0**attempt) * (1 - 0.25 * random.random()))  # noqa: S311 - no secret
