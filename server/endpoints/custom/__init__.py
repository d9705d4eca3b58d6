"""Pipelines on paths of their own: the JSON body, or a GET's query, is the item's value, its results the response."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final

from fastembed.pipeline.item import Outcome
from fastembed.pipeline.payload.json_values import to_json
from fastembed.server.wire.event_stream import DONE, EventStream, event
from fastembed.server.wire.exchange import Exchange
from fastembed.server.wire.json_types import check_kind
from fastembed.server.wire.operation import EVENTS, JSON, Operation, PipelineEndpoint
from fastembed.server.wire.schema import ANY, flag

JSON_VALUE: Final = dict | list | str | int | float | bool | None
"""The type of a JSON body."""


async def answer(exchange: Exchange) -> None:
    """Answer a request on such a path.

    A value of another kind than the pipeline's first step takes is a 400. One result is the response itself, several
    are a list, none is 204. With `?stream=true`, `"stream": true` or `Accept: text/event-stream`, each result is a
    Server-Sent Event of its own.
    """
    query = exchange.query()
    value: Any = await exchange.body() if exchange.method != "GET" else query
    check_kind(value, exchange.source.takes)
    if exchange.source.schema is not None:
        exchange.source.schema.check(value)
    with exchange.watched():
        if _wants_stream(exchange, query, value):
            await _stream(exchange, value)
            return
        async with exchange.submitted(value) as (results,):
            found = await results.all()
    if not found and results.outcome in (Outcome.FILTERED, Outcome.DELIVERED):
        await exchange.respond(b"", status=204)
        return
    await exchange.respond(to_json(found[0] if len(found) == 1 else found))


@lru_cache(maxsize=256)  # one for each request would cost more than the rest of this module
def endpoint_at(method: str, path: str) -> PipelineEndpoint:
    """Return the endpoint of a pipeline on a path of its own."""
    operation = Operation(
        method,
        path,
        "A pipeline of this server",
        body=None if method == "GET" else ANY,
        query={"stream": flag("each result as an event of its own")},
        answer={JSON: ANY, EVENTS: ANY},
    )
    return PipelineEndpoint(operation, answer, dict if method == "GET" else JSON_VALUE, Any)


def _wants_stream(exchange: Exchange, query: Mapping[str, str], value: object) -> bool:
    in_body = isinstance(value, dict) and value.get("stream") is True
    return in_body or query.get("stream") in ("true", "1", "") or exchange.accepts(b"text/event-stream")


async def _stream(exchange: Exchange, value: object) -> None:
    async with EventStream(exchange) as out, exchange.submitted(value) as (results,):
        async for result in results:
            await out.send(event(to_json(result)))
        await out.end(DONE)
