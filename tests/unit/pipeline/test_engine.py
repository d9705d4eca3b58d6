"""All pipelines together: start, reload, supervise, stop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from fastembed.pipeline.component import operator
from fastembed.pipeline.engine import Changes, Engine
from fastembed.pipeline.item import Item
from fastembed.pipeline.plan import Configuration, PipelinePlan
from fastembed.pipeline.testing import Given, Pushed, plan_of, run_virtual, step


@operator
async def slow(value: int) -> int:
    await asyncio.sleep(1)
    return value


def configuration(*plans: PipelinePlan) -> Configuration:
    return Configuration(None, {plan.name: plan for plan in plans})


def pushed(name: str, definition: str) -> PipelinePlan:
    return plan_of(Pushed, {}, step(slow), name=name, definition=definition)


def test_reload_swaps_only_what_changed_and_loses_nothing():
    async def main() -> None:
        engine = Engine()
        await engine.start(configuration(pushed("a", "1"), pushed("b", "1"), pushed("c", "1")))
        before = dict(engine.pipelines)
        for pipeline in before.values():
            await pipeline.source.channel.put(Item(pipeline.name))
        changes = await engine.reload(configuration(pushed("a", "1"), pushed("b", "2"), pushed("d", "1")))
        assert changes == Changes(added=("d",), changed=("b",), removed=("c",), unchanged=("a",))
        assert engine.pipelines["a"] is before["a"]
        assert engine.pipelines["b"] is not before["b"]
        await asyncio.sleep(2)
        assert [pipeline.sink.values for pipeline in before.values()] == [["a"], ["b"], ["c"]]
        await engine.stop()

    run_virtual(main())


def test_a_configuration_that_cannot_open_changes_nothing():
    class Unopenable(Pushed):
        async def open(self, _context) -> None:
            raise FileNotFoundError("found no model")

    async def main() -> None:
        engine = Engine()
        await engine.start(configuration(pushed("a", "1")))
        before = dict(engine.pipelines)
        broken = plan_of(Unopenable, {}, name="z", definition="1")
        with pytest.raises(FileNotFoundError, match="found no model"):
            await engine.reload(configuration(pushed("a", "2"), broken))
        assert engine.pipelines == before
        await before["a"].source.channel.put(Item("still here"))
        await engine.stop()
        assert before["a"].sink.values == ["still here"]

    run_virtual(main())


def test_a_broken_pipeline_is_built_anew():
    runs: list[int] = []

    class Flaky(Given):
        async def items(self) -> AsyncIterator[Item[int]]:
            runs.append(len(runs))
            yield Item(len(runs))
            if len(runs) < 3:
                raise OSError("found a loose cable")

    async def main() -> Engine:
        engine = Engine()
        await engine.start(configuration(plan_of(Flaky, {"values": ()})))
        await engine.join()
        return engine

    engine = run_virtual(main())
    assert runs == [0, 1, 2]
    assert engine.pipelines["test"].stats.restarts == 2


def test_stop_gives_each_pipeline_its_drain_time():
    async def main() -> float:
        engine = Engine()
        await engine.start(configuration(plan_of(Pushed, {}, step(slow), drain_s=3.5)))
        pipeline = engine.pipelines["test"]
        for index in range(10):
            await pipeline.source.channel.put(Item(index))
        loop = asyncio.get_running_loop()
        started = loop.time()
        await engine.stop()
        assert pipeline.sink.values == [0, 1, 2]
        assert pipeline.stats.in_flight == 0
        return loop.time() - started

    assert run_virtual(main()) == pytest.approx(3.5)


def test_an_exclusive_source_starts_when_its_predecessor_has_ended():
    log: list[str] = []

    class Exclusive(Given):
        exclusive = True

        async def items(self) -> AsyncIterator[Item[str]]:
            log.append(f"start {self._values[0]}")
            yield Item(self._values[0])

    def plan(version: str) -> PipelinePlan:
        @operator
        async def slow_note(value: str) -> str:
            await asyncio.sleep(5)
            log.append(f"end {value}")
            return value

        return plan_of(Exclusive, {"values": [version]}, step(slow_note), definition=version)

    async def main() -> None:
        engine = Engine()
        await engine.start(configuration(plan("1")))
        await asyncio.sleep(1)
        await engine.reload(configuration(plan("2")))
        await engine.join()

    run_virtual(main())
    assert log == ["start 1", "end 1", "start 2", "end 2"]
