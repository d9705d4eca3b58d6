"""What the engine costs: time per item and operator, and bounded parallel work, beside other stream libraries.

    .venv/bin/python bench/engine.py [--items 20000] [--rounds 5]

`make bench` installs the others (dependency group `bench`) and runs this. Every operator adds one to a number. The
first two rows are ours: the whole pipeline is a `fastembed.pipeline.runner.Pipeline` with source, sink and counters;
both make an item with its acknowledgement for every value, and settle it. "an operator" is the slope from 1 to 10
operators.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib.metadata
import statistics
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from typing import Any

from rich.console import Console
from rich.table import Table

from fastembed.pipeline.component import operator, sink, source
from fastembed.pipeline.item import Ack, Item, Outcome
from fastembed.pipeline.observe import StageStats
from fastembed.pipeline.plan import PipelinePlan, SinkPlan, SourcePlan, StepPlan
from fastembed.pipeline.runner import Pipeline
from fastembed.pipeline.spec import describe
from fastembed.pipeline.stages.fuse import fuse
from fastembed.pipeline.step import Step

DEPTHS = (1, 3, 6, 10)
LIMITS = (8, 32, 128)
WORK_S = 0.001
Run = Callable[[int, int], float]  # (items, operators or limit) -> seconds


def add_one(value: int) -> int:
    """Do what every operator here does."""
    return value + 1


async def work(value: int) -> int:
    """Take a millisecond of somebody else's time."""
    await asyncio.sleep(WORK_S)
    return value


async def numbers(count: int) -> AsyncIterator[int]:
    """Yield the input of every asynchronous contestant."""
    for value in range(count):
        yield value


def timed(run: Callable[[], Awaitable[Any]]) -> float:
    """Return the seconds of one coroutine in a loop of its own."""

    async def measure() -> float:
        start = time.perf_counter()
        await run()
        return time.perf_counter() - start

    return asyncio.run(measure())


# Ours -----------------------------------------------------------------------------------------------------------------


@operator
def add(value: int) -> int:
    """Add one, as an operator."""
    return value + 1


@operator
async def wait(value: int) -> int:
    """Do the millisecond's work, as an operator."""
    await asyncio.sleep(WORK_S)
    return value


@source
class Count:
    """Yields the numbers below `items`, and knows how to stop."""

    def __init__(self, *, items: int) -> None:
        self._items = items

    async def items(self) -> AsyncIterator[Item[int]]:
        """Yield them."""
        for value in range(self._items):
            yield Item(value)

    def stop(self) -> None:
        """Do nothing: it ends by itself."""


@sink
class Sum:
    """Adds up what arrives."""

    def __init__(self) -> None:
        self.total = 0

    async def write(self, value: int) -> None:
        """Add one value."""
        self.total += value


def pipeline_of(items: int, steps: tuple[StepPlan, ...]) -> Pipeline:
    """Return a whole pipeline from `Count` through these steps to `Sum`."""
    return Pipeline(
        PipelinePlan(
            name="bench",
            source=SourcePlan("count", describe(Count, "count"), {"items": items}),
            steps=steps,
            sink=SinkPlan("sum", describe(Sum, "sum")),
        )
    )


async def drive(pipeline: Pipeline) -> None:
    """Run a pipeline from open to its source's end."""
    await pipeline.open()
    await pipeline.run()


def ours_pipeline(items: int, operators: int) -> float:
    """Time a whole pipeline of fused operators."""
    steps = tuple(StepPlan(f"add{number}", describe(add, "add")) for number in range(operators))
    pipeline = pipeline_of(items, steps)
    seconds = timed(partial(drive, pipeline))
    expected = items * (items - 1) // 2 + items * operators
    if pipeline.sink.total != expected:
        raise AssertionError(f"found a sum of {pipeline.sink.total}, expected {expected}")
    return seconds


