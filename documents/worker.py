"""Server side of one parser process: starts it, sends requests and kills it without blocking the event loop."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import tempfile
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Final

from fastembed.documents.faults import ParserLost
from fastembed.documents.wire import decode, encode, to_error
from fastembed.pipeline.errors import ItemError
from fastembed.pipeline.processes.awaiting import sock_read_body
from fastembed.pipeline.processes.framing import BadFrame
from fastembed.pipeline.processes.starter import ChildProcess, ProcessLimits, killed_from_outside

_log: Final = logging.getLogger("fastembed.parse")

_STDERR_TAIL_BYTES: Final = 2000
_LARGE_BYTES: Final = 1 << 20
# One document at a time uses one core or two; every further arena or pool thread only costs address space.
_ENVIRONMENT: Final = {"MALLOC_ARENA_MAX": "2", "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "2"}


RunModel = Callable[[dict[str, Any]], Awaitable[list[list[Any]]]]
"""Runs a document model (`fastembed.documents.vision_reader`): a message of the process in, the answer out."""


@dataclass(frozen=True, slots=True)
class WorkerSettings:
    """How a parser process is made.

    target: `module:function`, called once in the process with `options`; it returns what answers each request.
    memory_bytes: that the process may have to itself (RLIMIT_DATA), 0: unlimited. nice: added to its priority, so that
    parsing gives way to the server. recycle: documents until a fresh process takes over.
    """

    target: str
    options: dict[str, Any] = field(default_factory=dict)
    memory_bytes: int = 3 << 30
    nice: int = 5
    recycle: int = 50


class Worker:
    """One process, from start to kill; it answers one request at a time.

    Its state is public for the pool: `served` requests, `busy_s` spent on them, `start_s` until it was ready (None
    before), `memory_bytes` that it had after the last request and `baseline_bytes` when it was ready, in the measure of
    its limit.
    """

    def __init__(self, settings: WorkerSettings) -> None:
        """Start the process; returns in milliseconds, long before it is ready. ParserLost: it does not start."""
        self.settings = settings
        self.served = 0
        self.busy_s = 0.0
        self.start_s: float | None = None
        self.memory_bytes = self.baseline_bytes = 0
        self._started_at = time.monotonic()
        self._hello: asyncio.Task[None] | None = None
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the process
        try:
            self._process = ChildProcess(
                "fastembed.documents.child",
                {"target": settings.target, "options": settings.options},
                limits=ProcessLimits(settings.memory_bytes, settings.nice),
                environment=_ENVIRONMENT,
                stderr=self._stderr,
            )
        except OSError as error:  # no memory, no process id, no file descriptor left
            self._stderr.close()
            raise ParserLost(str(error), started=False) from error
        self._process.pipe.setblocking(False)

    @property
    def pid(self) -> int:
        """The process's id."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether the process has not ended."""
        return self._process.alive

    async def ready(self) -> None:
        """Wait until the process can answer; cancelling the wait leaves it intact. ParserLost: it could not start."""
        if self.start_s is not None:
            return
        if self._hello is None:
            self._hello = asyncio.get_running_loop().create_task(self._greet())
        await asyncio.shield(self._hello)

    async def _greet(self) -> None:
        try:
            hello = await self._receive()
        except (OSError, EOFError, BadFrame) as error:
            ended, _ = await self._last_words()
            raise ParserLost(
                f"{ended}; it has to load {self.settings.target} within {self.settings.memory_bytes >> 20:,} MiB",
                started=False,
            ) from error
        self.start_s = time.monotonic() - self._started_at
        self.memory_bytes = self.baseline_bytes = int(hello["memory"])

    async def ask(self, request: dict[str, Any], run_model: RunModel | None = None) -> dict[str, Any]:
        """Return the answer to one request. run_model: what the process may have done for it in the meantime.

        Raises what `run_model` raises, but RuntimeErrors, which the process is item_error of;
        raises the ItemError that the process answers with; ParserLost if the process ends before. After any
        exception but such an answer, cancellation included, only `kill` may follow: `alive` may still be true.
        """
        await self.ready()
        began, refused = time.monotonic(), None
        try:
            await self._send(request)
            answer = await self._receive()
            while run_model is not None and "memory" not in answer:
                answer_back, refused = await _answer_to(run_model, answer)
                await self._send(answer_back)
                answer = await self._receive()
        except (OSError, EOFError, BadFrame) as error:
            ended, killed = await self._last_words()
            raise ParserLost(ended, killed=killed and not isinstance(error, BadFrame)) from error
        self.served += 1
        self.busy_s += time.monotonic() - began
        self.memory_bytes = int(answer["memory"])
        if refused is not None:
            raise refused
        if "error" in answer:
            item_error = to_error(answer["error"])
            if trace := answer["error"].get("trace"):
                item_error.add_note(f"In the parser process:\n{trace}")
                _log.info("a parser broke over a document", exc_info=item_error)
            raise item_error
        value: dict[str, Any] = answer["value"]
        return value

    def kill(self) -> None:
        """End the process now, whatever it does; idempotent. `reap` must follow."""
        self._process.kill()

    async def reap(self) -> None:
        """Wait until the killed process is gone and all that it held is freed, so that no zombie stays."""
        await asyncio.to_thread(self._process.process.wait)
        if self._hello is not None:
            await asyncio.wait([self._hello])  # the pipe's end ends it
            if not self._hello.cancelled():
                self._hello.exception()  # its waiters have had the error already
        self._process.pipe.close()
        self._stderr.close()

    async def _send(self, message: dict[str, Any]) -> None:
        await asyncio.get_running_loop().sock_sendall(self._process.pipe, encode(message))

    async def _receive(self) -> dict[str, Any]:
        body = await sock_read_body(self._process.pipe)
        return decode(body) if len(body) < _LARGE_BYTES else await asyncio.to_thread(decode, body)

    async def _last_words(self) -> tuple[str, bool]:
        """Return how the process ended, with what it wrote of that, and whether that came from outside."""
        self._process.kill()  # if it only broke the protocol
        code = await asyncio.to_thread(self._process.process.wait)
        killed = killed_from_outside(code)
        ended = f"ended by {signal.Signals(-code).name}" if code < 0 else f"exit status {code}"
        if self._stderr.closed:  # reaped meanwhile
            return ended, killed
        self._stderr.seek(max(0, self._stderr.seek(0, os.SEEK_END) - _STDERR_TAIL_BYTES))
        lines = [line.strip() for line in self._stderr.read().decode(errors="replace").splitlines() if line.strip()]
        telling = next((line for line in reversed(lines) if "Error" in line or "terminate" in line), None)
        return (f"{ended}: {telling[:300]}" if telling else ended), killed


async def _answer_to(run_model: RunModel, message: dict[str, Any]) -> tuple[dict[str, Any], ItemError | None]:
    """Return the answer for the process, and the error that ends the request after that answer was sent."""
    try:
        return {"written": await run_model(message)}, None
    except RuntimeError as error:  # OpenVINO's: the process reads on without the model
        return {"failed": str(error)}, None
    except ItemError as error:
        return {"refused": error.message}, error
