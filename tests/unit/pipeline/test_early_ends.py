"""Items that end before their time: cancelled by their caller, or past their deadline."""

from __future__ import annotations

import asyncio

import pytest

from fastembed.pipeline.component import operator
from fastembed.pipeline.item import Item, Outcome
from fastembed.pipeline.plan import Step as PlannedStep
from fastembed.pipeline.policy import QueuePolicy
from fastembed.pipeline.runner import Pipeline
from fastembed.pipeline.testing import Pushed, plan_of, run_values, run_virtual, step


def test_a_cancelled_item_frees_its_place_at_once():
    started: list[int] = []
    stopped: list[int] = []

    @operator
    async def generate(value: int) -> int:
        started.append(value)
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            stopped.append(value)
            raise
        return value

    async def main() -> Pipeline:
        pipeline = Pipeline(plan_of(Pushed, {}, step(generate, workers=1), queue=QueuePolicy(max_items=4)))
        await pipeline.open()
        running = asyncio.create_task(pipeline.run())
        items = [Item(n) for n in range(3)]
        for item in items:
            await pipeline.source.channel.put(item)
        await asyncio.sleep(1)
        assert started == [0]
        items[1].ack.cancel()
        items[0].ack.cancel()
        await asyncio.sleep(0.01)
        assert (started, stopped) == ([0, 2], [0])
        await pipeline.drain(0)
        await asyncio.wait([running])
        return pipeline

    pipeline = run_virtual(main())
    assert pipeline.stats.outcomes == {Outcome.CANCELLED: 3}


@pytest.mark.parametrize("stages", [2, 3, 5])
def test_an_item_can_be_cancelled_in_every_stage_that_it_comes_to(stages):
    reached: list[int] = []

    def waiting(place: int) -> PlannedStep:
        @operator
        async def wait(value: int) -> int:
            reached.append(place)
            await asyncio.sleep(3600 if value == place else 0)
            return value

        return step(wait, workers=4, id=f"wait-{place}")

    async def main() -> float:
        steps = [waiting(place) for place in range(stages)]
        pipeline = Pipeline(plan_of(Pushed, {}, *steps, queue=QueuePolicy(max_items=4)))
        await pipeline.open()
        running = asyncio.create_task(pipeline.run())
        for place in range(stages):
            item = Item(place)
            await pipeline.source.channel.put(item)
            await asyncio.sleep(1)
            item.ack.cancel()
        await asyncio.sleep(1)
        assert pipeline.stats.outcomes == {Outcome.CANCELLED: stages}
        await pipeline.drain(0)
        await asyncio.wait([running])
        return asyncio.get_running_loop().time()

    assert run_virtual(main()) < 60
    assert reached == [place for last in range(stages) for place in range(last + 1)]


def test_items_past_their_deadline_are_not_worked_on():
    @operator
    async def slow(value: int) -> int:
        await asyncio.sleep(1)
        return value

    pipeline = run_values(range(5), step(slow), timeout_s=2.5)
    assert pipeline.sink.values == [0, 1]
    assert pipeline.stats.outcomes == {Outcome.DELIVERED: 2, Outcome.EXPIRED: 3}
