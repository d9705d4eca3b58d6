"""Sessions as a stream: every message of a client is an item, its session is its key.

Delivery: at most once, in order within a session. Overload: a client that sends faster than its messages are processed
is read more slowly (`pending` bytes a session); beyond that the queue's `overflow` decides, for each session alone, and
the client is told what it lost. A speech session's settings, commits and clears are not dropped: they are put in again.
Restart: what was sent is still answered, then the sessions end.

The server owns the sockets. It finds the source of a path in `WebsocketRoutes` when a client connects, so that a
reloaded pipeline gets the new sessions while the old one serves those it has for as long as their clients stay.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any, Final, Literal

from fastembed.inference.serving.speech.engines import SpeechEngines
from fastembed.pipeline.channel import Channel
from fastembed.pipeline.component import Context, source
from fastembed.pipeline.errors import Overloaded, Unavailable
from fastembed.pipeline.item import END_OF_KEY, Item, Outcome
from fastembed.pipeline.payload.audio import AudioBytes, AudioFrame
from fastembed.pipeline.payload.json_schema import DeclaredSchema
from fastembed.pipeline.reply import Reply
from fastembed.pipeline.units import Size
from fastembed.sources.http import checked_path

_RETRY_S: Final = 5.0
MessageKind = Literal["speech", "json", "text", "bytes"]
_HELD: Final = 1  # items that a step may keep open until the next one comes, to flush from at the end


class WebsocketRoutes:
    """Which source takes the sessions of a path, now. A resource of the process (`Resources`).

    A reload opens the successor before it stops the running source: it stands by, and takes over in the moment that
    the other stops, so that no client finds the path unserved.
    """

    def __init__(self) -> None:
        self._by_path: dict[str, list[Websocket]] = {}

    def get(self, path: str) -> Websocket | None:
        """Return the source of `path`, or None if no pipeline serves it."""
        return self._by_path[path][0] if path in self._by_path else None

    def paths(self) -> list[str]:
        """Return every path that is served, in order."""
        return sorted(self._by_path)

    def offer(self, websocket: Websocket) -> None:
        """Serve the source's path with it: at once, or when the one that serves it now stops."""
        self._by_path.setdefault(websocket.path, []).append(websocket)

    def withdraw(self, websocket: Websocket) -> None:
        """Stop serving the source's path with it; idempotent."""
        offered = self._by_path.get(websocket.path, [])
        if websocket in offered:
            offered.remove(websocket)
            if not offered:
                del self._by_path[websocket.path]


class Session:
    """One client's session: puts its messages into the pipeline."""

    def __init__(
        self, key: str, reply: Reply[Any], websocket: Websocket, channel: Channel[Any], trace: str | None
    ) -> None:
        self.key = key
        self.ended = asyncio.Event()
        """Set when everything that the session sent has been processed, or it left."""
        self._reply = reply
        self._websocket = websocket
        self._channel = channel
        self._trace = trace
        self._live: set[Item[Any]] = set()
        self._pending_bytes = 0
        self._sized = 0
        self._room = asyncio.Event()
        self._room.set()
        self._ending = False
        self._end_passed = False

    async def send(self, value: Any, *, size: int | None = None) -> None:
        """Put one message in; waits while `pending` bytes of this session are not processed yet.

        size: its bytes, by default those of its sound. What the queue refuses is answered through the session's reply.
        Unavailable: the pipeline is stopping.
        """
        size = _bytes_of(value) if size is None else size
        while size and self._sized > _HELD and self._pending_bytes + size > self._websocket.pending_bytes:
            self._room.clear()
            await self._room.wait()
        if self._ending:
            raise Unavailable("the session is ending; connect again", retry_after_s=1.0)
        item: Item[Any] = Item(value, key=self.key, reply=self._reply, trace=self._trace)
        item.on_settled = partial(self._settled, item, size)
        self._live.add(item)
        self._pending_bytes += size
        self._sized += size > 0
        try:
            await self._channel.put(item)
        except Overloaded:
            return  # settled, and answered by the reply
        except BaseException:  # raised again, cancellation too: an item that was not admitted settles here or never
            if not item.admitted:
                self._settled(item, size, Outcome.REJECTED, None)
            raise

    def end(self) -> None:
        """End the session: once everything sent has been processed, set `ended`. Idempotent."""
        if self._ending:
            return
        self._ending = True
        self._room.set()
        end: Item[Any] = Item(END_OF_KEY, key=self.key, trace=self._trace)
        end.on_settled = self._flushed
        try:
            self._channel.put_nowait(end)
        except Unavailable:
            self._over()  # the pipeline is over: its operators flush by themselves

    def leave(self) -> None:
        """Cancel every item of this session: the client is gone. Idempotent."""
        self.end()
        for item in list(self._live):
            if item.admitted:
                item.ack.cancel()
        self._over()

    def _flushed(self, outcome: Outcome, error: BaseException | None) -> None:
        """Handle the settled end item: steps without order may still work on earlier items, so wait for them."""
        del outcome, error
        self._end_passed = True
        if not self._live:
            self._over()

    def _over(self) -> None:
        self.ended.set()
        self._websocket.forget(self)

    def _settled(self, item: Item[Any], size: int, outcome: Outcome, error: BaseException | None) -> None:
        self._live.discard(item)
        self._pending_bytes -= size
        self._sized -= size > 0
        self._room.set()
        if self._end_passed and not self._live:
            self._over()
        dropped = outcome is Outcome.REJECTED and isinstance(error, Overloaded)
        if dropped and not size and not self._ending:
            asyncio.get_running_loop().call_soon(self._again, item.value)

    def _again(self, value: Any) -> None:
        """Put a dropped control message in again, behind the audio that replaced it."""
        if self._ending:
            return
        item: Item[Any] = Item(value, key=self.key, reply=self._reply, trace=self._trace)
        item.on_settled = partial(self._settled, item, 0)
        self._live.add(item)
        try:
            self._channel.put_nowait(item)
        except Overloaded:
            return
        except Unavailable:
            self._live.discard(item)


