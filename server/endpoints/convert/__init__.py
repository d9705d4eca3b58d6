"""docling-serve's API (1.x) over the pipeline that serves POST /v1/documents/process.

POST /v1/convert/source and /v1/convert/file answer with the document; with `/async` behind them they answer at once
with a task. GET /v1/status/poll/{id} tells its state, the websocket /v1/status/ws/{id} follows it, GET /v1/result/{id}
gives its document.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from fastembed.pipeline.errors import Conflict, InvalidInput, NotFound, StepFailed
from fastembed.server.endpoints.context import ServerContext
from fastembed.server.endpoints.convert.jobs import ConversionJobs, describe
from fastembed.server.endpoints.convert.request import (
    FORM,
    SOURCE,
    ConversionRequest,
    convert,
    decode_form,
    decode_source,
)
from fastembed.server.endpoints.through import through
from fastembed.server.wire.exchange import Exchange
from fastembed.server.wire.operation import FORM as MULTIPART
from fastembed.server.wire.operation import Operation
from fastembed.server.wire.responses import json_answer
from fastembed.server.wire.schema import number

PATH: Final = "/v1/documents/process"
STATUS_SOCKET: Final = "/v1/status/ws/{id}"
MAX_WAIT_S: Final = 60.0
_FOLLOW_S: Final = 30.0

_SOURCE: Final = Operation("POST", "/v1/convert/source", "Read a document (docling-serve)", body=SOURCE, through=PATH)
_FILE: Final = Operation(
    "POST", "/v1/convert/file", "Read a document (docling-serve)", body=FORM, media=MULTIPART, through=PATH
)
_SOURCE_ASYNC: Final = Operation(
    "POST", "/v1/convert/source/async", "Begin to read a document (docling-serve)", body=SOURCE, through=PATH
)
_FILE_ASYNC: Final = Operation(
    "POST",
    "/v1/convert/file/async",
    "Begin to read a document (docling-serve)",
    body=FORM,
    media=MULTIPART,
    through=PATH,
)
_POLL: Final = Operation(
    "GET",
    "/v1/status/poll/{id}",
    "How far a conversion is (docling-serve)",
    query={"wait": number(0, MAX_WAIT_S, "seconds to wait for a change")},
)
_RESULT: Final = Operation("GET", "/v1/result/{id}", "What a conversion gave (docling-serve)")
_VERSION: Final = Operation("GET", "/version", "The version of this server", open=True)
OPERATIONS: Final = (_SOURCE, _FILE, _SOURCE_ASYNC, _FILE_ASYNC, _POLL, _RESULT, _VERSION)

Decode = Callable[[Exchange], Awaitable[ConversionRequest]]


def routes(site: ServerContext) -> list[BaseRoute]:
    """Return the routes."""
    own = _Conversions(site)
    return [
        through(site, _SOURCE, own.at_once(decode_source)),
        through(site, _FILE, own.at_once(decode_form)),
        through(site, _SOURCE_ASYNC, own.later(decode_source)),
        through(site, _FILE_ASYNC, own.later(decode_form)),
        _POLL.route(own.poll),
        _RESULT.route(own.result),
        _VERSION.route(own.version),
        WebSocketRoute(STATUS_SOCKET, own.follow),
    ]


class _Conversions:
    """The handlers."""

    def __init__(self, site: ServerContext) -> None:
        self._site = site
        self._jobs = ConversionJobs(site.tasks)

    def at_once(self, decode: Decode) -> Callable[[Exchange], Awaitable[None]]:
        async def answer(exchange: Exchange) -> None:
            request = await decode(exchange)
            with exchange.watched():
                body = await convert(exchange, request)
            await exchange.respond(body)

        return answer

    def later(self, decode: Decode) -> Callable[[Exchange], Awaitable[None]]:
        async def answer(exchange: Exchange) -> None:
            job = self._jobs.start(exchange, await decode(exchange))
            await exchange.respond(orjson.dumps(describe(job)))

        return answer

    async def poll(self, request: Request) -> Response:
        job = self._jobs.find(request.scope["owner"], request.path_params["id"])
        await self._jobs.wait(job, _seconds(request.query_params.get("wait", "0")))
        return json_answer(describe(job))

    async def result(self, request: Request) -> Response:
        job = self._jobs.find(request.scope["owner"], request.path_params["id"])
        if not job.done:
            raise Conflict(f"the task {job.id} is {job.status}: GET /v1/status/poll/{job.id} tells when it has ended")
        if job.error is not None:
            raise job.error
        if not job.result:
            raise StepFailed("convert", RuntimeError(f"the task {job.id} ended without a result"))
        return Response(job.result, media_type="application/json")

    async def version(self, _: Request) -> Response:
        return json_answer({"version": self._site.version, "fastembed": self._site.version})

    async def follow(self, websocket: WebSocket) -> None:
        """Send the task's state now and whenever it changes, until it has ended."""
        await websocket.accept()
        try:
            job = self._jobs.find(websocket.scope["owner"], websocket.path_params["id"])
        except NotFound as error:
            await _send(websocket, {"message": "error", "error": error.message})
            await websocket.close()
            return
        try:
            await _send(websocket, {"message": "connection", "task": describe(job)})
            while not job.done:
                await self._jobs.wait(job, _FOLLOW_S)
                await _send(websocket, {"message": "update", "task": describe(job)})
            await websocket.close()
        except WebSocketDisconnect:
            return


async def _send(websocket: WebSocket, message: object) -> None:
    await websocket.send_text(orjson.dumps(message).decode())


def _seconds(text: str) -> float:
    try:
        found = float(text)
    except ValueError:
        found = -1.0
    if not 0 <= found <= MAX_WAIT_S:
        raise InvalidInput(f"found {text[:40]!r}, expected 0 to {MAX_WAIT_S:g} seconds for wait", param="wait")
    return found
