"""Conversions that nobody waits for: their state can be asked and followed, their result fetched for an hour."""

from __future__ import annotations

import asyncio
import secrets
import time
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from fastembed.pipeline.errors import ItemError, NotFound, Overloaded
from fastembed.pipeline.tasks import Tasks
from fastembed.server.endpoints.convert.request import ConversionRequest, convert
from fastembed.server.wire.exchange import Exchange

KEPT_S: Final = 3_600.0
MAX_JOBS: Final = 64
"""Of one owner, those included whose result can still be fetched."""

JobStatus = Literal["pending", "started", "success", "failure"]


@dataclass(slots=True)
class ConversionJob:
    """One conversion. result: the response's JSON, once it is there; error: why there is none."""

    id: str
    owner: str
    status: JobStatus = "pending"
    result: bytes = b""
    error: ItemError | None = None
    ended_s: float | None = None
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def done(self) -> bool:
        """Whether it has ended."""
        return self.ended_s is not None

    def turn(self, status: JobStatus) -> None:
        """Give it another state, and wake who follows it."""
        self.status = status
        changed, self.changed = self.changed, asyncio.Event()
        changed.set()


class ConversionJobs:
    """The jobs of this process, in memory: a restart forgets them. tasks: owns their work."""

    def __init__(self, tasks: Tasks) -> None:
        self._tasks = tasks
        self._jobs: dict[str, ConversionJob] = {}

    def start(self, exchange: Exchange, request: ConversionRequest) -> ConversionJob:
        """Begin to convert. Overloaded: too many of this owner's are kept."""
        now_s = time.monotonic()
        self._jobs = {
            id_: job for id_, job in self._jobs.items() if not job.done or now_s - (job.ended_s or 0) < KEPT_S
        }
        owner = exchange.scope["owner"]
        own = [job for job in self._jobs.values() if job.owner == owner]
        if len(own) >= MAX_JOBS:
            oldest = next((job for job in own if job.done), None)
            if oldest is None:
                raise Overloaded(
                    f"found {len(own)} conversions of yours that run, expected fewer than {MAX_JOBS}", retry_after_s=5.0
                )
            del self._jobs[oldest.id]
        job = ConversionJob(f"task-{secrets.token_hex(16)}", owner)
        self._jobs[job.id] = job
        self._tasks.start(self._work(job, exchange, request), name=job.id)
        return job

    def find(self, owner: str, id_: str) -> ConversionJob:
        """Return an owner's job. NotFound: there is none."""
        job = self._jobs.get(id_)
        if job is None or job.owner != owner:
            raise NotFound(
                f"found no task {id_!r:.80}, expected the id of one of yours of the last hour", code="task_not_found"
            )
        return job

    async def wait(self, job: ConversionJob, timeout_s: float) -> None:
        """Wait until the state changes, at most `timeout_s`."""
        if job.done or timeout_s <= 0:
            return
        try:
            async with asyncio.timeout(timeout_s):
                await job.changed.wait()
        except TimeoutError:
            return

    async def _work(self, job: ConversionJob, exchange: Exchange, request: ConversionRequest) -> None:
        job.turn("started")
        end: JobStatus = "failure"
        try:
            job.result = await convert(exchange, request)
            end = "success"
        except ItemError as error:
            job.error = error
        finally:  # cancelled, too, at the end of the server
            job.ended_s = time.monotonic()
            job.turn(end)


def describe(job: ConversionJob) -> dict[str, Any]:
    """Return a task as docling-serve has it."""
    return {
        "task_id": job.id,
        "task_type": "convert",
        "task_status": job.status,
        "task_position": None,
        "task_meta": None,
        "error_message": None if job.error is None else job.error.message,
    }
