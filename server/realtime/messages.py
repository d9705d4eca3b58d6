"""Sessions of messages: each message of a client is a value of its pipeline, each result a message to the client."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import Any, Final

import orjson
from starlette.websockets import WebSocket

from fastembed.pipeline.errors import InvalidInput, ItemError, TooLarge, Unavailable
from fastembed.pipeline.item import Outcome
from fastembed.pipeline.payload.json_values import to_json
from fastembed.server.http.auth import KEY_PROTOCOL
from fastembed.server.http.errors import error_response
from fastembed.server.realtime.events import new_id
from fastembed.server.realtime.session_tasks import SessionTasks
from fastembed.server.wire.json_types import check_kind
from fastembed.sources.websocket import MessageKind, Session, Websocket

MAX_BYTES: Final = 1 << 20
MAX_MESSAGES: Final = 256
_EXPECTED: Final = {"json": "a text frame with JSON", "text": "a text frame", "bytes": "a binary frame"}
_ERRORS: Final = (Outcome.REJECTED, Outcome.FAILED, Outcome.EXPIRED)


async def serve_messages(websocket: WebSocket, source: Websocket, draining: asyncio.Event) -> None:
    """Run one session. Raises what `Websocket.connect` does if it is not let in: nothing has been accepted then."""
    request_id = websocket.scope.get("request_id", "")
    outbox = MessageOutbox(source.messages, request_id)
    session = source.connect(new_id("session"), outbox, trace=request_id or None)
    try:
        await websocket.accept(_subprotocol(websocket.scope.get("subprotocols", ())))
        client = _Client(websocket, source, outbox, session)
        await SessionTasks(websocket, outbox, session, client.receive).run(draining)
    finally:
        outbox.leave()
        session.leave()


class MessageOutbox:
    """The session's `fastembed.pipeline.reply.Reply`: keeps results, in order, until they are sent.

    A pipeline whose client reads slowly waits, for that session alone; a message that does not leave in time ends it.
    """

    def __init__(self, kind: MessageKind, request_id: str) -> None:
        self.overflowed = asyncio.Event()
        self._kind = kind
        self._request_id = request_id
        self._waiting: deque[str | bytes] = deque()
        self._bytes = 0
        self._closed = False
        self._changed = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()

    def send_nowait(self, value: Any) -> bool:
        """Take a result of the pipeline, unless too much waits; what a client that left would get is dropped."""
        if not self._room.is_set():
            return False
        if not self._closed:
            self._put(_frame(value, self._kind))
        return True

    async def send(self, value: Any) -> None:
        """Take a result of the pipeline; wait while too much waits."""
        while not self.send_nowait(value):
            await self._room.wait()

    def close(self, outcome: Outcome, error: BaseException | None) -> None:
        """Take note that a message has ended; tell the client if it went wrong."""
        if outcome in _ERRORS:
            self.fail(error or Unavailable("the message was not processed; send it again"))

    def fail(self, error: BaseException) -> None:
        """Tell the client what is wrong with a message."""
        if not self._closed:
            self._put(error_response(error, self._request_id).body.decode())

    async def room(self) -> None:
        """Wait until the client has read most of what it got: it may send more then."""
        await self._room.wait()

    def leave(self) -> None:
        """Drop what waits: the client is gone."""
        self._waiting.clear()
        self._bytes = 0
        self.finish()
        self._room.set()

    def finish(self) -> None:
        """Send what waits, then end."""
        self._closed = True
        self._changed.set()

    async def next(self) -> str | bytes | None:
        """Return the next message; None when all is sent after `finish`."""
        while not self._waiting:
            if self._closed:
                return None
            self._changed.clear()
            await self._changed.wait()
        message = self._waiting.popleft()
        self._bytes -= len(message)
        if self._bytes <= MAX_BYTES and len(self._waiting) <= MAX_MESSAGES:
            self._room.set()
        return message

    def _put(self, message: str | bytes) -> None:
        self._waiting.append(message)
        self._bytes += len(message)
        if self._bytes > MAX_BYTES or len(self._waiting) > MAX_MESSAGES:
            self._room.clear()
        self._changed.set()


class _Client:
    """Reads one client's messages into the pipeline; a wrong one is answered, and the session goes on."""

    def __init__(self, websocket: WebSocket, source: Websocket, outbox: MessageOutbox, session: Session) -> None:
        self._websocket = websocket
        self._source = source
        self._outbox = outbox
        self._session = session

    async def receive(self) -> None:
        """Take messages until the client leaves, or the session ends."""
        while True:
            await self._outbox.room()
            message = await self._websocket.receive()
            if message["type"] == "websocket.disconnect":
                return
            data = message.get("text")
            data = message.get("bytes") or b"" if data is None else data
            try:
                value, size = self._read(data)
            except ItemError as error:
                self._outbox.fail(error)
                continue
            try:
                await self._session.send(value, size=size)
            except Unavailable:
                await self._session.ended.wait()
                return

    def _read(self, data: str | bytes) -> tuple[Any, int]:
        """Return a message's value and its bytes (of a text up to 4 a character)."""
        kind, most = self._source.messages, self._source.max_message_bytes
        size = max(1, len(data))
        if size > most or (isinstance(data, str) and not data.isascii() and (size := len(data.encode())) > most):
            raise TooLarge(f"found a message of {size} bytes, expected at most {most}", code="message_too_large")
        if isinstance(data, bytes) is not (kind == "bytes"):
            found = "a binary frame" if isinstance(data, bytes) else "a text frame"
            raise InvalidInput(f"found {found}, expected {_EXPECTED[kind]}")
        if kind != "json":
            return data, size
        try:
            value = orjson.loads(data)
        except orjson.JSONDecodeError as error:
            raise InvalidInput(f"found {data[:60]!r}, expected JSON: {error}", code="invalid_json") from None
        check_kind(value, self._source.takes)
        if self._source.schema is not None:
            self._source.schema.check(value)
        return value, size


def _subprotocol(offered: Sequence[str]) -> str | None:
    """Return the subprotocol to speak, the first that is no key: a browser that offers some wants one of them."""
    return next((name for name in offered if not name.startswith(KEY_PROTOCOL)), None)


def _frame(value: Any, kind: MessageKind) -> str | bytes:
    """Return what the client gets: JSON where it sends JSON; else text as text, bytes as bytes, the rest as JSON."""
    if kind != "json" and isinstance(value, str | bytes):
        return value
    return to_json(value).decode()
