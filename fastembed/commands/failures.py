"""`fastembed failed`, `replay`: what failed, and trying it again.

Files of watched folders are in the databases' ledgers; items of other sources are in the `on_error` folders only. Where
a server holds a database, it does both: the pipelines of the items may write to it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

import typer

from fastembed.assembly import close_resources, make_resources, only, read_configuration
from fastembed.commands.documents import AnswerSource, Rows, has_database, keeps_rows, print_json, rows_of
from fastembed.dead_letters import any_items, failed_items, failure_folders, replay_items
from fastembed.pipeline.plan import Configuration
from fastembed.server.endpoints.documents import failures, replay_failed
from fastembed.server.wire.text import printable
from fastembed.sinks.lake.database import Lake
from fastembed.sinks.lake.dead_letters import Replayed

if TYPE_CHECKING:
    from fastembed.client import FastEmbedClient


def list_failed(source: AnswerSource, pipeline: str | None, *, as_json: bool) -> int:
    """Print the files and items that failed and why."""
    configuration = _configuration(source, pipeline)
    items: Rows = [] if source.database else [asdict(row) for row in failed_items(configuration, pipeline)]

    async def offline(lakes: Sequence[Lake], _: Configuration) -> Rows:
        return [asdict(row) for row in await failures(lakes, pipeline)]

    async def online(client: FastEmbedClient, database: str | None) -> Rows:
        return await rows_of("/v1/documents/failed", pipeline, client, database)

    found = source.ask(offline, online, pipeline) if _asks(configuration, pipeline, some=bool(items)) else []
    rows = list({(row["pipeline"], row["name"], row["location"]): row for row in (*items, *found)}.values())
    rows.sort(key=lambda row: str(row["at"]), reverse=True)
    if as_json:
        print_json(rows)
        return 0
    for row in rows:
        now = f"  (now {row['location']})" if row["location"] else ""
        typer.echo(printable(f"{row['name']}: {row['reason']}{now}"))
    if not rows:
        typer.echo("nothing has failed", err=True)
    return 0


def replay(source: AnswerSource, pipeline: str | None, names: list[str] | None, *, as_json: bool) -> int:
    """Try again what failed; 1 if there was nothing, or something could not be put back or failed again."""
    configuration = _configuration(source, pipeline)
    by_server = False

    async def offline(lakes: Sequence[Lake], _: Configuration) -> Rows:
        rows = await replay_failed(lakes, failure_folders(configuration, pipeline), pipeline, names)
        return [asdict(row) for row in rows]

    async def online(client: FastEmbedClient, database: str | None) -> Rows:
        nonlocal by_server
        by_server = True
        body = {"pipeline": pipeline, "names": names} | ({"database": database} if database else {})
        found = await client.call("POST", "/v1/documents/replay", body=body)
        return list(found["data"])

    some = not source.database and any_items(configuration, pipeline, names)
    if _asks(configuration, pipeline, some=some):
        rows = source.ask(offline, online, pipeline)
    else:
        rows = list(asyncio.run(offline([], configuration)))
    if some and not by_server:
        rows += [asdict(row) for row in asyncio.run(_replay_items(configuration, pipeline, names))]
    if as_json:
        print_json(rows)
    for row in () if as_json else rows:
        end = "went through" if row.get("ended") else "is tried again"
        typer.echo(printable(f"{row['name']}: {row['problem'] or end}"))
    if not rows:
        typer.echo("found nothing of that name that failed" if names else "found nothing that failed", err=True)
    return int(not rows or any(row["problem"] for row in rows))


def _asks(configuration: Configuration, pipeline: str | None, *, some: bool) -> bool:
    """Whether a database has to be asked: one is there, or there is nothing else to say. some: there are items."""
    keeps = bool(failure_folders(configuration, pipeline))
    return keeps_rows(configuration) or (not some and (has_database(configuration) or not keeps))


async def _replay_items(
    configuration: Configuration, pipeline: str | None, names: Sequence[str] | None
) -> list[Replayed]:
    resources = make_resources(configuration)
    try:
        return await replay_items(configuration, resources, pipeline, names)
    finally:
        await close_resources(resources)


def _configuration(source: AnswerSource, pipeline: str | None) -> Configuration:
    configuration = read_configuration(source.config)
    if pipeline is not None:
        only(configuration, (pipeline,))
    return configuration
