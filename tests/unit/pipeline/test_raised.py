"""What components raise beside an `Exception` is their item's: it ends no task in silence, and not the process."""

from __future__ import annotations

import asyncio
import functools
import re
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest

from fastembed.pipeline.component import Batch, Context, operator, sink, source, threaded_operator
from fastembed.pipeline.errors import FastEmbedError, Unavailable
from fastembed.pipeline.item import Item, Outcome
from fastembed.pipeline.policy import RetryPolicy
from fastembed.pipeline.runner import Pipeline
from fastembed.pipeline.supervisor import Supervisor
from fastembed.pipeline.testing import Collected, plan_of, run_plan, run_values, run_virtual, step


def raise_on_one(value: int, error: type[BaseException]) -> int:
    if value == 1:
        raise error
    return value


async def cancelled_future() -> None:
    """Await what somebody else cancels, as a client library whose connection is closed."""
    future = asyncio.get_running_loop().create_future()
    future.cancel()
    await future


def kinds(error: type[BaseException]) -> dict[str, Callable[..., Any]]:
    @operator
    def plain(value: int) -> int:
        return raise_on_one(value, error)

    @operator
    async def awaited(value: int) -> int:
        return raise_on_one(value, error)

    @threaded_operator
    def threaded(value: int) -> int:
        return raise_on_one(value, error)

    @operator
    def several(value: int) -> Iterator[int]:
        yield raise_on_one(value, error)

    @operator
    async def several_async(value: int) -> AsyncIterator[int]:
        yield raise_on_one(value, error)

    @threaded_operator
    def several_threaded(value: int) -> list[int]:
        return [raise_on_one(value, error)]

    @operator
    async def whole(items: AsyncIterator[Item[int]]) -> AsyncIterator[Item[int]]:
        async for item in items:
            yield item.derive(raise_on_one(item.value, error))

    return {
        function.__name__: function
        for function in (plain, awaited, threaded, several, several_async, several_threaded, whole)
    }


@pytest.mark.parametrize("error", [asyncio.CancelledError, SystemExit, StopIteration, StopAsyncIteration])
@pytest.mark.parametrize("kind", list(kinds(SystemExit)))
def test_what_an_operator_raises_fails_its_item_alone(kind, error):
    pipeline = run_values(range(3), step(kinds(error)[kind]))
    assert sorted(str(value) for value in pipeline.sink.values) == (
        ["0", "2"] if kind != "several_threaded" else ["[0]", "[2]"]
    )
    assert pipeline.source.settled == {0: [Outcome.DELIVERED], 1: [Outcome.FAILED], 2: [Outcome.DELIVERED]}


@pytest.mark.parametrize("workers", [1, 2])
def test_a_plain_function_in_a_thread_that_raises_stop_iteration_does_not_wait_for_ever(workers):
    @operator
    def first_even(value: int) -> int:
        return next(number for number in [value] if number % 2 == 0)

    pipeline = run_values(range(3), step(first_even, workers=workers))
    assert sorted(pipeline.sink.values) == [0, 2]
    assert pipeline.source.settled[1] == [Outcome.FAILED]
    assert "raised StopIteration" in str(pipeline.source.errors[1])


def test_a_future_that_is_cancelled_below_an_operator_fails_its_item_and_is_retried():
    calls: list[int] = []

    @operator
    async def ask(value: int) -> int:
        calls.append(value)
        if calls.count(value) == 1:
            await cancelled_future()
        return value

    pipeline = run_values(range(2), step(ask, retry=RetryPolicy(attempts=1)))
    assert pipeline.sink.values == [0, 1]
    pipeline = run_values([2], step(ask))
    assert pipeline.source.settled == {0: [Outcome.FAILED]}


def test_a_cancelled_error_among_the_results_of_a_batch_fails_its_input_alone():
    @operator
    async def ask(values: Batch[int]) -> list[Any]:
        asked = [cancelled_future() if value == 1 else asyncio.sleep(0, value) for value in values]
        return await asyncio.gather(*asked, return_exceptions=True)

    pipeline = run_values(range(3), step(ask))
    assert pipeline.sink.values == [0, 2]
    assert pipeline.source.settled[1] == [Outcome.FAILED]


@pytest.mark.parametrize("error", [asyncio.CancelledError, SystemExit])
def test_what_a_sink_raises_fails_its_item_alone(error):
    @sink
    async def picky(value: int) -> None:
        raise_on_one(value, error)

    pipeline = run_values(range(3), sink_type=picky)
    assert pipeline.source.settled == {0: [Outcome.DELIVERED], 1: [Outcome.FAILED], 2: [Outcome.DELIVERED]}


@pytest.mark.parametrize("error", [asyncio.CancelledError, SystemExit])
def test_a_commit_that_raises_fails_its_item_alone(error):
    @sink
    class Picky:
        transactional = True

        async def write(self, value: int) -> None:
            """Stage it."""

        async def commit(self, origin: Item[int]) -> None:
            raise_on_one(origin.value, error)

        async def abort(self, origin: Item[int]) -> None:
            raise_on_one(origin.value, error)

    pipeline = run_values(range(3), sink_type=Picky)
    assert pipeline.source.settled == {0: [Outcome.DELIVERED], 1: [Outcome.FAILED], 2: [Outcome.DELIVERED]}


