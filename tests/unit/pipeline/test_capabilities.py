"""What a component declares is read once, into types; what it declares wrongly is refused with the reason."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from fastembed.pipeline import capabilities
from fastembed.pipeline.capabilities import Capabilities
from fastembed.pipeline.component import Batch, Context, operator, sink, source
from fastembed.pipeline.errors import FastEmbedError
from fastembed.pipeline.item import Item
from fastembed.pipeline.part import make
from fastembed.pipeline.spec import describe


class Numbers:
    async def items(self) -> AsyncIterator[Item[int]]:
        yield Item(1)


class Double:
    def __call__(self, value: int) -> int:
        return 2 * value


class Lines:
    async def write(self, value: int) -> None:
        raise NotImplementedError(value)


MARKS: dict[type, Any] = {Numbers: source, Double: operator, Lines: sink}


def declared(base: type, **members: Any) -> type:
    """Return a component of the base's role with these attributes."""
    marked: type = MARKS[base](type("Made", (base,), {"__module__": __name__, **members}))
    return marked


def refusal(base: type, **members: Any) -> str:
    with pytest.raises(TypeError) as caught:
        describe(declared(base, **members), "made")
    return str(caught.value).split(": ", 1)[1]


def plain(self: Any) -> None:
    """Do nothing."""


def now_or_never(self: Any, item: Any) -> bool:
    return item is self


async def coroutine(self: Any) -> None:
    """Do nothing."""


async def coroutine_of_one(self: Any, _: Any) -> None:
    """Do nothing."""


def test_nothing_declared_is_the_defaults():
    assert describe(declared(Numbers), "made").capabilities == Capabilities()


def test_what_a_source_declares_is_read():
    made = declared(
        Numbers,
        order="key",
        exclusive=True,
        replayable=True,
        stop=plain,
        progress=plain,
        open=coroutine_of_one,
        close=coroutine,
    )
    assert describe(made, "made").capabilities == Capabilities(
        order="key", exclusive=True, replayable=True, stop=True, progress=True, open=True, close=True
    )


def test_what_a_sink_declares_is_read():
    ledger = dict.fromkeys(("record", "rename", "forget"), coroutine_of_one)
    made = declared(
        Lines,
        workers=4,
        transactional=True,
        commit=coroutine_of_one,
        abort=coroutine_of_one,
        write_nowait=now_or_never,
        entries=coroutine,
        **ledger,
    )
    assert describe(made, "made").capabilities == Capabilities(
        workers=4, transactional=True, write_nowait=True, entries=True
    )


def test_what_a_function_declares_counts_with_options_bound_too():
    @operator
    def longest(values: Batch[str], *, size: int = 1) -> list[str]:
        return [value[:size] for value in values]

    longest.workers = 3  # type: ignore[attr-defined] # functions take attributes
    longest.cost = len  # type: ignore[attr-defined]
    spec = describe(longest, "longest")
    assert spec.capabilities == Capabilities(workers=3, cost=True)
    assert make("longest", spec, {"size": 2}).owner.cost("four") == 4


def test_what_a_constructor_declares_counts_for_that_instance():
    @sink
    class Callers(Lines):
        def __init__(self, *, workers: int = 2) -> None:
            self.workers = workers

    spec = describe(Callers, "callers")
    assert make("callers", spec, {"workers": 7}).capabilities.workers == 7
    with pytest.raises(FastEmbedError, match="found workers = 0, expected an integer of at least 1"):
        make("callers", spec, {"workers": 0})


@pytest.mark.parametrize(
    ("base", "members", "problem"),
    [
        (Double, {"workers": "4"}, "found workers = '4', expected an integer of at least 1"),
        (Double, {"workers": 0}, "found workers = 0, expected an integer of at least 1"),
        (Double, {"workers": True}, "found workers = True, expected an integer of at least 1"),
        (Lines, {"workers": 2.5}, "found workers = 2.5, expected an integer of at least 1"),
        (Numbers, {"order": "stirct"}, "found order = 'stirct', expected one of strict, key, none"),
        (Numbers, {"replayable": "yes"}, "found replayable = 'yes', expected True or False"),
        (Numbers, {"exclusive": 1}, "found exclusive = 1, expected True or False"),
        (Lines, {"transactional": "no"}, "found transactional = 'no', expected True or False"),
        (Numbers, {"stop": True}, "found stop = True, expected a method"),
        (Numbers, {"stop": coroutine}, "found a coroutine function stop, expected a plain function: def stop"),
        (Numbers, {"progress": coroutine}, "found a coroutine function progress, expected a plain function"),
        (Double, {"cost": coroutine_of_one}, "found a coroutine function cost, expected a plain function: def cost"),
        (Double, {"cost": plain}, "found cost(self: 'Any') -> 'None', expected it to take one argument"),
        (
            Lines,
            {"write_nowait": coroutine_of_one},
            "found a coroutine function write_nowait, expected a plain function",
        ),
        (Lines, {"open": plain}, "found a plain function open, expected a coroutine function: async def open"),
        (Lines, {"open": coroutine}, "found open(self: 'Any') -> 'None', expected it to take one argument"),
        (Double, {"close": plain}, "found a plain function close, expected a coroutine function: async def close"),
        (Numbers, {"close": coroutine_of_one}, "expected it to take no argument"),
    ],
)
def test_a_wrong_type_is_refused(base: type, members: dict[str, Any], problem: str):
    assert problem in refusal(base, **members)


