"""A pipeline from source to sink: what goes in, how it ends, what is told to whom."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest

from pipeline.component import Batch, Failure, describe, operator, sink
from pipeline.errors import Expired, InvalidInput, Overloaded, StepFailed, Unavailable
from pipeline.item import END_OF_KEY, Item, Outcome
from pipeline.plan import Branch, Expression, ForkPlan, RoutePlan, SinkPlan
from pipeline.plan import Step as PlannedStep
from pipeline.policy import BatchPolicy, QueuePolicy, RetryPolicy, Timeouts
from pipeline.runner import Pipeline
from pipeline.testing import Collected, Given, Pushed, plan_of, run_plan, run_values, run_virtual, step


@operator
def double(value: int) -> int:
    return value * 2


@operator
def only_even(value: int) -> int | None:
    return value if value % 2 == 0 else None


@operator
def refuse_three(value: int) -> int:
    if value == 3:
        raise InvalidInput("found 3, expected anything else")
    return value


@operator
def crash_on_three(value: int) -> int:
    return 1 // (value - 3) + value * 0 + 1 if value == 3 else value


@operator
def repeat(value: int) -> Iterator[int]:
    yield from [value] * value


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
    assert "return 1 // (value - 3)" in caplog.text
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
    assert str(pipeline.source.errors[0]) == "hangs: found no result after 5 s, expected one within its timeout"


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


def test_batches_go_at_once_when_idle_and_fill_up_when_busy():
    sizes: list[int] = []

    @operator
    async def together(values: Batch[int]) -> list[int]:
        sizes.append(len(values))
        await asyncio.sleep(1)
        return values

    pipeline = run_values(range(20), step(together, batch=BatchPolicy(max_items=8)))
    assert pipeline.sink.values == list(range(20))
    assert sizes == [1, 8, 8, 3]


def test_a_batch_closes_at_its_cost():
    batches: list[list[int]] = []

    @operator
    class Weigh:
        @staticmethod
        def cost(value: int) -> float:
            return value

        async def __call__(self, values: Batch[int]) -> list[int]:
            batches.append(list(values))
            await asyncio.sleep(1)
            return values

    run_values([1, 5, 6, 30, 2, 2], step(Weigh, name="weigh", batch=BatchPolicy(max_items=8, max_cost=10)))
    assert batches == [[1], [5], [6], [30], [2, 2]]


def test_a_failed_result_in_a_batch_fails_its_item_alone():
    @operator
    async def picky(values: Batch[int]) -> list[int | Exception]:
        return [InvalidInput("found 3") if value == 3 else value for value in values]

    pipeline = run_values(range(5), step(picky))
    assert pipeline.sink.values == [0, 1, 2, 4]


def test_a_batch_operator_must_return_one_result_an_input():
    @operator
    async def forgetful(values: Batch[int]) -> list[int]:
        return values[1:]

    pipeline = run_values([1], step(forgetful))
    assert "found 0 results for 1 inputs, expected one each" in str(pipeline.source.errors[0])


def test_latest_replaces_what_still_waits():
    seen: list[int] = []

    @operator
    async def slow(value: int) -> int:
        seen.append(value)
        await asyncio.sleep(10)
        return value

    partial = Expression("value % 10 != 0", lambda item: item.value % 10 != 0)
    pipeline = run_values([1, 2, 3, 10, 11, 12], step(slow, latest=partial, order="key"))
    assert seen == [1, 3, 10, 12]
    assert pipeline.stats.outcomes == {Outcome.DELIVERED: 4, Outcome.FILTERED: 2}


def test_latest_leaves_alone_what_it_cannot_judge():
    @operator
    async def slow(value: object) -> object:
        await asyncio.sleep(10)
        return value

    def judge(item: Item[object]) -> bool:
        if not isinstance(item.value, int):
            raise InvalidInput("found no field 'final'")
        return True

    pipeline = run_values([1, "x", 2, 3, "y"], step(slow, latest=Expression("not final", judge), order="key"))
    assert pipeline.sink.values == [1, "x", 3, "y"]


def test_keys_run_side_by_side_and_each_in_order():
    @operator
    async def slow_for_a(item: Item[int]) -> int:
        await asyncio.sleep(5 if item.key == "a" else 1)
        return item.value

    items = [Item(n, key=key) for n, key in enumerate("aabb")]
    pipeline = run_values(items, step(slow_for_a, order="key", workers=4))
    assert pipeline.sink.values == [2, 3, 0, 1]


def test_a_keyed_operator_sees_each_key_as_a_stream_and_flushes_at_its_end():
    @operator
    async def total(stream: AsyncIterator[Item[int]]) -> AsyncIterator[Item[int]]:
        result, last = 0, None
        async for item in stream:
            result, last = result + item.value, item
            if result > 100:
                yield item.derive(-1)
        if last is not None:
            yield last.derive(result)

    items = [Item(1, key="a"), Item(10, key="b"), Item(2, key="a"), Item(END_OF_KEY, key="a"), Item(20, key="b")]
    pipeline = run_values(items, step(total))
    assert [value for value in pipeline.sink.values if value is not END_OF_KEY] == [3, 30]


def test_route_takes_the_first_branch_that_holds():
    @operator
    def negate(value: int) -> int:
        return -value

    is_even = Expression("value % 2 == 0", lambda item: item.value % 2 == 0)
    plan = RoutePlan("route", (Branch("even", (step(double),), is_even), Branch("else", (step(negate),))))
    pipeline = run_values(range(4), plan)
    assert sorted(pipeline.sink.values) == [-3, -1, 0, 4]


def test_a_branch_may_end_in_a_sink_of_its_own():
    kept: list[int] = []

    @sink
    async def keep(value: int) -> None:
        kept.append(value)

    is_even = Expression("value % 2 == 0", lambda item: item.value % 2 == 0)
    own = SinkPlan("keep", describe(keep, "keep"))
    pipeline = run_values(range(4), RoutePlan("route", (Branch("even", (), is_even, own), Branch("else"))))
    assert (kept, pipeline.sink.values) == ([0, 2], [1, 3])
    assert pipeline.stats.outcomes == {Outcome.DELIVERED: 4}


def test_a_joined_fork_hands_on_what_every_branch_made():
    plan = ForkPlan("fork", (Branch("twice", (step(double),)), Branch("many", (step(repeat),)), Branch("same")), "all")
    pipeline = run_values([0, 2], plan)
    assert pipeline.sink.values == [
        {"twice": 0, "many": None, "same": 0},
        {"twice": 4, "many": [2, 2], "same": 2},
    ]


def test_a_joined_fork_fails_with_its_branch():
    plan = ForkPlan("fork", (Branch("bad", (step(crash_on_three),)), Branch("good")), "all")
    pipeline = run_values([2, 3, 4], plan)
    assert [value["good"] for value in pipeline.sink.values] == [2, 4]
    assert pipeline.source.settled[1] == [Outcome.FAILED]


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
        with pytest.raises(Unavailable, match="found a pipeline that is stopping"):
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


def test_items_past_their_deadline_are_not_worked_on():
    @operator
    async def slow(value: int) -> int:
        await asyncio.sleep(1)
        return value

    pipeline = run_values(range(5), step(slow), timeout_s=2.5)
    assert pipeline.sink.values == [0, 1]
    assert pipeline.stats.outcomes == {Outcome.DELIVERED: 2, Outcome.EXPIRED: 3}


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
