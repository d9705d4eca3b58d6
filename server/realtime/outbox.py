"""The events that wait to be sent to one client: bounded, so that a client that does not read costs little."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import Any, Final

import orjson

from fastembed.pipeline.item import Outcome
from fastembed.server.realtime.events import Event
from fastembed.server.realtime.protocol import Protocol

MAX_BYTES: Final = 1 << 20
MAX_EVENTS: Final = 1_024
_COMPLAINT_S: Final = 1.0


class Outbox:
    """The session's `fastembed.pipeline.reply.Reply`: turns transcripts into events and keeps them until they are sent.

    `send` never waits: the sink serves all sessions. A client that falls further behind than the bounds gets no more,
    and `overflowed` is set. The session's creation goes first: clients build on it, and a mistake may be found while
    the settings are still on their way through the pipeline.
    """

    def __init__(self, protocol: Protocol, *, max_bytes: int = MAX_BYTES, max_events: int = MAX_EVENTS) -> None:
        self.overflowed = asyncio.Event()
        self.protocol = protocol
        self._max_bytes = max_bytes
        self._max_events = max_events
        self._waiting: deque[str] = deque()
        self._bytes = 0
        self._changed = asyncio.Event()
        self._sent = asyncio.Event()
        self._complained_at = float("-inf")
        self._closed = False
        self._greeted = False

    def send_nowait(self, value: Any) -> bool:
        """Take a result of the pipeline."""
        self.put(self.protocol.on_heard(value))
        return True

    async def send(self, value: Any) -> None:
        """Take a result of the pipeline; never waits."""
        self.send_nowait(value)

    def close(self, outcome: Outcome, error: BaseException | None) -> None:
        """Take note that a message has ended. Dropped audio is reported to the client, once a second at most."""
        if outcome in (Outcome.REJECTED, Outcome.FAILED, Outcome.EXPIRED):
            now = asyncio.get_running_loop().time()
            if now - self._complained_at >= _COMPLAINT_S:
                self._complained_at = now
                self.put(self.protocol.on_lost(error))

    async def room(self) -> None:
        """Wait until half of the bounds is free: for what is made faster than a client reads."""
        while self._full() and not (self.overflowed.is_set() or self._closed):
            self._sent.clear()
            await self._sent.wait()

    def _full(self) -> bool:
        return self._bytes * 2 > self._max_bytes or len(self._waiting) * 2 > self._max_events

    def put(self, events: Sequence[Event]) -> None:
        """Queue events. Beyond the bounds the client counts as slow, and the queue is discarded."""
        if self.overflowed.is_set() or self._closed:
            return
        for event in events:
            text = orjson.dumps(event).decode()
            if not self._greeted and event["type"].endswith("session.created"):
                self._greeted = True
                self._waiting.appendleft(text)
            else:
                self._waiting.append(text)
            self._bytes += len(text)
        if self._bytes > self._max_bytes or len(self._waiting) > self._max_events:
            self.overflowed.set()
            self._waiting.clear()
            self._bytes = 0
            self._sent.set()
        self._changed.set()

    def finish(self) -> None:
        """Send what waits, then end."""
        self._closed = True
        self._changed.set()
        self._sent.set()

    async def next(self) -> str | None:
        """Return the next event's JSON; None when all is sent after `finish`."""
        while not (self._waiting and (self._greeted or self._closed)):
            if self._closed:
                return None
            self._changed.clear()
            await self._changed.wait()
        text = self._waiting.popleft()
        self._bytes -= len(text)
        self._sent.set()
        return text
