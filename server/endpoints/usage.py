"""GET /v1/usage: what the key of the request has used, by day (UTC); with the scope admin, what every key has."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from fastembed.server.endpoints.context import ServerContext
from fastembed.server.http.scopes import ADMIN, has_scope
from fastembed.server.keys.meter import KeyMeter
from fastembed.server.keys.usage import KEPT_DAYS, DayUsage
from fastembed.server.wire.operation import JSON, Operation
from fastembed.server.wire.responses import listing, whole_parameter
from fastembed.server.wire.schema import an_object, listed, string, whole

_DAYS: Final = 30
_COUNT: Final = whole(0, 2**63 - 1)
OPERATION: Final = Operation(
    "GET",
    "/v1/usage",
    "What this key has used by day; with the scope admin, what every key has",
    query={"days": whole(1, KEPT_DAYS, "how many, today included"), "key": string("only this key's, by its id")},
    answer={
        JSON: an_object(
            {
                "data": listed(
                    an_object(
                        {
                            "key": string("the key's id"),
                            "name": string(),
                            "day": string("UTC"),
                            "requests": _COUNT,
                            "input_tokens": _COUNT,
                            "output_tokens": _COUNT,
                            "total_tokens": _COUNT,
                        }
                    )
                )
            }
        )
    },
)
OPERATIONS: Final = (OPERATION,)


def routes(site: ServerContext) -> list[BaseRoute]:
    """Return the route; none where nothing is counted."""
    usage = site.usage
    if usage is None:
        return []

    async def show(request: Request) -> Response:
        days = whole_parameter(request, "days", default=_DAYS, most=KEPT_DAYS)
        meter: KeyMeter | None = request.scope.get("meter")
        key = request.query_params.get("key")
        if meter is not None and not has_scope(request.scope, ADMIN):
            key = meter.key  # another's is not there
        rows = await asyncio.to_thread(usage.rows, key, days=days)
        return listing([_row(row) for row in rows], has_more=False, limits=_limits(meter))

    return [OPERATION.route(show)]


def _row(row: DayUsage) -> dict[str, Any]:
    return {"object": "usage", **asdict(row), "total_tokens": row.input_tokens + row.output_tokens}


def _limits(meter: KeyMeter | None) -> dict[str, Any] | None:
    """Return the limits of the request's own key; None: no key was asked for."""
    if meter is None:
        return None
    left = None if meter.tokens_per_day is None else max(0, meter.tokens_per_day - meter.used_today())
    return {
        "requests_per_minute": meter.requests_per_minute,
        "tokens_per_day": meter.tokens_per_day,
        "tokens_left_today": left,
    }
