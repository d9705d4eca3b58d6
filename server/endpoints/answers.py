"""GET /v1/answers/{id}: where an answer of POST /v1/ask is from, as `fastembed why` shows it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from fastembed.pipeline.errors import NotFound
from fastembed.server.endpoints.context import ServerContext
from fastembed.server.endpoints.documents import opened
from fastembed.server.wire.operation import Operation
from fastembed.server.wire.responses import json_answer
from fastembed.sinks.lake.database import Lake
from fastembed.sinks.lake.lineage import read

OPERATION: Final = Operation("GET", "/v1/answers/{id}", "Where an answer is from")
OPERATIONS: Final = (OPERATION,)


def routes(site: ServerContext) -> list[BaseRoute]:
    """Return the route."""

    async def why(request: Request) -> Response:
        answer_id = request.path_params["id"]
        found = await lineage_of(opened(site.resources), answer_id)
        if found is None:
            raise NotFound(f"found no answer {answer_id[:80]!r}; the newest 10,000 are remembered")
        return json_answer({"object": "answer.lineage", **found})

    return [OPERATION.route(why)]


async def lineage_of(lakes: Sequence[Lake], answer_id: str) -> dict[str, Any] | None:
    """Return what the first of the databases that knows an answer says of it."""
    for lake in lakes:
        if (found := await lake.read(read, answer_id)) is not None:
            return found
    return None
