"""A response of Server-Sent Events (WHATWG HTML, section 9.2): the one writer of them for every endpoint.

    async with EventStream(exchange, headers) as out:
        async for value in results:
            await out.send(event(value))
        await out.end(DONE)

Theory of operation. A token costs one event, so nothing here makes a task, a timer or a generator for one. The response
begins with the first `send`: whatever fails before it still has a status of its own, an error after it becomes the last
event. Iterating `Results` suspends whenever no event is ready, which is when the loop learns that the client has left.
One task a stream sends a comment when nothing has been sent for `KEEP_ALIVE_S`, so that proxies keep the connection.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Self

from fastembed.pipeline.errors import ItemError
from fastembed.server.http.errors import error_response
from fastembed.server.wire.exchange import Exchange
from fastembed.server.wire.headers import Headers

KEEP_ALIVE_S: Final = 15.0
DONE: Final = b"data: [DONE]\n\n"


def event(data: bytes) -> bytes:
    """Return one event. data: JSON, on one line."""
    return b"data: %b\n\n" % data


@dataclass(frozen=True, slots=True)
class StreamForm:
    """How a stream is written. failure: makes its last bytes of an OpenAI error object.

    comment: what is sent when nothing else is; b"": nothing, since clients of this form take everything for an event.
    """

    media: bytes = b"text/event-stream; charset=utf-8"
    failure: Callable[[bytes], bytes] = event
    comment: bytes = b": keep-alive\n\n"


OPENAI: Final = StreamForm()


class EventStream:
    """The stream of one request. headers: asked for those of the response when its first event is there."""

    __slots__ = ("_exchange", "_form", "_headers", "_keep_alive", "_now_s", "_sent_s", "started")

    def __init__(self, exchange: Exchange, headers: Callable[[], Headers] = list, *, form: StreamForm = OPENAI) -> None:
        self._exchange = exchange
        self._headers = headers
        self._form = form
        self._keep_alive: asyncio.Task[None] | None = None
        self._now_s = asyncio.get_running_loop().time
        self._sent_s = self._now_s()
        self.started = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        """Send an error that the client should know of as the last event; before the first one, let it pass."""
        self._stop_keep_alive()
        if not self.started or not isinstance(error, ItemError):
            return False
        await self.end(self._form.failure(error_response(error, self._exchange.request_id).body))
        return True

    async def send(self, data: bytes) -> None:
        """Send complete events; none, b"", begin the response all the same."""
        if not self.started:
            await self._start()
        if data:
            self._sent_s = self._now_s()
            await self._exchange.send({"type": "http.response.body", "body": data, "more_body": True})

    async def end(self, data: bytes) -> None:
        """Send the last events and close the response. Nothing may be awaited after it: the client may leave now."""
        if not self.started:
            await self._start()
        self._stop_keep_alive()
        await self._exchange.send({"type": "http.response.body", "body": data})

    async def _start(self) -> None:
        """Send the status; from now on errors are events."""
        self.started = True
        self._exchange.scope["streaming"] = True
        headers = [
            (b"content-type", self._form.media),
            (b"cache-control", b"no-cache"),
            *self._headers(),
            *self._exchange.headers(),
        ]
        await self._exchange.send({"type": "http.response.start", "status": 200, "headers": headers})
        if self._form.comment:
            self._keep_alive = asyncio.create_task(self._send_comments())

    def _stop_keep_alive(self) -> None:
        if self._keep_alive is not None:
            self._keep_alive.cancel()

    async def _send_comments(self) -> None:
        while True:
            # Sleeping until the comment would be due, rather than waking a timer at each event, costs an event nothing.
            quiet_s = self._now_s() - self._sent_s
            if quiet_s < KEEP_ALIVE_S:
                await asyncio.sleep(KEEP_ALIVE_S - quiet_s)
            else:
                await self.send(self._form.comment)
