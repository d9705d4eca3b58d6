"""One client's connection, as uvicorn speaks HTTP over it: who leaves is noticed, and a response is one packet."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import TracebackType
from typing import Any, Final, Self, cast

from starlette.types import Scope
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from server.body import ClientGone

PRESENCE: Final = "fastembed.presence"
"""The ASGI extension under which a request finds its `Presence`."""


class Presence:
    """Whether a connection's client is there; tells one request when it leaves."""

    __slots__ = ("gone", "loop", "on_leave")

    def __init__(self, loop: asyncio.AbstractEventLoop | None = None) -> None:
        self.loop = loop
        self.gone = False
        self.on_leave: Callable[[], None] | None = None

    def leave(self) -> None:
        """Note that the client is gone."""
        self.gone = True
        if self.on_leave is not None:
            self.on_leave()


class ClientWatch:
    """When the client leaves, the block is cancelled and raises `ClientGone`. Enter it with the body read.

    Where nobody knows of the client (an application that another server than ours runs), it waits for the answer.
    """

    __slots__ = ("_left", "_presence", "_task")

    def __init__(self, scope: Scope) -> None:
        self._presence: Presence = scope.get("extensions", {}).get(PRESENCE) or Presence()
        self._left = False

    def __enter__(self) -> Self:
        if self._presence.gone:
            raise ClientGone
        self._task = asyncio.current_task(self._presence.loop)
        self._presence.on_leave = self._leave
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._presence.on_leave = None
        if self._left and isinstance(error, asyncio.CancelledError) and self._task is not None:
            self._task.uncancel()
            raise ClientGone from error

    def _leave(self) -> None:
        self._left = True
        if self._task is not None:
            self._task.cancel()


class Connection(HttpToolsProtocol):
    """uvicorn's protocol for one connection. Requests on it are answered one after the other.

    A client that leaves is told of by a callback, not by a task that waits in `receive` beside each request.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._presence = Presence(self.loop)
        self._extensions = {PRESENCE: self._presence}

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        super().connection_made(cast("asyncio.Transport", transport))
        self.transport = cast("asyncio.Transport", _OnePacket(self.transport))

    def connection_lost(self, exc: Exception | None) -> None:
        """End; whoever answers the client is told."""
        super().connection_lost(exc)
        self._presence.leave()

    def on_message_begin(self) -> None:
        """Begin a request."""
        super().on_message_begin()
        self.scope["extensions"] = cast("Any", self._extensions)

    def on_response_complete(self) -> None:
        """End a response."""
        self._packets.end()
        super().on_response_complete()

    def handle_websocket_upgrade(self) -> None:
        """Hand the connection over to a websocket, which writes frames of its own."""
        self.transport = self._packets.transport
        super().handle_websocket_upgrade()

    @property
    def _packets(self) -> _OnePacket:
        return cast("_OnePacket", self.transport)


class _OnePacket:
    """A transport that keeps back the head of a response of known length until its body comes.

    Each write of uvloop's is a call to the kernel and a packet, and wakes the client up.
    """

    __slots__ = ("_head", "transport")

    def __init__(self, transport: asyncio.Transport) -> None:
        self.transport = transport
        self._head = b""

    def write(self, data: bytes) -> None:
        """Write, or keep back until the next call of anything here."""
        if self._head:
            self.transport.writelines((self._head, data))
            self._head = b""
        elif data.startswith(b"HTTP/1.1 ") and b"\r\ncontent-length: " in data:
            self._head = data
        else:
            self.transport.write(data)

    def end(self) -> None:
        """Write what was kept back: the response has no body."""
        if self._head:
            self.transport.write(self._head)
            self._head = b""

    def close(self) -> None:
        """Close after what was written."""
        self.end()
        self.transport.close()

    def is_closing(self) -> bool:
        """Whether it is closed, or will be."""
        return self.transport.is_closing()
