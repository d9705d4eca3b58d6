"""`fastembed search`, `ls`, `failed`, `replay`, `reprocess`: questions to the database of the folder pipelines.

DuckDB lets one process hold a file. So the file is opened where it is free, and the server asked over HTTP where it is
not.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

import typer

from fastembed.assembly import close_resources, failure_folders, make_resources, only, read_configuration
from fastembed.client import Answer, FastEmbedClient, ServerError
from fastembed.inference.serving.models import Models
from fastembed.pipeline.config.guarantees import sinks
from fastembed.pipeline.errors import ConfigError, FastEmbedError
from fastembed.pipeline.plan import Configuration
from fastembed.server.endpoints.documents import replay_failed
from fastembed.server.endpoints.documents import search as search_lake
from fastembed.server.wire.text import printable
from fastembed.sinks.lake.database import Lake, LakeLocked

T = TypeVar("T")
Rows = Sequence[Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Source:
    """Where the answers are: the configuration names the database, `url` the server that may hold it."""

    config: Path | None
    url: str
    api_key: str | None

    def ask(
        self,
        offline: Callable[[Lake, Configuration], Awaitable[T]],
        online: Callable[[FastEmbedClient], Awaitable[T]],
        pipeline: str | None = None,
    ) -> T:
        """Answer from the file, or by the server that holds it. ConfigError if there is no such `pipeline`."""
        return asyncio.run(self._ask(offline, online, pipeline))

    async def _ask(
        self,
        offline: Callable[[Lake, Configuration], Awaitable[T]],
        online: Callable[[FastEmbedClient], Awaitable[T]],
        pipeline: str | None,
    ) -> T:
        configuration = read_configuration(self.config)
        if pipeline is not None:
            only(configuration, (pipeline,))
        path = database_of(configuration)
        if not path.is_file():
            raise FastEmbedError(f"found no database {path}: nothing was processed yet")
        try:
            lake = await Lake.open(path)
        except LakeLocked as locked:
            async with FastEmbedClient(self.url, self.api_key) as client:
                try:
                    return await online(client)
                except ServerError as error:
                    where = "name it with --url" if error.status == 0 else f"it is {self.url}"
                    raise FastEmbedError(f"{locked}\nthe server was asked instead ({where}): {error}") from error
        try:
            return await offline(lake, configuration)
        finally:
            await lake.close()


def database_of(configuration: Configuration) -> Path:
    """Return the database that the pipelines write. ConfigError if there is none, or more than one."""
    found = {
        (plan.base / Path(sink.options["path"]).expanduser()).absolute()
        for plan in configuration.pipelines.values()
        for sink in sinks(plan)
        if sink.component.name == "duckdb"
    }
    if len(found) != 1:
        shown = ", ".join(map(str, sorted(found))) or "none"
        raise ConfigError([f"found the databases {shown} in the configuration, expected one sink duckdb"])
    return found.pop()


def search(source: Source, words: str, *, limit: int, as_json: bool) -> int:
    """Print the nearest chunks; 1 if there are none."""

    async def offline(lake: Lake, configuration: Configuration) -> Rows:
        resources = make_resources(configuration)
        models = resources.get(Models)
        try:
            tables = await lake.tables()
            table = "chunks" if "chunks" in tables or not tables else tables[0]
            return [asdict(hit) for hit in await search_lake(lake, models, words, limit=limit, table=table)]
        finally:
            await close_resources(resources)

    hits = source.ask(offline, lambda client: client.search(words, limit=limit))
    if as_json:
        _print_json(hits)
    else:
        for number, hit in enumerate(hits, start=1):
            _print_hit(number, hit)
        if not hits:
            typer.echo("nothing found", err=True)
    return int(not hits)


def list_documents(source: Source, pipeline: str | None, *, as_json: bool) -> int:
    """Print every file and its state."""

    async def offline(lake: Lake, _: Configuration) -> Rows:
        return [asdict(row) for row in await lake.documents(pipeline)]

    rows = source.ask(offline, lambda client: _rows(client, "/v1/documents", pipeline), pipeline)
    if as_json:
        _print_json(rows)
        return 0
    for row in rows:
        what = printable(f"{row['name']}  {row['title']}")
        typer.echo(f"{row['state']:<10} {row['pages']:>4} p {row['chunks']:>5} chunks  {what}")
    if not rows:
        typer.echo("no file was processed yet", err=True)
    return 0


def list_failed(source: Source, pipeline: str | None, *, as_json: bool) -> int:
    """Print the files that failed and why."""

    async def offline(lake: Lake, _: Configuration) -> Rows:
        return [asdict(row) for row in await lake.failures(pipeline)]

    rows = source.ask(offline, lambda client: _rows(client, "/v1/documents/failed", pipeline), pipeline)
    if as_json:
        _print_json(rows)
        return 0
    for row in rows:
        now = f"  (now {row['location']})" if row["location"] else ""
        typer.echo(printable(f"{row['name']}: {row['reason']}{now}"))
    if not rows:
        typer.echo("no file has failed", err=True)
    return 0


def replay(source: Source, pipeline: str | None, names: list[str] | None) -> int:
    """Have failed files tried again; 1 if there were none, or one could not be moved back."""

    async def offline(lake: Lake, configuration: Configuration) -> Rows:
        folders = failure_folders(configuration, pipeline)
        return [asdict(row) for row in await replay_failed(lake, folders, pipeline, names)]

    async def online(client: FastEmbedClient) -> Rows:
        body = {"pipeline": pipeline, "names": names}
        found = await client.request("POST", "/v1/documents/replay", body=body)
        return list(found["data"])

    rows = source.ask(offline, online, pipeline)
    for row in rows:
        typer.echo(printable(f"{row['name']}: {row['problem'] or 'is tried again'}"))
    if not rows:
        typer.echo("found no failed file of that name" if names else "found no failed file", err=True)
    return int(not rows or any(row["problem"] for row in rows))


def reprocess(source: Source, pipeline: str, *, everything: bool) -> int:
    """Mark files to be processed again."""

    async def offline(lake: Lake, configuration: Configuration) -> int:
        definition = None if everything else configuration.pipelines[pipeline].definition
        return await lake.reprocess(pipeline, definition)

    async def online(client: FastEmbedClient) -> int:
        body = {"pipeline": pipeline, "all": everything}
        return int((await client.request("POST", "/v1/documents/reprocess", body=body))["count"])

    count = source.ask(offline, online, pipeline)
    typer.echo(f"{count} file{'s' if count != 1 else ''} will be processed again by {pipeline}")
    return 0


async def _rows(client: FastEmbedClient, path: str, pipeline: str | None) -> Rows:
    found = await client.request("GET", path, params={"pipeline": pipeline} if pipeline else None)
    return list(found["data"])


def _print_hit(number: int, hit: Mapping[str, Any]) -> None:
    pages = hit["pages"]
    page = "" if not pages else f", page {pages[0]}" if pages[0] == pages[1] else f", pages {pages[0]}-{pages[1]}"
    heading = " > ".join(hit["headings"])
    head = f"{number}. {hit['document']}{page}  [{hit['score']:.4f}]" + (f"  {heading}" if heading else "")
    typer.echo(f"{printable(head)}\n   {printable(hit['snippet'])}")


def _print_json(rows: Rows | Sequence[Answer]) -> None:
    import orjson

    typer.echo(orjson.dumps(list(rows), option=orjson.OPT_INDENT_2))
