"""Whether a request's client is still there: whoever answers it is told by a callback when it leaves.

A task that waits in `receive` beside each request would cost more than the rest of a small one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import TracebackType
from typing import Final, Self

from starlette.types import Scope

from fastembed.server.http.request_body import ClientGone

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
