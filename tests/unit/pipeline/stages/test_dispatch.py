"""Work on several items at once: batches, the latest of those that wait, each key in its order."""

from __future__ import annotations

import asyncio

from fastembed.pipeline.component import Batch, operator
from fastembed.pipeline.errors import InvalidInput
from fastembed.pipeline.item import Item, Outcome
from fastembed.pipeline.plan import Expression
from fastembed.pipeline.policy import BatchPolicy
from fastembed.pipeline.testing import run_values, step


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
