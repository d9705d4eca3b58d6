"""Requests over HTTP as a stream: every request is an item, its results are the response.

Delivery: at most once, as HTTP is; the caller learns how its item ended and may send it again. Overload: the queue's
`overflow` decides; `reject` answers 429 with the time until there is room. Restart: requests that were running are
finished first; what the drain's time does not suffice for is answered with 503.

The server owns the sockets. It finds the source of a path in `HttpRoutes` when a request comes, so that a reloaded
pipeline takes over between two requests, and the old one ends with those it has.
"""

from __future__ import annotations

import asyncio
import re
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Final, Generic, Literal, Protocol, Self, TypeVar

from fastembed.pipeline.channel import Channel
from fastembed.pipeline.component import Context, source
from fastembed.pipeline.errors import Unavailable, Unprocessable
from fastembed.pipeline.item import NO_META, Item, Outcome
from fastembed.pipeline.payload.json_schema import DeclaredSchema
from fastembed.pipeline.units import Size

T = TypeVar("T")

MAX_BODY_BYTES: Final = 32 * 2**20
MAX_UNREAD: Final = 64
"""Results that may wait for a slow client of a stream before the pipeline waits too."""
MAX_COLLECTED: Final = 65_536
"""Results of one request that is answered in one piece."""

_ROUTE: Final = re.compile(r"(GET|POST|PUT|PATCH|DELETE) (.*)")
_PATH: Final = re.compile(r"/[^\s?#{}%\\]*")


class ResultsObserver(Protocol):
    """Something that counts what a request is answered with."""

    def take(self, value: Any, /) -> None:
        """Count one result."""

    def close(self) -> None:
        """Count no more: the item has ended."""


class Results(Generic[T]):
    """The caller's end of one request (a `fastembed.pipeline.reply.Reply`): iterate it, or take `all` results at once.

    Both raise the item's error when it was rejected, failed or expired.
    """

    __slots__ = ("_buffer", "_closed", "_collecting", "_reader", "_writers", "error", "item", "observer", "outcome")

    def __init__(self) -> None:
        self.item: Item[Any] | None = None
        self.outcome: Outcome | None = None
        self.error: BaseException | None = None
        self.observer: ResultsObserver | None = None
        """Learns of each result before its caller does, and of their end."""
        self._buffer: deque[T] = deque()
        self._closed = False
        self._collecting = False
        self._reader: asyncio.Future[None] | None = None
        self._writers: list[asyncio.Future[None]] = []

    @classmethod
    def of(cls, values: Iterable[T]) -> Self:
        """Return results that are there already, all of them."""
        results = cls()
        results._buffer.extend(values)
        results.close(Outcome.DELIVERED, None)
        return results

    def send_nowait(self, value: T) -> bool:
        """Send one result, unless the caller of a stream is `MAX_UNREAD` behind."""
        if len(self._buffer) >= MAX_UNREAD and not self._collecting and not self._closed:
            return False
        self._take(value)
        return True

    async def send(self, value: T) -> None:
        """Send one result; wait while the caller of a stream is `MAX_UNREAD` behind."""
        while not self.send_nowait(value):
            writer = asyncio.get_running_loop().create_future()
            self._writers.append(writer)
            await writer

    def _take(self, value: T) -> None:
        if len(self._buffer) >= MAX_COLLECTED:
            raise Unprocessable(
                f"found more than {MAX_COLLECTED} results, expected fewer in one answer; ask for a stream"
            )
        self._buffer.append(value)
        if self.observer is not None:
            self.observer.take(value)
        if not self._collecting:
            self._wake()

    def close(self, outcome: Outcome, error: BaseException | None) -> None:
        """End the results."""
        self._closed = True
        self.outcome = outcome
        self.error = error
        if self.observer is not None:
            self.observer.close()
        self._wake()
        self._release()

    def cancel(self) -> None:
        """Cancel the item: its caller left."""
        if self.item is not None:
            self.item.ack.cancel()
        self._collecting = True  # the caller has left: a sink that waits for room must not wait for ever
        self._release()

    async def all(self) -> list[T]:
        """Wait until the item has ended; return its results in order."""
        self._collecting = True
        self._release()
        while not self._closed:
            await self._wait()
        self._raise_error()
        return list(self._buffer)

    async def one(self) -> T:
        """Wait until the item has ended; return its first result. Unprocessable: its pipeline dropped the request."""
        found = await self.all()
        if not found:
            raise Unprocessable("the pipeline gave no result: one of its steps filtered the request out")
        return found[0]

    def __aiter__(self) -> Results[T]:
        return self

    async def __anext__(self) -> T:
        while not self._buffer:
            if self._closed:
                self._raise_error()
                raise StopAsyncIteration
            await self._wait()
        value = self._buffer.popleft()
        if self._writers:
            self._release()
        return value

    def _raise_error(self) -> None:
        if self.error is not None:
            raise self.error
        if self.outcome is Outcome.CANCELLED:
            raise Unavailable("the request was cancelled before it was finished; try again", retry_after_s=1.0)

    async def _wait(self) -> None:
        self._reader = asyncio.get_running_loop().create_future()
        try:
            await self._reader
        finally:
            self._reader = None

    def _wake(self) -> None:
        if self._reader is not None and not self._reader.done():
            self._reader.set_result(None)

    def _release(self) -> None:
        writers, self._writers = self._writers, []
        for writer in writers:
            if not writer.done():
                writer.set_result(None)


