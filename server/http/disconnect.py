"""Cancelling a request whose client has disconnected, by a callback from the connection.

A task that waits in `receive` beside each request would cost more than the rest of a small one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import TracebackType
from typing import Final, Self

from starlette.types import Scope

from fastembed.server.http.request_body import ClientDisconnected

DISCONNECT: Final = "fastembed.presence"
"""The ASGI extension under which a request finds its `DisconnectSignal`."""


class DisconnectSignal:
    """Whether a connection's client has disconnected; calls `on_disconnect`, of the running request, when it does."""

    __slots__ = ("disconnected", "loop", "on_disconnect")

    def __init__(self, loop: asyncio.AbstractEventLoop | None = None) -> None:
        self.loop = loop
        self.disconnected = False
        self.on_disconnect: Callable[[], None] | None = None

    def set(self) -> None:
        """Note that the client has disconnected."""
        self.disconnected = True
        if self.on_disconnect is not None:
            self.on_disconnect()


class DisconnectWatch:
    """Cancel the block when the client disconnects, and raise `ClientDisconnected` from it.

    Enter it with the body read. Under another ASGI server than ours there is no signal: the block runs to its end.

    The block's own task is cancelled, so its `CancelledError` must be told from one of the server's: only where this
    watch has cancelled is the error replaced, and the cancellation taken back (`Task.uncancel`), so that an
    `asyncio.timeout` around the block does not take it for its own.
    """

    __slots__ = ("_cancelled", "_signal", "_task")

    def __init__(self, scope: Scope) -> None:
        self._signal: DisconnectSignal = scope.get("extensions", {}).get(DISCONNECT) or DisconnectSignal()
        self._cancelled = False

    def __enter__(self) -> Self:
        if self._signal.disconnected:
            raise ClientDisconnected
        self._task = asyncio.current_task(self._signal.loop)
        self._signal.on_disconnect = self._cancel
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._signal.on_disconnect = None
        if self._cancelled and isinstance(error, asyncio.CancelledError) and self._task is not None:
            self._task.uncancel()
            raise ClientDisconnected from error

    def _cancel(self) -> None:
        self._cancelled = True
        if self._task is not None:
            self._task.cancel()
