"""Builds a pipeline from its plan: components, and one aiostream stage for each operator or run of fused ones."""

from __future__ import annotations

import functools
from collections.abc import AsyncIterable, AsyncIterator, Sequence
from typing import Any

from aiostream import stream

from fastembed.pipeline.component import OperatorKind
from fastembed.pipeline.errors import FastEmbedError, InvalidInput
from fastembed.pipeline.item import Item
from fastembed.pipeline.memo import memoized
from fastembed.pipeline.observe import PipelineStats
from fastembed.pipeline.part import Part, make
from fastembed.pipeline.plan import Branch, Expression, ForkPlan, PipelinePlan, RoutePlan, SinkPlan, StepPlan
from fastembed.pipeline.plan import Step as PlannedStep
from fastembed.pipeline.policy import BatchPolicy, Order, QueuePolicy, RetryPolicy, Timeouts
from fastembed.pipeline.rules import refusals
from fastembed.pipeline.stages.arms import Arm, fork, join, route
from fastembed.pipeline.stages.deliver import deliver
from fastembed.pipeline.stages.dispatch import dispatch
from fastembed.pipeline.stages.expand import expand
from fastembed.pipeline.stages.fuse import fuse
from fastembed.pipeline.stages.keyed import keyed
from fastembed.pipeline.stages.outputs import giving_values, is_undeclared
from fastembed.pipeline.stages.waiting import Batches, OneByOne, Waiting
from fastembed.pipeline.stages.work import work_of
from fastembed.pipeline.step import Step
from fastembed.pipeline.tracing import Tracing

_MIN_WINDOW = 64  # items that a parallel stage may hold, unless its `queue` says otherwise


