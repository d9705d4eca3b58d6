"""The `Failure` records that a pipeline's `on_error` sink receives."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

from fastembed.pipeline.component import Failure
from fastembed.pipeline.errors import ItemError, StepFailed
from fastembed.pipeline.item import Ack, Item, Outcome
from fastembed.pipeline.part import Part
from fastembed.pipeline.plan import PipelinePlan
from fastembed.pipeline.raised import RAISED, component_error

log = logging.getLogger("fastembed.pipeline")


def is_bad(outcome: Outcome | None) -> bool:
    """Whether an outcome goes to the `on_error` sink."""
    return outcome in (Outcome.FAILED, Outcome.REJECTED, Outcome.EXPIRED)


def failed_step(plan: PipelinePlan, step: str, error: BaseException | None) -> StepFailed:
    """Return an item's error for what a step, a sink or the pipeline itself raised."""
    return StepFailed(step, error or RuntimeError("no error given"), config_hash=plan.definition)


class Failures:
    """Makes the failures of one pipeline and hands them to its `on_error` sink."""

    def __init__(self, plan: PipelinePlan, *, replayable: bool) -> None:
        self._plan = plan
        self._replayable = replayable

    async def send(self, ack: Ack, sink: Part) -> None:
        """Write every failure of an item to the `on_error` sink; log a failure that the sink cannot write."""
        for failure in self._failures(ack):
            await self._write(failure, ack.origin, sink)
        ack.failures = None

    def _failures(self, ack: Ack) -> Iterator[Failure]:
        """Yield the failures of an item: one for the whole item, or one for each part that failed.

        The whole: where its source brings it again, and where what became of its other parts was not written either.
        """
        start = self._plan.steps[0].id if self._plan.steps else self._plan.sink.id
        parts = [part for part in ack.failures or () if is_bad(part.outcome)]
        if self._replayable or ack.participants or not parts:
            resume_at = "" if self._replayable else start
            yield self._failure(ack, ack.step, ack.error, ack.origin_value, resume_at)
            return
        for part in parts:
            before = part.step in (None, self._plan.source.id, self._plan.name)
            yield self._failure(ack, part.step, part.error, part.value, start if before else part.step or start)

    def _failure(self, ack: Ack, step: str | None, found: BaseException | None, value: Any, resume_at: str) -> Failure:
        error = found if isinstance(found, ItemError) else failed_step(self._plan, step or "", found)
        return Failure(
            origin=ack.origin,
            origin_value=ack.origin_value,
            step=step or "",
            error=error,
            attempts=getattr(error, "attempts", 1),
            config_hash=self._plan.definition,
            value=value,
            resume_at=resume_at,
        )

    async def _write(self, failure: Failure, origin: Item[Any], sink: Part) -> None:
        item = Item(failure, key=origin.key, meta=origin.meta, trace=origin.trace)
        item.ack = Ack(item, lambda _: None)
        try:
            await sink.call(item if sink.spec.wants_item else failure)
            if sink.capabilities.transactional:
                await sink.instance.commit(item)
        except RAISED as error:  # the runner: the item has failed already, and the source must learn how it ended
            component_error(error)
            text = "%s: on_error sink %s failed; the failure it was given: %s"
            log.exception(text, self._plan.name, sink.id, failure.error)
