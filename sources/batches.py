"""The lines of the batches that clients send to /v1/batches, one request a line."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Final

from fastembed.pipeline.component import Context, source
from fastembed.pipeline.errors import FastEmbedError
from fastembed.pipeline.item import Item
from fastembed.pipeline.payload.endpoint import EndpointRequest
from fastembed.pipeline.units import Duration
from fastembed.sources.batching.record import BatchLine, BatchRecord, request_id_of
from fastembed.sources.batching.store import PAGE_LINES
from fastembed.sources.batching.work import BatchWork

PRIORITY: Final = -10
"""Behind everybody else, wherever priorities count."""
_LOOK_S: Final = 5.0


@source
class BatchLines:
    """Yield the requests of batches: of several at once in turn, so that a small one does not wait for a large one.

    Delivery: at least once; a line's answer is written once, and a line that has one is never sent again. Overload:
    lines wait on disk. Restart: lines without an answer are sent again. Of processes that share a home one works.

    Out: EndpointRequest.

    Args:
        pause: how long to wait between two looks where another process works on the batches.

    """

    replayable: Final = True
    exclusive: Final = True
    callers: Final = True
    order: Final = "none"

    def __init__(self, *, pause: Duration = _LOOK_S) -> None:
        self._pause_s = pause
        self._work: BatchWork | None = None
        self._stopped = False
        self._changed = asyncio.Event()

    async def open(self, context: Context) -> None:
        """Find the batches. FastEmbedError: there is no server in this process."""
        self._work = context.resources.find(BatchWork)
        if self._work is None:
            raise FastEmbedError("found no server in this process, expected `fastembed serve`: it takes batches in")
        self._changed = self._work.watch()
        self._work.sources += 1

    async def close(self) -> None:
        """Take no more lines."""
        if self._work is not None:
            self._work.sources -= 1
            self._work = None

    def stop(self) -> None:
        """Yield no further lines."""
        self._stopped = True
        self._changed.set()

    async def items(self) -> AsyncIterator[Item[EndpointRequest]]:
        """Yield lines until stopped."""
        work = self._work
        assert work is not None  # noqa: S101 - opened
        while not self._stopped:
            self._changed.clear()
            found = await asyncio.to_thread(self._round, work)
            taken = 0
            for record, line in found:
                if self._stopped:
                    return
                if not work.has(line):
                    taken += 1
                    yield _item(work, record, line)
            if not taken:
                await self._wait()

    def _round(self, work: BatchWork) -> Sequence[tuple[BatchRecord, BatchLine]]:
        """Return the next lines of each batch, one of each in turn; blocks."""
        if not work.store.leads():
            return []
        now_s = work.store.clock()
        running = [
            record
            for record in work.store.open_batches()
            if record.status == "in_progress" and record.body["expires_at"] > now_s
        ]
        pages = [
            (record, work.store.pending(record.id, limit=PAGE_LINES + work.under_way(record.id))) for record in running
        ]
        found = [(index, record, line) for record, lines in pages for index, line in enumerate(lines)]
        return [(record, line) for _, record, line in sorted(found, key=lambda entry: entry[0])]

    async def _wait(self) -> None:
        """Wait until something has changed; now and again look all the same: another process may have gone."""
        try:
            async with asyncio.timeout(self._pause_s):
                await self._changed.wait()
        except TimeoutError:
            return


def _item(work: BatchWork, record: BatchRecord, line: BatchLine) -> Item[EndpointRequest]:
    request = EndpointRequest(record.body["endpoint"], line.body, record.owner, record.key, request_id_of(line))
    reply = work.begin(line)
    item = Item(request, priority=PRIORITY, trace=request.id, reply=reply)
    reply.item = item
    return item
