"""Which keys of a step apply to which kind of operator: shared by `check` and by the graph that runs the step.

A key that the engine cannot honour is refused; one that changes nothing is a warning, and the items go through.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from fastembed.pipeline.component import OperatorKind
from fastembed.pipeline.plan import StepPlan

_ONE_TO_ONE: Final = (OperatorKind.MAP, OperatorKind.ASYNC_MAP)
_WITHOUT_EFFECT: Final[dict[str, tuple[tuple[OperatorKind, ...], str]]] = {
    "batch": ((*_ONE_TO_ONE, OperatorKind.EXPAND, OperatorKind.STREAM), "does not take batches"),
    "latest": ((OperatorKind.BATCH, OperatorKind.STREAM), "takes no single items"),
    "timeout": ((OperatorKind.STREAM,), "takes a whole stream"),
    "retry": ((OperatorKind.STREAM,), "takes a whole stream"),
    "workers": ((OperatorKind.STREAM,), "runs once for each key, all keys side by side"),
    "order": ((OperatorKind.STREAM,), "keeps the order of each key"),
}


def refusals(plan: StepPlan) -> Iterator[tuple[str, str]]:
    """Yield each key that the step must not have, and why: `found ..., expected ...`."""
    kind, name = plan.component.kind, plan.component.name
    if plan.replicas > 1:
        yield "replicas", f"found replicas: {plan.replicas} for {name}, expected 1 in this version"
    if plan.cache_entries and kind not in _ONE_TO_ONE:
        yield "cache", f"found cache for {name}, which {_GIVES[kind]}, expected it on a one-to-one operator"
    elif plan.cache_entries and plan.component.wants_item:
        text = f"found cache for {name}, which takes items, expected it on one whose result depends on the value"
        yield "cache", text


_GIVES: Final[dict[OperatorKind | None, str]] = {
    OperatorKind.EXPAND: "gives several results an item",
    OperatorKind.BATCH: "takes batches",
    OperatorKind.STREAM: "takes a whole stream",
}


def without_effect(plan: StepPlan) -> Iterator[tuple[str, str]]:
    """Yield each key that would change nothing about how the step runs, and why."""
    kind, name = plan.component.kind, plan.component.name
    for key, (kinds, reason) in _WITHOUT_EFFECT.items():
        if kind in kinds:
            yield key, f"found {key} for {name}, which {reason}"
    if plan.timeouts.idle_s is not None and kind in (*_ONE_TO_ONE, OperatorKind.BATCH):
        yield "timeout", f"found an idle timeout for {name}, which gives one result, expected total"
    if plan.queue is not None and plan.queue.max_items is None and kind is not OperatorKind.STREAM:
        yield "queue", f"found a queue without a bound in items for {name}, expected one such as queue: 64"
