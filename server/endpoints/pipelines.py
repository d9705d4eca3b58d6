"""GET /v1/pipelines lists the running pipelines; POST /v1/pipelines/reload reads the configuration again."""

from __future__ import annotations

from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from fastembed.pipeline.errors import ConfigError, Unprocessable
from fastembed.server.endpoints.context import ServerContext
from fastembed.server.wire.operation import Operation
from fastembed.server.wire.responses import json_answer, listing

_LIST: Final = Operation("GET", "/v1/pipelines", "The pipelines that run")
_RELOAD: Final = Operation("POST", "/v1/pipelines/reload", "Read the configuration again")
OPERATIONS: Final = (_LIST, _RELOAD)


def routes(site: ServerContext) -> list[BaseRoute]:
    """Return the routes."""

    async def list_pipelines(_: Request) -> Response:
        return listing(site.running.views())

    async def reload(_: Request) -> Response:
        try:
            return json_answer(await site.running.reload())
        except ConfigError as error:
            raise Unprocessable(f"nothing was changed: {error}", code="invalid_configuration") from error

    return [_LIST.route(list_pipelines), _RELOAD.route(reload)]