@source
class Websocket:
    """Takes the messages of clients' sessions as items.

    With `messages: speech` it speaks the realtime protocol (`docs/realtime.md`). With the others each message is a
    value, and each result a message: JSON for JSON, else text as text, bytes as bytes, and the rest as JSON. What goes
    wrong with a message is `{"error": {...}}`, as HTTP answers it, and the session goes on. A client that leaves
    cancels what it asked for.

    Out: by `messages`, what the realtime protocol carries, what JSON holds, text, or bytes.

    Args:
        path: where clients connect, for example `/v1/realtime`.
        messages: what clients send.
        sessions: how many clients at once; one more is refused.
        pending: bytes of one session that may wait to be processed before its socket is read no further.
        schema: of JSON messages, a JSON Schema that they must fit, or the path of its file.
        max_message: the largest message; a larger one is answered with an error. Of speech, the protocol has its own.

    """

    order: Literal["key"] = "key"
    """Sessions do not wait for each other; within one, everything stays in order."""
    callers: Final = True

    def __init__(
        self,
        path: str = "/v1/realtime",
        *,
        messages: MessageKind = "speech",
        sessions: int = 64,
        pending: Size = 256 * 2**10,
        max_message: Size = 4 * 2**20,
        schema: dict[str, Any] | Path | None = None,
    ) -> None:
        if sessions < 1:
            raise ValueError(f"found sessions {sessions}, expected at least 1")
        if schema is not None and messages != "json":
            raise ValueError(f"found schema beside messages: {messages}, expected messages: json")
        self.path = checked_path(path)
        self.messages = messages
        self.schema = None if schema is None else DeclaredSchema(schema)
        self.max_message_bytes = max_message
        self.takes: Any = Any
        """The type of the values that its pipeline's first step takes."""
        self.pending_bytes = pending
        self._most = sessions
        self._sessions: dict[str, Session] = {}
        self._let_in: dict[str, float] = {}
        self._stopping = False
        self._channel: Channel[Any] | None = None
        self._routes = WebsocketRoutes()
        self._engines: SpeechEngines | None = None

    async def open(self, context: Context) -> None:
        """Make the queue and take the path; what sessions send waits until `items` runs."""
        self._routes = context.resources.get(WebsocketRoutes)
        self._engines = context.resources.find(SpeechEngines) if self.messages == "speech" else None
        self.takes = context.takes
        self._channel = context.channel(per_key=True)
        self._routes.offer(self)

    async def items(self) -> AsyncIterator[Item[Any]]:
        """Yield the messages of all sessions."""
        channel = self._opened()
        try:
            async for item in channel:
                yield item
        finally:
            self.stop()

    def stop(self) -> None:
        """Refuse new sessions; running ones go on until they end, and `items` ends with the last of them.

        Stopping the process ends them (`Session.end`); a reload leaves them alone.
        """
        self._stopping = True
        self._routes.withdraw(self)
        self._close_if_done()

    async def close(self) -> None:
        """Free the path if `items` never ran to its end; end what is left."""
        for session in list(self._sessions.values()):
            session.leave()
        self.stop()

    def connect(self, key: str, reply: Reply[Any], *, trace: str | None = None) -> Session:
        """Open a session whose results go to `reply`. Raises `Overloaded` or `Unavailable` if it is refused.

        The reply's `close` is called for every message that ends, not for the session: see `Session.ended`.
        """
        channel = self._opened()
        if self._stopping:
            raise Unavailable(f"{self.path} is stopping and takes no new sessions; connect again", retry_after_s=1.0)
        if len(self._sessions) >= self._most:
            raise Overloaded(
                f"{len(self._sessions)} sessions are open, the limit is {self._most}; try again later",
                code="session_limit_exceeded",
                retry_after_s=_RETRY_S,
            )
        if self._engines is not None:
            self._let_in[key] = self._engines.check_room()
        session = self._sessions[key] = Session(key, reply, self, channel, trace)
        return session

    def forget(self, session: Session) -> None:
        """Count a session out."""
        if self._sessions.get(session.key) is session:
            del self._sessions[session.key]
            if self._engines is not None and (let_in_s := self._let_in.pop(session.key, None)) is not None:
                self._engines.left(let_in_s)
        self._close_if_done()

    @property
    def count(self) -> int:
        """How many sessions there are now."""
        return len(self._sessions)

    def _close_if_done(self) -> None:
        if self._stopping and not self._sessions and self._channel is not None:
            self._channel.close()

    def _opened(self) -> Channel[Any]:
        if self._channel is None:
            raise Unavailable(f"{self.path} is not open yet", retry_after_s=1.0)
        return self._channel


def _bytes_of(value: object) -> int:
    if isinstance(value, AudioFrame):
        return value.samples.nbytes
    return len(value.data) if isinstance(value, AudioBytes) else 0
