"""POST /v1/moderations: no model that comes with this server judges texts; a 404 says what to declare instead.

A pipeline on this path is asked before the server's own endpoints are.
"""

from __future__ import annotations

from typing import Final, NoReturn

from starlette.requests import Request
from starlette.routing import BaseRoute

from fastembed.pipeline.errors import ModelNotFound
from fastembed.server.endpoints.context import ServerContext
from fastembed.server.wire.operation import Operation
from fastembed.server.wire.schema import an_object, listed, one_of, string

OPERATION: Final = Operation(
    "POST",
    "/v1/moderations",
    "Judge texts: a 404 unless a pipeline is declared on this path",
    body=an_object({"input": one_of(string(), listed(string())), "model": string()}, required=("input",)),
)
OPERATIONS: Final = (OPERATION,)


def routes(_: ServerContext) -> list[BaseRoute]:
    """Return the route."""

    async def moderate(_: Request) -> NoReturn:
        raise ModelNotFound(
            "found no model for moderation, expected a pipeline on this path in pipelines.yaml: "
            "`moderations: {source: {http: POST /v1/moderations}, operators: [YOUR_PLUGIN], sink: reply}`; its "
            "operator (docs/plugins.md) takes the request's JSON and returns the answer's"
        )

    return [OPERATION.route(moderate)]