def ours_fused(items: int, operators: int) -> float:
    """Time the fused stage alone, with an item and an acknowledgement each."""
    acked = 0

    def count(_: Ack) -> None:
        nonlocal acked
        acked += 1

    async def feed() -> AsyncIterator[Item[int]]:
        for value in range(items):
            item = Item(value)
            item.ack = Ack(item, count)
            yield item

    async def run() -> None:
        plan = StepPlan("add", describe(add, "add"))
        steps = [Step(plan, add, StageStats("add")) for _ in range(operators)]
        async with fuse(feed(), steps, StageStats("run")).stream() as stream:
            async for item in stream:
                item.settle(Outcome.DELIVERED)

    seconds = timed(run)
    if acked != items:
        raise AssertionError(f"found {acked} acknowledgements, expected {items}")
    return seconds


def ours_parallel(items: int, limit: int) -> float:
    """Time a whole pipeline around one parallel step that keeps the order."""
    return timed(partial(drive, pipeline_of(items, (StepPlan("wait", describe(wait, "wait"), workers=limit),))))


# Others ---------------------------------------------------------------------------------------------------------------


def raw_generators(items: int, operators: int) -> float:
    """Time plain async generators, one around the other: no item, no ack, no clean-up; the floor."""

    async def stage(values: AsyncIterator[int]) -> AsyncIterator[int]:
        async for value in values:
            yield add_one(value)

    async def run() -> None:
        stream = numbers(items)
        for _ in range(operators):
            stream = stage(stream)
        async for _ in stream:
            pass

    return timed(run)


def raw_parallel(items: int, limit: int) -> float:
    """Time a deque of tasks: ordered, bounded, and nothing else."""

    async def run() -> None:
        tasks: deque[asyncio.Task[int]] = deque()
        async for value in numbers(items):
            tasks.append(asyncio.ensure_future(work(value)))
            if len(tasks) >= limit:
                await tasks.popleft()
        while tasks:
            await tasks.popleft()

    return timed(run)


def aiostream_map(items: int, operators: int) -> float:
    """Time aiostream's map of a plain function."""
    from aiostream import pipe, stream

    async def run() -> None:
        chain = stream.iterate(numbers(items))
        for _ in range(operators):
            chain |= pipe.map(add_one)
        async with chain.stream() as values:
            async for _ in values:
                pass

    return timed(run)


def aiostream_parallel(items: int, limit: int) -> float:
    """Time aiostream's ordered concurrent map."""
    from aiostream import stream

    async def run() -> None:
        async with stream.map(numbers(items), work, ordered=True, task_limit=limit).stream() as values:
            async for _ in values:
                pass

    return timed(run)


def streamz_map(items: int, operators: int) -> float:
    """Time streamz: synchronous push, no backpressure."""
    from streamz import Stream

    head = tail = Stream()
    for _ in range(operators):
        tail = tail.map(add_one)
    tail.sink(lambda _: None)
    start = time.perf_counter()
    for value in range(items):
        head.emit(value)
    return time.perf_counter() - start


def reactivex_map(items: int, operators: int) -> float:
    """Time reactivex: synchronous push, no backpressure."""
    import reactivex
    from reactivex import operators as ops

    chain = reactivex.from_iterable(range(items)).pipe(*[ops.map(add_one) for _ in range(operators)])
    start = time.perf_counter()
    chain.run()
    return time.perf_counter() - start


def reactivex_parallel(items: int, limit: int) -> float:
    """Time reactivex's bounded merge of deferred tasks, in no order."""
    import reactivex
    from reactivex import operators as ops

    async def run() -> None:
        loop = asyncio.get_running_loop()
        done = loop.create_future()
        started = reactivex.from_iterable(range(items)).pipe(
            ops.map(lambda value: reactivex.defer(lambda _: reactivex.from_future(loop.create_task(work(value))))),
            ops.merge(max_concurrent=limit),
        )
        started.subscribe(on_error=done.set_exception, on_completed=lambda: done.set_result(None))
        await done

    return timed(run)


