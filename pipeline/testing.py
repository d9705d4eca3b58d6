"""For tests of pipelines, ours and a plug-in author's: a clock that jumps, sources and sinks in memory, short plans."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable
from typing import Any, TypeVar

from fastembed.pipeline.component import Context, sink, source
from fastembed.pipeline.item import Ack, Item, Outcome
from fastembed.pipeline.plan import PipelinePlan, SinkPlan, SourcePlan, StepPlan
from fastembed.pipeline.plan import Step as PlannedStep
from fastembed.pipeline.runner import Pipeline
from fastembed.pipeline.spec import describe

T = TypeVar("T")


class _Jump(selectors.DefaultSelector):
    """A selector that, when nothing is ready, lets the time until the next timer pass at once."""

    now_s = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Poll; then jump, or, with no timer set, wait for a thread, which must answer within 10 s."""
        events: list[tuple[selectors.SelectorKey, int]] = super().select(0)
        if events:
            return events
        if timeout is not None:
            self.now_s += max(0.0, timeout)
            return []
        events = super().select(10)
        if not events:
            raise RuntimeError("found every task waiting and no timer set: this test would hang for ever")
        return events


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop on virtual time: an hour of `asyncio.sleep` costs nothing, and orders are repeatable."""

    def __init__(self) -> None:
        self._jump = _Jump()
        super().__init__(self._jump)

    def time(self) -> float:
        """Return virtual seconds since the loop was made."""
        return self._jump.now_s


def run_virtual(main: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end on virtual time."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(main)


@source
class Given:
    """Yields the given values, or items; `pause_s` of (virtual) time between two."""

    def __init__(self, values: Iterable[Any], *, pause_s: float = 0.0, order: str = "strict") -> None:
        self.order = order
        self.settled: dict[int, list[Outcome]] = {}
        self.errors: dict[int, BaseException | None] = {}
        self._values = values
        self._pause_s = pause_s

    async def items(self) -> AsyncIterator[Item[Any]]:
        """Yield them."""
        for index, value in enumerate(self._values):
            if self._pause_s:
                await asyncio.sleep(self._pause_s)
            item = value if isinstance(value, Item) else Item(value)
            item.on_settled = self._settle(index)
            yield item

    def _settle(self, index: int) -> Callable[[Outcome, BaseException | None], None]:
        self.settled[index] = []

        def settled(outcome: Outcome, error: BaseException | None) -> None:
            self.settled[index].append(outcome)
            self.errors[index] = error

        return settled


@source
class Pushed:
    """A source that tests put items into, through the bounded channel that a plan's queue declares."""

    def __init__(self, *, per_key: bool = False, order: str = "strict") -> None:
        self.order = order
        self._per_key = per_key

    async def open(self, context: Context) -> None:
        """Get the channel."""
        self.channel = context.channel(per_key=self._per_key)

    async def items(self) -> AsyncIterator[Item[Any]]:
        """Yield what was put."""
        async for item in self.channel:
            yield item

    def stop(self) -> None:
        """Close the queue: refuse further values."""
        self.channel.close()


@sink
class Collected:
    """Keeps what it is given: `items` and their `values`."""

    def __init__(self, *, pause_s: float = 0.0, workers: int = 1) -> None:
        self.items: list[Item[Any]] = []
        self.values: list[Any] = []
        self.workers = workers
        self._pause_s = pause_s

    async def write(self, item: Item[Any]) -> None:
        """Keep one."""
        if self._pause_s:
            await asyncio.sleep(self._pause_s)
        self.items.append(item)
        self.values.append(item.value)


def item_of(value: T, **fields: Any) -> Item[T]:
    """Return an item with an ack of its own, to call an operator with directly."""
    item = Item(value, **fields)
    item.ack = Ack(item, lambda _: None)
    return item


def step(function: Callable[..., Any], **plan: Any) -> StepPlan:
    """Plan one operator; `plan` are the fields of `StepPlan`."""
    name = plan.pop("name", getattr(function, "__name__", "step"))
    return StepPlan(id=plan.pop("id", name), component=describe(function, name), **plan)


def plan_of(
    source_type: Callable[..., Any],
    source_options: dict[str, Any],
    *steps: PlannedStep,
    sink_type: Callable[..., Any] = Collected,
    sink_options: dict[str, Any] | None = None,
    **plan: Any,
) -> PipelinePlan:
    """Plan a pipeline by hand; `plan` are the further fields of `PipelinePlan`, `queue` of its source."""
    queue = {"queue": plan.pop("queue")} if "queue" in plan else {}
    return PipelinePlan(
        name=plan.pop("name", "test"),
        source=SourcePlan("source", describe(source_type, "source"), source_options, **queue),
        steps=steps,
        sink=SinkPlan("sink", describe(sink_type, "sink"), sink_options or {}),
        **plan,
    )


async def run_plan(plan: PipelinePlan) -> Pipeline:
    """Run a pipeline to the end of its source and return it, to look at its sink, source and stats."""
    pipeline = Pipeline(plan)
    await pipeline.open()
    await pipeline.run()
    return pipeline


def run_values(values: Iterable[Any], *steps: PlannedStep, **plan: Any) -> Pipeline:
    """Run the steps over the given values on virtual time."""
    return run_virtual(run_plan(plan_of(Given, {"values": values}, *steps, **plan)))
