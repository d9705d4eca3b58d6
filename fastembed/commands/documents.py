"""`fastembed search`, `ls`, `reprocess`: questions to the databases of the folder pipelines.

DuckDB lets one process hold a file. So a file is opened where it is free, and the server is asked where it is not.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import typer

from fastembed.assembly import close_resources, make_resources, only, read_configuration
from fastembed.commands.folder_state import folder_problems
from fastembed.commands.server import reason, server_url
from fastembed.guards import keep_files_private
from fastembed.inference.serving.models import Models
from fastembed.pipeline.config.guarantees import sinks
from fastembed.pipeline.errors import ConfigError, FastEmbedError, InvalidInput
from fastembed.pipeline.payload.asking import SearchScope
from fastembed.pipeline.plan import Configuration
from fastembed.server.wire.text import printable
from fastembed.sinks.lake.database import Lake
from fastembed.sinks.lake.opening import LakeLocked
from fastembed.sinks.lake.retriever import search_lakes, waiting_chunks
from fastembed.sinks.lake.several import select_databases

if TYPE_CHECKING:
    from fastembed.client import FastEmbedClient

EVERYWHERE: Final = SearchScope()
T = TypeVar("T")
U = TypeVar("U")
Rows = Sequence[Mapping[str, Any]]
_EXPLAINED = frozenset({"waiting", "failed", "ignored", "skipped"})
"""States whose reason is worth more than the title."""


@dataclass(frozen=True, slots=True)
class AnswerSource:
    """Where the answers are: the configuration names the databases, `url` the server that may hold them.

    database: only this one, by its path or file name; None: all.
    """

    config: Path | None
    url: str
    api_key: str | None
    database: str | None = None

    def ask(
        self,
        offline: Callable[[Sequence[Lake], Configuration], Awaitable[Sequence[T]]],
        online: Callable[[FastEmbedClient, str | None], Awaitable[Sequence[T]]],
        pipeline: str | None = None,
    ) -> list[T]:
        """Answer from the files that are free, and by the server that holds the others.

        online: gets the client and the database that is meant. ConfigError if there is no such `pipeline` or database.
        """
        keep_files_private()
        return asyncio.run(self._ask(offline, online, pipeline))

    async def _ask(
        self,
        offline: Callable[[Sequence[Lake], Configuration], Awaitable[Sequence[T]]],
        online: Callable[[FastEmbedClient, str | None], Awaitable[Sequence[T]]],
        pipeline: str | None,
    ) -> list[T]:
        configuration = read_configuration(self.config)
        if pipeline is not None:
            only(configuration, (pipeline,))
        paths = self._existing(configuration)
        lakes: list[Lake] = []
        locked: LakeLocked | None = None
        try:
            for path in paths:
                try:
                    lakes.append(await Lake.open(path))
                except LakeLocked as error:
                    locked = error
            answers = list(await offline(lakes, configuration)) if lakes else []
        finally:
            for lake in lakes:
                await lake.close()
        if locked is not None:
            answers += await self.of_server(online, str(paths[0]) if self.database else None, locked)
        return answers

    def _existing(self, configuration: Configuration) -> list[Path]:
        """Return the databases that are there, of those that are meant."""
        try:
            selected = select_databases(databases_of(configuration), self.database)
        except InvalidInput as error:
            raise ConfigError([f"--database: {error.message}"]) from None
        if there := [path for path in selected if path.is_file()]:
            return there
        databases = f"database {selected[0]}" if len(selected) == 1 else f"databases {_listed(selected)}"
        raise FastEmbedError(f"found no {databases}: nothing was processed yet")

    def files(self, configuration: Configuration) -> list[Path]:
        """Return the databases that are there, of those that are meant. FastEmbedError: none is."""
        return self._existing(configuration)

    def file(self) -> Path:
        """Return the one database that is meant. ConfigError: there are several, and none is named."""
        there = self._existing(read_configuration(self.config))
        if len(there) > 1:
            raise ConfigError([f"found {len(there)} databases, expected --database with one of {_listed(there)}"])
        return there[0]

    async def of_server(
        self,
        online: Callable[[FastEmbedClient, str | None], Awaitable[U]],
        database: str | None,
        locked: LakeLocked,
    ) -> U:
        """Have the server that holds a database answer. FastEmbedError says what is in the way."""
        from openai import APIError, BadRequestError

        from fastembed.client import FastEmbedClient

        url = server_url(self.url, self.config)
        async with FastEmbedClient(url, self.api_key) as client:
            try:
                return await online(client, database)
            except BadRequestError as error:  # it has looked at the request: who holds the file explains nothing
                raise FastEmbedError(reason(error)) from error
            except APIError as error:
                raise FastEmbedError(f"{locked}\nthe server at {url} was asked instead: {reason(error)}") from error


def _listed(paths: Sequence[Path]) -> str:
    return ", ".join(map(str, paths))


def has_database(configuration: Configuration) -> bool:
    """Whether the pipelines write a database."""
    return bool(_databases(configuration))


def keeps_rows(configuration: Configuration) -> bool:
    """Whether a database that the pipelines write is there."""
    return any(path.is_file() for path in _databases(configuration))


def databases_of(configuration: Configuration) -> list[Path]:
    """Return the databases that the pipelines write, in their order. ConfigError if there is none."""
    found = _databases(configuration)
    if not found:
        raise ConfigError(["found no database in the configuration, expected a pipeline with the sink duckdb"])
    return found


def _databases(configuration: Configuration) -> list[Path]:
    found = {
        (plan.base / Path(sink.options["path"]).expanduser()).resolve(): None
        for plan in configuration.pipelines.values()
        for sink in sinks(plan)
        if sink.component.name in ("duckdb", "table")
    }
    return list(found)


def search(
    source: AnswerSource,
    words: str,
    *,
    limit: int,
    as_json: bool,
    scope: SearchScope = EVERYWHERE,
    floor: float | None = None,
) -> int:
    """Print the nearest chunks; 1 if there are none."""

    async def offline(lakes: Sequence[Lake], configuration: Configuration) -> Rows:
        resources = make_resources(configuration)
        models = resources.get(Models)
        try:
            if waiting := await waiting_chunks(lakes, models, *scope.tables):
                typer.echo(
                    f"{waiting} chunks of another embedding model are found by their words only, until "
                    "`fastembed reembed` gives them new vectors",
                    err=True,
                )
            hits = await search_lakes(lakes, models, words, limit=limit, scope=scope, floor=floor)
            return [asdict(hit) for hit in hits]
        finally:
            await close_resources(resources)

    async def online(client: FastEmbedClient, database: str | None) -> Rows:
        where = {"database": database, "tables": scope.tables, "files": scope.files, "types": scope.types}
        body = {"query": words, "limit": limit, "floor": floor, **{name: part for name, part in where.items() if part}}
        found = await client.call("POST", "/v1/search", body=body)
        return list(found["data"])

    found = source.ask(offline, online)
    hits = sorted(found, key=lambda hit: -hit["score"])[:limit]
    if as_json:
        print_json(hits)
    else:
        for number, hit in enumerate(hits, start=1):
            _print_hit(number, hit)
        if not hits:
            typer.echo("nothing found", err=True)
    return int(not hits)


def list_documents(source: AnswerSource, pipeline: str | None, *, as_json: bool) -> int:
    """Print every file and its state, and on stderr which folders seem not to be mounted."""
    problems: list[str] = []

    async def offline(lakes: Sequence[Lake], configuration: Configuration) -> Rows:
        rows = [row for lake in lakes for row in await lake.documents(pipeline)]
        problems.extend(await asyncio.to_thread(folder_problems, configuration, rows))
        return [asdict(row) for row in rows]

    rows = source.ask(offline, partial(rows_of, "/v1/documents", pipeline, problems=problems), pipeline)
    for problem in problems:
        typer.echo(printable(problem), err=True)
    if as_json:
        print_json(rows)
        return 0
    for row in rows:
        why = f"({row['detail']})" if row["state"] in _EXPLAINED and row["detail"] else row["title"]
        what = printable(f"{row['name']}  {why}")
        pages = f"{row['pages']:>4} p" if row["pages"] else _length(row.get("duration_s"))  # DOCX and text have none
        typer.echo(f"{row['state']:<10} {pages:<6} {row['chunks']:>5} chunks  {what}".rstrip())
    if not rows:
        typer.echo("no file was processed yet", err=True)
    return 0


def _length(seconds: float | None) -> str:
    """Return how long a recording is: 1:02:03."""
    return "" if seconds is None else _clock(seconds)


def _clock(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def reprocess(source: AnswerSource, pipeline: str, *, everything: bool, as_json: bool) -> int:
    """Mark files to be processed again."""

    async def offline(lakes: Sequence[Lake], configuration: Configuration) -> list[int]:
        definition = None if everything else configuration.pipelines[pipeline].definition
        return [await lake.reprocess(pipeline, definition) for lake in lakes]

    async def online(client: FastEmbedClient, database: str | None) -> list[int]:
        body = {"pipeline": pipeline, "all": everything} | ({"database": database} if database else {})
        return [int((await client.call("POST", "/v1/documents/reprocess", body=body))["count"])]

    count = sum(source.ask(offline, online, pipeline))
    print_count(
        pipeline, count, f"{count} file{'s' if count != 1 else ''} will be processed again by {pipeline}", as_json
    )
    return 0


def print_count(pipeline: str, count: int, text: str, as_json: bool) -> None:  # noqa: FBT001 - the option itself
    """Print how many files of a pipeline a command changed."""
    import orjson

    typer.echo(orjson.dumps({"pipeline": pipeline, "count": count}) if as_json else text)


async def rows_of(
    path: str, pipeline: str | None, client: FastEmbedClient, database: str | None, problems: list[str] | None = None
) -> Rows:
    """Return what a server lists at a path. problems: gets what it says of the folders."""
    query = {"pipeline": pipeline, "database": database}
    found = await client.call("GET", path, params={key: value for key, value in query.items() if value})
    if problems is not None:
        problems += found.get("problems", [])
    return list(found["data"])


def _print_hit(number: int, hit: Mapping[str, Any]) -> None:
    pages = hit["pages"]
    page = "" if not pages else f", page {pages[0]}" if pages[0] == pages[1] else f", pages {pages[0]}-{pages[1]}"
    if seconds := hit.get("seconds"):
        page = f", {_clock(seconds[0])} to {_clock(seconds[1])}"
    heading = " > ".join(hit["headings"])
    head = f"{number}. {hit['document']}{page}  [{hit['score']:.4f}]" + (f"  {heading}" if heading else "")
    typer.echo(f"{printable(head)}\n   {printable(hit['snippet'])}")


def print_json(rows: Rows) -> None:
    """Print rows as a JSON array."""
    import orjson

    typer.echo(orjson.dumps(list(rows), option=orjson.OPT_INDENT_2))
