"""A pipeline's delivery guarantee and order, derived from the declarations of its components.

What counts is `replayable` and `order` of the source, `transactional` of the sinks (`fastembed.pipeline.capabilities`).

A replayable source with transactional sinks only gives exactly once, with any other sink at least once. Whatever may
lose an item on purpose (a source that cannot repeat, an overflow that drops, `latest`, `on_error: skip`) gives at most
once.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal

from fastembed.pipeline.component import OperatorKind
from fastembed.pipeline.plan import Branch, ForkPlan, PipelinePlan, RoutePlan, SinkPlan, Step, StepPlan
from fastembed.pipeline.policy import Order

Delivery = Literal["exactly once", "at least once", "at most once"]

_ORDER_TEXT: Final[dict[Order, str]] = {"strict": "", "key": ", in key order", "none": ", unordered"}
_LOOSENESS: Final[dict[Order, int]] = {"strict": 0, "key": 1, "none": 2}


@dataclass(frozen=True, slots=True)
class Guarantee:
    """How often an item is delivered and in which order; reasons: why it is no more than that."""

    delivery: Delivery
    order: Order
    reasons: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.delivery}{_ORDER_TEXT[self.order]}"


def guarantee(plan: PipelinePlan) -> Guarantee:
    """Return the pipeline's delivery guarantee, its order and the reasons for them."""
    losses = tuple(_losses(plan))
    repeats = tuple(_repeats(plan))
    delivery: Delivery = "at most once" if losses else "at least once" if repeats else "exactly once"
    return Guarantee(delivery, _order(plan), losses or repeats)


def _losses(plan: PipelinePlan) -> Iterator[str]:
    source = plan.source
    if not source.component.capabilities.replayable:
        yield f"{source.id} cannot repeat an item after a restart"
    if source.queue.overflow in ("drop_oldest", "drop_newest"):
        yield f"{source.id}: overflow {source.queue.overflow}"
    for step in operators(plan.steps):
        if step.latest is not None:
            yield f"{step.id}: a newer item replaces a waiting one (latest)"
        if step.on_error == "skip":
            yield f"{step.id}: on_error skip drops what fails"
        if step.queue is not None and step.queue.overflow in ("drop_oldest", "drop_newest"):
            yield f"{step.id}: overflow {step.queue.overflow}"


def _repeats(plan: PipelinePlan) -> Iterator[str]:
    for sink in sinks(plan):
        if not sink.component.capabilities.transactional:
            yield f"{sink.id} may write an item again after a restart"


def _order(plan: PipelinePlan) -> Order:
    natural: Order = plan.source.component.capabilities.order
    steps = list(operators(plan.steps))
    keyed = plan.source.key is not None or any(step.component.kind is OperatorKind.STREAM for step in steps)
    found: list[Order] = [natural, "key" if keyed else "strict", *(step.order for step in steps if step.order)]
    return max(found, key=_LOOSENESS.__getitem__)


def operators(steps: tuple[Step, ...]) -> Iterator[StepPlan]:
    """Yield the operators in file order, those in branches included."""
    for step in steps:
        if isinstance(step, StepPlan):
            yield step
        else:
            for branch in step.branches:
                yield from operators(branch.steps)


def sinks(plan: PipelinePlan) -> Iterator[SinkPlan]:
    """Yield every sink that results may go to: the branches', then the pipeline's."""
    for branch in _branches(plan.steps):
        if branch.sink is not None:
            yield branch.sink
    yield plan.sink


def _branches(steps: tuple[Step, ...]) -> Iterator[Branch]:
    for step in steps:
        if isinstance(step, RoutePlan | ForkPlan):
            for branch in step.branches:
                yield branch
                yield from _branches(branch.steps)