def bytewax_map(items: int, operators: int) -> float:
    """Time bytewax: one worker in this process, its testing source and sink, batches of 256."""
    import bytewax.operators as op
    from bytewax.dataflow import Dataflow
    from bytewax.testing import TestingSink, TestingSource, run_main

    flow, out = Dataflow("bench"), []
    stream = op.input("in", flow, TestingSource(range(items), batch_size=256))
    for number in range(operators):
        stream = op.map(f"add{number}", stream, add_one)
    op.output("out", stream, TestingSink(out))
    start = time.perf_counter()
    run_main(flow)
    return time.perf_counter() - start


CHAINS: tuple[tuple[str, str | None, Run], ...] = (
    ("fastembed, fused operators with acks", None, ours_fused),
    ("fastembed, whole pipeline", None, ours_pipeline),
    ("raw async generators (no items, no acks)", None, raw_generators),
    ("aiostream", "aiostream", aiostream_map),
    ("streamz (push, no backpressure)", "streamz", streamz_map),
    ("reactivex (push, no backpressure)", "reactivex", reactivex_map),
    ("bytewax (batches of 256)", "bytewax", bytewax_map),
)
PARALLEL: tuple[tuple[str, str | None, Run], ...] = (
    ("fastembed, whole pipeline, strict order", None, ours_parallel),
    ("raw deque of tasks, strict order", None, raw_parallel),
    ("aiostream map, ordered", "aiostream", aiostream_parallel),
    ("reactivex merge, no order", "reactivex", reactivex_parallel),
)


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description="What the engine costs, beside other stream libraries.")
    parser.add_argument("--items", type=int, default=20_000, help="items a round (default 20000)")
    parser.add_argument("--rounds", type=int, default=5, help="rounds; the median counts (default 5)")
    options = parser.parse_args()
    console = Console(width=110)
    chains = new_table("us an item through N operators", [*map(str, DEPTHS), "an operator"])
    for name, package, run in CHAINS:
        chains.add_row(*chain_cells(name, package, run, options.items, options.rounds))
    console.print(chains)
    parallel = new_table("items/s of 1 ms work, by limit", [*map(str, LIMITS)])
    for name, package, run in PARALLEL:
        parallel.add_row(*parallel_cells(name, package, run, options.items // 5, options.rounds))
    parallel.add_row("possible at most", *(f"{limit / WORK_S:,.0f}" for limit in LIMITS))
    parallel.add_row("streamz, bytewax: no bounded map of coroutines", *("-",) * len(LIMITS))
    console.print(parallel)


def new_table(title: str, columns: list[str]) -> Table:
    """Return an empty table with right-aligned columns behind the name."""
    table = Table(title=title, title_justify="left", box=None, pad_edge=False)
    table.add_column("", min_width=46)
    for column in columns:
        table.add_column(column, justify="right")
    return table


def version_of(package: str) -> str | None:
    """Return the installed version of a package, None if it is not installed."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def chain_cells(name: str, package: str | None, run: Run, items: int, rounds: int) -> list[str]:
    """Return one row: us an item at each depth, and the slope."""
    version = version_of(package) if package else ""
    if version is None:
        return [name, *["not installed"] * (len(DEPTHS) + 1)]
    costs = [statistics.median(run(items, depth) for _ in range(rounds)) / items * 1e6 for depth in DEPTHS]
    slope = (costs[-1] - costs[0]) / (DEPTHS[-1] - DEPTHS[0])
    return [f"{name} {version}".strip(), *(f"{cost:.2f}" for cost in costs), f"{slope:.2f}"]


def parallel_cells(name: str, package: str | None, run: Run, items: int, rounds: int) -> list[str]:
    """Return one row: items a second at each limit."""
    version = version_of(package) if package else ""
    if version is None:
        return [name, *["not installed"] * len(LIMITS)]
    rates = [items / statistics.median(run(items, limit) for _ in range(rounds)) for limit in LIMITS]
    return [f"{name} {version}".strip(), *(f"{rate:,.0f}" for rate in rates)]


if __name__ == "__main__":
    main()
