"""One running pipeline: admits items, drives them through the graph, settles every one."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from time import perf_counter
from typing import Any

from aiostream import streamcontext

from fastembed.pipeline.component import Context, Progress, Resources
from fastembed.pipeline.errors import FastEmbedError, Unavailable
from fastembed.pipeline.failures import failed_step
from fastembed.pipeline.graph import Graph
from fastembed.pipeline.item import Ack, Item, Outcome
from fastembed.pipeline.observe import PipelineStats
from fastembed.pipeline.part import Part
from fastembed.pipeline.plan import PipelinePlan, StepPlan
from fastembed.pipeline.raised import RAISED, as_exception, component_error
from fastembed.pipeline.settlement import Settlement
from fastembed.pipeline.step import outcome_of
from fastembed.pipeline.tracing import tracing

log = logging.getLogger("fastembed.pipeline")

_MAX_IN_FLIGHT = 1024  # items of a source that is pulled, where it declares no `queue`: the rest waits where it is


class Pipeline:
    """A pipeline from `open` to the end of `run`; not reusable.

    Every admitted item ends in exactly one outcome (`fastembed.pipeline.settlement` says in which order who learns it).

    Theory of operation. `_admitted` feeds the graph; `_live` holds the ack of every admitted item until it has ended.
    Four things end a run:

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
        self._settlement = Settlement(plan, self._graph, self.stats, self._tracing, self._crashed)
        self._live = self._settlement.live
        self._room = self._settlement.ended
        self._stop = asyncio.Event()
        self._error: BaseException | None = None
        self._crash: BaseException | None = None
        self.opened = self._ending = False
        self._seq = 0  # of the item that was admitted last; acks and logs are in this order
        self._entered = 0  # seq of the last item that went into the graph: what came later still waits in a channel
        queue = plan.source.queue.max_items if "queue" in plan.source.declared else None
        self._most = queue or _MAX_IN_FLIGHT
        self._pulled = False  # whether the source gave an item by itself: then a new run may repeat it, see `final`
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
                # Noted before it is opened: a part that fails half-way, or is cancelled there, may hold something.
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
            await self._settlement.join()
        except asyncio.CancelledError:
            # Either `run` was cancelled from outside, or by `_crashed`: a task of the settlement failed and has no
            # other way to interrupt this one. Only the second is taken back (`cancelling` would stay above 0, and
            # errors of components would be taken for cancellations from then on); the crash is raised below.
            if self._crash is None or self._run is None:
                raise
            self._run.uncancel()
        except Exception as error:  # noqa: BLE001 - the runner: raised again below, when every item has ended
            self._crash = self._crash or error
        finally:
            # The order matters. `_ending` first: from here on a crash must not cancel this task, which alone still
            # settles items. Then what is left is settled, which may write to sinks. Then the sinks close.
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
        # Three places where the source's side may wait, each woken in its own way: the pause for room in `_admitted`, a
        # generator that knows no `stop` and is asked for its next item (cancelled), a source with a `stop`.
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
        # No await below, so there is no moment at which an item is counted and could not be settled.
        if item.admitted:
            return
        self._seq += 1
        item.seq = self._seq
        item.ack = ack = Ack(item, self._settlement.complete)
        if self.plan.timeout_s is not None and item.deadline is None:
            item.deadline = asyncio.get_running_loop().time() + self.plan.timeout_s
        if self._graph.on_error is not None:
            ack.failures = []  # else None: nothing is kept of failed values that no dead letter will hold
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
                    continue  # it has ended as rejected
                yield item
                # A channel bounds what is pushed. A source that is pulled would be read to its end, so it pauses here
                # until items have ended; `stop` sets `_room` so that the pause ends as well.
                while not pushed and len(self._live) >= self._most and not self._stop.is_set():
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
                # Set only while this task waits in `anext`: a cancellation anywhere else would cut an item short.
                self._pulling = asyncio.current_task() if interruptible else None
                try:
                    item = await anext(pulled)
                except StopAsyncIteration:
                    return
                except RAISED as error:  # the runner: `run` raises it at its end
                    # `stop` cancels the task that waits in `anext`, and only then: that one is taken back. Any other
                    # cancellation is one of `run` (`component_error` raises it again) or the source's own mistake.
                    if isinstance(error, asyncio.CancelledError) and self._pulling and self._stop.is_set():
                        self._pulling.uncancel()
                    else:
                        self._error = as_exception(component_error(error))
                    return
                finally:
                    self._pulling = None
                yield item

    async def _abandon(self) -> None:
        """Settle the items that are still in the graph when the pipeline ends before them.

        What a graph that crashed had taken in has failed, and goes to `on_error`. What still waited is its source's.
        """
        stopped = Unavailable("the pipeline was stopped before the item ended; try again", retry_after_s=1.0)
        self.stats.abandoned += sum(not ack.done for ack in self._live)
        # A copy: settling takes items out of `_live`. An ack that is done already (its commit is under way) takes no
        # notice; `join` waits for it. `abandon` sets the count to one, so derived items that are still referenced by a
        # dead stage settle into nothing.
        for ack in list(self._live):
            if self._crash is not None and ack.origin.seq <= self._entered:
                ack.abandon(Outcome.FAILED, failed_step(self.plan, self.name, self._crash), self.name)
            else:
                ack.abandon(Outcome.CANCELLED, stopped)
        await self._settlement.join()

    def _crashed(self, error: BaseException) -> None:
        """End the run after a defect in the settlement; the first one is what `run` raises."""
        self._crash = self._crash or error
        if self._run is not None and not self._ending:
            self._run.cancel()


def _taken(plan: PipelinePlan) -> Any:
    first = plan.steps[0] if plan.steps else None
    return first.component.in_type if isinstance(first, StepPlan) and first.condition is None else Any
