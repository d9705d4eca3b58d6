"""Resumes failed items at the step where they failed, in a pipeline of that step and those after it.

The running pipeline is left alone: a second one is made of its remaining steps and sink, which shares the process's
resources (models, databases) with it, and ends with its items. What fails again goes to `on_error` again.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from fastembed.pipeline.component import Resources, source
from fastembed.pipeline.item import Item, Outcome
from fastembed.pipeline.plan import ForkPlan, PipelinePlan, SinkPlan, SourcePlan, Step, StepPlan
from fastembed.pipeline.policy import QueuePolicy
from fastembed.pipeline.runner import Pipeline
from fastembed.pipeline.spec import describe


@dataclass(slots=True)
class Resumption:
    """A failed item to resume. step: where. outcome, error: how it ended this time."""

    value: Any
    step: str
    key: str | None = None
    time: float | None = None
    meta: Mapping[str, Any] = field(default_factory=dict)
    trace: str | None = None
    outcome: Outcome | None = None
    error: BaseException | None = None


@source
class Resumed:
    """A source of the items to resume."""

    def __init__(self, resumptions: Sequence[Resumption]) -> None:
        """Store the items to yield."""
        self._resumptions = resumptions

    async def items(self) -> AsyncIterator[Item[Any]]:
        """Yield each once."""
        for resumption in self._resumptions:
            yield Item(
                resumption.value,
                key=resumption.key,
                event_time=resumption.time,
                meta=resumption.meta,
                trace=resumption.trace,
                reply=_Nobody(),
                on_settled=_note(resumption),
            )


async def resume(plan: PipelinePlan, resources: Resources, resumptions: Sequence[Resumption]) -> None:
    """Put items back and wait until all have ended; each `Resumption` learns how.

    LookupError: the pipeline has no such step (`can_resume`). Raises what a component raises when it is opened.
    """
    for step in dict.fromkeys(resumption.step for resumption in resumptions):
        some = [resumption for resumption in resumptions if resumption.step == step]
        pipeline = Pipeline(_from(plan, step, some), resources, once=True)
        await pipeline.open()
        await pipeline.run()


def can_resume(plan: PipelinePlan, step: str) -> bool:
    """Whether the pipeline has a step, or a sink, of this id."""
    return _rest(plan.steps, plan.sink, step) is not None


def _from(plan: PipelinePlan, step: str, resumptions: Sequence[Resumption]) -> PipelinePlan:
    steps, sink = _rest(plan.steps, plan.sink, step) or ((), None)
    if sink is None:
        raise LookupError(step)
    origin = SourcePlan(
        plan.source.id,
        describe(Resumed, "resumed"),
        {"resumptions": resumptions},
        QueuePolicy(),
        plan.source.key,
        plan.source.place,
    )
    return replace(plan, source=origin, steps=steps, sink=sink)


def _rest(
    steps: tuple[Step, ...], sink: SinkPlan | None, wanted: str
) -> tuple[tuple[Step, ...], SinkPlan | None] | None:
    """Return the steps from the wanted one on, and the sink behind them; None: it is not among these.

    sink: where these steps end, None for a branch whose items flow on behind it.
    """
    for index, step in enumerate(steps):
        if step.id == wanted:
            return steps[index:], sink
        if isinstance(step, StepPlan):
            continue
        for branch in step.branches:
            found = _rest(branch.steps, branch.sink, wanted)
            if found is None:
                continue
            if isinstance(step, ForkPlan) and step.join == "all":  # its branches meet again: all of them run
                return steps[index:], sink
            rest, end = found
            return (rest, end) if end is not None else ((*rest, *steps[index + 1 :]), sink)
    return ((), sink) if sink is not None and sink.id == wanted else None


class _Nobody:
    """The reply of a resumed item, whose caller has left: discards results."""

    def send_nowait(self, value: object) -> bool:  # noqa: ARG002 - results are discarded
        """Discard the result."""
        return True

    async def send(self, value: object) -> None:
        """Discard the result."""

    def close(self, outcome: Outcome, error: BaseException | None) -> None:
        """Do nothing: there is no caller to notify."""


def _note(resumption: Resumption) -> Any:
    def settled(outcome: Outcome, error: BaseException | None) -> None:
        resumption.outcome, resumption.error = outcome, error

    return settled
