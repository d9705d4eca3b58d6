"""What the document pipelines keep: GET /v1/search, GET /v1/documents, GET /v1/documents/failed.

POST /v1/documents/replay {pipeline, names} tries failed files again, POST /v1/documents/reprocess {pipeline, all} those
that an older definition of the pipeline made: the folder's next look picks them up.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from fastembed.inference.serving.models import Models
from fastembed.pipeline.component import Resources
from fastembed.pipeline.errors import InvalidInput, NotFound
from fastembed.pipeline.names import did_you_mean
from fastembed.server.endpoints.context import Site
from fastembed.server.wire.fields import Fields, read_fields, refuse, shown
from fastembed.server.wire.responses import json_answer, listing, whole_parameter
from fastembed.sinks.lake.database import Lake, Lakes
from fastembed.sinks.lake.dead_letters import Replayed, replay_folder
from fastembed.sinks.lake.search import Hit

MAX_HITS = 100
MAX_QUERY_CHARS = 4_000
_MAX_BODY_BYTES = 2**20
_MAX_NAMES: Final = 65_536
_REPLAY: Final = frozenset(("pipeline", "names"))
_REPROCESS: Final = frozenset(("pipeline", "all"))


def routes(site: Site) -> list[BaseRoute]:
    """Return the routes."""

    async def find(request: Request) -> Response:
        query = request.query_params.get("q", "").strip()
        if not query:
            raise InvalidInput("found no words, expected some: /v1/search?q=words", param="q")
        if len(query) > MAX_QUERY_CHARS:
            raise InvalidInput(f"found {len(query)} characters, expected at most {MAX_QUERY_CHARS}", param="q")
        limit = whole_parameter(request, "limit", default=10, most=MAX_HITS)
        lake = opened(site.resources)
        table = await _table(lake, request.query_params.get("table"))
        hits = await search(lake, site.resources.get(Models), query, limit=limit, table=table)
        return listing(hits, query=query)

    async def documents(request: Request) -> Response:
        return listing(await opened(site.resources).documents(_asked(site, request.query_params.get("pipeline"))))

    async def failed(request: Request) -> Response:
        return listing(await opened(site.resources).failures(_asked(site, request.query_params.get("pipeline"))))

    async def replay(request: Request) -> Response:
        fields = await _read(request, _REPLAY)
        names, pipeline = _names(fields), _asked(site, fields.text("pipeline"))
        folders = site.running.failure_folders(pipeline)
        return listing(await replay_failed(opened(site.resources), folders, pipeline, names))

    async def reprocess(request: Request) -> Response:
        fields = await _read(request, _REPROCESS)
        views = {view.name: view for view in site.running.views()}
        name = _asked(site, fields.text("pipeline"))
        if name is None:
            raise InvalidInput(f"found no pipeline, expected one of {', '.join(views)}", param="pipeline")
        definition = None if fields.flag("all") else views[name].definition
        return json_answer({"count": await opened(site.resources).reprocess(name, definition)})

    return [
        Route("/v1/search", find),
        Route("/v1/documents", documents),
        Route("/v1/documents/failed", failed),
        Route("/v1/documents/replay", replay, methods=["POST"]),
        Route("/v1/documents/reprocess", reprocess, methods=["POST"]),
    ]


def opened(resources: Resources) -> Lake:
    """Return the database that the pipelines write; NotFound if none does."""
    lakes = Lakes.of(resources).opened()
    if not lakes:
        raise NotFound("found no open database, expected a pipeline with the sink duckdb")
    return lakes[0]


async def search(lake: Lake, models: Models, query: str, *, limit: int, table: str = "chunks") -> list[Hit]:
    """Search by words, and by meaning with the model that embedded most of the table's chunks, where there is one."""
    embedded_with = await lake.models(table)
    vector = None
    if embedded_with:
        async with models.lend(embedded_with[0][0], "embedding", priority=1) as model:
            tokens = await model.tokenize([query], truncate=True)
            vectors, _ = await model.embed(tokens, priority=1)
        vector = vectors[0]
    return await lake.search(query, vector, limit, table=table)


async def replay_failed(
    lake: Lake, folders: Sequence[Path], pipeline: str | None, names: Sequence[str] | None
) -> list[Replayed]:
    """Move failed files back to where they were, and mark those that never moved, so that they are tried again."""
    moved: list[Replayed] = []
    for folder in folders:
        if folder.is_dir():
            moved += await asyncio.to_thread(replay_folder, folder, names)
    marked = await lake.retry(pipeline, names)
    return [*moved, *(Replayed(name, "") for name in marked if name not in {file.name for file in moved})]


def _asked(site: Site, pipeline: str | None) -> str | None:
    """Return the pipeline that is asked for, None: all. InvalidInput where there is none of that name."""
    known = [view.name for view in site.running.views()]
    if pipeline is None or pipeline in known:
        return pipeline
    near = did_you_mean(pipeline, known)
    raise InvalidInput(
        f"found no pipeline {pipeline[:80]!r}, expected one of {', '.join(known)}{near}", param="pipeline"
    )


async def _table(lake: Lake, asked: str | None) -> str:
    tables = await lake.tables()
    if asked is None:
        return "chunks" if "chunks" in tables or not tables else tables[0]
    if asked not in tables:
        known = ", ".join(tables) or "none yet"
        raise InvalidInput(f"found the table {asked[:80]!r}, expected one of {known}", param="table")
    return asked


async def _read(request: Request, known: AbstractSet[str]) -> Fields:
    fields = await read_fields(request.scope, request.receive, max_bytes=_MAX_BODY_BYTES)
    fields.known(known)
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
