"""`fastembed reembed`: new vectors for stored chunks, here or by the server that holds the database."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

import typer

from fastembed.assembly import close_resources, make_resources
from fastembed.commands.documents import AnswerSource
from fastembed.inference.serving.models import Models
from fastembed.pipeline.errors import FastEmbedError
from fastembed.pipeline.plan import Configuration
from fastembed.reembedding import Reembedding, table_targets
from fastembed.sinks.lake.database import Lake

if TYPE_CHECKING:
    from fastembed.client import FastEmbedClient

_PATH: Final = "/v1/documents/reembed"
_LOOK_S: Final = 0.5
_CLEAR_LINE: Final = "\r\x1b[K"
Status = Mapping[str, Any]


def reembed(source: AnswerSource, pipeline: str | None) -> int:
    """Embed the chunks of a pipeline (None: of all) with its present model; 1 if a table could not be done."""

    async def offline(lakes: Sequence[Lake], configuration: Configuration) -> list[Status]:
        opened = {lake.path.resolve(): lake for lake in lakes}
        targets = [target for target in table_targets(configuration, pipeline) if target.database in opened]
        resources = make_resources(configuration)
        try:
            models = resources.get(Models)
            jobs = [Reembedding(opened[target.database], target, models, idle=lambda: True) for target in targets]
            for job in jobs:
                await _run(job)
        finally:
            await close_resources(resources)
        return [asdict(job.status) for job in jobs]

    async def online(client: FastEmbedClient, _: str | None) -> list[Status]:
        started = await client.call("POST", _PATH, body={} if pipeline is None else {"pipeline": pipeline})
        return await _watch(client, list(started["data"]))

    try:
        found = source.ask(offline, online, pipeline)
    except KeyboardInterrupt:
        typer.echo(f"{_start_of_line()}stopped; what was embedded is kept, run it again to go on", err=True)
        return 130
    typer.echo(_start_of_line(), nl=False, err=True)
    if not found:
        raise FastEmbedError("found no pipeline with embed and the sink duckdb, expected one")
    return max(_close(status) for status in found)


async def _run(job: Reembedding) -> None:
    showing = asyncio.create_task(_show_until_cancelled(lambda: [asdict(job.status)]))
    try:
        await job.run()
    finally:
        showing.cancel()
        await asyncio.wait([showing])


async def _watch(client: FastEmbedClient, statuses: list[Status]) -> list[Status]:
    """Follow what a server does until it has ended; whoever interrupts this stops the server's work, too."""
    mine = {(status["database"], status["table"]) for status in statuses}
    try:
        while any(status["state"] == "running" for status in statuses):
            _show(statuses)
            await asyncio.sleep(_LOOK_S)
            found = (await client.call("GET", _PATH))["data"]
            statuses = [status for status in found if (status["database"], status["table"]) in mine]
    except asyncio.CancelledError:
        await client.call("DELETE", _PATH)
        raise
    return statuses


async def _show_until_cancelled(statuses: Callable[[], Sequence[Status]]) -> None:
    while True:
        _show(statuses())
        await asyncio.sleep(_LOOK_S)


def _show(statuses: Sequence[Status]) -> None:
    if sys.stderr.isatty():
        parts = [f"{status['table']}: {status['done']} of {status['total']} chunks" for status in statuses]
        typer.echo(f"{_CLEAR_LINE}{', '.join(parts)}", nl=False, err=True)


def _start_of_line() -> str:
    return _CLEAR_LINE if sys.stderr.isatty() else ""


def _close(status: Status) -> int:
    """Print how a table ended; return 1 unless it is done."""
    where = f"{status['table']} in {status['database']}"
    if status["state"] != "done":
        typer.echo(f"{where}: {status['state']} {status['detail']}".rstrip(), err=True)
        return 1
    if status["done"]:
        chunks = f"{status['done']} chunk{'s' if status['done'] != 1 else ''}"
        typer.echo(f"{where}: {chunks} embedded with {status['model']}")
    else:
        typer.echo(f"{where}: all chunks are embedded with {status['model']} already")
    return 0
