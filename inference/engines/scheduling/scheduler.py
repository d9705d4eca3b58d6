"""The batcher on an event loop: requests wait in it, a model's engine runs its batches."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, Generic, Protocol, TypeVar

from fastembed.inference.engines.scheduling.batcher import Batcher, BatchLimits, ModelBatch, QueueEntry
from fastembed.pipeline.errors import Expired, Unavailable

P = TypeVar("P")
P_contra = TypeVar("P_contra", contravariant=True)
R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)


class BatchEngine(Protocol[P_contra, R_co]):
    """Computes batches off the event loop."""

    def start(self, payloads: Sequence[P_contra], done: Callable[[Any, Exception | None], None]) -> None:
        """Begin and return at once; call `done(results, None)` or `done(None, error)` once, from any thread."""


class _Submission(Generic[P, R]):
    """The inputs of one `run` call and what has become of them."""

    __slots__ = ("entries", "left", "places", "results", "waiter")

    def __init__(self, entries: list[QueueEntry[P]], waiter: asyncio.Future[list[R]]) -> None:
        self.entries = entries
        self.places = {entry.order: place for place, entry in enumerate(entries)}
        self.results: list[Any] = [None] * len(entries)  # R once computed
        self.left = len(entries)
        self.waiter = waiter


class Scheduler(Generic[P, R]):
    """Shares one engine between all requests of the process: see `Batcher` for who runs when.

    Everything but the engine runs on the event loop that calls `run`.
    """

    def __init__(self, engine: BatchEngine[P, R], limits: BatchLimits | None = None, *, stall_s: float = 120.0) -> None:
        """Serve `engine`. stall_s: a batch that takes longer hangs: it fails, and its place stays taken."""
        self._engine = engine
        self._stall_s = stall_s
        # From a running batch to its alarm. Whoever takes the batch out first (its end, or the alarm) speaks for it;
        # the other finds nothing. So a hung call that ends after all changes nothing any more.
        self._running: dict[int, asyncio.TimerHandle] = {}
        self.batcher: Batcher[P] = Batcher(limits)
        self._submissions: dict[int, _Submission[P, R]] = {}
        self._pumping: asyncio.Handle | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._drained: asyncio.Event | None = None

    async def run(
        self,
        payloads: Sequence[P],
        costs: Sequence[int],
        *,
        priority: int = 0,
        deadline: float | None = None,
        max_batch: int | None = None,
    ) -> list[R]:
        """Return the results in the order of the payloads.

        deadline: loop time. Raises Overloaded, Unavailable, Expired, or what the engine raised for one of them.
        Cancelling the awaiting task frees its places at once.
        """
        if not payloads:
            return []
        loop = asyncio.get_running_loop()
        entries = self.batcher.submit(
            payloads, costs, loop.time(), priority=priority, deadline=deadline, max_batch=max_batch
        )
        submission: _Submission[P, R] = _Submission(entries, loop.create_future())
        for entry in entries:
            self._submissions[entry.order] = submission
        self._pump_soon(loop)
        try:
            return await submission.waiter
        finally:
            # Cancelled, or one of its inputs has failed: the places of the others are free for callers who still wait.
            if submission.left:
                self._abandon(submission)

    async def close(self) -> None:
        """Admit nothing more and return when everything admitted has ended."""
        self.batcher.close()
        if not self.batcher.idle:
            self._drained = asyncio.Event()
            await self._drained.wait()
        if self._timer:
            self._timer.cancel()

    def _pump_soon(self, loop: asyncio.AbstractEventLoop) -> None:
        """Pump at the end of this turn of the loop, so that everything submitted in one turn may share a batch."""
        if self._pumping is None:
            self._pumping = loop.call_soon(self._pump)

    def _pump(self) -> None:
        self._pumping = None
        loop = asyncio.get_running_loop()
        for entry in self.batcher.expire(loop.time()):
            waited_s = loop.time() - entry.submitted
            self._fail(entry, Expired(f"the deadline passed after {waited_s:.3f} s in the model's queue"))
        while batch := self.batcher.take(loop.time()):
            self._start(batch, loop)
        self._rearm(loop)
        if self._drained and self.batcher.idle:
            self._drained.set()

    def _rearm(self, loop: asyncio.AbstractEventLoop) -> None:
        # One timer for the next thing that only time decides (a deadline, the end of lingering), armed anew after each
        # pump; one that is right already stays, since cancelled timers pile up in the loop's heap.
        wake_at = self.batcher.wake_at(loop.time())
        if self._timer and self._timer.when() != wake_at:
            self._timer.cancel()
            self._timer = None
        if wake_at is not None and (self._timer is None or self._timer.cancelled()):
            self._timer = loop.call_at(wake_at, self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        self._pump()

    def _start(self, batch: ModelBatch[P], loop: asyncio.AbstractEventLoop) -> None:
        def done(results: Sequence[R] | None, error: Exception | None) -> None:
            loop.call_soon_threadsafe(self._ended, batch, results, error)

        # A call that hangs cannot be interrupted, and the engine's own place for it stays taken. Its callers must not
        # wait with it: they get 503, which the breaker counts, so that soon no call is sent there.
        hung = Unavailable(f"the device has not answered for {self._stall_s:g} s", retry_after_s=1.0)
        self._running[id(batch)] = loop.call_later(self._stall_s, self._ended, batch, None, hung)

        try:
            self._engine.start([entry.payload for entry in batch.entries], done)
        except Exception as error:  # noqa: BLE001 - whatever the engine raises is the batch's failure, not the loop's
            loop.call_soon(self._ended, batch, None, error)

    def _ended(self, batch: ModelBatch[P], results: Sequence[R] | None, error: Exception | None) -> None:
        watch = self._running.pop(id(batch), None)
        if watch is None:  # it hung, and comes too late
            return
        watch.cancel()
        if results is None:
            for entry in self.batcher.fail(batch):
                self._fail(entry, error or RuntimeError("the engine gave neither results nor an error"))
        else:
            wanted = self.batcher.complete(batch, asyncio.get_running_loop().time())
            if len(wanted) == len(batch.entries):
                for entry, result in zip(wanted, results, strict=True):
                    self._deliver(entry, result)
            else:
                place = {entry.order: index for index, entry in enumerate(batch.entries)}
                for entry in wanted:
                    self._deliver(entry, results[place[entry.order]])
        self._pump()

    def _deliver(self, entry: QueueEntry[P], result: R) -> None:
        submission = self._submissions.pop(entry.order)
        submission.results[submission.places[entry.order]] = result
        submission.left -= 1
        if not submission.left and not submission.waiter.done():
            submission.waiter.set_result(submission.results)

    def _fail(self, entry: QueueEntry[P], error: Exception) -> None:
        """One failed input fails its submission; the others of that submission are given up."""
        waiter = self._submissions[entry.order].waiter
        if not waiter.done():
            waiter.set_exception(error)

    def _abandon(self, submission: _Submission[P, R]) -> None:
        for entry in submission.entries:
            if self._submissions.pop(entry.order, None):
                self.batcher.cancel(entry)
        if self._drained or self._timer:
            self._pump_soon(asyncio.get_running_loop())
