"""POST /v1/export: a copy of the stored documents at one moment, while they are written.

    {"format": "duckdb"}

`format`: duckdb (a database file, which holds everything) or parquet (a ZIP of one Parquet file a table and view).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Final, cast

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from fastembed.server.endpoints.context import ServerContext
from fastembed.server.endpoints.documents import opened
from fastembed.server.endpoints.sql import StreamedResponse, one_lake
from fastembed.server.wire.fields import read_fields
from fastembed.server.wire.operation import Operation
from fastembed.server.wire.schema import an_object, choice, string
from fastembed.sinks.lake.database import Lake
from fastembed.sinks.lake.export import ExportFormat, exported, zipped

_MAX_BODY_BYTES: Final = 2**16
_PIECE_BYTES: Final = 2**20
_MEDIA: Final = {"duckdb": "application/vnd.duckdb", "parquet": "application/zip"}

OPERATION: Final = Operation(
    "POST",
    "/v1/export",
    "Take a copy of the stored documents",
    body=an_object(
        {
            "format": choice(*_MEDIA, about="duckdb if it is left out"),
            "database": string("the database, by its path or name; needed where there are several"),
        }
    ),
    answer={media: string() for media in _MEDIA.values()},
)
OPERATIONS: Final = (OPERATION,)


def routes(site: ServerContext) -> list[BaseRoute]:
    """Return the route."""

    async def export(request: Request) -> Response:
        fields = await read_fields(request.scope, request.receive, max_bytes=_MAX_BODY_BYTES)
        fields.known(OPERATION.fields)
        form = fields.choice("format", tuple(_MEDIA)) or "duckdb"
        lake = one_lake(opened(site.resources, fields.text("database")))
        return StreamedResponse(_pieces(lake, cast("ExportFormat", form)), media_type=_MEDIA[form])

    return [OPERATION.route(export)]


async def _pieces(lake: Lake, form: ExportFormat) -> AsyncGenerator[bytes]:
    async with exported(lake.path, lake.cursor, form) as files:
        target = files[0] if form == "duckdb" else await asyncio.to_thread(zipped, files)
        with await asyncio.to_thread(target.open, "rb") as content:
            while piece := await asyncio.to_thread(content.read, _PIECE_BYTES):
                yield piece
