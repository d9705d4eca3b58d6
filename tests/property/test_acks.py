"""Acks = items in: whatever happens on the way, every admitted item ends once, and nothing is left over."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastembed.pipeline.component import Batch, operator, threaded_operator
from fastembed.pipeline.errors import InvalidInput, Overloaded
from fastembed.pipeline.item import END_OF_KEY, Item, Outcome
from fastembed.pipeline.observe import PipelineStats
from fastembed.pipeline.plan import Branch, Expression, ForkPlan, RoutePlan, StepPlan
from fastembed.pipeline.policy import BatchPolicy, QueuePolicy, RetryPolicy, Timeouts
from fastembed.pipeline.runner import Pipeline
from fastembed.pipeline.testing import Collected, Pushed, plan_of, run_virtual, step


def fate(value: int, salt: int) -> int:
    """A number that looks random and is the same for the same value and step: decides what happens to an item."""
    return ((value * 2654435761 + salt * 40503) % 2**32) >> 8


def plain(salt: int, bad: int) -> StepPlan:
    @operator
    def plain(value: int) -> int | None:
        chance = fate(value, salt) % 10
        if chance < bad:
            raise (ValueError, InvalidInput)[chance % 2](f"found {value}, expected another")
        return None if chance == 9 else value + 1

    return step(plain, id=f"plain{salt}", on_error=("fail", "skip", "pass")[salt % 3])


def waits(salt: int, bad: int, workers: int, order: str) -> StepPlan:
    @operator
    async def waits(value: int) -> int | None:
        chance = fate(value, salt) % 10
        await asyncio.sleep(chance / 100)
        if chance < bad:
            raise ValueError(f"found {value}")
        return None if chance == 9 else value + 1

    return step(
        waits,
        id=f"waits{salt}",
        workers=workers,
        order=order,
        timeouts=Timeouts(total_s=0.07 if salt % 2 else None),
        retry=RetryPolicy(attempts=salt % 3, base_s=0.01),
    )


def latest(salt: int) -> StepPlan:
    @operator
    async def newest(value: int) -> int:
        await asyncio.sleep(0.05)
        return value

    return step(newest, id=f"latest{salt}", order="key", latest=Expression("even", lambda item: item.value % 2 == 0))


def splits(salt: int, bad: int) -> StepPlan:
    @operator
    def splits(value: int) -> Iterator[int]:
        for index in range(fate(value, salt) % 4):
            if fate(value + index, salt) % 10 < bad:
                raise ValueError(f"found {value}")
            yield value + index

    return step(splits, id=f"splits{salt}")


def streams(salt: int, bad: int) -> StepPlan:
    @operator
    async def streams(value: int) -> AsyncIterator[int]:
        for index in range(fate(value, salt) % 4):
            await asyncio.sleep(0.03)
            if fate(value + index, salt) % 10 < bad:
                raise ValueError(f"found {value}")
            yield value + index

    return step(
        streams, id=f"streams{salt}", workers=3, timeouts=Timeouts(first_s=0.05), retry=RetryPolicy(1, base_s=0.01)
    )


def batches(salt: int, bad: int) -> StepPlan:
    @operator
    async def batches(values: Batch[int]) -> list[int | Exception]:
        await asyncio.sleep(0.02)
        if fate(values[0], salt) % 20 < bad:
            raise ValueError("found a bad batch")
        return [ValueError("bad") if fate(value, salt) % 10 < bad else value for value in values]

    return step(batches, id=f"batches{salt}", batch=BatchPolicy(max_items=4, wait_s=0.05), workers=1 + salt % 3)


def sessions(salt: int, bad: int) -> StepPlan:
    @operator
    async def sessions(stream: AsyncIterator[Item[int]]) -> AsyncIterator[Item[int]]:
        count = 0
        async for item in stream:
            count += 1
            chance = fate(item.value, salt) % 10
            if chance < bad:
                raise ValueError(f"found {item.value}")
            if chance < 5:
                yield item
            elif chance < 8:
                yield item.derive(item.value + count)
                await asyncio.sleep(0.01)

    return step(sessions, id=f"sessions{salt}")


def threads(salt: int) -> StepPlan:
    @threaded_operator
    def threads(value: int) -> int:
        return value

    return step(threads, id=f"threads{salt}")


salts = st.integers(0, 50)
bads = st.integers(0, 4)
simple_steps = st.one_of(
    st.builds(plain, salts, bads),
    st.builds(waits, salts, bads, st.integers(1, 8), st.sampled_from(["strict", "key", "none"])),
    st.builds(latest, salts),
    st.builds(splits, salts, bads),
    st.builds(streams, salts, bads),
    st.builds(batches, salts, bads),
    st.builds(sessions, salts, bads),
)
even = Expression("item.value % 2 == 0", lambda item: item.value % 2 == 0)


def arms(steps: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Routes, forks and joins of shorter chains."""
    chain = st.lists(steps, max_size=2).map(tuple)
    pair = st.tuples(chain, chain)
    return st.one_of(
        steps,
        pair.map(lambda p: RoutePlan("route", (Branch("even", p[0], even), Branch("else", p[1])))),
        pair.map(lambda p: ForkPlan("fork", (Branch("a", p[0]), Branch("b", p[1])))),
        pair.map(lambda p: ForkPlan("join", (Branch("a", p[0]), Branch("b", p[1])), join="all")),
    )