class Graph:
    """A pipeline's components and the stages that connect them.

    parts are in the order in which they are opened: sinks first (a source may ask the sink what it has already), the
    source last.
    """

    def __init__(self, plan: PipelinePlan, stats: PipelineStats, tracing: Tracing | None = None) -> None:
        self._plan = plan
        self._stats = stats
        self._tracing = tracing
        self._steps: dict[int, Step] = {}
        self._part_of: dict[int, Part] = {}
        self._parts: list[Part] = []
        self.source = make(plan.source.id, plan.source.component, plan.source.options)
        self._order: Order = self.source.capabilities.order
        self._prepare(plan.steps)
        self.sink = self._sink(plan.sink)
        self.on_error = (
            None if plan.on_error is None else make(plan.on_error.id, plan.on_error.component, plan.on_error.options)
        )

    @property
    def parts(self) -> list[Part]:
        """Return all components, sinks first."""
        errors = [] if self.on_error is None else [self.on_error]
        sinks = [part for part in self._parts if part.spec.role == "sink"]
        return [*sinks, *errors, *(part for part in self._parts if part.spec.role != "sink"), self.source]

    async def run(self, items: AsyncIterable[Item[Any]]) -> None:
        """Drive every item of the source to its end."""
        await self._deliver(self._through(items, self._plan.steps), self._plan.sink)

    def _sink(self, plan: SinkPlan) -> Part:
        part = make(plan.id, plan.component, plan.options)
        self._parts.append(part)
        self._part_of[id(plan)] = part
        self._steps[id(plan)] = self._step(StepPlan(id=plan.id, component=plan.component), part)
        return part

    def _prepare(self, steps: Sequence[PlannedStep]) -> None:
        """Make the components of all steps, including those in branches."""
        for plan in steps:
            if isinstance(plan, StepPlan):
                for _, refusal in refusals(plan):
                    raise FastEmbedError(f"{plan.place}: {refusal}")
                part = make(plan.id, plan.component, plan.options)
                self._parts.append(part)
                self._part_of[id(plan)] = part
                self._steps[id(plan)] = self._step(plan, part)
            else:
                for branch in plan.branches:
                    self._prepare(branch.steps)
                    if branch.sink is not None:
                        self._sink(branch.sink)

    def _step(self, plan: StepPlan, part: Part) -> Step:
        call = part.call
        if part.spec.kind is OperatorKind.MAP and is_undeclared(part.spec.factory, part.spec.out_type):
            call = giving_values(call)
        if plan.cache_entries:
            call = memoized(call, plan.cache_entries)
        step = Step(plan, call, self._stats.stage(plan.id), config_hash=self._plan.definition, tracing=self._tracing)
        threads = plan.workers is not None or part.capabilities.workers > 1 or plan.timeouts != Timeouts()
        step.in_thread = step.in_thread or (threads and not part.spec.is_async)
        return step

    def _through(self, items: AsyncIterable[Item[Any]], steps: Sequence[PlannedStep]) -> AsyncIterable[Item[Any]]:
        """Chain the stages of the steps."""
        run: list[Step] = []
        for plan in steps:
            if isinstance(plan, StepPlan) and self._runs_inline(plan, OperatorKind.MAP):
                run.append(self._steps[id(plan)])
                continue
            items = self._fused(items, run)
            run = []
            items = self._stage(items, plan)
        return self._fused(items, run)

    def _fused(self, items: AsyncIterable[Item[Any]], run: list[Step]) -> AsyncIterable[Item[Any]]:
        if not run:
            return items
        stats = run[0].stats
        if len(run) > 1:
            stats = self._stats.stage("+".join(step.id for step in run))
            self._stats.stages.remove(stats)
            self._stats.stages.insert(self._stats.stages.index(run[0].stats), stats)
        return fuse(items, tuple(run), stats)

    def _stage(self, items: AsyncIterable[Item[Any]], plan: PlannedStep) -> AsyncIterable[Item[Any]]:
        if isinstance(plan, RoutePlan):
            return route(items, self._arms(plan.branches), self._stats.stage(plan.id))
        if isinstance(plan, ForkPlan):
            meet = join if plan.join == "all" else fork
            return meet(items, self._arms(plan.branches), self._stats.stage(plan.id))
        step = self._steps[id(plan)]
        if step.kind is OperatorKind.STREAM:
            return keyed(items, step, queue=plan.queue or QueuePolicy(max_items=_MIN_WINDOW))
        if self._runs_inline(plan, OperatorKind.EXPAND):
            return expand(items, step)
        part = self._part_of[id(plan)]
        workers = plan.workers or part.capabilities.workers
        order = plan.order or self._order
        window = (plan.queue.max_items if plan.queue else None) or max(_MIN_WINDOW, 2 * workers)
        if order == "key" and step.kind is OperatorKind.BATCH:
            order = "strict"
        waiting = _waiting(plan, part, order)
        return dispatch(items, step, work_of(step), waiting, workers=workers, order=order, window=window)

    def _runs_inline(self, plan: StepPlan, kind: OperatorKind) -> bool:
        """Whether a step is a plain function of the kind, and nothing is asked of the engine but to call it."""
        step = self._steps[id(plan)]
        asks_nothing = plan.batch is None and plan.latest is None and plan.queue is None and plan.retry == RetryPolicy()
        return step.kind is kind and not step.is_async and not step.in_thread and asks_nothing

    def _arms(self, branches: Sequence[Branch]) -> list[Arm]:
        return [
            Arm(branch.name, branch.condition, functools.partial(self._arm, branch), branch.sink is not None)
            for branch in branches
        ]

    def _arm(self, branch: Branch, items: AsyncIterable[Item[Any]]) -> AsyncIterator[Item[Any]]:
        return (
            self._to_sink(items, branch) if branch.sink else stream.iterate(self._through(items, branch.steps)).stream()
        )

    async def _to_sink(self, items: AsyncIterable[Item[Any]], branch: Branch) -> AsyncIterator[Item[Any]]:
        assert branch.sink is not None  # noqa: S101 - the caller asked
        await self._deliver(self._through(items, branch.steps), branch.sink)
        return
        yield  # an async generator: it runs when the arm is driven, and yields nothing

    async def _deliver(self, items: AsyncIterable[Item[Any]], plan: SinkPlan) -> None:
        step = self._steps[id(plan)]
        sink = self._part_of[id(plan)]
        await deliver(
            items,
            step,
            transactional=sink.instance if sink.capabilities.transactional else None,
            write_nowait=sink.owner.write_nowait if sink.capabilities.write_nowait else None,
            workers=sink.capabilities.workers,
        )


def _waiting(plan: StepPlan, part: Part, order: Order) -> Waiting:
    if part.spec.kind is OperatorKind.BATCH:
        return Batches(plan.batch or BatchPolicy(), part.owner.cost if part.capabilities.cost else None)
    return OneByOne(order, None if plan.latest is None else functools.partial(_is_latest, plan.latest))


def _is_latest(latest: Expression, item: Item[Any]) -> bool:
    """Evaluate `latest`; an item whose value cannot answer (no such field) is not replaced by a newer one."""
    try:
        return bool(latest.evaluate(item))
    except InvalidInput:
        return False
