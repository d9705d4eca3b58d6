"""One HTTP request that a pipeline answers: its body, its items, its response."""

from __future__ import annotations

from collections.abc import Awaitable, Mapping, Sequence
from functools import partial
from types import TracebackType
from typing import Any, Final
from urllib.parse import parse_qsl

from starlette.types import Receive, Scope, Send

from fastembed.pipeline.item import NO_META
from fastembed.server.caching.cached_answers import CachedAnswers
from fastembed.server.fetching.references import NOTHING, References
from fastembed.server.http.disconnect import DisconnectWatch
from fastembed.server.http.multipart import MultipartForm, read_form
from fastembed.server.http.request_body import header, read_json
from fastembed.server.wire.fields import Fields, read_fields
from fastembed.server.wire.token_count import TokenCount
from fastembed.sources.http import Http, HttpRoutes, Results

NO_CONTENT: Final = 204


class Exchange:
    """A request on its way through a pipeline, as the codecs see it. references: what it may refer to.

    cached_answers: the cache, if the server has one.
    """

    __slots__ = (
        "_cached",
        "_cached_answers",
        "_routes",
        "method",
        "path",
        "receive",
        "references",
        "request_id",
        "scope",
        "send",
        "source",
    )

    def __init__(
        self,
        scope: Scope,
        receive: Receive,
        send: Send,
        *,
        routes: HttpRoutes,
        source: Http,
        references: References = NOTHING,
        cached_answers: CachedAnswers | None = None,
    ) -> None:
        self.scope = scope
        self.receive = receive
        self.send = send
        self.source = source
        self.references = references
        self.method = source.method  # not the scope's: several wires lead to the pipeline that answers chats
        self.path = source.path
        self.request_id: str = scope["request_id"]
        self._routes = routes
        self._cached_answers = cached_answers
        self._cached: bool | None = None

    async def body(self) -> Any:
        """Return the JSON body."""
        return await read_json(self.scope, self.receive, max_bytes=self.source.max_body_bytes)

    def fields(self) -> Awaitable[Fields]:
        """Return the JSON body's fields."""
        return read_fields(self.scope, self.receive, max_bytes=self.source.max_body_bytes)

    async def form(self) -> MultipartForm:
        """Return the body as multipart/form-data."""
        return await read_form(self.scope, self.receive, max_bytes=self.source.max_body_bytes)

    def query(self) -> dict[str, str]:
        """Return the query's parameters; of a repeated one the last."""
        return dict(parse_qsl(self.scope["query_string"].decode("latin-1"), keep_blank_values=True))

    def accepts(self, media: bytes) -> bool:
        """Whether the client asks for this media type by name."""
        return media in (header(self.scope, b"accept") or b"")

    def watched(self) -> DisconnectWatch:
        """Watch for the client's leaving while the block runs."""
        return DisconnectWatch(self.scope)

    def submitted(self, *values: object, whole: bool = False) -> Submission:
        """Send values through the pipeline while a block runs, which gets their results; see `Submission`.

        Where the server keeps answers, a request that was answered before gets them again. whole: all results are read
        at once, not as slowly as a client takes a stream.
        """
        return Submission(self, values, whole=whole)

    def send_to(self, source: Http) -> None:
        """Have another pipeline answer than the one on the request's path; its answers are never kept."""
        self.source, self.method, self.path = source, source.method, source.path
        self._cached_answers = None

    async def submit(self, value: object, *, whole: bool) -> Results[Any]:
        """Send one value through the pipeline that serves this route now: it may have been reloaded since the start."""
        if self._routes.prepare is not None:
            await self._routes.prepare(value)
        methods = self._routes.methods(self.path)
        self.source = (methods or {}).get(self.method, self.source)
        found = await self._send(value, whole=whole)
        if (meter := self.scope.get("meter")) is not None:
            found.observer = TokenCount(meter)
        return found

    async def _send(self, value: object, *, whole: bool) -> Results[Any]:
        priority = self.scope.get("priority", 0)  # of a request of this process, see `server/batches`
        trace, meta = self.request_id, _trace_context(self.scope)
        send = partial(self.source.submit, value, priority=priority, trace=trace, meta=meta)
        if self._cached_answers is None or b"no-" in (
            header(self.scope, b"cache-control") or b""
        ):  # no-cache, no-store
            return await send()
        key = await self._cached_answers.key(value, self.source)
        if key is None:
            return await send()
        results, hit = await self._cached_answers.results(key, value, lambda reply: send(results=reply), whole=whole)
        self._cached = hit and self._cached is not False
        return results

    def pipeline(self, name: str) -> Http | None:
        """Return the source of a pipeline that serves a path now, or None."""
        return self._routes.of_pipeline(name)

    def headers(self) -> list[tuple[bytes, bytes]]:
        """Return the headers of every response: the rate limits, and whether it came from the cache."""
        if self._cached is None:
            return rate_limits(self.source)
        return [(b"x-fastembed-cache", b"hit" if self._cached else b"miss"), *rate_limits(self.source)]

    async def respond(
        self,
        body: bytes,
        *,
        status: int = 200,
        media: bytes = b"application/json",
        headers: Sequence[tuple[bytes, bytes]] = (),
    ) -> None:
        """Send a finished response."""
        fixed = [(b"content-type", media), (b"content-length", b"%d" % len(body))]
        if status == NO_CONTENT:  # RFC 9110, section 8.6: no length
            fixed = []
        await self.send(
            {"type": "http.response.start", "status": status, "headers": [*fixed, *headers, *self.headers()]}
        )
        await self.send({"type": "http.response.body", "body": body})


class Submission:
    """Items on their way through a pipeline, all at once; leaving the block by an error cancels those that still run.

    An item whose caller has gone (an error, a client that left) would keep a model busy for nobody.
    """

    __slots__ = ("_exchange", "_running", "_values", "_whole")

    def __init__(self, exchange: Exchange, values: Sequence[object], *, whole: bool) -> None:
        self._exchange = exchange
        self._values = values
        self._whole = whole
        self._running: list[Results[Any]] = []

    async def __aenter__(self) -> list[Results[Any]]:
        """Submit; return the results of each value, in order. Raises what `Http.submit` does, with nothing running."""
        try:
            for value in self._values:
                self._running.append(await self._exchange.submit(value, whole=self._whole))
        except BaseException:  # raised again, cancellation too: those already submitted are cancelled
            self._cancel()
            raise
        return self._running

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            self._cancel()

    def _cancel(self) -> None:
        for results in self._running:
            results.cancel()


def _trace_context(scope: Scope) -> Mapping[str, str]:
    """Return the trace that the client says its request belongs to; see `pipeline/tracing.py`."""
    if (parent := header(scope, b"traceparent")) is None:
        return NO_META
    state = header(scope, b"tracestate") or b""
    return {"traceparent": parent.decode("latin-1"), "tracestate": state.decode("latin-1")}


def rate_limits(source: Http) -> list[tuple[bytes, bytes]]:
    """Return the rate-limit headers: the queue's bound, its free places, the time until it is empty."""
    limit = source.limit
    if limit is None:
        return []
    return [
        (b"x-ratelimit-limit-requests", b"%d" % limit),
        (b"x-ratelimit-remaining-requests", b"%d" % max(0, limit - source.waiting)),
        (b"x-ratelimit-reset-requests", span(source.eta_s()).encode("ascii")),
    ]


def span(seconds: float) -> str:
    """Write a duration as OpenAI does: `12ms`, `1s`, `6m0s`."""
    if seconds < 1:
        return f"{round(seconds * 1000)}ms"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}m{rest}s" if minutes else f"{rest}s"
