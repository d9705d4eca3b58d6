"""One running pipeline: admits items, drives them through the graph, settles every one."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Iterable
from contextlib import aclosing
from time import perf_counter
from typing import Any

from aiostream import streamcontext

from fastembed.pipeline.component import Context, Progress, Resources
from fastembed.pipeline.errors import FastEmbedError, ItemError, Overloaded, StepFailed, Unavailable
from fastembed.pipeline.failures import Failures, failed_step, is_bad
from fastembed.pipeline.graph import Graph
from fastembed.pipeline.item import Ack, Item, Outcome
from fastembed.pipeline.observe import PipelineStats
from fastembed.pipeline.part import Part
from fastembed.pipeline.plan import PipelinePlan, StepPlan
from fastembed.pipeline.raised import RAISED, as_exception, component_error
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

    Theory of operation. `_admitted` feeds the graph; `_live` holds the ack of every admitted item. When an ack's count
    falls to zero it calls `_complete`, which ends the item at once (`_report`), or, if sinks or `on_error` have to be
    awaited, in a task (`_finish`). Four things end a run:

        the source ends        the graph drains, `run` returns
        `stop` or `drain`      the source is told or interrupted, then as above; after the timeout `run` is cancelled
        the source raises      `_error`: the graph drains, then `run` raises it
        a stage raises         `_crash`: nothing in the graph can be trusted to settle, so `_abandon` fails it all
    """

    def __init__(
        self,
        plan: PipelinePlan,
        resources: Resources | None = None,
        *,
        once: bool = False,
        stats: PipelineStats | None = None,
    ) -> None:
        self.plan = plan
        self.stats = stats or PipelineStats(plan.name)
        self._tracing = tracing(plan.name)
        self._graph = Graph(plan, self.stats, self._tracing)
        self._resources = resources or Resources()
        self._once = once
        self._replayable = self._graph.source.capabilities.replayable
        self._failures = Failures(plan, replayable=self._replayable)
        self._live: dict[Ack, float] = {}
        self._finishing = Tasks(self._crashed)
        self._stop = asyncio.Event()
        self._room = asyncio.Event()
        self._error: BaseException | None = None
        self._crash: BaseException | None = None
        self.opened = self._ending = False
        self._seq = 0
        self._entered = 0
        self._pulled = False
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
    def progress(self) -> Progress | None:
        """Return how far the source is, if it tells."""
        return self._graph.source.progress()

    @property
    def started(self) -> bool:
        """Whether `run` was called."""
        return self._run is not None

    @property
    def broken(self) -> bool:
        """Whether something other than an item's own error ended it."""
        return self._error is not None

    @property
    def final(self) -> str:
        """Return why a broken pipeline must not be rebuilt (its source would repeat items); "" if it may be."""
        declared = self._graph.source.capabilities
        if self._once:
            return "it runs once only"
        if self._pulled and not declared.replayable and not declared.resumes:
            return f"{self.plan.source.id} would repeat items that were processed: it is neither replayable nor resumes"
        return ""

    def anew(self) -> Pipeline:
        """Return a new pipeline of the same plan, which continues the counters of this broken one."""
        return Pipeline(self.plan, self._resources, once=self._once, stats=self.stats.restarted())

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
                await self._open(part, context)
        except BaseException:  # raised again, cancellation too: what is open already must be closed
            await self._close(opened)
            raise
        self.opened = True

    async def _open(self, part: Part, context: Context) -> None:
        try:
            await part.open(context)
        except RAISED as raised:  # the runner: a component may raise anything; whoever reads it has to know which did
            error = component_error(raised)
            if isinstance(error, FastEmbedError):
                raise
            text = f"{self.name}: {part.id} cannot be opened: {type(error).__name__}: {error}"
            raise FastEmbedError(text) from error

    async def run(self) -> None:
        """Run until the source ends or `drain` is called; raises what broke the pipeline itself.

        A source that raises ends the pipeline when what it has given has ended. A stage that raises fails what is on
        its way in the graph: nobody knows how far that came.
        """
        self._run = asyncio.current_task()
        try:
            await self._graph.run(self._admitted())
            await self._finishing.join()
        except asyncio.CancelledError:
            # Either somebody cancelled `run`, or `_crashed` did: a task of `_finishing` failed and has no other way to
            # interrupt this one. Only the second is taken back; the crash is raised below.
            if self._crash is None or self._run is None:
                raise
            self._run.uncancel()
        except Exception as error:  # noqa: BLE001 - the runner: raised again below, when every item has ended
            self._crash = self._crash or error
        finally:
            # First settle what is left (this may still write to sinks), then close the sinks.
            self._ending = True
            self._stop.set()
            await self._abandon()
            await self.close()
        self._error = self._error or self._crash
        if self._error is not None:
            raise self._error

    async def close(self) -> None:
        """Close the components; `run` does so at its end, this is for a pipeline that was opened and never run."""
        await self._close(self._graph.parts)

    async def _close(self, parts: list[Part]) -> None:
        for part in reversed(parts):
            try:
                await part.close()
            except RAISED as error:  # the runner: the others have to be closed all the same
                closing = component_error(error)
                trace = None if isinstance(closing, FastEmbedError) else closing
                log.log(logging.ERROR, "%s: closing %s failed: %s", self.name, part.id, closing, exc_info=trace)

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
        """Admit an item: from now on it ends in exactly one outcome. Idempotent."""
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
            async for given in items:
                item: Item[Any] = given if isinstance(given, Item) else Item(given)
                pushed = item.admitted  # by the channel that it was pushed into
                if not pushed:
                    self.admit(item)
                    self._pulled = True
                self._entered = item.seq  # items up to here are in the graph: see `_abandon`
                if item.key is None and self.plan.source.key is not None and not self._keyed(item):
                    continue
                yield item
                # A channel bounds what is pushed. A source that is pulled would be read to its end, so it pauses here
                # until items have ended; `stop` sets `_room` so that the pause ends as well.
                while not pushed and len(self._live) >= _MAX_IN_FLIGHT and not self._stop.is_set():
                    self._room.clear()
                    await self._room.wait()

    def _keyed(self, item: Item[Any]) -> bool:
        """Set the item's key by the source's expression; reject an item for which that raises."""
        key = self.plan.source.key
        assert key is not None  # noqa: S101 - the caller asked
        try:
            item.key = str(key.evaluate(item))
        except Exception as error:  # noqa: BLE001 - the runner: an expression that raises ends its item only
            item.settle(outcome_of(error), error, self.plan.source.id)
            return False
        return True

    async def _until_stopped(self) -> AsyncGenerator[Any, None]:
        """Yield the source's items until it ends or raises; its error breaks the pipeline after these items have ended.

        A source with no `stop` of its own is interrupted where it waits.
        """
        source = self._graph.source
        interruptible = not source.capabilities.stop
        async with streamcontext(source.call()) as pulled:
            while not (interruptible and self._stop.is_set()):
                self._pulling = asyncio.current_task() if interruptible else None
                try:
                    item = await anext(pulled)
                except StopAsyncIteration:
                    return
                except RAISED as error:  # the runner: `run` raises it at its end
                    # `stop` cancels the task that waits in `anext`, and only then; any other cancellation is not ours.
                    if isinstance(error, asyncio.CancelledError) and self._pulling and self._stop.is_set():
                        self._pulling.uncancel()
                    else:
                        self._error = as_exception(component_error(error))
                    return
                finally:
                    self._pulling = None
                yield item

    def _complete(self, ack: Ack) -> None:
        """Handle the end of an item: at once where nothing must be awaited, else in a task."""
        self._defer(ack)
        if ack.participants or (self._graph.on_error is not None and is_bad(ack.outcome)):
            self._finishing.start(self._finish(ack), name=f"{self.name}:finish")
        else:
            self._report(ack)

    async def _finish(self, ack: Ack) -> None:
        """Commit or abort what sinks staged of an item, write failures to `on_error`, then notify the source."""
        if ack.outcome in (Outcome.DELIVERED, Outcome.FILTERED):
            await self._commit(ack)
            self._defer(ack)  # again: a commit may have failed by the machine's fault (a full disk)
        else:
            await self._abort(ack, ack.participants or ())
        if self._graph.on_error is not None and is_bad(ack.outcome):
            await self._failures.send(ack, self._graph.on_error)
        self._report(ack)

    async def _commit(self, ack: Ack) -> None:
        for index, sink in enumerate(ack.participants or ()):
            try:
                await sink.commit(ack.origin)
            except RAISED as raised:  # the runner: a commit that fails fails its item
                error = component_error(raised)
                # Sinks before this one have committed and stay so; two sinks share no transaction.
                await self._abort(ack, (ack.participants or ())[index:])
                failed = error if isinstance(error, ItemError) else failed_step(self.plan, self.plan.sink.id, error)
                ack.outcome, ack.error, ack.step = outcome_of(failed), failed, self.plan.sink.id
                return

    async def _abort(self, ack: Ack, sinks: Iterable[Any]) -> None:
        """Call `abort` of the sinks that staged an item."""
        for sink in sinks:
            try:
                await sink.abort(ack.origin)
            except RAISED as error:  # the runner: the item has failed already, and the source must learn how it ended
                component_error(error)
                log.exception("%s: a sink could not abort what came of item %d", self.name, ack.origin.id)

    def _defer(self, ack: Ack) -> None:
        """Defer an item whose failure is the machine's fault, if its source can bring it again."""
        if self._replayable and ack.outcome is Outcome.REJECTED and isinstance(ack.error, Unavailable | Overloaded):
            ack.outcome = Outcome.DEFERRED
            log.warning("%s: item %d is kept for later: %s", self.name, ack.origin.id, ack.error)

    def _report(self, ack: Ack) -> None:
        """Notify the source and the caller of the item's outcome."""
        outcome = ack.outcome or Outcome.CANCELLED
        started = self._live.pop(ack, None)
        self.stats.ended(outcome, perf_counter() - started if started is not None else 0.0)
        self._room.set()
        if self._tracing is not None:
            self._tracing.end(ack, outcome)
        origin = ack.origin
        if is_bad(outcome):
            self._log_end(ack, outcome)
        if origin.on_settled is not None:
            try:
                origin.on_settled(outcome, ack.error)
            except Exception:  # the runner: a source that fails to take note must not break the stage that ended it
                log.exception("%s: the source failed to learn how item %d ended", self.name, origin.id)
        if origin.reply is not None:
            origin.reply.close(outcome, ack.error)

    def _log_end(self, ack: Ack, outcome: Outcome) -> None:
        """Log a bad end: a failure with its trace; what was refused, and told to its caller, for debugging only."""
        caller_knows = outcome is not Outcome.FAILED and ack.origin.reply is not None
        level = logging.DEBUG if caller_knows else logging.WARNING
        log.log(
            level,
            "%s: item %d %s at %s: %s",
            self.name,
            ack.origin.id,
            outcome.value,
            ack.step or "the source",
            ack.error,
            exc_info=ack.error if outcome is Outcome.FAILED and ack.error is not None else None,
            extra={"pipeline": self.name, "item": ack.origin.id, "request": ack.origin.trace, "step": ack.step},
        )
        if isinstance(ack.error, StepFailed):
            ack.error.traced = outcome is Outcome.FAILED and log.isEnabledFor(level)

    async def _abandon(self) -> None:
        """Settle the items that are still in the graph when the pipeline ends before them.

        What a graph that crashed had taken in has failed, and goes to `on_error`. What still waited is its source's.
        """
        stopped = Unavailable("the pipeline was stopped before the item ended; try again", retry_after_s=1.0)
        self.stats.abandoned += sum(not ack.done for ack in self._live)
        for ack in list(self._live):
            if self._crash is not None and ack.origin.seq <= self._entered:
                ack.abandon(Outcome.FAILED, failed_step(self.plan, self.name, self._crash), self.name)
            else:
                ack.abandon(Outcome.CANCELLED, stopped)
        await self._finishing.join()

    def _crashed(self, error: BaseException) -> None:
        self._crash = self._crash or error
        if self._run is not None and not self._ending:
            self._run.cancel()


def _taken(plan: PipelinePlan) -> Any:
    first = plan.steps[0] if plan.steps else None
    return first.component.in_type if isinstance(first, StepPlan) and first.condition is None else Any
