"""Items of any source that failed, kept in a folder and put back at their step: real files, real pipelines."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from fastembed.pipeline.component import Context, Resources, operator, sink
from fastembed.pipeline.errors import InvalidInput
from fastembed.pipeline.item import Item
from fastembed.pipeline.plan import PipelinePlan, SinkPlan
from fastembed.pipeline.spec import describe
from fastembed.pipeline.testing import Given, plan_of, run_plan, step
from fastembed.sinks.folder import Folder
from fastembed.sinks.lake.dead_letters import Replayed, letters
from fastembed.sinks.lake.resuming import resume_items


@dataclass(frozen=True)
class Order:
    number: int
    lines: tuple[bytes, ...]


class Shop:
    """A pipeline whose step refuses until its counter is open."""

    def __init__(self, base: Path, values: list[Any]) -> None:
        self.base = base
        self.open = False
        self.counted = 0
        self.sold: list[tuple[str | None, Any]] = []
        self.plan = self._plan(values)

    @property
    def failed(self) -> Path:
        return self.base / "failed"

    def letters(self) -> list[Any]:
        return [letter for _, letter in letters(self.failed)]

    async def run(self) -> None:
        await run_plan(self.plan)

    async def replay(self, names: list[str] | None = None) -> list[Replayed]:
        return await resume_items(self.plan, self.failed, Resources(), names)

    def _plan(self, values: list[Any]) -> PipelinePlan:
        @operator
        async def count(value: Any) -> Any:
            self.counted += 1
            return value

        @operator
        async def sell(value: Any) -> Any:
            if not self.open:
                raise InvalidInput("found a closed counter, expected an open one")
            return value

        @sink
        class Till:
            async def open(self, context: Context) -> None:
                self.base = context.base

            async def write(_self, item: Item[Any]) -> None:  # noqa: N805 - `self` is the shop's
                self.sold.append((item.key, item.value))

        items = [Item(value, key=f"k{index}", meta={"of": index}) for index, value in enumerate(values)]
        return plan_of(
            Given,
            {"values": items},
            step(count),
            step(sell),
            sink_type=Till,
            name="shop",
            base=self.base,
            definition="d1",
            on_error=SinkPlan("on_error", describe(Folder, "folder"), {"path": Path("failed")}),
        )


@pytest.fixture
def shop(tmp_path: Path) -> Callable[..., Shop]:
    return lambda *values: Shop(tmp_path, list(values))


async def test_items_of_any_kind_go_on_where_they_failed_with_their_key(shop: Callable[..., Shop]) -> None:
    values = ["text", b"bytes", {"json": [1]}, Order(3, (b"a",))]
    here = shop(*values)
    await here.run()
    assert {(letter.step, letter.error, letter.attempts, letter.definition) for letter in here.letters()} == {
        ("sell", "InvalidInput", 1, "d1")
    }
    here.open = True
    assert [row.problem for row in await here.replay()] == [""] * 4
    assert sorted(here.sold, key=str) == sorted(((f"k{i}", value) for i, value in enumerate(values)), key=str)
    assert here.counted == 4
    assert [path.name for path in here.failed.iterdir() if not path.name.startswith(".")] == []


async def test_only_what_is_named_goes_back(shop: Callable[..., Shop]) -> None:
    here = shop("a", "b")
    await here.run()
    here.open = True
    name = here.letters()[0].name
    assert await here.replay([name]) == [Replayed(name, "", ended=True)]
    assert (len(here.sold), len(here.letters())) == (1, 1)


async def test_what_fails_again_has_one_letter_that_counts(shop: Callable[..., Shop]) -> None:
    here = shop("a")
    await here.run()
    (before,) = here.letters()
    for tries in (2, 3):
        (row,) = await here.replay()
        assert row.problem == "failed again: found a closed counter, expected an open one"
        (letter,) = here.letters()
        assert letter.attempts == tries
    assert letter.name != before.name
    assert len([path for path in here.failed.iterdir() if path.suffix == ".txt"]) == 1


async def test_a_letter_whose_step_or_value_is_gone_says_so_and_stays(shop: Callable[..., Shop]) -> None:
    here = shop("a", "b", "c")
    await here.run()
    here.open = True
    (first, _), (second, _), _ = letters(here.failed)
    path = first.with_name(first.name + ".error.json")
    letter = json.loads(path.read_text())
    letter["item"]["resume_at"] = "wrap"
    path.write_text(json.dumps(letter))
    second.unlink()
    problems = {row.name: row.problem for row in await here.replay()}
    assert problems[first.name] == "shop no longer has the step wrap that it failed at"
    assert "No such file" in problems[second.name]
    assert (len(here.sold), len(here.letters())) == (1, 2)


async def test_a_letter_of_an_older_version_says_that_it_kept_nothing(shop: Callable[..., Shop]) -> None:
    here = shop("a")
    await here.run()
    ((file, _),) = letters(here.failed)
    path = file.with_name(file.name + ".error.json")
    letter = json.loads(path.read_text())
    del letter["item"]
    path.write_text(json.dumps(letter))
    (row,) = await here.replay()
    assert row.problem.startswith("found a letter of an older version")


async def test_a_stream_that_fails_in_the_middle_of_a_key_keeps_what_it_was_given(tmp_path: Path) -> None:
    heard: list[str] = []
    deaf = [True]

    @operator
    async def hear(items: AsyncIterator[Item[str]]) -> AsyncIterator[Item[str]]:
        async for item in items:
            if deaf[0] and item.value == "two":
                raise InvalidInput("found noise")
            yield item.derive(f"{item.key}: {item.value}")

    @sink
    async def note(value: str) -> None:
        heard.append(value)

    plan = plan_of(
        Given,
        {"values": [Item("one", key="call"), Item("two", key="call")]},
        step(hear),
        sink_type=note,
        name="calls",
        base=tmp_path,
        on_error=SinkPlan("on_error", describe(Folder, "folder"), {"path": Path("failed")}),
    )
    await run_plan(plan)
    deaf[0] = False
    assert [row.problem for row in await resume_items(plan, tmp_path / "failed", Resources())] == [""]
    assert heard == ["call: one", "call: two"]
