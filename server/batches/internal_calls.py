"""Asks this server's own endpoints, without a socket: the application gets a request as if it had come over HTTP."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any, Final

import orjson
from starlette.types import ASGIApp, Message

from fastembed.pipeline.payload.endpoint import EndpointAnswer, EndpointCaller, EndpointRequest
from fastembed.server.http.key_ring import INTERNAL, InternalCaller

_STREAMS: Final = ("stream", "background")
_JSON: Final = "application/json"


class InternalCalls(EndpointCaller):
    """In: a request of somebody whose key was checked before. running: items that the pipeline of a path answers now.

    through: from a path to the one whose pipeline answers it. app: set once it is made.
    """

    def __init__(self, running: Callable[[str], int], through: Mapping[str, str]) -> None:
        self.app: ASGIApp | None = None
        self._running = running
        self._through = through
        self._own: Counter[str] = Counter()

    def live(self, path: str) -> int:
        """Return how many requests of others the pipeline behind a path answers now."""
        served = self._through.get(path) or path
        return max(0, self._running(served) - self._own[served])

    async def call(self, request: EndpointRequest, *, priority: int) -> EndpointAnswer:
        """Return the endpoint's answer."""
        assert self.app is not None  # noqa: S101 - the process sets it before it starts pipelines
        if request.media == _JSON and (name := _streamed(request.body)) is not None:
            message = f"found {name} true, expected none: this request is answered in one piece"
            return EndpointAnswer(400, _error(message, name))
        reply = _CollectedReply(request.body)
        served = self._through.get(request.path) or request.path
        self._own[served] += 1
        try:
            await self.app(_scope(request, priority), reply.receive, reply.send)
        finally:
            self._own[served] -= 1
        return EndpointAnswer(reply.status, bytes(reply.body), reply.retry_after_s())


def _scope(request: EndpointRequest, priority: int) -> dict[str, Any]:
    headers = [
        (b"host", b"localhost"),
        (b"content-type", request.media.encode()),
        (b"content-length", b"%d" % len(request.body)),
        (b"x-request-id", request.id.encode()),
    ]
    return {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": request.path,
        "raw_path": request.path.encode(),
        "root_path": "",
        "query_string": b"",
        "headers": headers,
        "client": None,
        "server": None,
        "priority": priority,
        INTERNAL: InternalCaller(request.owner, request.key),
    }


class _CollectedReply:
    """The client's end: gives the body once, collects what comes."""

    def __init__(self, body: bytes) -> None:
        self.status = 0
        self.body = bytearray()
        self._headers: list[tuple[bytes, bytes]] = []
        self._request: bytes | None = body

    async def receive(self) -> Message:
        if self._request is None:
            await asyncio.Event().wait()  # it never leaves
        body, self._request = self._request, None
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self._headers = list(message.get("headers", ()))
        else:
            self.body += message.get("body", b"")

    def retry_after_s(self) -> float:
        found = next((value for name, value in self._headers if name == b"retry-after-ms"), b"1000")
        return int(found) / 1000


def _streamed(body: bytes) -> str | None:
    """Return the field that asks for an answer over time, if one does."""
    found = orjson.loads(body)
    return next((name for name in _STREAMS if found.get(name) is True), None) if isinstance(found, dict) else None


def _error(message: str, param: str) -> bytes:
    error = {"message": message, "type": "invalid_request_error", "param": param, "code": "invalid_value"}
    return orjson.dumps({"error": error})