def checked_path(path: str) -> str:
    """Return a valid path of a route. ValueError: no request could match it."""
    if not _PATH.fullmatch(path) or any(part in (".", "..") for part in path.split("/")):
        raise ValueError(
            f"found path {path!r}, expected one such as /v1/embeddings: it is compared as it is, decoded and "
            "whole, so it has no parameters in braces, no query, no % escapes, blanks, . or .."
        )
    return path


class HttpRoutes:
    """Which source answers a path, now: method by method. A resource of the process (`Resources`).

    A reload opens the successor before it stops the running source: it stands by, and takes over in the moment that
    the other stops. A source whose pipeline broke keeps its route, and answers 503, until it is rebuilt.
    """

    def __init__(self) -> None:
        self._by_path: dict[str, dict[str, Http]] = {}
        self._standing_by: dict[tuple[str, str], list[Http]] = {}
        self.prepare: Callable[[object], Awaitable[None]] | None = None
        """Awaited with each request's value before it is submitted, where models are fetched on demand."""

    def methods(self, path: str) -> Mapping[str, Http] | None:
        """Return the sources of `path` by method, or None if no pipeline serves it."""
        return self._by_path.get(path)

    def of_pipeline(self, name: str) -> Http | None:
        """Return the source of a pipeline, or None: it serves no path now."""
        sources = (source for methods in self._by_path.values() for source in methods.values())
        return next((source for source in sources if source.pipeline == name), None)

    def paths(self) -> list[str]:
        """Return every `METHOD /path` that is served, in order."""
        return sorted(f"{method} {path}" for path, methods in self._by_path.items() for method in methods)

    def offer(self, http: Http) -> None:
        """Serve the source's route with it: at once, or when the one that serves it now stops."""
        current = self._by_path.get(http.path, {}).get(http.method)
        if current is None or current.broken:
            self._by_path.setdefault(http.path, {})[http.method] = http
        else:
            self._standing_by.setdefault((http.path, http.method), []).append(http)

    def withdraw(self, http: Http) -> None:
        """Stop serving the source's route with it; idempotent."""
        waiting = self._standing_by.get((http.path, http.method), [])
        if http in waiting:
            waiting.remove(http)
        methods = self._by_path.get(http.path, {})
        if methods.get(http.method) is not http:
            return
        if waiting:
            methods[http.method] = waiting.pop()
            return
        del methods[http.method]
        if not methods:
            del self._by_path[http.path]


