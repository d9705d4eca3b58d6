"""What a step key asks for happens, whatever kind of operator it stands beside."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest

from fastembed.pipeline.component import Batch, operator, threaded_operator
from fastembed.pipeline.errors import Expired
from fastembed.pipeline.item import Item, Outcome
from fastembed.pipeline.plan import Expression
from fastembed.pipeline.policy import QueuePolicy, RetryPolicy, Timeouts
from fastembed.pipeline.testing import run_values, step


class Flaky:
    """Fails the first time it is asked for a value."""

    def __init__(self) -> None:
        self.seen: set[int] = set()

    def check(self, value: int) -> int:
        if value not in self.seen:
            self.seen.add(value)
            raise OSError(f"found {value} for the first time")
        return value


def kinds_of(check: Callable[[int], int]) -> dict[str, Callable[..., Any]]:
    """Return an operator of each kind that hands a value to `check`."""

    @operator
    def plain(value: int) -> int:
        return check(value)

    @operator
    async def coroutine(value: int) -> int:
        return check(value)

    @threaded_operator
    def threaded(value: int) -> int:
        return check(value)

    @operator
    def generator(value: int) -> Iterator[int]:
        yield check(value)

    @operator
    async def async_generator(value: int) -> AsyncIterator[int]:
        yield check(value)

    @threaded_operator
    def threaded_generator(value: int) -> Iterator[int]:
        yield check(value)

    @operator
    def batch(values: Batch[int]) -> list[int]:
        return [check(value) for value in values]

    @operator
    async def stream(items: AsyncIterator[Item[int]]) -> AsyncIterator[int]:
        async for item in items:
            yield check(item.value)

    made = (plain, coroutine, threaded, generator, async_generator, threaded_generator, batch, stream)
    return {function.__name__: function for function in made}


KINDS = tuple(kinds_of(int))
every_kind = pytest.mark.parametrize("kind", KINDS)
VALUE_IS_ODD = Expression("item.value % 2 == 1", lambda item: item.value % 2 == 1)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "stream"])
def test_a_retry_tries_again(kind: str):
    flaky = Flaky()
    policy = RetryPolicy(attempts=4, base_s=0.01)
    pipeline = run_values([1, 2, 3], step(kinds_of(flaky.check)[kind], retry=policy))
    assert sorted(pipeline.sink.values) == [1, 2, 3]
    assert next(stage for stage in pipeline.stats.stages if stage.name == kind).retries == 3


@every_kind
@pytest.mark.parametrize(
    ("on_error", "outcome"),
    [("fail", Outcome.FAILED), ("skip", Outcome.FILTERED), ("pass", Outcome.DELIVERED)],
)
def test_on_error_decides_of_each_item_alone(kind: str, on_error: str, outcome: Outcome):
    def check(value: int) -> int:
        return value * 10 // (value != 2)

    made = kinds_of(check)[kind]
    pipeline = run_values([2], step(made, on_error=on_error))
    assert pipeline.source.settled[0] == [outcome]
    assert pipeline.sink.values == ([2] if on_error == "pass" else [])
    mixed = run_values([1], step(made, on_error=on_error), step(made, id="again", on_error=on_error))
    assert mixed.sink.values == [100]


@every_kind
def test_an_item_for_which_if_does_not_hold_goes_past(kind: str):
    made = kinds_of(lambda value: value * 10)[kind]
    pipeline = run_values([1, 2, 3], step(made, condition=VALUE_IS_ODD))
    assert sorted(pipeline.sink.values) == [2, 10, 30]
    assert all(settled == [Outcome.DELIVERED] for settled in pipeline.source.settled.values())


@every_kind
def test_a_condition_that_raises_ends_its_item_alone(kind: str):
    def picky(item: Item[int]) -> bool:
        return bool(1 // (item.value - 2))

    made = kinds_of(lambda value: value * 10)[kind]
    pipeline = run_values([3, 2, 4], step(made, condition=Expression("1 // (value - 2)", picky)))
    assert sorted(pipeline.sink.values) == [4, 30]
    assert pipeline.source.settled[1] == [Outcome.FAILED]


def test_what_goes_past_a_stream_keeps_the_order_of_its_key():
    made = kinds_of(int)["stream"]
    assert run_values([1, 2, 3, 4], step(made, condition=VALUE_IS_ODD)).sink.values == [1, 2, 3, 4]


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "stream"])
@pytest.mark.parametrize("timeouts", [Timeouts(total_s=0.05), Timeouts(first_s=0.05)], ids=["total", "first"])
def test_a_timeout_ends_what_takes_too_long(kind: str, timeouts: Timeouts):
    if kind in ("coroutine", "async_generator"):

        @operator
        async def coroutine(value: int) -> int:
            await asyncio.sleep(60)
            return value

        @operator
        async def async_generator(value: int) -> AsyncIterator[int]:
            await asyncio.sleep(60)
            yield value

        made: Callable[..., Any] = {"coroutine": coroutine, "async_generator": async_generator}[kind]
    else:
        made = kinds_of(lambda value: time.sleep(0.2) or value)[kind]  # type: ignore[func-returns-value]
    pipeline = run_values([1], step(made, timeouts=timeouts))
    assert pipeline.source.settled[0] == [Outcome.EXPIRED]
    assert isinstance(pipeline.source.errors[0], Expired)


@pytest.mark.parametrize("kind", ["plain", "generator", "coroutine", "threaded"])
def test_a_queue_and_latest_replace_what_waits_behind_a_busy_step(kind: str):
    @operator
    async def slow(value: int) -> int:
        await asyncio.sleep(1)
        return value

    always = Expression("True", lambda _: True)
    made = step(kinds_of(int)[kind], latest=always, queue=QueuePolicy(max_items=2), order="key")
    pipeline = run_values(range(10), made, step(slow, queue=QueuePolicy(max_items=1)))
    assert pipeline.sink.values[-1] == 9
    assert pipeline.stats.in_flight == 0


def test_a_batch_operator_whose_cost_raises_fails_that_item_alone():
    @operator
    class Weighed:
        def cost(self, value: str) -> float:
            return len(value)

        def __call__(self, values: Batch[Any]) -> list[Any]:
            return list(values)

    pipeline = run_values(["a", 7, "b"], step(Weighed))
    assert pipeline.sink.values == ["a", "b"]
    assert pipeline.source.settled[1] == [Outcome.FAILED]
    passed = run_values(["a", 7, "b"], step(Weighed, on_error="pass"))
    assert passed.sink.values == ["a", 7, "b"]


def test_a_stream_operator_that_raises_before_it_takes_anything_fails_each_item_and_ends():
    @operator
    async def stubborn(items: AsyncIterator[Item[int]]) -> AsyncIterator[int]:
        raise RuntimeError(f"found no patience for {items}")
        yield 1

    pipeline = run_values([1, 2, 3], step(stubborn))
    assert pipeline.stats.outcomes == {Outcome.FAILED: 3}


def test_a_stream_operator_may_say_something_at_the_end():
    @operator
    async def total(items: AsyncIterator[Item[int]]) -> AsyncIterator[int]:
        found = 0
        async for item in items:
            found += item.value
        yield found

    pipeline = run_values([1, 2, 3], step(total))
    assert pipeline.sink.values == [6]
    assert pipeline.stats.outcomes == {Outcome.FILTERED: 2, Outcome.DELIVERED: 1}


def test_a_generator_that_yields_the_item_itself_counts_it_once():
    @operator
    def same(item: Item[int]) -> Iterator[Item[int]]:
        yield item
        yield item.derive(item.value * 10)

    pipeline = run_values([1, 2], step(same))
    assert pipeline.sink.values == [1, 10, 2, 20]
    assert pipeline.stats.outcomes == {Outcome.DELIVERED: 2}
