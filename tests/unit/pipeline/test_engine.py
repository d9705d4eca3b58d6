"""All pipelines together: start, reload, supervise, stop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import ClassVar

import pytest

from fastembed.pipeline.component import Resources, operator
from fastembed.pipeline.engine import Changes, Engine
from fastembed.pipeline.errors import FastEmbedError, Unavailable
from fastembed.pipeline.health import Health
from fastembed.pipeline.item import Item, Outcome
from fastembed.pipeline.plan import Configuration, PipelinePlan
from fastembed.pipeline.runner import Pipeline
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
        with pytest.raises(FastEmbedError, match="z: source cannot be opened: FileNotFoundError: found no model"):
            await engine.reload(configuration(pushed("a", "2"), broken))
        assert engine.pipelines == before
        await before["a"].source.channel.put(Item("still here"))
        await engine.stop()
        assert before["a"].sink.values == ["still here"]

    run_virtual(main())


def test_a_broken_pipeline_is_built_anew():
    runs: list[int] = []

    class Flaky(Given):
        resumes = True

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


class Broken(Given):
    """Give a number, then raise: again and again, or once."""

    runs: ClassVar[list[int]] = []
    resumes = True

    async def items(self) -> AsyncIterator[Item[int]]:
        self.runs.append(len(self.runs))
        yield Item(len(self.runs))
        raise OSError("found a loose cable")


class BrokenForGood(Broken):
    resumes = False


@pytest.fixture(autouse=True)
def no_runs() -> None:
    Broken.runs.clear()


def test_a_pipeline_built_anew_goes_on_with_its_counters():
    async def main() -> Pipeline:
        engine = Engine()
        await engine.start(configuration(plan_of(Broken, {"values": ()}, step(slow))))
        await asyncio.sleep(10)
        pipeline = engine.pipelines["test"]
        await engine.stop()
        return pipeline

    stats = run_virtual(main()).stats
    assert stats.restarts == len(Broken.runs) - 1 > 1
    assert stats.admitted == stats.outcomes[Outcome.DELIVERED] == len(Broken.runs)
    assert [stage.items_in for stage in stats.stages] == [len(Broken.runs)] * 2


def test_once_runs_once_also_where_the_source_raises():
    async def main() -> Pipeline:
        engine = Engine(once=True)
        await engine.start(configuration(plan_of(Broken, {"values": ()}, step(slow))))
        await engine.join()
        return engine.pipelines["test"]

    pipeline = run_virtual(main())
    assert Broken.runs == [0]
    assert pipeline.broken
    assert pipeline.sink.values == [1]
    assert pipeline.stats.restarts == 0


def test_a_source_that_would_repeat_what_it_gave_is_not_started_again(caplog: pytest.LogCaptureFixture):
    async def main() -> Pipeline:
        engine = Engine()
        await engine.start(configuration(plan_of(BrokenForGood, {"values": ()})))
        await engine.join()
        return engine.pipelines["test"]

    pipeline = run_virtual(main())
    assert Broken.runs == [0]
    assert pipeline.broken
    assert "broke for good: source would repeat items that were processed" in caplog.text


def test_a_source_that_others_push_to_is_started_again_and_repeats_nothing():
    class Fragile(Pushed):
        async def items(self) -> AsyncIterator[Item[str]]:
            async for item in self.channel:
                if item.value == "bad":
                    item.settle(Outcome.REJECTED)
                    raise OSError("found a loose cable")
                yield item

    async def main() -> list[str]:
        engine = Engine()
        await engine.start(configuration(plan_of(Fragile, {})))
        kept: list[str] = []
        for value in ("good", "bad", "better"):
            await engine.pipelines["test"].source.channel.put(Item(value))
            await asyncio.sleep(1)
            kept += engine.pipelines["test"].sink.values
        await engine.stop()
        return kept

    assert run_virtual(main()) == ["good", "better"]


def test_a_stop_does_not_wait_for_the_pause_of_a_broken_pipeline_and_nothing_runs_after_it():
    async def main() -> tuple[float, int]:
        engine = Engine()
        await engine.start(configuration(plan_of(Broken, {"values": ()})))
        await asyncio.sleep(20)  # pauses of 0.5, 1, 2, 4, 8 s: the next is 16 s long
        loop, runs = asyncio.get_running_loop(), len(Broken.runs)
        stopping = loop.time()
        await engine.stop()
        took = loop.time() - stopping
        await asyncio.sleep(100)
        return took, len(Broken.runs) - runs

    assert run_virtual(main()) == (0.0, 0)


def test_a_stop_while_another_pipeline_drains_keeps_a_broken_one_from_being_built_again():
    async def main() -> int:
        engine = Engine()
        busy = plan_of(Pushed, {}, step(slow), name="busy", drain_s=30.0)
        await engine.start(configuration(plan_of(Broken, {"values": ()}), busy))
        for value in range(20):
            await engine.pipelines["busy"].source.channel.put(Item(value))
        await asyncio.sleep(2)
        runs = len(Broken.runs)
        await engine.stop()
        return len(Broken.runs) - runs

    assert run_virtual(main()) == 0


def test_a_stop_while_a_broken_pipeline_opens_again_closes_what_it_opened():
    opened: list[str] = []

    class SlowToOpen(Broken):
        async def open(self, _context) -> None:
            if Broken.runs:
                opened.append("begun")
                await asyncio.sleep(60)
                opened.append("done")

        async def close(self) -> None:
            opened.append("closed")

    async def main() -> float:
        engine = Engine()
        await engine.start(configuration(plan_of(SlowToOpen, {"values": ()})))
        await asyncio.sleep(5)
        loop = asyncio.get_running_loop()
        stopping = loop.time()
        await engine.stop()
        return loop.time() - stopping

    assert run_virtual(main()) == 0.0
    assert opened == ["closed", "begun", "closed"]


def test_a_reload_replaces_a_broken_pipeline_at_once():
    async def main() -> list[str]:
        engine = Engine()
        await engine.start(configuration(plan_of(Broken, {"values": ()}, definition="1")))
        await asyncio.sleep(20)
        runs = len(Broken.runs)
        await engine.reload(configuration(pushed("test", "2")))
        await engine.pipelines["test"].source.channel.put(Item("well again"))
        await asyncio.sleep(100)
        values: list[str] = engine.pipelines["test"].sink.values
        await engine.stop()
        assert len(Broken.runs) == runs
        return values

    assert run_virtual(main()) == ["well again"]


def test_a_reload_that_opens_while_the_engine_stops_runs_nothing():
    closed: list[bool] = []

    class SlowToOpen(Pushed):
        async def open(self, context) -> None:
            await asyncio.sleep(10)
            await super().open(context)

        async def close(self) -> None:
            closed.append(True)

    async def main() -> None:
        engine = Engine()
        await engine.start(configuration(pushed("a", "1")))
        late = asyncio.create_task(engine.reload(configuration(pushed("a", "1"), plan_of(SlowToOpen, {}, name="b"))))
        await asyncio.sleep(1)
        await engine.stop()
        with pytest.raises(Unavailable, match="no pipeline can be opened"):
            await late
        assert engine.pipelines == {}

    run_virtual(main())
    assert closed == [True]


def test_what_broke_is_reported_until_it_is_over():
    async def main() -> list[str]:
        health = Health()
        engine = Engine(Resources(health))
        good, bad = plan_of(Pushed, {}, name="good"), plan_of(BrokenForGood, {"values": ()}, name="bad")
        await engine.start(configuration(good, bad, plan_of(Broken, {"values": ()}, name="again")))
        await asyncio.sleep(0.1)
        lines = health.lines()
        await engine.reload(configuration(good))
        assert health.lines() == []
        await engine.stop()
        return lines

    again, bad = run_virtual(main())
    assert again == "pipeline again: broke (OSError: found a loose cable); it is rebuilt"
    assert bad.startswith("pipeline bad: broke for good (OSError: found a loose cable): source would repeat items")