@pytest.mark.parametrize("callers", [1, 2])
@pytest.mark.parametrize("answer", [None, 1, "written"])
def test_a_sink_whose_write_nowait_does_not_say_whether_it_wrote_fails_the_item_and_is_not_asked_again(answer, callers):
    written: list[int] = []

    @sink
    class Vague:
        workers = callers

        def write_nowait(self, item: Item[int]) -> Any:
            written.append(item.value)
            return answer

        async def write(self, item: Item[int]) -> None:
            written.append(item.value)

    pipeline = run_values(range(2), sink_type=Vague)
    assert written == [0, 1]
    assert pipeline.source.settled == {0: [Outcome.FAILED], 1: [Outcome.FAILED]}
    assert "returned by write_nowait, expected True (written) or False" in str(pipeline.source.errors[0])


@pytest.mark.parametrize("error", [asyncio.CancelledError, SystemExit])
def test_a_source_that_ends_with_it_has_broken(error):
    @source
    async def numbers() -> AsyncIterator[int]:
        yield 1
        raise error

    with pytest.raises(RuntimeError, match=f"the source raised {error.__name__}"):
        run_virtual(run_plan(plan_of(numbers, {})))


def test_a_close_that_awaits_its_own_cancelled_task_keeps_no_other_part_from_closing(caplog):
    closed: list[str] = []

    @operator
    class Background:
        async def open(self, _context: Context) -> None:
            self._task = asyncio.create_task(asyncio.sleep(3600))

        async def close(self) -> None:
            self._task.cancel()
            await self._task

        def __call__(self, value: int) -> int:
            return value

    @operator
    class Other:
        async def close(self) -> None:
            closed.append("other")

        def __call__(self, value: int) -> int:
            return value

    pipeline = run_values([1], step(Other), step(Background))
    assert pipeline.sink.values == [1]
    assert closed == ["other"]
    assert "closing Background failed" in caplog.text or "closing background failed" in caplog.text


@pytest.mark.parametrize("error", [ValueError, OSError, asyncio.CancelledError, SystemExit])
def test_a_component_that_cannot_be_opened_is_named(error):
    @operator
    class Shut:
        async def open(self, _context: Context) -> None:
            raise error("no such thing")

        def __call__(self, value: int) -> int:
            return value

    async def main() -> None:
        await Pipeline(plan_of(Collected, {}, step(Shut))).open()

    with pytest.raises(FastEmbedError, match=r"cannot be opened: \w+: no such thing"):
        run_virtual(main())


def through(function: Callable[..., Any]) -> Callable[..., Any]:
    """A decorator as authors write them: the function that it gives is a plain one."""

    @functools.wraps(function)
    def call(value: int) -> Any:
        return function(value)

    return call


async def fetched(value: int) -> int:
    return value


def undeclared() -> dict[str, Callable[..., Any]]:
    @operator
    def forgets_to_await(value: int):
        return fetched(value)

    @operator
    def gives_an_item(value: int):
        return Item(value)

    @operator
    async def gives_an_item_later(value: int):
        return Item(value)

    return {
        "decorated": operator(through(fetched)),
        **{call.__name__: call for call in (forgets_to_await, gives_an_item, gives_an_item_later)},
    }


@pytest.mark.parametrize("plan", [{}, {"workers": 2}, {"retry": RetryPolicy(attempts=1)}], ids=str)
@pytest.mark.parametrize("kind", list(undeclared()))
def test_a_result_that_is_no_value_fails_its_item_and_is_not_delivered(kind, plan):
    pipeline = run_values(range(2), step(undeclared()[kind], **plan))
    assert pipeline.sink.values == []
    assert pipeline.source.settled == {0: [Outcome.FAILED], 1: [Outcome.FAILED]}
    assert re.search("found (an item|a coroutine) as the result", str(pipeline.source.errors[0]))


@pytest.mark.parametrize(("error", "traced"), [(Unavailable, False), (ValueError, True)])
def test_a_pipeline_that_breaks_says_why_with_a_trace_only_where_the_error_is_a_defect(error, traced, caplog):
    @source
    class Full:
        async def items(self) -> AsyncIterator[int]:
            yield 1
            raise error("the disk is full")

        async def close(self) -> None:
            raise error("the disk is still full")

    async def main() -> None:
        pipeline = Pipeline(plan_of(Full, {}), once=True)
        await pipeline.open()
        await Supervisor(pipeline, lambda _: None).run()

    run_virtual(main())
    records = [record for record in caplog.records if "full" in record.getMessage()]
    assert [record.getMessage().rpartition(": ")[2] for record in records] == [
        "the disk is still full",
        "the disk is full",
    ]
    assert ["Traceback" in caplog.handler.format(record) for record in records] == [traced, traced]