def unjoined(value: Any) -> int:
    """A join's dict becomes a number again."""
    return value if isinstance(value, int) else sum(map(hash, map(str, value.values()))) % 1000


@operator
def flatten(value: object) -> int:
    return unjoined(value)


chains = st.lists(arms(simple_steps).map(lambda s: (s, step(flatten))), max_size=4).map(
    lambda pairs: tuple(part for pair in pairs for part in pair)
)
policies = st.builds(
    QueuePolicy,
    max_items=st.integers(1, 8),
    overflow=st.sampled_from(["block", "reject", "drop_oldest", "drop_newest"]),
)


class Transaction(Collected):
    """Commits what it was given; some commits fail."""

    transactional = True
    fail_every = 0

    async def commit(self, origin: Item[Any]) -> None:
        await asyncio.sleep(0.01)
        if self.fail_every and origin.id % self.fail_every == 0:
            raise OSError("found a full disk")

    async def abort(self, _origin: Item[Any]) -> None:
        await asyncio.sleep(0)


@settings(max_examples=300, deadline=None)
@given(
    steps=chains,
    policy=policies,
    count=st.integers(0, 40),
    keys=st.integers(1, 3),
    cancels=st.sets(st.integers(0, 39), max_size=8),
    timeout_s=st.sampled_from([None, 0.05, 1.0]),
    drain_after=st.one_of(st.none(), st.integers(0, 40)),
    drain_s=st.sampled_from([None, 0.0, 0.05]),
    commits=st.sampled_from([None, 0, 3]),
    sink_workers=st.sampled_from([1, 4]),
)
def test_every_admitted_item_ends_exactly_once(  # noqa: PLR0917 - hypothesis gives them by name
    steps, policy, count, keys, cancels, timeout_s, drain_after, drain_s, commits, sink_workers
):
    async def main() -> tuple[PipelineStats, dict[int, list[Outcome]], set[asyncio.Task[Any]]]:
        plan = plan_of(
            Pushed,
            {"per_key": True},
            *steps,
            sink_type=Collected if commits is None else Transaction,
            sink_options={"pause_s": 0.001, "workers": sink_workers},
            timeout_s=timeout_s,
            queue=policy,
        )
        pipeline = Pipeline(plan)
        if commits is not None:
            pipeline.sink.fail_every = commits
        await pipeline.open()
        running = asyncio.create_task(pipeline.run())
        ends: dict[int, list[Outcome]] = {}
        items = []
        for index in range(count):
            ends[index] = []
            item = Item(index, key=f"k{index % keys}", on_settled=lambda o, _, i=index: ends[i].append(o))
            items.append(item)
            try:
                await asyncio.wait_for(pipeline.source.channel.put(item), 60)
            except (Overloaded, TimeoutError):
                await asyncio.sleep(0.01)
            if index in cancels:
                asyncio.get_running_loop().call_later(fate(index, 7) / 100, item.ack.cancel)
            if index == drain_after:
                break
        for key in range(keys):
            await pipeline.source.channel.put(Item(END_OF_KEY, key=f"k{key}"))
        if drain_after is None:
            pipeline.source.stop()
            await running
        else:
            await pipeline.drain(drain_s)
            await asyncio.wait([running])
        return pipeline.stats, ends, asyncio.all_tasks() - {asyncio.current_task()}

    stats, ends, left = run_virtual(main())
    assert {index: len(seen) for index, seen in ends.items()} == dict.fromkeys(ends, 1)
    assert stats.in_flight == 0
    assert drain_after is not None or stats.abandoned == 0
    assert sum(stats.outcomes.values()) == stats.admitted
    assert not left


@pytest.mark.parametrize("workers", [1, 3, 16])
def test_strict_order_holds_through_parallel_and_batched_steps(workers):
    @operator
    async def jitter(value: int) -> int:
        await asyncio.sleep((value * 7919 % 13) / 100)
        return value

    async def main() -> list[int]:
        plan = plan_of(
            Pushed,
            {},
            step(jitter, workers=workers),
            StepPlan(**{f: getattr(batches(1, 0), f) for f in ("id", "component", "batch")}),
        )
        pipeline = Pipeline(plan)
        await pipeline.open()
        running = asyncio.create_task(pipeline.run())
        for index in range(200):
            await pipeline.source.channel.put(Item(index))
        pipeline.source.stop()
        await running
        return pipeline.sink.values

    assert run_virtual(main()) == list(range(200))
