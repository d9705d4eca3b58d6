"""POST, GET and DELETE /v1/documents/reembed: new vectors for stored chunks, after a change of the embedding model."""

from __future__ import annotations

from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from fastembed.server.endpoints.context import ServerContext
from fastembed.server.endpoints.documents import checked_pipeline
from fastembed.server.wire.fields import read_fields
from fastembed.server.wire.operation import Operation
from fastembed.server.wire.responses import listing
from fastembed.server.wire.schema import an_object, string

_MAX_BODY_BYTES: Final = 2**16
_PATH: Final = "/v1/documents/reembed"
_START: Final = Operation(
    "POST",
    _PATH,
    "Give stored chunks vectors of the model that their pipeline embeds with now",
    body=an_object({"pipeline": string("its name; all if it is left out")}),
)
_STATUS: Final = Operation("GET", _PATH, "How far the tables are that get new vectors")
_CANCEL: Final = Operation("DELETE", _PATH, "Stop; what was embedded stays for the next time")
OPERATIONS: Final = (_START, _STATUS, _CANCEL)


def routes(site: ServerContext) -> list[BaseRoute]:
    """Return the routes."""

    async def start(request: Request) -> Response:
        fields = await read_fields(request.scope, request.receive, max_bytes=_MAX_BODY_BYTES)
        fields.known(_START.fields)
        return listing(await site.running.reembed(checked_pipeline(site, fields.text("pipeline"))))

    async def status(_: Request) -> Response:
        return listing(site.running.reembed_statuses())

    async def cancel(_: Request) -> Response:
        return listing(await site.running.cancel_reembed())

    return [_START.route(start), _STATUS.route(status), _CANCEL.route(cancel)]
