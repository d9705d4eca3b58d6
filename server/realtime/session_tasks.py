"""The tasks of one websocket session: what receives, what sends, and what ends them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final, Protocol

from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from fastembed.sources.websocket import Session

_log: Final = logging.getLogger("fastembed.server.realtime")

TOO_SLOW: Final = 1008
RESTARTING: Final = 1012
_SEND_S: Final = 20.0
"""How long one message may take to leave before the client counts as gone."""
_CLOSE_S: Final = 2.0


class Outgoing(Protocol):
    """The messages that wait to be sent to one client. overflowed: set when it is too slow to be served."""

    overflowed: asyncio.Event

    def finish(self) -> None:
        """Send what waits, then end."""

    async def next(self) -> str | bytes | None:
        """Return the next message; None when all is sent after `finish`."""


class SessionTasks:
    """The tasks of a session; the first one that ends cancels the others.

    receive: takes the client's messages until it leaves. done: the code to close with where all is answered and the
    server does not stop; None: sessions end only then.
    """

    def __init__(
        self,
        websocket: WebSocket,
        outbox: Outgoing,
        session: Session,
        receive: Callable[[], Awaitable[None]],
        *,
        done: int | None = None,
    ) -> None:
        self._done = done
        self._websocket = websocket
        self._outbox = outbox
        self._session = session
        self._receive = receive

    async def run(self, draining: asyncio.Event) -> None:
        """Serve the client until one side ends the session; close it with the reason."""
        receiving = asyncio.create_task(self._received(), name="realtime:receive")
        sending = asyncio.create_task(self._send(), name="realtime:send")
        ending = asyncio.create_task(self._session.ended.wait(), name="realtime:ended")
        falling_behind = asyncio.create_task(self._outbox.overflowed.wait(), name="realtime:behind")
        drain = asyncio.create_task(self._drain(draining), name="realtime:drain")
        tasks = {receiving, sending, ending, falling_behind}
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            if ending.done() and not (sending.done() or receiving.done() or falling_behind.done()):
                self._outbox.finish()  # what was said last is still sent
                await asyncio.wait({sending, receiving, falling_behind}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (*tasks, drain):
                task.cancel()
            await asyncio.gather(*tasks, drain, return_exceptions=True)
        for task in (receiving, sending):
            if not task.cancelled() and (error := task.exception()) is not None:
                raise error
        await self._close()

    async def _drain(self, draining: asyncio.Event) -> None:
        await draining.wait()
        self._done = None
        self._session.end()

    async def _received(self) -> None:
        await self._receive()

    async def _send(self) -> None:
        while (message := await self._outbox.next()) is not None:
            try:
                async with asyncio.timeout(_SEND_S):
                    if isinstance(message, str):
                        await self._websocket.send_text(message)
                    else:
                        await self._websocket.send_bytes(message)
            except TimeoutError:
                self._outbox.overflowed.set()
                return
            except (WebSocketDisconnect, OSError):
                return

    async def _close(self) -> None:
        """Send the reason as an error event, unless the client has left."""
        if self._websocket.client_state is not WebSocketState.CONNECTED:
            return
        code, reason = RESTARTING, "the server stops or reloads this pipeline: connect again"
        if self._outbox.overflowed.is_set():
            code, reason = TOO_SLOW, "the client reads too slowly: its events were dropped"
        elif self._done is not None:
            code, reason = self._done, ""
        try:
            async with asyncio.timeout(_CLOSE_S):
                await self._websocket.close(code, reason)
        except (TimeoutError, WebSocketDisconnect, OSError, RuntimeError) as error:
            _log.debug("the client left while it was told why the session ends: %s", error)
