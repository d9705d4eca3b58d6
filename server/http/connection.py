"""One HTTP connection: limits that uvicorn lacks, and refusals in the server's own error format.

A running request is told when its client disconnects, and a small response goes out in one write.

Without bounds a header that never ends takes all memory, and a client that never completes its request keeps its
connection for ever.

States of a connection, as uvicorn's callbacks tell them: waiting (nothing of a request has come: `_begun` is false),
head (`_in_head`: its headers are coming, limited in bytes and time), body (until the first piece; its reader bounds
later pauses), answering (`_answering`: no deadline, we are the slow ones). Beside them: blocked, from `pause_writing`
to `resume_writing`, while the client does not read. One that takes not a byte for `unread_s` is hung up on, which
cancels its request: what answers it, and holds a place of a pipeline and of a model, would wait for it for ever.
"""

from __future__ import annotations

import asyncio
import logging
from http import HTTPStatus
from typing import Any, Final, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from fastembed.server.http.disconnect import DISCONNECT, DisconnectSignal
from fastembed.server.http.errors import error_body

_log: Final = logging.getLogger("fastembed.http")

MAX_HEAD_BYTES: Final = 64 * 2**10
"""How long the request line and the headers may be together; of a pipelined one, its first piece does not count."""
PATIENCE_S: Final = 30.0
"""How long a client may take to send its headers and begin its body (`request_body` bounds its pauses)."""


UNREAD_S: Final = 60.0
"""How long a client may read nothing of an answer that waits for it."""


class HttpConnection(HttpToolsProtocol):
    """431 for headers that are too long, 408 for those that never end, 400 for what is no HTTP: the error object.

    A body may turn out to be no HTTP too (a bad chunk size): that is a 400 as long as no response has begun.

    A client that has sent nothing, or nothing of the body that it has declared, is hung up on.
    """

    patience_s: float = PATIENCE_S
    unread_s: float = UNREAD_S

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # uvicorn's own
        super().__init__(*args, **kwargs)
        self._head_bytes = self._heads = 0
        self._in_head = True
        self._begun = False
        self._deadline: float | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._blocked: asyncio.TimerHandle | None = None
        self._disconnect = DisconnectSignal(self.loop)
        self._extensions = {DISCONNECT: self._disconnect}

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's
        """Start the timer that bounds the wait for a request."""
        super().connection_made(transport)
        self.transport = cast("asyncio.Transport", _SingleWriteTransport(transport))
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the timer; tell the running request that its client has disconnected."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._unblock()
        super().connection_lost(exc)
        self._disconnect.set()

    def pause_writing(self) -> None:
        """Begin to watch whether the client reads."""
        super().pause_writing()
        self._watch_reader(self._packets.unsent_bytes)

    def resume_writing(self) -> None:
        """End that: it does."""
        self._unblock()
        super().resume_writing()

    def data_received(self, data: bytes) -> None:
        """Parse what came; refuse a head that has become too long."""
        idle, self._heads = not self._begun, 0
        super().data_received(data)
        if not self._heads:
            self._head_bytes += len(data)  # or of a body: forgotten when the next head begins
        else:
            self._head_bytes = len(data) if idle and self._heads == 1 else 0  # what stood before it is no part of it
        if self._in_head and self._head_bytes > MAX_HEAD_BYTES and not self.transport.is_closing():
            message = f"found headers of more than {MAX_HEAD_BYTES:,} bytes, expected at most that"
            self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, message, "headers_too_large")

    def on_message_begin(self) -> None:
        """Begin a head."""
        super().on_message_begin()
        self.scope["extensions"] = cast("Any", self._extensions)
        self._in_head = self._begun = True
        self._heads += 1
        self._wait()

    def on_headers_complete(self) -> None:
        """End a head; a body may follow."""
        self._in_head = False
        self._wait()
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Take a piece of the body; its reader bounds the pauses between pieces."""
        self._deadline = None
        super().on_body(body)

    def on_message_complete(self) -> None:
        """End the request: now the client waits."""
        self._begun = False
        self._deadline = None
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """End a response."""
        self._packets.end()
        super().on_response_complete()

    def handle_websocket_upgrade(self) -> None:
        """Hand the socket to the websocket protocol, which writes frames and has timeouts of its own."""
        self._deadline = None
        self._unblock()
        self.transport = self._packets.transport
        super().handle_websocket_upgrade()

    def send_400_response(self, msg: str) -> None:
        """Refuse what the parser cannot read; uvicorn calls it."""
        self._refuse(HTTPStatus.BAD_REQUEST, f"not a valid HTTP request: {msg}", "invalid_http")

    def _watch_reader(self, unsent_bytes: int) -> None:
        self._blocked = self.loop.call_later(self.unread_s, self._check_reader, unsent_bytes)

    def _check_reader(self, before_bytes: int) -> None:
        """Hang up unless some of what waited has been taken: one that reads slowly is served to the end."""
        left_bytes = self._packets.unsent_bytes
        if left_bytes < before_bytes:
            self._watch_reader(left_bytes)
            return
        _log.info("a client has read nothing for %g s, its connection is closed", self.unread_s)
        self._packets.abort()

    def _unblock(self) -> None:
        if self._blocked is not None:
            self._blocked.cancel()
            self._blocked = None

    def _wait(self) -> None:
        """Give the client its time; one timer a connection goes along, since most requests are there at once."""
        self._deadline = self.loop.time() + self.patience_s
        if self._timer is None:
            self._timer = self.loop.call_later(self.patience_s, self._check)

    def _check(self) -> None:
        self._timer = None
        if self._deadline is None or self.transport.is_closing():
            return
        if self.flow.read_paused or (self._in_head and self._answering):  # it is we who do not read on
            self._wait()
            return
        left_s = self._deadline - self.loop.time()
        if left_s > 0:
            self._timer = self.loop.call_later(left_s, self._check)
        elif self._in_head and self._begun:
            message = f"the headers were not complete after {self.patience_s:g} s"
            self._refuse(HTTPStatus.REQUEST_TIMEOUT, message, "request_timeout")
        else:
            self.transport.close()

    @property
    def _packets(self) -> _SingleWriteTransport:
        return cast("_SingleWriteTransport", self.transport)

    @property
    def _answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    @property
    def _may_answer(self) -> bool:
        """Whether nothing of a response has been written, and none to an earlier request is due."""
        return not self._answering or not (self.pipeline or self.cycle.response_started)

    def _refuse(self, status: HTTPStatus, message: str, code: str) -> None:
        """Answer and close; an answer that is under way is cut, not mixed with another."""
        if self._may_answer:
            if self._answering:
                self.cycle.disconnected = True  # whoever reads the body learns of the end, and writes nothing now
            body = error_body(message, "invalid_request_error", code=code)
            head = (
                f"HTTP/1.1 {status.value} {status.phrase}\r\ncontent-type: application/json\r\n"
                f"content-length: {len(body)}\r\nconnection: close\r\n\r\n"
            )
            self.transport.write(head.encode("ascii") + body)
        self.transport.close()


class _SingleWriteTransport:
    """A transport that holds back the head of a response of known length and writes it together with the body.

    Each write of uvloop is a system call and a packet, and wakes the client up.
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

    def abort(self) -> None:
        """Close at once: what was written is not sent."""
        self._head = b""
        self.transport.abort()

    @property
    def unsent_bytes(self) -> int:
        """What the client has not taken, beyond what the system holds for it."""
        return self.transport.get_write_buffer_size()

    def is_closing(self) -> bool:
        """Whether it is closed, or will be."""
        return self.transport.is_closing()
