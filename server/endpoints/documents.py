"""The documents that pipelines have stored: GET /v1/documents, GET /v1/documents/failed.

POST /v1/documents/replay {pipeline, names} tries failed files again, POST /v1/documents/reprocess {pipeline, all} those
that an older definition of the pipeline made: the folder's next look picks them up. POST /v1/documents/forget
{pipeline} lets go of files that are gone and whose rows are kept, because their folder seems not to be mounted.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from fastembed.pipeline.component import Resources
from fastembed.pipeline.errors import InvalidInput, NotFound
from fastembed.pipeline.health import Health
from fastembed.pipeline.names import did_you_mean
from fastembed.server.endpoints.context import ServerContext
from fastembed.server.wire.fields import Fields, read_fields, refuse, shown
from fastembed.server.wire.operation import Operation
from fastembed.server.wire.responses import json_answer, listing
from fastembed.server.wire.schema import Schema, an_object, flag, listed, string
from fastembed.sinks.lake.database import Lake, Lakes
from fastembed.sinks.lake.dead_letters import Replayed, replay_folder
from fastembed.sinks.lake.listing import FailureRow
from fastembed.sinks.lake.several import select_databases

_MAX_BODY_BYTES = 2**20
_MAX_NAMES: Final = 65_536
_PIPELINE: Final = string("its name; all if it is left out")
_DATABASE: Final = string("the database; all if it is left out")
_LISTED: Final[Mapping[str, Schema]] = {"pipeline": _PIPELINE, "database": _DATABASE}
_DOCUMENTS: Final = Operation("GET", "/v1/documents", "Every file and its state", query=_LISTED)
_FAILED: Final = Operation("GET", "/v1/documents/failed", "Files that failed, and why", query=_LISTED)
_REPLAY: Final = Operation(
    "POST",
    "/v1/documents/replay",
    "Try failed files again",
    body=an_object({**_LISTED, "names": listed(string(), "files; all if it is left out", most=_MAX_NAMES)}),
)
_REPROCESS: Final = Operation(
    "POST",
    "/v1/documents/reprocess",
    "Process again what an older definition of the pipeline made",
    body=an_object({**_LISTED, "all": flag("whatever definition made it")}, required=("pipeline",)),
)
_FORGET: Final = Operation(
    "POST",
    "/v1/documents/forget",
    "Forget the rows of a pipeline's missing files",
    body=an_object({"pipeline": string()}, required=("pipeline",)),
)
OPERATIONS: Final = (_DOCUMENTS, _FAILED, _REPLAY, _REPROCESS, _FORGET)


def routes(site: ServerContext) -> list[BaseRoute]:
    """Return the routes."""

    async def documents(request: Request) -> Response:
        pipeline = checked_pipeline(site, request.query_params.get("pipeline"))
        lakes = opened(site.resources, request.query_params.get("database"))
        rows = [row for lake in lakes for row in await lake.documents(pipeline)]
        health = Health.of(site.resources)
        problems = [*health.lines(), *health.advice()]
        return listing(rows, **({"problems": problems} if problems else {}))

    async def failed(request: Request) -> Response:
        pipeline = checked_pipeline(site, request.query_params.get("pipeline"))
        database = request.query_params.get("database")
        items = [] if database else await asyncio.to_thread(site.running.failed_items, pipeline)
        lakes = opened(site.resources, database, some=not items)
        return listing(await failures(lakes, pipeline, items))

    async def replay(request: Request) -> Response:
        fields = await _read(request, _REPLAY)
        names, pipeline = _names(fields), checked_pipeline(site, fields.text("pipeline"))
        folders, database = site.running.failure_folders(pipeline), fields.text("database")
        rows = await replay_failed(opened(site.resources, database, some=not folders), folders, pipeline, names)
        items = () if database else await site.running.replay_items(pipeline, names)
        return listing([*rows, *items])

    async def reprocess(request: Request) -> Response:
        fields = await _read(request, _REPROCESS)
        views = {view.name: view for view in site.running.views()}
        name = checked_pipeline(site, fields.text("pipeline"))
        if name is None:
            raise InvalidInput(f"found no pipeline, expected one of {', '.join(views)}", param="pipeline")
        definition = None if fields.flag("all") else views[name].definition
        lakes = opened(site.resources, fields.text("database"))
        return json_answer({"count": sum([await lake.reprocess(name, definition) for lake in lakes])})

    async def forget(request: Request) -> Response:
        fields = await _read(request, _FORGET)
        name = checked_pipeline(site, fields.text("pipeline"))
        if name is None:
            raise InvalidInput("found no pipeline, expected the one whose missing files are to be forgotten")
        return json_answer({"count": site.running.forget_missing(name)})

    return [
        _DOCUMENTS.route(documents),
        _FAILED.route(failed),
        _REPLAY.route(replay),
        _REPROCESS.route(reprocess),
        _FORGET.route(forget),
    ]


def opened(resources: Resources, database: str | None = None, *, some: bool = True) -> list[Lake]:
    """Return the databases that the pipelines write, or the one of a name. some: one at least.

    NotFound: none is open; InvalidInput: none has the name.
    """
    lakes = {lake.path: lake for lake in Lakes.of(resources).opened()}
    if not lakes and not some and database is None:
        return []
    if not lakes:
        raise NotFound("found no open database, expected a pipeline with the sink duckdb")
    return [lakes[path] for path in select_databases(list(lakes), database)]


async def failures(lakes: Sequence[Lake], pipeline: str | None, items: Sequence[FailureRow] = ()) -> list[FailureRow]:
    """List the files, and the other `items`, that failed, the latest first."""
    rows = [*items, *[row for lake in lakes for row in await lake.failures(pipeline)]]
    return sorted(rows, key=lambda row: row.at, reverse=True)


async def replay_failed(
    lakes: Sequence[Lake], folders: Sequence[Path], pipeline: str | None, names: Sequence[str] | None
) -> list[Replayed]:
    """Move failed files back to where they were, and mark those that never moved, so that they are tried again."""
    moved: list[Replayed] = []
    for folder in folders:
        if folder.is_dir():
            moved += await asyncio.to_thread(replay_folder, folder, names)
    marked = [name for lake in lakes for name in await lake.retry(pipeline, names)]
    return [*moved, *(Replayed(name, "") for name in marked if name not in {file.name for file in moved})]


def checked_pipeline(site: ServerContext, pipeline: str | None) -> str | None:
    """Return the pipeline that is asked for, None: all. InvalidInput where there is none of that name."""
    known = [view.name for view in site.running.views()]
    if pipeline is None or pipeline in known:
        return pipeline
    near = did_you_mean(pipeline, known)
    raise InvalidInput(
        f"found no pipeline {pipeline[:80]!r}, expected one of {', '.join(known)}{near}", param="pipeline"
    )


async def _read(request: Request, operation: Operation) -> Fields:
    fields = await read_fields(request.scope, request.receive, max_bytes=_MAX_BODY_BYTES)
    fields.known(operation.fields)
    return fields


def _names(fields: Fields) -> list[str] | None:
    """Return the files to replay; None: all of them, [] none."""
    if not fields.has("names"):
        return None
    if fields.raw("names") == []:
        return []
    entries = fields.entries("names", "a list of file names, or null for all", most=_MAX_NAMES)
    for place, entry in entries:
        if not isinstance(entry, str):
            refuse(f"found {shown(entry)}, expected a file name", place, "invalid_type")
    return [entry for _, entry in entries]
