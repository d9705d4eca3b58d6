"""Operators that know nothing of models: map, filter, split, merge_fields, dedupe, throttle, sample."""

from __future__ import annotations

from typing import Any

import pytest

from fastembed.pipeline.errors import ConfigError, Overloaded
from fastembed.pipeline.item import Item, Outcome
from tests.unit.operators.steps import run_steps, steps_of, through

FORKED = "{fork: {a: [map: {to: {x: 1}}], b: [map: {to: {x: 2}}], join: all}}"


@pytest.mark.parametrize(
    ("steps", "given", "expected"),
    [
        ("[map: value * 2]", [1, 2], [2, 4]),
        ("[map: {to: {n: len(value), text: value.upper()}}]", ["ab"], [{"n": 2, "text": "AB"}]),
        ("[map: {to: {n: a + 1}, keep: true}]", [{"a": 1}], [{"a": 1, "n": 2}]),
        ("[map: 1]", ["x"], [1]),
        ("[map: \"'all right'\"]", [None, 1], ["all right", "all right"]),
        ("[filter: value > 1]", [1, 2, 3], [2, 3]),
        ("[filter: {where: a == 'x'}]", [{"a": "x"}, {"a": "y"}], [{"a": "x"}]),
        ("[split]", [[1, 2], [], [3]], [1, 2, 3]),
        ("[split: value.split()]", ["a b", "c"], ["a", "b", "c"]),
        (
            "[split: {entries: lines, into: line, index: n}]",
            [{"name": "f", "lines": ["x", "y"]}],
            [
                {"name": "f", "lines": ["x", "y"], "line": "x", "n": 0},
                {"name": "f", "lines": ["x", "y"], "line": "y", "n": 1},
            ],
        ),
        (f"[{FORKED}, {{merge_fields: {{conflict: last}}}}]", [0], [{"x": 2}]),
        (f"[{FORKED}, {{merge_fields: {{conflict: first}}}}]", [0], [{"x": 1}]),
        ("[{fork: {a: [map: value], b: [map: {to: {m: 1}}], join: all}}, merge_fields]", [1], [{"a": 1, "m": 1}]),
        ("[dedupe: value]", ["a", "b", "a", 1, "1", 1.0], ["a", "b", 1, 1.0]),
        ("[dedupe: value.url]", [{"url": "a", "n": 1}, {"url": "a", "n": 2}], [{"url": "a", "n": 1}]),
        ("[dedupe: {by: value, remember: 1}]", ["a", "b", "a"], ["a", "b", "a"]),
        ("[sample: 3]", range(7), [0, 3, 6]),
        ("[json]", ['{"a": [1, 2.5]}', '"x"', b"3", "null"], [{"a": [1, 2.5]}, "x", 3]),
    ],
)
def test_values_go_through(steps: str, given: Any, expected: list[Any]) -> None:
    assert through(steps, given) == expected


@pytest.mark.parametrize(
    ("steps", "problem"),
    [
        ("[map: value.]", "expected an expression"),
        ("[map: {to: open('x')}]", "found `open('x')`, expected one of len"),
        ("[map: {to: value, keep: true}]", "found keep beside a single expression, expected names"),
        ("[map: {to: [1]}]", "expected an expression such as value.pages > 10"),
        ("[filter]", "where"),
        ("[split: {index: n}]", "found index without into"),
        ("[sample]", "expected one of every and interval"),
        ("[sample: {every: 2, interval: 1s}]", "expected one of every and interval"),
        ("[sample: 0]", "greater than or equal to 1"),
        ("[throttle: {count: 1, per: 0}]", "found per: 0, expected a time such as 1s"),
        ("[split, chunk]", "which gives str | int | float | bool | list[Any] | dict[str, Any] | ndarray (at"),
    ],
)
def test_what_is_wrong_is_told_when_the_file_is_loaded(steps: str, problem: str) -> None:
    with pytest.raises(ConfigError) as told:
        steps_of(steps)
    assert problem in str(told.value)


def test_a_field_that_the_value_cannot_have_is_told_for_options_too() -> None:
    with pytest.raises(ConfigError, match=r"found 'pagse' in `pagse > 3`, expected a field of Document: .*page_count"):
        steps_of("[parse, {filter: pagse > 3}]")


@pytest.mark.parametrize(
    ("steps", "value", "message"),
    [
        ("[map: value.nothing]", {"a": 1}, "expression `value.nothing`: found no 'nothing' in the keys a"),
        ("[map: {to: {n: 1}, keep: true}]", 5, "found int, expected a mapping whose fields can be kept"),
        ("[split]", "text", "found str, expected a list to split"),
        ("[json]", "{a}", "found '{a}', expected JSON: "),
        ("[json]", "NaN", "found 'NaN', expected JSON: "),
        ("[split: {entries: '[1]', into: x}]", 5, "found int, expected a mapping whose fields can be kept"),
        ("[dedupe: value]", [1], "expression `value`: found list, expected a key: text or a number"),
        (
            f"[{FORKED}, merge_fields]",
            0,
            "found the field x from the branches a and b with different values, expected it once, or conflict: first",
        ),
    ],
)
def test_an_item_that_does_not_fit_fails_alone(steps: str, value: Any, message: str) -> None:
    run = run_steps(steps, [value])
    assert (run.sink.values, run.source.settled) == ([], {0: [Outcome.REJECTED]})
    assert message in str(run.source.errors[0])


def test_dedupe_forgets_after_its_time() -> None:
    # `throttle` puts a second between items on the clock that jumps
    assert through("[{throttle: 1}, {dedupe: {by: value, within: 1500ms}}]", ["a", "a", "a", "a"]) == ["a", "a"]


def test_sample_takes_one_in_a_time() -> None:
    assert through("[{throttle: 1}, {sample: {interval: 2s}}]", list(range(6))) == [0, 2, 4]


def test_throttle_drops_and_refuses_above_its_bound_and_keeps_keys_apart() -> None:
    assert through("[throttle: {count: 2, per: 1s, over: drop}]", list(range(5))) == [0, 1]
    keyed = [Item(n, key=str(n % 2)) for n in range(6)]
    assert through("[throttle: {count: 1, per: 1s, over: drop, each: key}]", keyed) == [0, 1]
    run = run_steps("[throttle: {count: 2, per: 10s, over: refuse}]", range(3))
    assert run.sink.values == [0, 1]
    error = run.source.errors[2]
    assert isinstance(error, Overloaded)
    assert error.retry_after_s == pytest.approx(5.0)
