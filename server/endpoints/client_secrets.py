"""POST /v1/realtime/client_secrets: a key that lasts minutes, for a web page that talks to /v1/realtime itself."""

from __future__ import annotations

from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from fastembed.server.endpoints.context import ServerContext
from fastembed.server.keys.client_secrets import LONGEST_S, SHORTEST_S, USUAL_S
from fastembed.server.wire.fields import read_fields
from fastembed.server.wire.operation import Operation
from fastembed.server.wire.responses import json_answer
from fastembed.server.wire.schema import an_object

_MAX_BYTES: Final = 2**20
_CREATE: Final = Operation(
    "POST",
    "/v1/realtime/client_secrets",
    "Make a short-lived key for realtime sessions",
    body=an_object(
        {
            "session": an_object(about="what its sessions begin with, as in session.update"),
            "expires_after": an_object(about=f'{{"anchor": "created_at", "seconds": {SHORTEST_S} to {LONGEST_S}}}'),
        }
    ),
)
OPERATIONS: Final = (_CREATE,)


def routes(site: ServerContext) -> list[BaseRoute]:
    """Return the routes."""

    async def create(request: Request) -> Response:
        fields = await read_fields(request.scope, request.receive, max_bytes=_MAX_BYTES)
        fields.known(_CREATE.fields)
        seconds = USUAL_S
        if (expires := fields.object("expires_after")) is not None:
            expires.known({"anchor", "seconds"})
            expires.choice("anchor", ("created_at",))
            seconds = expires.whole("seconds", SHORTEST_S, LONGEST_S) or USUAL_S
        session = fields.mapping("session") or {"type": "realtime"}
        described = site.client_secrets.describe(session)
        value, secret = site.client_secrets.issue(request.scope, session, seconds)
        return json_answer({"value": value, "expires_at": secret.expires_at, "session": described})

    return [_CREATE.route(create)]