@source
class Http:
    """Takes requests as items.

    Args:
        route: `METHOD /path`, for example `POST /v1/embeddings`; a path alone means POST.
        max_body: the largest body, in bytes; a larger one is answered with 413.
        schema: of a path of one's own, a JSON Schema that bodies must fit, or the path of its file; what does not fit
            is answered with 400 and the field's name, and `check` knows the fields.

    """

    order: Literal["none"] = "none"
    """Requests do not wait for each other."""
    callers: Final = True
    """Each item has a caller that waits for its results."""

    def __init__(
        self, route: str, *, max_body: Size = MAX_BODY_BYTES, schema: dict[str, Any] | Path | None = None
    ) -> None:
        match = _ROUTE.fullmatch(route if " " in route else f"POST {route}")
        if match is None:
            raise ValueError(f"found route {route!r}, expected METHOD /path such as POST /v1/embeddings")
        self.method, self.path = match[1], checked_path(match[2])
        if max_body < 1:
            raise ValueError(f"found max_body {max_body}, expected at least one byte: every request would be refused")
        self.max_body_bytes = max_body
        self.schema = None if schema is None else DeclaredSchema(schema)
        self._channel: Channel[Any] | None = None
        self._routes = HttpRoutes()
        self._runs = False
        self._stopped = False
        self.pipeline = ""
        """The name of its pipeline."""
        self.definition = ""
        """The hash of its pipeline's definition."""
        self.takes: Any = Any
        """The type of the values that its pipeline's first step takes."""

    async def open(self, context: Context) -> None:
        """Make the queue and take the route; requests wait until `items` runs."""
        self._routes = context.resources.get(HttpRoutes)
        self._channel = context.channel()
        self.pipeline, self.definition, self.takes = context.pipeline, context.definition, context.takes
        self._routes.offer(self)

    async def items(self) -> AsyncIterator[Item[Any]]:
        """Yield the requests."""
        self._runs = True
        async for item in self._opened():
            yield item

    def stop(self) -> None:
        """Refuse new requests from now on."""
        self._stopped = True
        self._routes.withdraw(self)
        if self._channel is not None:
            self._channel.close()

    async def close(self) -> None:
        """Refuse further requests. A source that broke keeps its route until its successor opens."""
        if self._channel is not None:
            self._channel.close()
        if self._stopped or not self._runs:
            self._routes.withdraw(self)

    @property
    def broken(self) -> bool:
        """Whether its pipeline ended without being stopped."""
        return self._channel is not None and self._channel.closed and not self._stopped

    async def submit(
        self,
        value: object,
        *,
        priority: int = 0,
        deadline: float | None = None,
        trace: str | None = None,
        meta: Mapping[str, Any] = NO_META,
        results: Results[Any] | None = None,
    ) -> Results[Any]:
        """Send one request through the pipeline. Raises `Overloaded` or `Unavailable` if it is not let in.

        results: where its results go, by default to new `Results`.
        """
        results = Results() if results is None else results
        item = Item(value, priority=priority, deadline=deadline, trace=trace, meta=meta, reply=results)
        results.item = item
        try:
            await self._opened().put(item)
        except asyncio.CancelledError:
            results.cancel()
            raise
        return results

    @property
    def limit(self) -> int | None:
        """How many requests may wait, or None if the queue is not bounded in requests."""
        return self._opened().policy.max_items

    @property
    def waiting(self) -> int:
        """How many requests wait now."""
        return len(self._opened())

    def eta_s(self) -> float:
        """Return in how many seconds all that wait now will have been taken."""
        return self._opened().eta_s()

    def _opened(self) -> Channel[Any]:
        if self._channel is None:
            raise Unavailable(f"{self.method} {self.path} is not open yet", retry_after_s=1.0)
        return self._channel
