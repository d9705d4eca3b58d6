"""Sources of lines and ticks: stdin, jsonl, timer."""

from __future__ import annotations

import asyncio
import io
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fastembed.pipeline.component import Context
from fastembed.pipeline.errors import ConfigError
from fastembed.pipeline.testing import run_virtual
from fastembed.sources.jsonl import Jsonl
from fastembed.sources.stdin import Stdin
from fastembed.sources.timer import Timer


def context(base: Path = Path("/"), *, once: bool = False) -> Context:
    return Context(pipeline="p", step="s", definition="d", base=base, once=once)


async def taken(source: Any, count: int | None = None) -> list[Any]:
    found = []
    items = source.items()
    async for item in items:
        found.append(item)
        if len(found) == count:
            break
    await items.aclose()
    return found


async def test_stdin_gives_lines_without_their_ends_and_ends_with_the_pipe() -> None:
    source = Stdin()
    source._input = io.BytesIO('{"a": 1}\r\n\nGrüße\n'.encode() + b"\xff last")
    assert [(item.value, item.meta["line"]) for item in await taken(source)] == [
        ('{"a": 1}', 1),
        ("Grüße", 3),
        ("\ufffd last", 4),
    ]


async def test_stdin_waits_while_the_pipeline_does_not_take() -> None:
    source = Stdin()
    read, write = os.pipe()
    with os.fdopen(read, "rb") as given, os.fdopen(write, "wb") as giver:
        source._input = given
        threading.Thread(target=lambda: [giver.write(b"line\n" * 10_000), giver.close()], daemon=True).start()
        items = source.items()
        assert (await anext(items)).value == "line"
        await asyncio.sleep(0.05)
        rest = [item async for item in items]
    assert len(rest) == 9_999


async def test_jsonl_gives_every_line_the_last_without_its_end_too(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('1\n\n  {"b": 2}\n3')
    source = Jsonl(tmp_path / "a.jsonl")
    await source.open(context(tmp_path))
    found = await taken(source)
    assert [(item.value, item.meta["line"], item.meta["name"]) for item in found] == [
        ("1", 1, "a.jsonl"),
        ('{"b": 2}', 2, "a.jsonl"),
        ("3", 3, "a.jsonl"),
    ]


async def test_jsonl_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"found no file .*none.jsonl, expected one with a JSON value on each line"):
        await Jsonl(tmp_path / "none.jsonl").open(context(tmp_path))


async def test_jsonl_follows_what_is_appended_rotated_and_cut(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    path.write_text("old\n")
    source = Jsonl(path, follow=True)
    await source.open(context(tmp_path))
    found: list[str] = []

    async def follow() -> None:
        async for item in source.items():
            found.append(item.value)  # noqa: PERF401 - looked at while it grows

    following = asyncio.create_task(follow())
    await asyncio.sleep(0.3)
    with path.open("a") as file:
        file.write("new\npart")
        file.flush()
        await until(lambda: found == ["new"])
        file.write("ial\n")
    await until(lambda: found == ["new", "partial"])
    path.rename(tmp_path / "log.1")
    path.write_text("rotated\n")
    await until(lambda: found[-1] == "rotated")
    path.write_text("cut\n")
    await until(lambda: found[-1] == "cut")
    source.stop()
    await asyncio.wait_for(following, 5)


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not holds():  # noqa: ASYNC110 - nothing tells
            await asyncio.sleep(0.02)


def test_timer_ticks_at_the_beat_of_the_clock_and_leaves_out_what_is_missed() -> None:
    async def main() -> list[Any]:
        loop = asyncio.get_running_loop()
        timer = Timer(10.0, value={"job": "look"})
        timer._clock = lambda: 1003.0 + loop.time() - begun
        begun = loop.time()
        items = timer.items()
        ticks = [(await anext(items)).value]
        await asyncio.sleep(25)  # two beats pass while nobody takes
        ticks += [(await anext(items)).value]
        await items.aclose()
        return ticks

    first, second = run_virtual(main())
    assert first == {"job": "look", "time": "1970-01-01T00:16:50Z", "seconds": 1010.0, "count": 1}
    assert (second["seconds"], second["count"]) == (1040.0, 2)


async def test_timer_gives_one_tick_where_the_run_is_to_end() -> None:
    timer = Timer(3600.0)
    await timer.open(context(once=True))
    assert [item.value["count"] for item in await taken(timer)] == [1]


def test_timer_refuses_no_time() -> None:
    with pytest.raises(ValueError, match="found every: 0, expected a time such as 10s"):
        Timer(0.0)
