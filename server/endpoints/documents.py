"""What the document pipelines keep: GET /v1/search, GET /v1/documents, GET /v1/documents/failed."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from inference.catalog import Models
from pipeline.component import Resources
from pipeline.errors import InvalidInput, NotFound
from server.endpoints.answers import listing, whole_parameter
from server.site import Site
from sinks.lake.database import Lake, Lakes
from sinks.lake.search import Hit

MAX_HITS = 100
MAX_QUERY_CHARS = 4_000


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
        return listing(await opened(site.resources).documents(request.query_params.get("pipeline")))

    async def failed(request: Request) -> Response:
        return listing(await opened(site.resources).failures(request.query_params.get("pipeline")))

    return [
        Route("/v1/search", find),
        Route("/v1/documents", documents),
        Route("/v1/documents/failed", failed),
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
        model = await models.get(embedded_with[0][0], "embedding")
        tokens = await model.tokenize([query], truncate=True)
        vectors, _ = await model.embed(tokens, priority=1)
        vector = vectors[0]
    return await lake.search(query, vector, limit, table=table)


async def _table(lake: Lake, asked: str | None) -> str:
    tables = await lake.tables()
    if asked is None:
        return "chunks" if "chunks" in tables or not tables else tables[0]
    if asked not in tables:
        known = ", ".join(tables) or "none yet"
        raise InvalidInput(f"found the table {asked[:80]!r}, expected one of {known}", param="table")
    return asked
