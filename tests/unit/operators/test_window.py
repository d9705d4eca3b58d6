"""Windows: how they close, and that what they hold ends with what comes of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from fastembed.pipeline.component import operator, source
from fastembed.pipeline.errors import ConfigError, Unprocessable
from fastembed.pipeline.item import Item, Outcome
from fastembed.pipeline.testing import plan_of, run_plan, run_virtual, step
from tests.unit.operators.steps import steps_of, through


@source
class Timed:
    """Yields values, each after a pause."""

    order = "none"

    def __init__(self, given: list[tuple[float, Any]]) -> None:
        self._given = given

    async def items(self) -> AsyncIterator[Item[Any]]:
        for pause_s, value in self._given:
            await asyncio.sleep(pause_s)
            yield value if isinstance(value, Item) else Item(value)


def timed(steps: str, *given: tuple[float, Any]) -> list[Any]:
    return run_virtual(run_plan(plan_of(Timed, {"given": list(given)}, *steps_of(steps)))).sink.values


def test_a_window_closes_at_its_count_and_at_the_end() -> None:
    assert through("[window: 2]", [1, 2, 3, 4, 5]) == [[1, 2], [3, 4], [5]]
    assert through("[window: 2]", []) == []


def test_keys_have_windows_of_their_own() -> None:
    items = [Item(n, key="even" if n % 2 == 0 else "odd") for n in range(6)]
    assert sorted(through("[window: 2]", items)) == [[0, 2], [1, 3], [4], [5]]


def test_a_window_closes_so_long_after_its_first_value_without_a_further_one() -> None:
    found = timed("[window: {time: 5s}]", (0, 1), (2, 2), (2, 3), (2, 4), (60, 5))
    assert found == [[1, 2, 3], [4], [5]]


def test_a_pause_closes_a_session_and_the_first_bound_that_is_met_closes() -> None:
    assert timed("[window: {session: 3s}]", (0, 1), (2, 2), (2, 3), (4, 4)) == [[1, 2, 3], [4]]
    assert timed("[window: {count: 2, session: 3s}]", (0, 1), (1, 2), (1, 3), (9, 4)) == [[1, 2], [3], [4]]


def test_a_window_needs_a_bound() -> None:
    with pytest.raises(ConfigError, match="expected at least one of count, time and session"):
        steps_of("[window]")


@operator
def refuse_lists_of_two(values: list) -> list:
    if len(values) == 2:
        raise Unprocessable("no lists of two")
    return values


def test_items_end_as_what_was_made_of_them_does_and_not_before() -> None:
    ended: list[tuple[int, Outcome]] = []

    def item(number: int) -> Item[int]:
        return Item(number, on_settled=lambda outcome, _error: ended.append((number, outcome)))

    (window,) = steps_of("[window: 2]")
    values = [(0.0, item(n)) for n in range(3)]
    run = run_virtual(run_plan(plan_of(Timed, {"given": values}, window, step(refuse_lists_of_two))))
    assert run.sink.values == [[2]]
    assert sorted(ended) == [(0, Outcome.REJECTED), (1, Outcome.REJECTED), (2, Outcome.DELIVERED)]
