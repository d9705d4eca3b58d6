"""The batches that are worked on in this process: which lines are under way, and who is to look again.

On the event loop's thread, but for the store. A resource of the process: the source takes lines from here, the server
puts batches in, cancels them, and ends them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final

import orjson

from fastembed.pipeline.errors import FastEmbedError, ItemError
from fastembed.pipeline.item import Item, Outcome
from fastembed.pipeline.payload.endpoint import EndpointAnswer
from fastembed.pipeline.tasks import Tasks
from fastembed.sources.batching.record import BatchLine
from fastembed.sources.batching.store import BatchStore

MAX_TRIES: Final = 100
"""How often a line is sent that meets a full queue or a model that is not there now."""
MAX_PAUSE_S: Final = 30.0
_PASSING: Final = (429, 503)


class BatchWork:
    """What goes on. on_crash: learns of a task that broke."""

    def __init__(self, store: BatchStore, on_crash: Callable[[BaseException], None]) -> None:
        self.store = store
        self.sources = 0
        """How many running pipelines take lines from here."""
        self._under_way: dict[str, dict[int, LineReply]] = {}
        self._tries: dict[tuple[str, int], int] = {}
        self._looks: list[asyncio.Event] = []
        self._tasks = Tasks(on_crash)

    def watch(self) -> asyncio.Event:
        """Return an event that is set whenever something has changed; its owner clears it."""
        event = asyncio.Event()
        event.set()
        self._looks.append(event)
        return event

    def stir(self) -> None:
        """Have everybody look again."""
        for event in self._looks:
            event.set()

    def is_idle(self, batch: str) -> bool:
        """Whether no line of a batch is under way."""
        return batch not in self._under_way

    def under_way(self, batch: str) -> int:
        """Return how many lines of a batch are under way."""
        return len(self._under_way.get(batch, ()))

    def has(self, line: BatchLine) -> bool:
        """Whether a line is under way."""
        return line.number in self._under_way.get(line.batch, {})

    def cancel(self, batch: str) -> None:
        """Cancel the lines of a batch that are under way; they stay without an answer."""
        for reply in list(self._under_way.get(batch, {}).values()):
            if reply.item is not None:
                reply.item.ack.cancel()

    def begin(self, line: BatchLine) -> LineReply:
        """Note that a line is under way."""
        reply = self._under_way.setdefault(line.batch, {})[line.number] = LineReply(self, line)
        return reply

    def ended(self, line: BatchLine, error: BaseException | None) -> None:
        """Note that a line is under way no longer. error: what is wrong with it, or passes; None: it has its answer."""
        if error is None:
            self._tries.pop((line.batch, line.number), None)
            self._leave(line)
        else:
            self._tasks.start(self._failed(line, error))

    def cancelled(self, line: BatchLine) -> None:
        """Note that a line was cancelled: it stays without an answer."""
        self._leave(line)

    async def close(self) -> None:
        """End what waits; what has no answer is sent again by the next server."""
        await self._tasks.close()
        await asyncio.to_thread(self.store.close)

    async def _failed(self, line: BatchLine, error: BaseException) -> None:
        """Write down what is wrong with a line, or let it wait for what is wrong with the server."""
        try:
            passing = isinstance(error, ItemError) and error.status in _PASSING
            tries = self._tries[line.batch, line.number] = self._tries.get((line.batch, line.number), 0) + 1
            if passing and tries < MAX_TRIES:
                await asyncio.sleep(min(MAX_PAUSE_S, getattr(error, "retry_after_s", None) or 1.0))
            else:
                status = error.status if isinstance(error, ItemError) else 500
                await asyncio.to_thread(self.store.finish, line, status, _error_body(error))
        finally:
            self._leave(line)

    def _leave(self, line: BatchLine) -> None:
        lines = self._under_way.get(line.batch, {})
        lines.pop(line.number, None)
        if not lines:
            self._under_way.pop(line.batch, None)
        self.stir()


class LineReply:
    """The caller of one line: what is sent to it is on the disk before the line counts as delivered."""

    def __init__(self, work: BatchWork, line: BatchLine) -> None:
        self._work = work
        self._line = line
        self.item: Item[Any] | None = None

    def send_nowait(self, _: EndpointAnswer) -> bool:
        """Take nothing at once: an answer is written in a thread."""
        return False

    async def send(self, value: EndpointAnswer) -> None:
        """Write the answer down. FastEmbedError: it is none, since the pipeline has other steps."""
        if not isinstance(value, EndpointAnswer):
            raise FastEmbedError(f"found {type(value).__name__}, expected the answer of the operator request")
        await asyncio.to_thread(self._work.store.finish, self._line, value.status, value.body)

    def close(self, outcome: Outcome, error: BaseException | None) -> None:
        """Learn how the item ended."""
        if outcome is Outcome.CANCELLED:
            self._work.cancelled(self._line)
        elif outcome is Outcome.DELIVERED:
            self._work.ended(self._line, None)
        else:
            self._work.ended(self._line, error or FastEmbedError("a step of the pipeline dropped the line"))


def _error_body(error: BaseException) -> bytes:
    message = error.message if isinstance(error, ItemError) and error.status != 500 else "internal error"  # noqa: PLR2004
    kind = error.type if isinstance(error, ItemError) else "server_error"
    return orjson.dumps({"error": {"message": message, "type": kind, "param": None, "code": None}})
