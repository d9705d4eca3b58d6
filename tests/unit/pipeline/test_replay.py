"""Items that failed, put back where they failed: what runs of them, and what does not run again."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from typing import Any

import pytest

from fastembed.pipeline.component import Failure, Resources, operator, sink
from fastembed.pipeline.errors import InvalidInput
from fastembed.pipeline.item import Item, Outcome
from fastembed.pipeline.plan import Branch, Expression, ForkPlan, PipelinePlan, RoutePlan, SinkPlan
from fastembed.pipeline.replay import Resumption, can_resume, resume
from fastembed.pipeline.spec import describe
from fastembed.pipeline.testing import Collected, Given, plan_of, run_plan, run_virtual, step


class Notes:
    """A pipeline's outside: what its sinks were given, and whether its steps refuse."""

    def __init__(self) -> None:
        self.delivered: list[Any] = []
        self.failures: list[Failure] = []
        self.refuses = True
        self.tens = 0

    def sink(self, name: str = "sink") -> SinkPlan:
        async def note(value: Any) -> None:
            self.delivered.append((name, value))

        return SinkPlan(name, describe(sink(note), name))

    def on_error(self) -> SinkPlan:
        async def note(failure: Failure) -> None:
            self.failures.append(failure)

        return SinkPlan("on_error", describe(sink(note), "note"))


@pytest.fixture
def notes() -> Notes:
    return Notes()


def refusing(notes: Notes) -> Any:
    @operator
    def refuse_odd(value: int) -> int:
        if notes.refuses and value % 2:
            raise InvalidInput(f"found {value}, expected an even one")
        return value + 1

    return step(refuse_odd)


def ten(notes: Notes) -> Any:
    @operator
    def ten_times(value: int) -> int:
        notes.tens += 1
        return value * 10

    return step(ten_times)


def split() -> Any:
    @operator
    def three_of(value: int) -> Iterator[int]:
        yield from range(value, value + 3)

    return step(three_of)


def run(notes: Notes, values: list[int], *steps: Any, sink_plan: SinkPlan | None = None) -> PipelinePlan:
    plan = plan_of(Given, {"values": values}, *steps, on_error=notes.on_error())
    plan = replace(plan, sink=sink_plan or notes.sink())
    run_virtual(run_plan(plan))
    return plan


def put_back(notes: Notes, plan: PipelinePlan) -> list[Resumption]:
    failures, notes.failures = notes.failures, []
    resumptions = [Resumption(failure.value, failure.resume_at) for failure in failures]
    run_virtual(resume(plan, Resources(), resumptions))
    return resumptions


def test_each_failed_part_goes_back_to_its_step_with_what_the_step_was_given(notes):
    plan = run(notes, [1], split(), refusing(notes), ten(notes))
    assert [value for _, value in notes.delivered] == [30]
    assert [(failure.value, failure.step, failure.resume_at) for failure in notes.failures] == [
        (1, "refuse_odd", "refuse_odd"),
        (3, "refuse_odd", "refuse_odd"),
    ]
    notes.refuses = False
    ended = put_back(notes, plan)
    assert [value for _, value in notes.delivered] == [30, 20, 40]
    assert [resumption.outcome for resumption in ended] == [Outcome.DELIVERED] * 2
    assert notes.failures == []


def test_what_fails_again_is_told_again(notes):
    plan = run(notes, [1], refusing(notes))
    (ended,) = put_back(notes, plan)
    assert ended.outcome is Outcome.REJECTED
    assert str(ended.error) == "found 1, expected an even one"
    assert [failure.value for failure in notes.failures] == [1]


def test_steps_before_do_not_run_again(notes):
    @operator
    def odd(value: int) -> int:
        return value + 1

    plan = run(notes, [2], ten(notes), step(odd), refusing(notes))
    notes.refuses = False
    put_back(notes, plan)
    assert (notes.tens, notes.delivered) == (1, [("sink", 22)])


@pytest.mark.parametrize("own_sink", [False, True])
def test_a_branch_goes_on_behind_its_route_or_to_its_own_sink(notes, own_sink):
    branch = Branch(
        "odd",
        (refusing(notes),),
        Expression("item.value % 2", lambda item: item.value % 2),
        notes.sink("own") if own_sink else None,
    )
    plan = run(notes, [1, 2], RoutePlan("route", (branch, Branch("else"))), ten(notes))
    notes.refuses, notes.delivered = False, []
    put_back(notes, plan)
    assert notes.delivered == ([("own", 2)] if own_sink else [("sink", 20)])


def test_the_branches_of_a_join_run_again_together(notes):
    fork = ForkPlan("fork", (Branch("a", (refusing(notes),)), Branch("b", (ten(notes),))), join="all")
    plan = run(notes, [1], fork)
    assert notes.delivered == []
    notes.refuses = False
    put_back(notes, plan)
    assert notes.delivered == [("sink", {"a": 2, "b": 10})]


def test_a_sink_that_failed_is_given_its_item_once_more(notes):
    async def fussy(value: int) -> None:
        if notes.refuses:
            raise ValueError("full")
        notes.delivered.append(("fussy", value))

    plan = run(notes, [4], ten(notes), sink_plan=SinkPlan("fussy", describe(sink(fussy), "fussy")))
    assert [(failure.value, failure.resume_at) for failure in notes.failures] == [(40, "fussy")]
    notes.refuses = False
    put_back(notes, plan)
    assert (notes.tens, notes.delivered) == (1, [("fussy", 40)])


def test_a_keyed_step_sees_its_key_once_more(notes):
    @operator
    async def listen(items: AsyncIterator[Item[int]]) -> AsyncIterator[Item[str]]:
        async for item in items:
            if notes.refuses:
                raise ValueError("deaf")
            yield item.derive(f"{item.key}: {item.value}")

    plan = run(notes, [7], step(listen))
    (failure,) = notes.failures
    notes.refuses = False
    run_virtual(resume(plan, Resources(), [Resumption(failure.value, failure.resume_at, key="call-1")]))
    assert notes.delivered == [("sink", "call-1: 7")]


def test_a_transactional_sink_gets_the_whole_item_again(notes):
    @sink
    class Together(Collected):
        transactional = True

        async def commit(self, _origin: Item[int]) -> None:
            notes.delivered += self.values
            self.values = []

        async def abort(self, _origin: Item[int]) -> None:
            self.values = []

    together = SinkPlan("together", describe(Together, "together"))
    plan = run(notes, [2], split(), refusing(notes), sink_plan=together)
    assert [(failure.value, failure.step, failure.resume_at) for failure in notes.failures] == [
        (2, "refuse_odd", "three_of")
    ]
    notes.refuses = False
    put_back(notes, plan)
    assert notes.delivered == [3, 4, 5]


def test_a_step_that_is_gone_is_no_place_to_go_on(notes):
    plan = run(notes, [2], ten(notes))
    assert [can_resume(plan, name) for name in ("ten_times", "sink", "other")] == [True, True, False]
    with pytest.raises(LookupError, match="other"):
        run_virtual(resume(plan, Resources(), [Resumption(1, "other")]))
