"""From the events of a pipeline to the HTTP response: in one piece, or as Server-Sent Events while they come.

Theory of operation. A token costs one event, so nothing here makes a task, a timer or a generator for one: the loop
takes an event from the caller's end of the item (`Results`), has its bytes made, sends them. It suspends whenever no
event is ready, which is when the loop learns that the client has left. One task a stream sends a comment when nothing
has been sent for a while.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, Final, Protocol

from fastembed.pipeline.errors import ItemError
from fastembed.pipeline.payload.chat import ChatEvent, ChatRequest, ChatStarted
from fastembed.server.http.errors import answer as error_answer
from fastembed.server.wire.exchange import KEEP_ALIVE_S, Exchange
from fastembed.server.wire.unknown_fields import header_text
from fastembed.sources.http import Results

_MODEL: Final = b"x-fastembed-model"
_STATE: Final = b"x-fastembed-model-state"
_ROUTE: Final = b"x-fastembed-route"

Headers = list[tuple[bytes, bytes]]


class Shape(Protocol):
    """What an answer looks like on the wire."""

    @property
    def started(self) -> ChatStarted | None:
        """Which model answers, once it is known."""

    def take(self, event: ChatEvent, prompt: int = 0) -> bytes:
        """Return what a stream sends for the event of the request's prompt; b"" for nothing."""

    def end(self) -> bytes:
        """Return what comes last, or the whole answer. StepFailed if the pipeline left it unfinished."""


async def reply(exchange: Exchange, requests: Sequence[ChatRequest], shape: Shape, *, stream: bool) -> None:
    """Send the requests through their pipeline, all at once, and answer with what comes of them, in order."""
    running: list[Results[Any]] = []
    try:
        for request in requests:
            running.append(await exchange.submit(request, whole=not stream))  # noqa: PERF401 - cancelled below on error
        await (_stream if stream else _whole)(exchange, running, shape)
    except BaseException:
        for results in running:
            results.cancel()
        raise


async def _whole(exchange: Exchange, running: Sequence[Results[Any]], shape: Shape) -> None:
    for prompt, results in enumerate(running):
        async for event in results:
            shape.take(event, prompt)
    body = shape.end()
    await exchange.respond(body, headers=_headers(shape.started))


async def _stream(exchange: Exchange, running: Sequence[Results[Any]], shape: Shape) -> None:
    out = EventStream(exchange)
    try:
        for prompt, results in enumerate(running):
            async for event in results:
                data = shape.take(event, prompt)
                if not out.started:
                    await out.start(_headers(shape.started))
                if data:
                    await out.send(data)
        last = shape.end()
    except ItemError as error:
        if not out.started:
            raise
        last = b"data: " + error_answer(error, exchange.request_id).body + b"\n\n"
    finally:
        out.hush()
    await out.end(last)


class EventStream:
    """A response of Server-Sent Events; it sends a comment when it has had nothing to say for `KEEP_ALIVE_S`."""

    __slots__ = ("_alive", "_exchange", "_now_s", "_spoke_s", "started")

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._alive: asyncio.Task[None] | None = None
        self._now_s = asyncio.get_running_loop().time
        self._spoke_s = self._now_s()
        self.started = False

    async def start(self, headers: Headers) -> None:
        """Send the status; from now on errors are events."""
        self.started = True
        self._exchange.scope["streaming"] = True
        fixed = [(b"content-type", b"text/event-stream; charset=utf-8"), (b"cache-control", b"no-cache")]
        await self._exchange.send(
            {
                "type": "http.response.start",
                "status": 200,
                "headers": [*fixed, *headers, *self._exchange.headers()],
            }
        )
        self._alive = asyncio.create_task(self._keep_alive())

    async def send(self, data: bytes) -> None:
        """Send complete events."""
        self._spoke_s = self._now_s()
        await self._exchange.send({"type": "http.response.body", "body": data, "more_body": True})

    async def end(self, data: bytes) -> None:
        """Send the last events and close the response. Nothing may be awaited after it: the client may leave now."""
        await self._exchange.send({"type": "http.response.body", "body": data})

    def hush(self) -> None:
        """Send no more comments."""
        if self._alive is not None:
            self._alive.cancel()

    async def _keep_alive(self) -> None:
        while True:
            quiet_s = self._now_s() - self._spoke_s
            if quiet_s < KEEP_ALIVE_S:
                await asyncio.sleep(KEEP_ALIVE_S - quiet_s)
            else:
                await self.send(b": keep-alive\n\n")


def _headers(started: ChatStarted | None) -> Headers:
    return [] if started is None else model_headers(started.model, started.state, started.route)


def model_headers(model: str, state: str = "", route: str = "") -> Headers:
    """Return the headers that say which model answers, what there is to know about it, and why it is this one."""
    found = ((_MODEL, model), (_STATE, state), (_ROUTE, route))
    return [(name, header_text(value)) for name, value in found if value]
