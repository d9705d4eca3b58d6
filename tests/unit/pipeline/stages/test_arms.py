"""Streams that part and meet again: routes and forks."""

from __future__ import annotations

from fastembed.pipeline.component import operator, sink
from fastembed.pipeline.item import Outcome
from fastembed.pipeline.plan import Branch, Expression, ForkPlan, RoutePlan, SinkPlan
from fastembed.pipeline.spec import describe
from fastembed.pipeline.testing import run_values, step
from tests.unit.pipeline.numbers import crash_on_three, double, repeat


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
