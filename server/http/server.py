"""Listening, and stopping gracefully.

At the first SIGTERM, SIGINT or SIGHUP, in this order: new requests get 503 (the socket still listens, so that nobody
sees a refused connection), the pipelines drain, the requests that run end, connections close (websockets with 1012,
"service restart"), the process ends with status 0. A second signal stops at once;
what then does not end, because a component cannot be cancelled, is ended (`stop_signals`).

uvicorn alone would close the listening socket first and wait for open streams for ever.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
from collections.abc import Awaitable, Callable
from contextlib import nullcontext
from typing import Any, Final

import uvicorn
from starlette.types import ASGIApp

from fastembed.pipeline.errors import ConfigError
from fastembed.server.http.connection import HttpConnection
from fastembed.server.http.lifecycle import Lifecycle
from fastembed.server.http.tls import TlsFiles
from fastembed.server.http.websocket_connection import WebsocketConnection

_log: Final = logging.getLogger("fastembed.server")
_BACKLOG: Final = 2048
KEEP_ALIVE_S: Final = 90
"""How long an idle connection is kept: longer than clients and proxies keep theirs (httpx 5 s, AWS 60 s, nginx 75 s),
so that it is they who close it. One that is closed here as a request sets out loses the request."""
_MESSAGE_BYTES: Final = 24 * 2**20  # 15 MiB of audio in base64, and its JSON
_PING_EVERY_S: Final = 20.0
_PING_PATIENCE_S: Final = 300.0
"""How long a websocket's client may take to answer a ping. Long: what comes from a client that sends faster than its
audio is processed is read late, its answers too."""
_CLOSE_S: Final = 2
"""How long connections may take to close once no request runs any more."""


def listen(host: str, port: int) -> socket.socket:
    """Return a listening socket. Raises ConfigError if the address cannot be bound."""
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        return socket.create_server(address[:2], family=family, backlog=_BACKLOG)
    except OSError as error:
        reason = "the port is in use by another process" if error.errno == errno.EADDRINUSE else error.strerror or error
        raise ConfigError([f"cannot listen on {host} port {port}: {reason}; --port 0 takes any free one"]) from error


def address_of(sock: socket.socket, tls: object = None) -> str:
    """Return the URL that reaches the socket. tls: None: without encryption."""
    scheme = "http" if tls is None else "https"
    host, port = sock.getsockname()[:2]
    if host in ("0.0.0.0", "::"):  # noqa: S104 - names it, binds nothing
        host = "127.0.0.1"
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"


class Server(uvicorn.Server):
    """uvicorn with a graceful drain. drain(): lets the pipelines end what runs. tls: the certificate and its key."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        lifecycle: Lifecycle,
        drain: Callable[[], Awaitable[Any]],
        drain_s: float,
        tls: TlsFiles | None = None,
    ) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                loop="none",
                http=HttpConnection,
                ws=WebsocketConnection,
                timeout_keep_alive=KEEP_ALIVE_S,
                lifespan="off",
                log_config=None,
                ws_max_size=_MESSAGE_BYTES,
                ws_max_queue=8,
                ws_ping_interval=_PING_EVERY_S,
                ws_ping_timeout=_PING_PATIENCE_S,
                access_log=False,
                server_header=False,
                proxy_headers=False,
                timeout_graceful_shutdown=_CLOSE_S,
                ssl_certfile=None if tls is None else tls.certificate,
                ssl_keyfile=None if tls is None else tls.key,
            )
        )
        self._lifecycle = lifecycle
        self._drain = drain
        self._drain_s = drain_s
        self._serving: asyncio.Task[None] | None = None
        self.killed = False

    async def serve(self, sockets: list[socket.socket] | None = None) -> None:
        """Serve until `stop`."""
        self._serving = asyncio.current_task()
        await super().serve(sockets)

    def stop(self) -> None:
        """Drain and end; called again, end at once."""
        if not self.should_exit:
            self._lifecycle.drain()
            self.should_exit = True
            return
        _log.warning("stopping at once")
        self.killed = self.force_exit = True
        if self._serving is not None:
            self._serving.cancel()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Drain, then close every connection."""
        self._lifecycle.drain()
        try:
            async with asyncio.timeout(self._drain_s):
                await self._drain()
                await self._lifecycle.idle()
        except TimeoutError:
            _log.warning("%d requests did not end within %g s", self._lifecycle.in_flight, self._drain_s)
        await super().shutdown(sockets)

    def capture_signals(self) -> Any:
        """Leave signals to the process (`stop_signals`): uvicorn would raise them again at the end."""
        return nullcontext()
