"""Settles items: what sinks staged is committed or aborted, then everybody who waits learns how the item ended.

Theory of operation. When nothing derived from an item is in the graph any more its ack calls `complete`, once. Most
items end there, in the same turn of the event loop (`_report`). Only where something must be awaited, a commit or the
`on_error` sink, does a task take over (`_finish`). The order is fixed, since each step may rely on the one before:

    commit or abort      the rows, and the ledger row with them, are there or are not
    on_error             the dead letter, or the move of the failed file
    Item.on_settled      the source: it forgets the item, or brings it again
    Reply.close          the caller: what was answered is durable by then

A crash between two of these lines costs no item: a source that is `replayable` compares itself with the ledger at its
next start, and what was committed is done there, whoever has not been told.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from time import perf_counter
from typing import Any

from fastembed.pipeline.errors import ItemError, Overloaded, StepFailed, Unavailable
from fastembed.pipeline.failures import Failures, failed_step, is_bad
from fastembed.pipeline.graph import Graph
from fastembed.pipeline.item import Ack, Outcome
from fastembed.pipeline.observe import PipelineStats
from fastembed.pipeline.plan import PipelinePlan
from fastembed.pipeline.raised import RAISED, component_error
from fastembed.pipeline.step import outcome_of
from fastembed.pipeline.tasks import Tasks
from fastembed.pipeline.tracing import Tracing

log = logging.getLogger("fastembed.pipeline")


class Settlement:
    """Ends the items of one run. live: the items that have not ended, each with the time of its admission.

    ended: set whenever one has. on_crash(error) learns of a defect in here, which no item is to blame for.
    """

    def __init__(
        self,
        plan: PipelinePlan,
        graph: Graph,
        stats: PipelineStats,
        tracing: Tracing | None,
        on_crash: Callable[[BaseException], None],
    ) -> None:
        self.live: dict[Ack, float] = {}
        self.ended = asyncio.Event()
        self.name = plan.name
        self._plan = plan
        self._stats = stats
        self._tracing = tracing
        self._on_error = graph.on_error
        self._replayable = graph.source.capabilities.replayable
        self._failures = Failures(plan, replayable=self._replayable)
        self._finishing = Tasks(on_crash)

    async def join(self) -> None:
        """Wait until every item whose end is under way has ended."""
        await self._finishing.join()

    def complete(self, ack: Ack) -> None:
        """Handle the end of an item: at once where nothing must be awaited, else in a task."""
        # Called from inside whichever stage settled the last derived item: it must not raise, and must not wait.
        self._defer(ack)
        if ack.participants or (self._on_error is not None and is_bad(ack.outcome)):
            self._finishing.start(self._finish(ack), name=f"{self.name}:finish")
        else:
            self._report(ack)

    async def _finish(self, ack: Ack) -> None:
        """Commit or abort what sinks staged of an item, write failures to `on_error`, then notify the source."""
        # FILTERED commits as well: an arm with a sink of its own may have staged rows of an item that ended so.
        if ack.outcome in (Outcome.DELIVERED, Outcome.FILTERED):
            await self._commit(ack)  # `kill -9` before it returns: all of it or nothing, see the sink
            self._defer(ack)  # again: a commit may have failed by the machine's fault (a full disk)
        else:
            await self._abort(ack, ack.participants or ())
        if self._on_error is not None and is_bad(ack.outcome):
            await self._failures.send(ack, self._on_error)
        self._report(ack)

    async def _commit(self, ack: Ack) -> None:
        for index, sink in enumerate(ack.participants or ()):
            try:
                await sink.commit(ack.origin)
            except RAISED as raised:  # the runner: a commit that fails fails its item
                error = component_error(raised)
                # Sinks before this one have committed and stay so; two sinks share no transaction. The item counts as
                # failed. If its source brings it again they replace what they wrote, which is what makes a sink
                # transactional: its rows belong to the item, by name, not to the attempt.
                await self._abort(ack, (ack.participants or ())[index:])
                failed = error if isinstance(error, ItemError) else failed_step(self._plan, self._plan.sink.id, error)
                ack.outcome, ack.error, ack.step = outcome_of(failed), failed, self._plan.sink.id
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
        # Unavailable and Overloaded are faults of the machine (see the error tree). A source that cannot bring the item
        # again has to tell its caller now; one that can would lose a good file to a bad hour.
        if self._replayable and ack.outcome is Outcome.REJECTED and isinstance(ack.error, Unavailable | Overloaded):
            ack.outcome = Outcome.DEFERRED
            log.warning("%s: item %d is kept for later: %s", self.name, ack.origin.id, ack.error)

    def _report(self, ack: Ack) -> None:
        """Notify the source and the caller of the item's outcome."""
        # Taken out of `live` before anybody is told: who is told may stop the pipeline, which settles what is in there.
        outcome = ack.outcome or Outcome.CANCELLED
        started = self.live.pop(ack, None)
        self._stats.ended(outcome, perf_counter() - started if started is not None else 0.0)
        self.ended.set()
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
