"""One running pipeline: admits items, drives them through the graph, sees every one of them to its end."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import aclosing
from time import perf_counter
from typing import Any

from aiostream import streamcontext

from fastembed.pipeline.component import Context, Failure, Resources
from fastembed.pipeline.errors import ItemError, Overloaded, StepFailed, Unavailable
from fastembed.pipeline.graph import Graph
from fastembed.pipeline.item import Ack, Item, Outcome
from fastembed.pipeline.observe import PipelineStats
from fastembed.pipeline.plan import PipelinePlan, StepPlan
from fastembed.pipeline.step import outcome_of
from fastembed.pipeline.tasks import Tasks
from fastembed.pipeline.tracing import tracing

log = logging.getLogger("fastembed.pipeline")

_MAX_IN_FLIGHT = 1024  # items of a source that is pulled: the rest waits where it is


class Pipeline:
    """A pipeline from `open` to the end of `run`; not reusable.

    Every admitted item ends in exactly one outcome. What a transactional sink staged for it is committed (or aborted)
    first, then the pipeline's `on_error` sink learns of a failure, then the source (`Item.on_settled`) and the caller
    (`Reply.close`) learn how it ended.
    """

    def __init__(self, plan: PipelinePlan, resources: Resources | None = None, *, once: bool = False) -> None:
        self.plan = plan
        self.stats = PipelineStats(plan.name)
        self._tracing = tracing(plan.name)
        self._graph = Graph(plan, self.stats, self._tracing)
        self._resources = resources or Resources()
        self._once = once
        self._replayable = self._graph.source.capabilities.replayable
        self._live: dict[Ack, float] = {}
        self._finishing = Tasks(self._crashed)
        self._stop = asyncio.Event()
        self._room = asyncio.Event()
        self._error: BaseException | None = None
        self._seq = 0
        self._run: asyncio.Task[None] | None = None
        self._pulling: asyncio.Task[Any] | None = None

    @property
    def name(self) -> str:
        """Return the pipeline's name in the configuration."""
        return self.plan.name

    @property
    def source(self) -> Any:
        """Return the source component: the server finds its HTTP and websocket sources here."""
        return self._graph.source.instance

    @property
    def exclusive(self) -> bool:
        """Whether it must not run beside its predecessor."""
        return self._graph.source.capabilities.exclusive

    @property
    def sink(self) -> Any:
        """Return the sink component."""
        return self._graph.sink.instance

    async def open(self) -> None:
        """Open the components, sinks first; if one fails those already open are closed again."""
        sink = self._graph.sink.instance
        context = Context(
            pipeline=self.plan.name,
            step="",
            definition=self.plan.definition,
            base=self.plan.base,
            resources=self._resources,
            once=self._once,
            ledger=sink if self._graph.sink.capabilities.entries else None,
            queue=self.plan.source.queue,
            admit=self.admit,
            takes=_taken(self.plan),
        )
        opened = []
        try:
            for part in self._graph.parts:
                opened.append(part)
                await part.open(context)
        except BaseException:
            for part in reversed(opened):
                await part.close()
            raise

    async def run(self) -> None:
        """Run until the source ends or `drain` is called; raises what broke the pipeline itself."""
        self._run = asyncio.current_task()
        try:
            await self._graph.run(self._admitted())
            await self._finishing.join()
        except asyncio.CancelledError:
            if self._error is None:
                raise
        finally:
            self._stop.set()
            await self._abandon()
            await self.close()
        if self._error is not None:
            raise self._error

    async def close(self) -> None:
        """Close the components; `run` does so at its end, this is for a pipeline that was opened and never run."""
        for part in reversed(self._graph.parts):
            await part.close()

    def stop(self) -> None:
        """Admit no more; what has been admitted is still processed. Idempotent."""
        self._stop.set()
        self._room.set()
        if self._pulling is not None:
            self._pulling.cancel()
        self._graph.source.stop()

    async def drain(self, timeout_s: float | None = None) -> None:
        """Stop, wait until everything admitted has ended, or `timeout_s`; what is left then is cancelled."""
        self.stop()
        if self._run is None or self._run.done():
            return
        await asyncio.wait([self._run], timeout=timeout_s)
        if not self._run.done():
            log.warning("%s: cancelled %d items that had not ended when the drain did", self.name, len(self._live))
            self._run.cancel()
            await asyncio.wait([self._run])

    def admit(self, item: Item[Any]) -> None:
        """Count an item in; from now on it ends in exactly one outcome. Admitting twice is admitting once."""
        if item.admitted:
            return
        self._seq += 1
        item.seq = self._seq
        item.ack = ack = Ack(item, self._complete)
        if self.plan.timeout_s is not None and item.deadline is None:
            item.deadline = asyncio.get_running_loop().time() + self.plan.timeout_s
        if self._graph.on_error is not None:
            ack.failures = []
        self._live[ack] = perf_counter()
        self.stats.admitted += 1
        if self._tracing is not None:
            self._tracing.begin(ack)

    async def _admitted(self) -> AsyncIterator[Item[Any]]:
        """Yield the source's items; a source that is pulled waits while too many are on their way."""
        async with aclosing(self._until_stopped()) as items:
            async for item in items:
                pushed = item.admitted  # by the channel that it was pushed into
                self.admit(item)
                if item.key is None and self.plan.source.key is not None and not self._keyed(item):
                    continue
                yield item
                while not pushed and len(self._live) >= _MAX_IN_FLIGHT and not self._stop.is_set():
                    self._room.clear()
                    await self._room.wait()

    def _keyed(self, item: Item[Any]) -> bool:
        """Give the item the key that the source's expression finds; an item that has none is rejected."""
        key = self.plan.source.key
        assert key is not None  # noqa: S101 - the caller asked
        try:
            item.key = str(key.evaluate(item))
        except Exception as error:  # noqa: BLE001 - the runner: an expression that raises ends its item only
            item.settle(outcome_of(error), error, self.plan.source.id)
            return False
        return True

    async def _until_stopped(self) -> AsyncGenerator[Item[Any], None]:
        """Yield the source's items until it ends. One with no `stop` of its own is interrupted where it waits."""
        source = self._graph.source
        interruptible = not source.capabilities.stop
        async with streamcontext(source.call()) as pulled:
            while not (interruptible and self._stop.is_set()):
                self._pulling = asyncio.current_task() if interruptible else None
                try:
                    item = await anext(pulled)
                except StopAsyncIteration:
                    return
                except asyncio.CancelledError:
                    if self._pulling is None or not self._stop.is_set():
                        raise
                    self._pulling.uncancel()
                    return
                finally:
                    self._pulling = None
                yield item

    def _complete(self, ack: Ack) -> None:
        """Take the end of an item; what needs no waiting is done at once."""
        self._defer(ack)
        if ack.participants or (self._graph.on_error is not None and _is_bad(ack.outcome)):
            self._finishing.start(self._finish(ack), name=f"{self.name}:finish")
        else:
            self._report(ack)

    async def _finish(self, ack: Ack) -> None:
        """Commit or abort what sinks hold for an item, tell `on_error`, then the source."""
        if ack.outcome in (Outcome.DELIVERED, Outcome.FILTERED):
            await self._commit(ack)
            self._defer(ack)
        else:
            for sink in ack.participants or ():
                await sink.abort(ack.origin)
        if self._graph.on_error is not None and _is_bad(ack.outcome):
            for failure in self._failures(ack):
                await self._send_to_on_error(failure, ack.origin)
            ack.failures = None
        self._report(ack)

    async def _commit(self, ack: Ack) -> None:
        for index, sink in enumerate(ack.participants or ()):
            try:
                await sink.commit(ack.origin)
            except Exception as error:  # noqa: BLE001 - the runner: a commit that fails fails its item
                for rest in (ack.participants or ())[index:]:
                    await rest.abort(ack.origin)
                failed = error if isinstance(error, ItemError) else self._failed(self.plan.sink.id, error)
                ack.outcome, ack.error, ack.step = outcome_of(failed), failed, self.plan.sink.id
                return

    def _defer(self, ack: Ack) -> None:
        """Leave an item to its source, if that can bring it again, when it is the machine that could not do it now."""
        if self._replayable and ack.outcome is Outcome.REJECTED and isinstance(ack.error, Unavailable | Overloaded):
            ack.outcome = Outcome.DEFERRED
            log.warning("%s: item %d is kept for later: %s", self.name, ack.origin.id, ack.error)

    def _failures(self, ack: Ack) -> Iterator[Failure]:
        """Yield what `on_error` is told of an item: the whole of it, or each part that failed.

        The whole: where its source brings it again, and where what became of its other parts was not written either.
        """
        start = self.plan.steps[0].id if self.plan.steps else self.plan.sink.id
        parts = [part for part in ack.failures or () if _is_bad(part.outcome)]
        if self._replayable or ack.participants or not parts:
            resume_at = "" if self._replayable else start
            yield self._failure(ack, ack.step, ack.error, ack.origin_value, resume_at)
            return
        for part in parts:
            before = part.step is None or part.step == self.plan.source.id
            yield self._failure(ack, part.step, part.error, part.value, start if before else part.step or start)

    def _failure(self, ack: Ack, step: str | None, found: BaseException | None, value: Any, resume_at: str) -> Failure:
        error = found if isinstance(found, ItemError) else self._failed(step or "", found)
        return Failure(
            origin=ack.origin,
            origin_value=ack.origin_value,
            step=step or "",
            error=error,
            attempts=getattr(error, "attempts", 1),
            config_hash=self.plan.definition,
            value=value,
            resume_at=resume_at,
        )

    async def _send_to_on_error(self, failure: Failure, origin: Item[Any]) -> None:
        part = self._graph.on_error
        assert part is not None  # noqa: S101 - the caller asked
        item = Item(failure, key=origin.key, meta=origin.meta, trace=origin.trace)
        item.ack = Ack(item, lambda _: None)
        try:
            await part.call(item if part.spec.wants_item else failure)
        except Exception:  # the runner: the item has failed already, and the source must learn how it ended
            log.exception(
                "%s: on_error sink %s failed; the failure it was given: %s", self.name, part.id, failure.error
            )

    def _failed(self, step: str, error: BaseException | None) -> StepFailed:
        return StepFailed(step, error or RuntimeError("no error given"), config_hash=self.plan.definition)

    def _report(self, ack: Ack) -> None:
        """Tell the source and the caller how the item ended."""
        outcome = ack.outcome or Outcome.CANCELLED
        started = self._live.pop(ack, None)
        self.stats.ended(outcome, perf_counter() - started if started is not None else 0.0)
        self._room.set()
        if self._tracing is not None:
            self._tracing.end(ack, outcome)
        origin = ack.origin
        if _is_bad(outcome):
            self._log_end(ack, outcome)
        if origin.on_settled is not None:
            origin.on_settled(outcome, ack.error)
        if origin.reply is not None:
            origin.reply.close(outcome, ack.error)

    def _log_end(self, ack: Ack, outcome: Outcome) -> None:
        """Log a bad end: a failure with its trace; what was refused, and told to its caller, for debugging only."""
        told = outcome is not Outcome.FAILED and ack.origin.reply is not None
        log.log(
            logging.DEBUG if told else logging.WARNING,
            "%s: item %d %s at %s: %s",
            self.name,
            ack.origin.id,
            outcome.value,
            ack.step or "the source",
            ack.error,
            exc_info=ack.error if outcome is Outcome.FAILED and ack.error is not None else None,
            extra={"pipeline": self.name, "item": ack.origin.id, "request": ack.origin.trace, "step": ack.step},
        )

    async def _abandon(self) -> None:
        """End what is still on its way when the pipeline ends before it does."""
        error = Unavailable("found a pipeline that was stopped before the item ended; try again", retry_after_s=1.0)
        self.stats.abandoned += sum(not ack.done for ack in self._live)
        for ack in list(self._live):
            ack.abandon(Outcome.CANCELLED, error)
        await self._finishing.join()

    def _crashed(self, error: BaseException) -> None:
        self._error = self._error or error
        if self._run is not None:
            self._run.cancel()


def _taken(plan: PipelinePlan) -> Any:
    first = plan.steps[0] if plan.steps else None
    return first.component.in_type if isinstance(first, StepPlan) and first.condition is None else Any


def _is_bad(outcome: Outcome | None) -> bool:
    return outcome in (Outcome.FAILED, Outcome.REJECTED, Outcome.EXPIRED)