@pytest.mark.parametrize(
    ("base", "members", "near"),
    [
        (Lines, {"transactionl": True}, "transactional"),
        (Lines, {"transational": True}, "transactional"),
        (Numbers, {"replayble": True}, "replayable"),
        (Numbers, {"repayable": True}, "replayable"),
        (Numbers, {"exlusive": True}, "exclusive"),
        (Numbers, {"ordr": "none"}, "order"),
        (Double, {"worker": 3}, "workers"),
        (Double, {"wokers": 3}, "workers"),
        (Numbers, {"progres": plain}, "progress"),
        (Lines, {"write_no_wait": coroutine_of_one}, "write_nowait"),
        (Lines, {"oepn": coroutine_of_one}, None),
        (Lines, {"clsoe": coroutine}, "close"),
    ],
)
def test_a_name_that_is_nearly_a_declaration_is_refused(base: type, members: dict[str, Any], near: str | None):
    if near is None:  # two letters of four: too far to be sure
        assert describe(declared(base, **members), "made")
    else:
        assert f"did you mean {near!r}?" in refusal(base, **members)


def test_a_method_that_is_nearly_commit_is_named_where_commit_is_missing():
    text = refusal(Lines, transactional=True, comit=coroutine_of_one, abort=coroutine_of_one)
    assert "found transactional = True without commit, expected async def commit() beside it" in text
    assert "did you mean 'comit'?" in text


def test_names_of_a_components_own_are_left_alone():
    names = {"worker_count": 3, "_workers": "many", "closed": True, "orders": ("a",), "costs": 3.5, "stopped": plain}
    for base in MARKS:
        assert describe(declared(base, **names), "made").capabilities == Capabilities()


@pytest.mark.parametrize(
    ("base", "members", "problem"),
    [
        (Numbers, {"transactional": True}, "found transactional = True on a source, expected it on sinks"),
        (Lines, {"replayable": True}, "found replayable = True on a sink, expected it on sources"),
        (Double, {"exclusive": True}, "found exclusive = True on an operator, expected it on sources"),
        (Numbers, {"workers": 4}, "found workers = 4 on a source, expected it on operators and sinks"),
        (Double, {"order": "none"}, "found order = 'none' on an operator, expected it on sources"),
    ],
)
def test_a_declaration_of_another_role_is_refused(base: type, members: dict[str, Any], problem: str):
    assert problem in refusal(base, **members)


@pytest.mark.parametrize("missing", ["commit", "abort"])
def test_a_transactional_sink_without_commit_or_abort_is_refused(missing: str):
    methods = {name: coroutine_of_one for name in ("commit", "abort") if name != missing}
    assert refusal(Lines, transactional=True, **methods) == (
        f"found transactional = True without {missing}, expected async def {missing}() beside it"
    )


def test_a_transactional_sink_whose_commit_is_no_coroutine_function_is_refused():
    text = refusal(Lines, transactional=True, commit=now_or_never, abort=coroutine_of_one)
    assert "found a plain function commit, expected a coroutine function: async def commit" in text


def test_a_sink_that_is_half_a_ledger_is_refused():
    text = refusal(Lines, entries=coroutine, record=coroutine_of_one)
    assert text == (
        "found entries() without rename and forget, expected async def rename() and async def forget() beside it"
    )


def test_every_problem_is_told_at_once():
    text = refusal(Numbers, replayble=True, order="up", stop=coroutine)
    assert text.count("found ") == 3


def test_open_learns_the_name_of_its_step():
    opened: list[str] = []

    @sink
    class Noting(Lines):
        async def open(self, context: Context) -> None:
            opened.append(context.step)

    assert describe(Noting, "noting").capabilities.open


def test_the_page_and_the_module_list_every_capability():
    page = (Path(__file__).parents[3] / "docs" / "components.md").read_text()
    names = {field.name for field in fields(Capabilities)}
    assert set(re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE)) == names
    assert {name for name in names if re.search(rf"^{name}\b", capabilities.__doc__ or "", re.MULTILINE)} == names
