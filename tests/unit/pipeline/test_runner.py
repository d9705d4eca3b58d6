"""A pipeline from source to sink: what goes in, how it ends, what is told to whom."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from fastembed.pipeline.component import Failure, operator, sink
from fastembed.pipeline.errors import Expired, InvalidInput, Overloaded, StepFailed, Unavailable
from fastembed.pipeline.item import Item, Outcome
from fastembed.pipeline.plan import Branch, Expression, RoutePlan, SinkPlan
from fastembed.pipeline.policy import QueuePolicy, RetryPolicy, Timeouts
from fastembed.pipeline.runner import Pipeline
from fastembed.pipeline.spec import describe
from fastembed.pipeline.testing import Collected, Given, Pushed, plan_of, run_plan, run_values, run_virtual, step
from tests.unit.pipeline.numbers import crash_on_three, double, only_even, refuse_three, repeat


def test_values_go_through_fused_operators_in_order():
    pipeline = run_values(range(5), step(double), step(double))
    assert pipeline.sink.values == [0, 4, 8, 12, 16]
    assert [stage.name for stage in pipeline.stats.stages] == ["double+double", "double", "double", "sink"]


def test_an_operator_that_returns_none_filters_the_item():
    pipeline = run_values(range(5), step(only_even))
    assert pipeline.sink.values == [0, 2, 4]
    assert pipeline.stats.outcomes == {Outcome.DELIVERED: 3, Outcome.FILTERED: 2}


def test_a_condition_lets_items_pass_by_the_operator():
    pipeline = run_values(range(4), step(double, condition=Expression("item.value > 1", lambda item: item.value > 1)))
    assert pipeline.sink.values == [0, 1, 4, 6]


def test_a_refused_item_ends_as_rejected_and_the_stream_goes_on():
    pipeline = run_values(range(5), step(refuse_three))
    assert pipeline.sink.values == [0, 1, 2, 4]
    assert pipeline.source.settled[3] == [Outcome.REJECTED]
    assert str(pipeline.source.errors[3]) == "found 3, expected anything else"


def test_an_unexpected_error_names_step_cause_and_attempts():
    pipeline = run_values(range(5), step(crash_on_three))
    error = pipeline.source.errors[3]
    assert isinstance(error, StepFailed)
    assert str(error) == "crash_on_three: ZeroDivisionError: integer division or modulo by zero"
    assert error.attempts == 1


@pytest.mark.parametrize("level", [logging.WARNING, logging.ERROR])
def test_an_error_whose_traceback_was_logged_says_so(caplog, level):
    with caplog.at_level(level, "fastembed.pipeline"):
        error = run_values([3], step(crash_on_three)).source.errors[0]
    shown = any(record.exc_info for record in caplog.records)
    assert error.traced is shown is (level == logging.WARNING)


@pytest.mark.parametrize(
    ("on_error", "values"), [("fail", [0, 1, 2, 4]), ("skip", [0, 1, 2, 4]), ("pass", [0, 1, 2, 3, 4])]
)
def test_on_error_decides_what_becomes_of_the_item(on_error, values):
    pipeline = run_values(range(5), step(crash_on_three, on_error=on_error), step(double))
    assert pipeline.sink.values == [2 * value for value in values]
    assert pipeline.source.settled[3] == [
        {"fail": Outcome.FAILED, "skip": Outcome.FILTERED, "pass": Outcome.DELIVERED}[on_error]
    ]


@pytest.mark.parametrize("on_error", ["fail", "skip", "pass"])
def test_what_an_operator_did_not_mean_to_raise_is_logged_with_its_place(on_error, caplog):
    run_values([3], step(crash_on_three, on_error=on_error))
    assert "return value // (value != 3)" in caplog.text
    caplog.clear()
    run_values([3], step(refuse_three, on_error=on_error))
    assert "found 3, expected anything else" in caplog.text
    assert "raise InvalidInput" not in caplog.text


def test_a_condition_of_a_route_that_raises_ends_its_item_and_is_logged_with_its_place(caplog):
    odd = Expression("1 % item.value", lambda item: 1 % item.value)
    pipeline = run_values(range(3), RoutePlan("route", (Branch("odd", (step(double),), odd), Branch("else"))))
    assert sorted(pipeline.sink.values) == [1, 4]
    assert pipeline.source.settled[0] == [Outcome.REJECTED]
    assert "ZeroDivisionError" in caplog.text


def test_a_split_item_ends_when_all_its_parts_have():
    pipeline = run_values([3, 0, 2], step(repeat))
    assert pipeline.sink.values == [3, 3, 3, 2, 2]
    assert [pipeline.source.settled[i] for i in range(3)] == [
        [Outcome.DELIVERED],
        [Outcome.FILTERED],
        [Outcome.DELIVERED],
    ]


def test_a_split_item_with_one_failed_part_has_failed():
    pipeline = run_values([3], step(repeat), step(crash_on_three))
    assert pipeline.source.settled[0] == [Outcome.FAILED]


def test_retries_back_off_and_are_counted():
    times: list[float] = []

    @operator
    async def third_time_lucky(value: int) -> int:
        times.append(asyncio.get_running_loop().time())
        if len(times) < 3:
            raise OSError("not yet")
        return value

    pipeline = run_values([7], step(third_time_lucky, retry=RetryPolicy(attempts=2, base_s=1.0)))
    assert pipeline.sink.values == [7]
    assert next(s for s in pipeline.stats.stages if s.name == "third_time_lucky").retries == 2
    assert 0 <= times[1] - times[0] <= 1.0
    assert 0 <= times[2] - times[1] <= 2.0


def test_the_last_retry_says_how_often_it_was_tried():
    @operator
    async def never(value: int) -> int:
        raise OSError(f"found {value}")

    pipeline = run_values([7], step(never, retry=RetryPolicy(attempts=2, base_s=0.1)))
    assert pipeline.source.errors[0].attempts == 3


def test_bad_input_is_not_tried_again():
    calls = []

    @operator
    async def picky(value: int) -> int:
        calls.append(value)
        raise InvalidInput("found 7")

    run_values([7], step(picky, retry=RetryPolicy(attempts=5)))
    assert calls == [7]


def test_a_timeout_bounds_all_tries_together():
    @operator
    async def hangs(value: int) -> int:
        await asyncio.sleep(3600)
        return value

    pipeline = run_values([7], step(hangs, timeouts=Timeouts(total_s=5), retry=RetryPolicy(attempts=3)))
    assert isinstance(pipeline.source.errors[0], Expired)
    assert str(pipeline.source.errors[0]) == "hangs: no result after 5 s, its timeout"


@pytest.mark.parametrize(("timeouts", "values"), [(Timeouts(first_s=1), []), (Timeouts(idle_s=3), [0, 1])])
def test_a_stream_of_outputs_has_its_own_timeouts(timeouts, values):
    @operator
    async def slower_and_slower(value: int) -> AsyncIterator[int]:
        for index in range(value):
            await asyncio.sleep(2 if index < 2 else 60)
            yield index

    pipeline = run_values([5], step(slower_and_slower, timeouts=timeouts))
    assert pipeline.sink.values == values
    assert pipeline.source.settled[0] == [Outcome.EXPIRED]


def test_on_error_sink_learns_what_failed_and_where():
    failures: list[Failure] = []

    @sink
    async def note(failure: Failure) -> None:
        failures.append(failure)

    run_values(
        range(5), step(double), step(crash_on_three, id="crash"), on_error=SinkPlan("note", describe(note, "note"))
    )
    assert failures == []
    run_values(range(5), step(crash_on_three, id="crash"), on_error=SinkPlan("note", describe(note, "note")))
    assert [(f.origin_value, f.step, type(f.error.__cause__).__name__) for f in failures] == [
        (3, "crash", "ZeroDivisionError")
    ]


def test_a_transactional_sink_commits_once_everything_of_an_item_has_arrived():
    log: list[tuple[str, int]] = []

    @sink
    class Tell(Collected):
        transactional = True

        async def commit(self, origin: Item[int]) -> None:
            log.append(("commit", origin.id))

        async def abort(self, origin: Item[int]) -> None:
            log.append(("abort", origin.id))

    items = [Item(2), Item(3)]
    second_bad = step(crash_on_three, id="crash")
    pipeline = run_values(items, step(repeat), second_bad, sink_type=Tell)
    assert log == [("commit", items[0].id)]
    assert pipeline.source.settled[1] == [Outcome.FAILED]


class Lasting(Given):
    """A source that can bring its items again."""

    replayable = True


@pytest.mark.parametrize(
    ("source_type", "outcome", "dead"), [(Lasting, Outcome.DEFERRED, [2]), (Given, Outcome.REJECTED, [1, 2])]
)
def test_an_item_that_its_sink_cannot_take_now_is_left_to_a_source_that_can_bring_it_again(source_type, outcome, dead):
    failures: list[Failure] = []

    @sink
    async def note(failure: Failure) -> None:
        failures.append(failure)

    @sink
    class Tell(Collected):
        transactional = True

        async def commit(self, origin: Item[int]) -> None:
            raise Unavailable("no room") if origin.seq == 1 else ValueError("no sense")

        async def abort(self, origin: Item[int]) -> None:
            pass

    on_error = SinkPlan("note", describe(note, "note"))
    plan = plan_of(source_type, {"values": [1, 2]}, step(double), sink_type=Tell, on_error=on_error)
    pipeline = run_virtual(run_plan(plan))
    assert pipeline.source.settled == {0: [outcome], 1: [Outcome.FAILED]}
    assert [failure.origin_value for failure in failures] == dead


@pytest.mark.parametrize("error", [Unavailable("no memory"), Overloaded("no room")])
def test_what_a_step_cannot_do_now_is_no_failure_of_its_item(error):
    @operator
    async def once_short(value: int) -> int:
        if value == 1:
            raise error
        return value

    pipeline = run_virtual(run_plan(plan_of(Lasting, {"values": [1, 2]}, step(once_short))))
    assert pipeline.source.settled == {0: [Outcome.DEFERRED], 1: [Outcome.DELIVERED]}
    assert pipeline.source.errors[0] is error


def test_a_full_queue_rejects_with_the_time_to_come_back():
    @operator
    async def slow(value: int) -> int:
        await asyncio.sleep(2)
        return value

    async def main() -> float:
        queue = QueuePolicy(max_items=2, overflow="reject")
        plan = plan_of(Pushed, {}, step(slow, queue=QueuePolicy(max_items=1)), queue=queue)
        pipeline = Pipeline(plan)
        await pipeline.open()
        running = asyncio.create_task(pipeline.run())
        refusals = []
        for index in range(100):
            try:
                pipeline.source.channel.put_nowait(Item(index))
            except Overloaded as error:
                refusals.append(error)
            await asyncio.sleep(0.5)
        pipeline.source.stop()
        await running
        assert pipeline.stats.in_flight == 0
        assert len(refusals) == pipeline.stats.outcomes[Outcome.REJECTED] > 50
        return refusals[-1].retry_after_s

    assert 1 < run_virtual(main()) < 10


def test_drain_finishes_what_was_admitted_and_refuses_what_comes():
    @operator
    async def slow(value: int) -> int:
        await asyncio.sleep(1)
        return value

    async def main() -> Pipeline:
        pipeline = Pipeline(plan_of(Pushed, {}, step(slow)))
        await pipeline.open()
        running = asyncio.create_task(pipeline.run())
        for index in range(5):
            await pipeline.source.channel.put(Item(index))
        pipeline.stop()
        with pytest.raises(Unavailable, match="the pipeline is stopping"):
            pipeline.source.channel.put_nowait(Item(99))
        await pipeline.drain(60)
        await running
        return pipeline

    assert run_virtual(main()).sink.values == [0, 1, 2, 3, 4]


def test_a_source_without_stop_is_interrupted_where_it_waits():
    closed: list[bool] = []

    class Endless(Given):
        async def items(self) -> AsyncIterator[Item[int]]:
            try:
                yield Item(1)
                await asyncio.sleep(1e9)
            finally:
                closed.append(True)

    async def main() -> Pipeline:
        pipeline = Pipeline(plan_of(Endless, {"values": ()}))
        await pipeline.open()
        running = asyncio.create_task(pipeline.run())
        await asyncio.sleep(1)
        await pipeline.drain(10)
        await running
        return pipeline

    pipeline = run_virtual(main())
    assert pipeline.sink.values == [1]
    assert closed == [True]


def test_a_source_that_raises_breaks_the_pipeline_and_leaves_nothing_behind():
    class Broken(Given):
        async def items(self) -> AsyncIterator[Item[int]]:
            yield Item(1)
            raise OSError("found the disk gone")

    with pytest.raises(OSError, match="found the disk gone"):
        run_virtual(run_plan(plan_of(Broken, {"values": ()}, step(double))))


def test_a_slow_caller_slows_its_own_item_and_nobody_elses():
    made: dict[str, int] = {}

    @operator
    async def count_up(value: str) -> AsyncIterator[str]:
        for number in range(5000):
            made[value] = number
            yield value
            await asyncio.sleep(0)

    @sink
    class Callers:
        workers = 64

        def __init__(self) -> None:
            self.seen = {"slow": 0, "quick": 0}

        async def write(self, item: Item[str]) -> None:
            if item.value == "slow":
                await asyncio.sleep(1)
            self.seen[item.value] += 1

    async def main() -> None:
        plan = plan_of(Pushed, {"order": "none"}, step(count_up, workers=8), sink_type=Callers)
        pipeline = Pipeline(plan)
        await pipeline.open()
        running = asyncio.create_task(pipeline.run())
        await pipeline.source.channel.put(Item("slow"))
        await pipeline.source.channel.put(Item("quick"))
        await asyncio.sleep(300)
        assert pipeline.sink.seen["quick"] == 5000
        assert pipeline.sink.seen["slow"] >= 299
        assert made["slow"] < 1000
        pipeline.source.stop()
        await running
        assert pipeline.sink.seen == {"slow": 5000, "quick": 5000}
        assert pipeline.stats.outcomes == {Outcome.DELIVERED: 2}

    run_virtual(main())


def test_a_source_that_yields_bare_values_is_as_good_as_one_of_items():
    class Bare(Given):
        async def items(self) -> AsyncIterator[int]:
            yield 1
            yield 2

    assert run_virtual(run_plan(plan_of(Bare, {"values": ()}, step(double)))).sink.values == [2, 4]


def test_what_a_source_gave_before_it_raised_is_finished():
    ended: list[int] = []

    @operator
    async def slow(value: int) -> int:
        await asyncio.sleep(5)
        ended.append(value)
        return value

    class Broken(Given):
        async def items(self) -> AsyncIterator[Item[int]]:
            for value in range(3):
                yield Item(value)
            raise OSError("found the disk gone")

    async def main() -> Pipeline:
        pipeline = Pipeline(plan_of(Broken, {"values": ()}, step(slow)))
        await pipeline.open()
        with pytest.raises(OSError, match="found the disk gone"):
            await pipeline.run()
        return pipeline

    pipeline = run_virtual(main())
    assert ended == [0, 1, 2]
    assert pipeline.stats.outcomes == {Outcome.DELIVERED: 3}


@operator
async def two_at_a_time(items: AsyncIterator[Item[int]]) -> AsyncIterator[tuple[int, ...]]:
    values: list[int] = []
    async for item in items:
        values.append(item.value)
        if len(values) == 2:
            yield tuple(values)
            values.clear()
    if values:
        yield tuple(values)


async def crashed(on_error: SinkPlan | None) -> Pipeline:
    """Run a pipeline whose second item has a key that no dictionary takes: the keyed stage itself raises."""
    items = [Item(1, key="a"), Item(2, key=[])]
    pipeline = Pipeline(plan_of(Given, {"values": items}, step(two_at_a_time), on_error=on_error))
    await pipeline.open()
    with pytest.raises(TypeError, match="unhashable"):
        await pipeline.run()
    return pipeline


def test_a_graph_that_crashes_fails_what_is_in_it():
    pipeline = run_virtual(crashed(None))
    assert pipeline.stats.outcomes == {Outcome.FAILED: 2}
    assert pipeline.source.settled == {0: [Outcome.FAILED], 1: [Outcome.FAILED]}
    assert "unhashable" in str(pipeline.source.errors[0])


def test_what_fails_since_the_graph_crashed_goes_to_the_dead_letters(caplog):
    failures: list[Failure] = []

    @sink
    async def note(failure: Failure) -> None:
        failures.append(failure)

    run_virtual(crashed(SinkPlan("note", describe(note, "note"))))
    assert [(failure.origin_value, failure.step) for failure in failures] == [(1, "test"), (2, "test")]
    assert "test: item" in caplog.text
    assert "failed at test" in caplog.text


def test_a_sink_that_cannot_abort_does_not_keep_the_source_from_learning_of_the_failure(caplog):
    @sink
    class Stuck(Collected):
        transactional = True

        async def commit(self, _: Item[int]) -> None:
            raise ValueError("no sense")

        async def abort(self, _: Item[int]) -> None:
            raise ValueError("no way back")

    pipeline = run_values([1], step(double), sink_type=Stuck)
    assert pipeline.source.settled == {0: [Outcome.FAILED]}
    assert "no way back" in caplog.text


def test_a_component_that_does_not_close_keeps_no_other_from_closing(caplog):
    closed: list[str] = []

    @sink
    class Closing(Collected):
        async def close(self) -> None:
            closed.append("sink")

    class Stuck(Given):
        async def close(self) -> None:
            raise OSError("found the disk gone")

    run_virtual(run_plan(plan_of(Stuck, {"values": [1]}, sink_type=Closing)))
    assert closed == ["sink"]
    assert "closing source failed" in caplog.text


def test_a_transactional_sink_for_failures_commits_each():
    log: list[str] = []

    @sink
    class Letters(Collected):
        transactional = True

        async def commit(self, origin: Item[Failure]) -> None:
            log.append(f"commit {origin.value.origin_value}")

        async def abort(self, _: Item[Failure]) -> None:
            log.append("abort")

    run_values([3], step(crash_on_three), on_error=SinkPlan("letters", describe(Letters, "letters")))
    assert log == ["commit 3"]


async def test_a_declared_queue_bounds_what_a_pulled_source_has_in_the_pipeline():
    under_way: list[int] = []
    free = asyncio.Event()

    @operator
    async def hold(number: int) -> int:
        under_way.append(number)
        await free.wait()
        return number

    plan = plan_of(Given, {"values": range(8)}, step(hold, workers=8))
    plan = replace(plan, source=replace(plan.source, queue=QueuePolicy(max_items=3), declared=frozenset({"queue"})))
    pipeline = Pipeline(plan)
    await pipeline.open()
    running = asyncio.create_task(pipeline.run())
    for _ in range(20):
        await asyncio.sleep(0)
    assert under_way == [0, 1, 2]
    free.set()
    await running
    assert pipeline.sink.values == list(range(8))
