"""POST /v1/sql: a query over the stored documents that only reads, while they are written.

    {"query": "SELECT file, page, text FROM passages WHERE text ILIKE $words", "params": {"words": "%avalanche%"},
     "format": "json", "max_rows": 1000, "timeout": 30}

`format`: json (columns with their types, rows as objects, `truncated` where rows were left out), csv, arrow (an IPC
stream, which pyarrow, pandas, polars and DuckDB read) or parquet. One SELECT on the views `files`, `passages` and
`tables`, the table `documents` and the chunk tables: see `fastembed.sinks.lake.sql.guard`. An error of the query is a
400 with DuckDB's message. A client that leaves ends its query. A stream in which more than `max_rows` rows would come,
or whose query fails after its beginning, is cut off: what has come is not a whole result.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any, Final, cast

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute
from starlette.types import Receive, Scope, Send

from fastembed.server.endpoints.context import ServerContext
from fastembed.server.endpoints.documents import opened
from fastembed.server.http.disconnect import DisconnectWatch
from fastembed.server.wire.fields import Fields, read_fields, refuse
from fastembed.server.wire.operation import JSON, Operation
from fastembed.server.wire.schema import an_object, choice, flag, listed, number, one_of, string, whole
from fastembed.sinks.lake.database import Lake
from fastembed.sinks.lake.sql.formats import MEDIA, Format
from fastembed.sinks.lake.sql.guard import MAX_QUERY_CHARS
from fastembed.sinks.lake.sql.query import MAX_ROWS, MAX_TIMEOUT_S, TIMEOUT_S, SqlRequest

_MAX_BODY_BYTES: Final = 2**20
_FORMATS: Final = tuple(MEDIA)
_LEAST_TIMEOUT_S: Final = 0.001

OPERATION: Final = Operation(
    "POST",
    "/v1/sql",
    "Query the stored documents",
    body=an_object(
        {
            "query": string("one SELECT", most=MAX_QUERY_CHARS),
            "params": one_of(listed({}, "for ? and $1"), an_object(about="for $name")),
            "format": choice(*_FORMATS, about="json if it is left out"),
            "max_rows": whole(1, MAX_ROWS, "10,000 in JSON, 1,000,000 in the other formats if it is left out"),
            "timeout": number(_LEAST_TIMEOUT_S, MAX_TIMEOUT_S, f"seconds; {TIMEOUT_S:g} if it is left out"),
            "database": string("the database, by its path or name; needed where there are several"),
        },
        required=("query",),
    ),
    answer={
        JSON: an_object({"columns": listed(an_object()), "data": listed(an_object()), "truncated": flag()}),
        **{media: string() for name, media in MEDIA.items() if name != "json"},
    },
)
OPERATIONS: Final = (OPERATION,)


def routes(site: ServerContext) -> list[BaseRoute]:
    """Return the route."""

    async def query(request: Request) -> Response:
        fields = await read_fields(request.scope, request.receive, max_bytes=_MAX_BODY_BYTES)
        found = decode(fields)
        lake = one_lake(opened(site.resources, fields.text("database")))
        return StreamedResponse(lake.queries.stream(found), media_type=MEDIA[found.format])

    return [OPERATION.route(query)]


def decode(fields: Fields) -> SqlRequest:
    """Return the query that a request asks for. InvalidInput names the field."""
    fields.known(OPERATION.fields)
    params = fields.raw("params")
    if params is not None and not isinstance(params, (list, dict)):
        fields.refuse("params", "a list for ? and $1, or an object for $name", "invalid_type")
    return SqlRequest(
        query=fields.needed("query", "one SELECT"),
        params=params,
        format=cast("Format", fields.choice("format", _FORMATS) or "json"),
        max_rows=fields.whole("max_rows", 1, MAX_ROWS),
        timeout_s=fields.number("timeout", _LEAST_TIMEOUT_S, MAX_TIMEOUT_S, default=TIMEOUT_S),
    )


def one_lake(lakes: list[Lake]) -> Lake:
    """Return the only database. InvalidInput: there are several, and none is named."""
    if len(lakes) > 1:
        refuse(f"found no database, expected one of {', '.join(str(lake.path) for lake in lakes)}", "database")
    return lakes[0]


class StreamedResponse(Response):
    """Sends pieces as they come; an error before the first is an error object, a client that leaves ends the source."""

    def __init__(
        self, pieces: AsyncGenerator[bytes], *, media_type: str, headers: dict[str, str] | None = None
    ) -> None:
        """Send nothing before the first piece is there."""
        super().__init__(media_type=media_type, headers=headers)
        del self.headers["content-length"]
        self._pieces = pieces

    async def __call__(self, scope: Scope, _: Receive, send: Send) -> None:
        """Send the response."""
        with DisconnectWatch(scope):
            async with aclosing(self._pieces) as pieces:
                first = await anext(pieces, b"")
                start: dict[str, Any] = {"type": "http.response.start", "status": 200, "headers": self.raw_headers}
                await send(start)
                await send({"type": "http.response.body", "body": first, "more_body": True})
                async for piece in pieces:
                    await send({"type": "http.response.body", "body": piece, "more_body": True})
                await send({"type": "http.response.body", "body": b""})
