"""GET and POST /v1/search: the nearest chunks of the documents that were read.

    {"query": "why was the track closed", "limit": 5, "tables": ["chunks"], "files": ["2026/*"], "types": ["pdf"],
     "since": "2026-01-01", "floor": 0.3, "explain": true}

By words and by meaning, over all tables of all databases, or those that are named. `floor` is the least cosine.
`explain` adds how a score came about: the places in both rankings, and the fused score's parts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from fastembed.inference.serving.models import Models
from fastembed.pipeline.errors import InvalidInput
from fastembed.pipeline.payload.asking import SearchScope
from fastembed.server.endpoints.context import ServerContext
from fastembed.server.endpoints.documents import checked_pipeline, opened
from fastembed.server.wire.fields import Fields, read_fields, refuse, shown
from fastembed.server.wire.operation import Operation
from fastembed.server.wire.responses import listing, whole_parameter
from fastembed.server.wire.schema import Schema, an_object, flag, listed, number, string, whole
from fastembed.sinks.lake.retriever import search_lakes, waiting_chunks
from fastembed.sinks.lake.search import RANK_CONSTANT, Hit

MAX_HITS: Final = 100
MAX_QUERY_CHARS: Final = 4_000
_MAX_BODY_BYTES: Final = 2**20
_MAX_NAMES: Final = 64
_DATE: Final = "a date or time, ISO 8601"
_DATABASE: Final = string("the database; all if it is left out")
SCOPE: Final[Mapping[str, Schema]] = {
    "pipeline": string("only documents that it has read"),
    "folder": string("the same: a folder's documents are its pipeline's"),
    "database": _DATABASE,
    "table": string("the table; all if it is left out"),
    "tables": listed(string(), "several tables", most=_MAX_NAMES),
    "files": listed(string(), "patterns of file names, * is any text", most=_MAX_NAMES),
    "types": listed(string(), "suffixes: pdf, docx", most=_MAX_NAMES),
    "since": string(f"changed at or after {_DATE}"),
    "until": string(f"changed before {_DATE}"),
}
_GET: Final = Operation(
    "GET",
    "/v1/search",
    "The nearest chunks of the documents that were read",
    query={
        "q": string("words or a question", most=MAX_QUERY_CHARS),
        "limit": whole(1, MAX_HITS),
        "table": string("the table; all if it is left out"),
        "database": _DATABASE,
    },
)
_POST: Final = Operation(
    "POST",
    "/v1/search",
    "The nearest chunks, within a scope, with how their scores came about",
    body=an_object(
        {
            "query": string("words or a question", most=MAX_QUERY_CHARS),
            "limit": whole(1, MAX_HITS, "10 if it is left out"),
            "floor": number(-1, 1, "the least cosine"),
            "explain": flag("how the scores came about"),
            **SCOPE,
        },
        required=("query",),
    ),
)
OPERATIONS: Final = (_GET, _POST)


def routes(site: ServerContext) -> list[BaseRoute]:
    """Return the routes."""

    async def by_query(request: Request) -> Response:
        query = request.query_params.get("q", "").strip()
        if not query:
            raise InvalidInput("found no q, expected a query: /v1/search?q=words", param="q")
        if len(query) > MAX_QUERY_CHARS:
            raise InvalidInput(f"found {len(query)} characters, expected at most {MAX_QUERY_CHARS}", param="q")
        limit = whole_parameter(request, "limit", default=10, most=MAX_HITS)
        table = request.query_params.get("table")
        scope = SearchScope(database=request.query_params.get("database"), tables=(table,) if table else ())
        return await _found(site, query, scope, limit=limit)

    async def by_body(request: Request) -> Response:
        fields = await read_fields(request.scope, request.receive, max_bytes=_MAX_BODY_BYTES)
        fields.known(_POST.fields)
        query = fields.needed("query", "words or a question")
        fields.text("query", most=MAX_QUERY_CHARS)
        scope = read_scope(fields)
        checked_pipeline(site, scope.pipeline)
        floor = fields.number("floor", -1, 1, default=0.0) if fields.has("floor") else None
        limit = fields.whole("limit", 1, MAX_HITS) or 10
        return await _found(site, query, scope, limit=limit, floor=floor, explain=fields.flag("explain"))

    return [_GET.route(by_query), _POST.route(by_body)]


async def _found(
    site: ServerContext,
    query: str,
    scope: SearchScope,
    *,
    limit: int,
    floor: float | None = None,
    explain: bool = False,
) -> Response:
    lakes, models = opened(site.resources, scope.database), site.resources.get(Models)
    hits = await search_lakes(lakes, models, query, limit=limit, scope=scope, floor=floor)
    waiting = await waiting_chunks(lakes, models, *scope.tables)
    rows: Sequence[Any] = [{**asdict(hit), "explain": explanation(hit)} for hit in hits] if explain else hits
    return listing(rows, query=query, **({"waiting_for_reembed": waiting} if waiting else {}))


def explanation(hit: Hit) -> dict[str, Any]:
    """Return how a score came about: each ranking that found the chunk adds 1 / (60 + its place there)."""
    places = {"similarity": hit.similarity_rank, "words": hit.words_rank}
    parts = {name: 1 / (RANK_CONSTANT + place) for name, place in places.items() if place is not None}
    return {
        "method": f"reciprocal rank fusion: the sum of 1 / ({RANK_CONSTANT} + place)",
        "places": places,
        "parts": parts,
        "cosine": hit.similarity,
        "bm25": hit.words_score,
    }


def read_scope(fields: Fields) -> SearchScope:
    """Return where a request wants to look. InvalidInput names the field."""
    table = fields.text("table")
    return SearchScope(
        pipeline=fields.text("pipeline") or fields.text("folder"),
        database=fields.text("database"),
        tables=tuple(dict.fromkeys([*([table] if table else []), *_texts(fields, "tables")])),
        files=tuple(_texts(fields, "files")),
        types=tuple(kind.lstrip(".") for kind in _texts(fields, "types")),
        since=_moment(fields, "since"),
        until=_moment(fields, "until"),
    )


def _texts(fields: Fields, name: str) -> list[str]:
    if not fields.has(name) or fields.raw(name) == []:
        return []
    entries = fields.entries(name, "a list of strings", most=_MAX_NAMES)
    for place, entry in entries:
        if not isinstance(entry, str) or not entry:
            refuse(f"found {shown(entry)}, expected a string", place, "invalid_type")
    return [entry for _, entry in entries]


def _moment(fields: Fields, name: str) -> datetime | None:
    text = fields.text(name, most=64)
    if text is None:
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        fields.refuse(name, _DATE)
    return found if found.tzinfo else found.replace(tzinfo=UTC)
