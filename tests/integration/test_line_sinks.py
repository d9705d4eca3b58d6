"""Sinks of lines and requests: jsonl, stdout, webhook."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import SecretStr

from fastembed.pipeline.component import Context
from fastembed.pipeline.errors import Unavailable, Unprocessable
from fastembed.pipeline.item import Item
from fastembed.sinks.jsonl import Jsonl
from fastembed.sinks.stdout import Stdout
from fastembed.sinks.webhook import Webhook


def context(base: Path) -> Context:
    return Context(pipeline="p", step="s", definition="d", base=base)


@dataclass
class Point:
    x: int
    v: Any


async def test_jsonl_appends_lines_behind_the_last_whole_one(tmp_path: Path) -> None:
    path = tmp_path / "new" / "out.jsonl"
    sink = Jsonl(path)
    await sink.open(context(tmp_path))
    await sink.write(Item({"text": "Grüße"}))
    await sink.write(Item(Point(1, np.arange(2, dtype=np.float32))))
    await sink.close()
    assert path.read_text() == '{"text":"Grüße"}\n{"x":1,"v":[0.0,1.0]}\n'
    assert path.stat().st_mode & 0o777 == 0o600

    with path.open("a") as file:
        file.write('{"half')  # as a full disk or a power cut leaves it
    again = Jsonl(path)
    await again.open(context(tmp_path))
    await again.write(Item("x"))
    await again.close()
    assert [json.loads(line) for line in path.read_text().splitlines()][1:] == [{"x": 1, "v": [0.0, 1.0]}, "x"]


async def test_jsonl_takes_off_a_long_part_of_a_line_and_a_file_without_lines(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    for before, after in [("1\n" + "x" * 200_000, "1\n"), ("x" * 70_000, ""), ("", "")]:
        path.write_text(before)
        sink = Jsonl(path)
        await sink.open(context(tmp_path))
        await sink.close()
        assert path.read_text() == after


async def test_stdout_writes_text_as_it_is_and_values_as_json() -> None:
    sink, output = Stdout(), io.BytesIO()
    sink._output = output
    for value in ("Grüße", {"a": 1}, [1, None]):
        await sink.write(Item(value))
    quoted = Stdout(json=True)
    quoted._output = output
    await quoted.write(Item("x"))
    assert output.getvalue().decode() == 'Grüße\n{"a":1}\n[1,null]\n"x"\n'


@asynccontextmanager
async def server(*answers: str) -> AsyncIterator[tuple[str, list[tuple[dict[str, str], bytes]]]]:
    """Answer each request with the next of the given status lines and headers; the last one again and again."""
    got: list[tuple[dict[str, str], bytes]] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = dict(line.lower().split(": ", 1) for line in head[1:] if line)
        got.append((headers, await reader.readexactly(int(headers["content-length"]))))
        said = answers[min(len(got), len(answers)) - 1]
        if said:
            writer.write(f"HTTP/1.1 {said}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n".encode())
        writer.close()

    listening = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with listening:
        yield f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}/hook", got


async def send(url: str, *values: Any, **options: Any) -> None:
    sink = Webhook(url, **options)
    await sink.open(context(Path("/")))
    try:
        for value in values:
            await sink.write(value if isinstance(value, Item) else Item(value))
    finally:
        await sink.close()


async def test_webhook_tries_again_with_the_same_key_until_it_is_taken() -> None:
    async with server("503 Busy", "", "429 Slow\r\nretry-after: 1", "204 Done") as (url, got):
        await send(url, {"a": 1})
    assert [body for _, body in got] == [b'{"a":1}'] * 4
    assert len({headers["idempotency-key"] for headers, _ in got}) == 1


async def test_webhook_keys_tell_items_apart_and_stay_the_same() -> None:
    async with server("200 OK") as (url, got):
        lines = [Item({"a": 1}, meta={"line": line, "changes": line}) for line in (1, 2, 1)]
        await send(url, {"a": 1}, {"a": 2}, *lines)
    one, two, first, second, again = [headers["idempotency-key"] for headers, _ in got]
    assert len({one, two, first, second}) == 4
    assert again == first


async def test_webhook_fails_what_is_refused_at_once_and_what_cannot_be_reached_in_the_end() -> None:
    async with server("422 No") as (url, got):
        with pytest.raises(Unprocessable, match=r"127.0.0.1 refused the item with status 422"):
            await send(url, {"a": 1})
        assert len(got) == 1
    async with server("302 Found\r\nlocation: http://127.0.0.1:1/") as (url, got):
        with pytest.raises(Unprocessable, match="status 302"):
            await send(url, {"a": 1})
    with pytest.raises(Unavailable, match="did not take the item in 2 tries: ConnectError"):
        await send(url, {"a": 1}, attempts=2)


async def test_webhook_sends_the_headers_of_the_file() -> None:
    async with server("200 OK") as (url, got):
        await send(url, {}, headers={"authorization": SecretStr("Bearer k")})
    assert got[0][0]["authorization"] == "bearer k"


def test_webhook_wants_a_url() -> None:
    with pytest.raises(ValueError, match="expected a URL that begins with http"):
        Webhook("ftp://example.org/")
