"""Responses that are worked on while nobody waits: `background: true`. They can be polled, followed and cancelled."""

from __future__ import annotations

import asyncio
import time
from contextlib import aclosing
from typing import Any, Final

import orjson

from fastembed.pipeline.errors import ItemError
from fastembed.pipeline.payload.chat import ChatEvent
from fastembed.pipeline.tasks import Tasks
from fastembed.server.conversations.record import Json
from fastembed.server.endpoints.responses.answering import chat_events, keep
from fastembed.server.endpoints.responses.events import ResponseEvents
from fastembed.server.endpoints.responses.history import ConversationHistory
from fastembed.server.endpoints.responses.request import ResponseRequest
from fastembed.server.endpoints.responses.trace import pack
from fastembed.server.http.errors import error_response
from fastembed.server.wire.exchange import Exchange

RUNNING: Final = ("queued", "in_progress")


class BackgroundRun:
    """One response on its way. events: of its chat, so far; done: its record is final."""

    def __init__(self, exchange: Exchange, asked: ResponseRequest, history: ConversationHistory) -> None:
        self.asked = asked
        self.events: list[ChatEvent] = []
        self.done = False
        self.cancelled = False
        self._exchange = exchange
        self._history = history
        self._encoder = ResponseEvents(asked.head, summarize=asked.summarize, logprobs=asked.logprobs)
        self._encoder.begin()
        self._changed = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self.response["status"] = "queued"

    @property
    def response(self) -> Json:
        """The response as it is now."""
        return self._encoder.response

    async def start(self, tasks: Tasks) -> None:
        """Store the response as queued, and begin to work on it."""
        await keep(self._history, self.asked, self._encoder, [])
        self._task = tasks.start(self._work(), name=self.response["id"])

    async def cancel(self) -> None:
        """Stop the work, and wait until the record says so."""
        self.cancelled = True
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def wait(self, seen: int) -> None:
        """Wait until there are more than `seen` events, or the run is done."""
        while len(self.events) <= seen and not self.done:
            await self._changed.wait()

    async def _work(self) -> None:
        try:
            await self._answer()
        except asyncio.CancelledError:
            if not self.cancelled:
                raise
            self.response["status"] = "cancelled"
        except ItemError as error:
            self._encoder.fail(orjson.loads(error_response(error, self._exchange.request_id).body)["error"])
        finally:
            trace: list[Any] = [pack(event) for event in self.events]
            try:
                await keep(self._history, self.asked, self._encoder, trace)
            finally:
                self.done = True
                self._notify()

    async def _answer(self) -> None:
        async with aclosing(chat_events(self._exchange, self.asked)) as found:
            async for event in found:
                self.response["status"] = "in_progress"
                self._encoder.take(event)
                self.events.append(event)
                self._notify()
        self._encoder.close(int(time.time()))

    def _notify(self) -> None:
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()


class BackgroundRuns:
    """The runs of this process, by id. tasks: owns their tasks."""

    def __init__(self, tasks: Tasks) -> None:
        self._tasks = tasks
        self._runs: dict[str, BackgroundRun] = {}

    async def start(self, exchange: Exchange, asked: ResponseRequest, history: ConversationHistory) -> BackgroundRun:
        """Begin to work on a request."""
        run = BackgroundRun(exchange, asked, history)
        await run.start(self._tasks)
        self._runs = {id_: one for id_, one in self._runs.items() if not one.done}
        self._runs[run.response["id"]] = run
        return run

    def find(self, id_: str) -> BackgroundRun | None:
        """Return the run of a response that is not done yet."""
        run = self._runs.get(id_)
        return None if run is None or run.done else run
