"""A pool of warm parser processes, which are replaced when they die, hang, grow or have served enough.

There is one process for each request in flight (the pipeline bounds them by its step's `workers`), and in advance one
more when one is about to be retired, so that a fresh process has imported its parsers by the time it is needed.

    started ──ready──▶ idle ──request──▶ busy ──answer──▶ idle, or retired after `recycle` answers or too much memory
                                          │
                                          └── cancelled, timed out, died ──▶ killed, reaped, a fresh one started

A request whose process gave no answer is tried again where `fastembed.documents.faults` says so.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Final

from fastembed.documents.faults import PAUSES_S, EngineFailed, OutOfMemory, ParserLost, Tries
from fastembed.documents.worker import RunModel, Worker, WorkerSettings
from fastembed.pipeline.errors import Expired, ItemError, Unavailable

_log: Final = logging.getLogger("fastembed.parse")

_GROWN_SHARE: Final = 0.75
"""A process that after an answer keeps more than this share of its limit is retired: the next one needs room."""
_HEAD_START: Final = 1.5
"""A successor is started this many start-up times before the predecessor is expected to retire."""


class WorkerPool:
    """Runs requests in processes made by `settings`; several tasks may use it at a time."""

    def __init__(self, settings: WorkerSettings, *, pauses_s: Sequence[float] = PAUSES_S) -> None:
        """Start nothing yet. pauses_s: before each further try of a request that the machine spoilt."""
        self._settings = settings
        self._pauses_s = pauses_s
        self._idle: list[Worker] = []
        self._busy: set[Worker] = set()
        self._reapers: set[asyncio.Task[None]] = set()
        self._closed = False
        self.started = 0

    @property
    def pids(self) -> list[int]:
        """The ids of the live processes, idle ones first."""
        return [worker.pid for worker in (*self._idle, *self._busy) if worker.alive]

    def start(self) -> None:
        """Start one process in the background; needs a running event loop, returns in milliseconds."""
        if not self._idle and not self._closed:
            with suppress(ParserLost):  # the next request tries it again, and says so
                self._idle.append(self._new())

    async def ready(self) -> None:
        """Wait until an idle process (if there is one) can answer; ParserLost says why it cannot."""
        if self._idle:
            await self._idle[0].ready()

    async def run(
        self, request: dict[str, Any], *, limit_s: float | None = None, run_model: RunModel | None = None
    ) -> dict[str, Any]:
        """Return a process's answer to `request`. run_model: runs a document model, where the process asks for it.

        Cancelling kills the process. Raises: the ItemError that it answers with; Unprocessable if it crashes over the
        request again and again; Expired after `limit_s` seconds (from when the process is ready); Unavailable if it
        cannot start, is killed from outside, or an engine in it fails, each time.
        """
        # A process that has served others may die of what they left behind (fragmented memory); only one that dies over
        # this document alone is evidence against it. So every retry asks for a fresh process, and `Tries` counts those.
        tries = Tries(self._settings.memory_bytes, self._pauses_s)
        again = False
        while True:
            fresh = True
            try:
                worker = self._take(fresh=again)
                fresh = not worker.served
                return await self._run(worker, request, limit_s, run_model)
            except (ParserLost, EngineFailed, OutOfMemory) as fault:
                if self._closed:  # which is what ended it
                    raise _closed() from fault
                pause_s = tries.pause_s(fault, fresh=fresh)
                _log.warning("%s; the document is tried again in a fresh process", fault)
            await asyncio.sleep(pause_s)
            again = True

    async def _run(
        self, worker: Worker, request: dict[str, Any], limit_s: float | None, run_model: RunModel | None
    ) -> dict[str, Any]:
        """Try a request once."""
        self._busy.add(worker)
        healthy = True
        try:
            await worker.ready()
            self._prepare_successor(worker)
            # From here until the answer is read whole, the pipe is in the middle of a conversation. Whoever leaves in
            # between (a timeout, a cancelled caller) leaves an answer behind that the next request would read as its
            # own, so the process is killed, not reused.
            healthy = False
            async with asyncio.timeout(limit_s):
                answer = await worker.ask(request, run_model)
            healthy = True
        except TimeoutError as error:
            raise Expired(
                f"found no result after {limit_s:g} s, the time limit for one document; its parser process was killed",
                code="parse_timeout",
            ) from error
        except ItemError as error:
            # A whole answer that says no: the process is fine, unless the error is about the process itself.
            healthy = worker.alive and not isinstance(error, EngineFailed | OutOfMemory)
            raise
        finally:
            self._busy.discard(worker)
            self._put_back(worker, healthy=healthy)
        return answer

    async def close(self) -> None:
        """Kill every process and wait until all are gone."""
        self._closed = True
        while self._idle:
            self._end(self._idle.pop())
        for worker in self._busy:
            self._end(worker)
        while self._reapers:
            await asyncio.gather(*self._reapers)

    def _take(self, *, fresh: bool = False) -> Worker:
        """Return an idle process, one that is ready if there is one, else a new one. fresh: that has answered nothing.

        ParserLost: a new one does not start.
        """
        if self._closed:
            raise _closed()
        for worker in [worker for worker in self._idle if not worker.alive]:  # killed from outside while idle
            self._idle.remove(worker)
            self._end(worker)
        if fresh:
            for worker in [worker for worker in self._idle if worker.served]:  # its successor is what is wanted
                self._idle.remove(worker)
                self._end(worker)
        ready = next((worker for worker in self._idle if worker.start_s is not None), None)
        if ready is not None:
            self._idle.remove(ready)
            return ready
        return self._idle.pop(0) if self._idle else self._new()

    def _put_back(self, worker: Worker, *, healthy: bool) -> None:
        """Return the process to the pool, or replace it."""
        if self._closed:
            return  # `close` has ended it
        if healthy and not _worn(worker):
            self._idle.append(worker)
            return
        self._end(worker)
        self.start()

    def _prepare_successor(self, worker: Worker) -> None:
        """Start the next process when the present one is near its last request."""
        left = worker.settings.recycle - worker.served
        per_request_s = worker.busy_s / worker.served if worker.served else 0.0
        near = left * per_request_s < (worker.start_s or 0.0) * _HEAD_START
        if near and left <= worker.settings.recycle // 2:
            self.start()

    def _new(self) -> Worker:
        self.started += 1
        return Worker(self._settings)

    def _end(self, worker: Worker) -> None:
        """Kill a process and have it reaped; `close` waits for the reapers."""
        worker.kill()
        task = asyncio.get_running_loop().create_task(worker.reap())
        self._reapers.add(task)
        task.add_done_callback(self._reapers.discard)


def _closed() -> Unavailable:
    return Unavailable("the parser is closed and takes no documents", code="closed", retry_after_s=1.0)


def _worn(worker: Worker) -> bool:
    """Whether a process has served enough requests, or grown too large."""
    limit = worker.settings.memory_bytes
    grown = bool(limit) and worker.memory_bytes > max(limit * _GROWN_SHARE, worker.baseline_bytes * 1.1)
    return worker.served >= worker.settings.recycle or grown
