"""`fastembed sql`: a query over the stored documents, by the server that holds them, or on the file, read-only."""

from __future__ import annotations

import asyncio
import re
import sys
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import IO, Any, Final, Literal, cast

import orjson
import typer

from fastembed.commands.documents import AnswerSource
from fastembed.commands.server import download, server_url
from fastembed.guards import keep_files_private
from fastembed.pipeline.errors import FastEmbedError
from fastembed.server.wire.text import printable
from fastembed.sinks.lake.database import Lake
from fastembed.sinks.lake.opening import LakeLocked, connect_read_only
from fastembed.sinks.lake.sql.formats import Format
from fastembed.sinks.lake.sql.query import ReadOnlyQueries, SqlRequest

Shown = Literal["table", "json", "csv", "arrow", "parquet"]

MAX_CELL_CHARS: Final = 60
_NAMED: Final = re.compile(r"([A-Za-z_]\w*)=(.*)", re.DOTALL)
_SUFFIXES: Final[Mapping[str, Shown]] = {
    ".json": "json",
    ".csv": "csv",
    ".arrow": "arrow",
    ".arrows": "arrow",
    ".parquet": "parquet",
}


def sql(
    source: AnswerSource,
    query: str,
    values: Sequence[str],
    *,
    form: Shown | None,
    output: Path | None,
    options: Mapping[str, Any],
) -> int:
    """Print what a query gives, or write it into a file."""
    keep_files_private()
    shown = form or (_SUFFIXES.get(output.suffix.lower(), "csv") if output else "table")
    if shown in ("arrow", "parquet") and output is None and sys.stdout.isatty():
        raise FastEmbedError(f"found a terminal for {shown}, which is binary: add --output FILE, or redirect")
    body = {
        "query": sys.stdin.read() if query == "-" else query,
        "format": "json" if shown == "table" else shown,
        **({"params": read_values(values)} if values else {}),
        **{name: value for name, value in options.items() if value is not None},
    }
    asyncio.run(_write(source, body, shown, output))
    return 0


def read_values(values: Sequence[str]) -> list[str] | dict[str, str]:
    """Return `name=value` ones by name, if all are, else all as they are in order."""
    named = [_NAMED.fullmatch(value) for value in values]
    return {match[1]: match[2] for match in named if match} if all(named) else list(values)


async def _write(source: AnswerSource, body: Mapping[str, Any], shown: Shown, output: Path | None) -> None:
    async with aclosing(_pieces(source, body)) as pieces:
        first = await anext(pieces, b"")  # before the file is made: most errors come now
        if shown == "table":
            text = table(orjson.loads(b"".join([first, *[piece async for piece in pieces]])))
            await asyncio.to_thread(output.write_text, text) if output else typer.echo(text)
            return
        out: IO[bytes] = await asyncio.to_thread(output.open, "wb") if output else sys.stdout.buffer
        try:
            await asyncio.to_thread(out.write, first)
            async for piece in pieces:
                await asyncio.to_thread(out.write, piece)
            if shown == "json":
                out.write(b"\n")
            out.flush()
        finally:
            if output:
                out.close()


async def _pieces(source: AnswerSource, body: Mapping[str, Any]) -> AsyncGenerator[bytes]:
    path = source.file()
    try:
        connection = await asyncio.to_thread(connect_read_only, path)
        if connection is None:  # of an older version: brought up to date once
            await (await Lake.open(path)).close()
            connection = await asyncio.to_thread(connect_read_only, path)
    except LakeLocked as locked:
        async with aclosing(_of_server(source, path, body, locked)) as pieces:
            async for piece in pieces:
                yield piece
        return
    if connection is None:
        raise FastEmbedError(f"{path} changed while it was opened: try again")
    queries = ReadOnlyQueries(path, connection.cursor)
    request = SqlRequest(
        body["query"],
        body.get("params"),
        cast("Format", body["format"]),
        body.get("max_rows"),
        body["timeout"],
    )
    try:
        async with aclosing(queries.stream(request)) as pieces:
            async for piece in pieces:
                yield piece
    finally:
        await queries.close()
        connection.close()


async def _of_server(
    source: AnswerSource, path: Path, body: Mapping[str, Any], locked: LakeLocked
) -> AsyncGenerator[bytes]:
    """Yield what the server that holds the file answers."""
    from fastembed.client import FastEmbedClient

    async with FastEmbedClient(server_url(source.url, source.config), source.api_key) as client:
        pieces = download(client, "/v1/sql", {**body, "database": str(path)})

        async def begin(_: FastEmbedClient, __: str | None) -> bytes:
            return await anext(pieces, b"")

        async with aclosing(pieces):
            yield await source.of_server(begin, str(path), locked)
            async for piece in pieces:
                yield piece


def table(found: Mapping[str, Any]) -> str:
    """Return a result as text in columns; long cells are cut."""
    names = [column["name"] for column in found["columns"]]
    rows = [[_cell(row.get(name)) for name in names] for row in found["data"]]
    widths = [max(len(cell) for cell in column) for column in zip(names, *rows, strict=True)]
    lines = [names, ["-" * width for width in widths], *rows]
    text = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines]
    count = found["row_count"]
    more = ", and more: add a LIMIT, or raise --max-rows" if found["truncated"] else ""
    return "\n".join([*text, f"({count} row{'' if count == 1 else 's'}{more})"])


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    text = value if isinstance(value, str) else orjson.dumps(value).decode()
    flat = printable(" ".join(text.split()))
    return flat if len(flat) <= MAX_CELL_CHARS else f"{flat[: MAX_CELL_CHARS - 1]}…"
