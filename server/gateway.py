"""The outermost ASGI layer, which every request passes.

In: browser guard, API key, drain, request id. Out: `x-request-id`, `openai-processing-ms`, the log (of refusals, or
of every request), the metrics, and for whatever went wrong the error object. One of the two places that catch every
exception.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import re
import secrets
from collections.abc import Callable
from dataclasses import replace
from time import perf_counter
from typing import Any, Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from fastembed.pipeline.errors import Unavailable
from fastembed.server.http.auth import BrowserGuard
from fastembed.server.http.error_dialects import translated
from fastembed.server.http.errors import ErrorResponse, error_response, log_internal
from fastembed.server.http.key_ring import INTERNAL, KeyRing
from fastembed.server.http.lifecycle import Lifecycle
from fastembed.server.http.request_body import ClientDisconnected
from fastembed.server.observability.http_metrics import HttpMetrics
from fastembed.server.routing import PipelineRoute
from fastembed.server.wire.exchange import rate_limits
from fastembed.server.wire.unknown_fields import UnknownFields

_access: Final = logging.getLogger("fastembed.access")
_SANE_ID: Final = re.compile(rb"[A-Za-z0-9._:\-]{1,128}")
_PROCESS_ID: Final = secrets.token_hex(8)
_count: Final = itertools.count(1)
_FIXED: Final = ((b"openai-version", b"2020-10-01"), (b"x-content-type-options", b"nosniff"))
_ALWAYS_OPEN: Final = frozenset({"/healthz", "/readyz", "/metrics"})
_REFUSED: Final = 400
_CLIENT_CLOSED: Final = 499
_SWITCHED: Final = 101
_POLICY_VIOLATION: Final = 1008
_SERVICE_RESTART: Final = 1012


class Gateway:
    """ASGI middleware around the whole application."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        resolve: Callable[[str], str],
        pipelines: PipelineRoute,
        keys: KeyRing,
        guard: BrowserGuard,
        lifecycle: Lifecycle,
        stats: HttpMetrics,
        reject_unknown_fields: bool = False,
        access_log: bool = False,
    ) -> None:
        self._app = app
        self._resolve = resolve
        self._pipelines = pipelines
        self._keys = keys
        self._guard = guard
        self._lifecycle = lifecycle
        self._stats = stats
        self._reject_unknown_fields = reject_unknown_fields
        self._access_log = access_log

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        if scope["type"] == "http":
            await self._http(scope, receive, send)
        elif scope["type"] == "websocket":
            await self._websocket(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        # A request ends answered (by its endpoint), failed (an error object), disconnected (nothing is sent, 499 in the
        # log) or cancelled by the end of the drain (503 if nothing was sent). Each is counted and logged once.
        reply = _ResponseWriter(scope, send, UnknownFields(reject=self._reject_unknown_fields))
        counted = INTERNAL not in scope  # what this process asks itself is its pipelines' to drain
        if counted:
            self._lifecycle.enter()
        try:
            by_pipeline = self._pipelines.serves(scope["path"])
            if not by_pipeline:
                scope["path"] = self._resolve(scope["path"])  # before the keys: /health is as open as /healthz
                by_pipeline = self._pipelines.serves(scope["path"])
            self._admit(scope, by_pipeline=by_pipeline)
            if by_pipeline:  # before the router, whose work they do not need
                await self._pipelines.handle(scope, receive, reply.send)
            else:
                await self._app(scope, receive, reply.send)
        except ClientDisconnected:
            reply.status = reply.status or _CLIENT_CLOSED
        except asyncio.CancelledError:
            await reply.fail_silently()
            if (
                self._lifecycle.phase != "draining" or INTERNAL in scope
            ):  # else the server itself asked, and logs a crash
                raise
        except Exception as error:  # noqa: BLE001 - the HTTP boundary: nothing may pass unanswered
            await reply.fail(error)
        finally:
            if counted:
                self._lifecycle.leave()
            self._note(scope, reply.status, reply.started_s, reply.request_id)

    async def _websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope["request_id"] = _request_id(scope)
        started_s = perf_counter()
        try:
            self._admit(scope)
        except Exception as error:  # noqa: BLE001 - the HTTP boundary again, before a websocket is accepted
            status = await _deny(scope, send, error_response(error, scope["request_id"]))
            self._note(scope, status, started_s, scope["request_id"])
            return
        try:
            await self._app(scope, receive, send)
        finally:
            self._note(scope, scope.get("refused_with", _SWITCHED), started_s, scope["request_id"])

    def _admit(self, scope: Scope, *, by_pipeline: bool = False) -> None:
        self._guard.check(scope)
        self._keys.admit(scope, by_pipeline=by_pipeline)
        if INTERNAL in scope:  # its pipeline says when it stops
            return
        refusal = self._lifecycle.refusal()
        if refusal is not None and scope["path"] not in _ALWAYS_OPEN:
            raise refusal

    def _note(self, scope: Scope, status: int, started_s: float, request_id: str) -> None:
        seconds = perf_counter() - started_s
        method = scope.get("method", "WS")
        self._stats.count(method, scope.get("served_path", "other"), status, seconds)
        if (self._access_log or status >= _REFUSED) and _access.isEnabledFor(logging.INFO):
            _access.info(
                "%s %s %d %.1f ms",
                method,
                scope["path"],
                status,
                seconds * 1000,
                extra={"request": request_id, "client": _client(scope), "status": status},
            )


class _ResponseWriter:
    """One response on its way out: adds the headers that every response has, knows how far it got."""

    __slots__ = ("_scope", "_send", "_unknown", "request_id", "started_s", "status")

    def __init__(self, scope: Scope, send: Send, unknown: UnknownFields) -> None:
        self._scope = scope
        self._send = send
        self._unknown = unknown
        unknown.attach(scope)
        self.started_s = perf_counter()
        self.request_id = scope["request_id"] = _request_id(scope)
        self.status = 0

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            message["headers"] = [
                *message.get("headers", ()),
                (b"x-request-id", self.request_id.encode("ascii")),
                (b"openai-processing-ms", b"%d" % ((perf_counter() - self.started_s) * 1000)),
                *_FIXED,
            ]
            if self._unknown.ignored:
                message["headers"].append(self._unknown.header())
        await self._send(message)

    async def fail(self, error: Exception) -> None:
        if self.status:  # too late for a status: whoever streams has its own way to say it; here the line is cut
            log_internal(error, self.request_id)
            raise error
        what = error_response(error, self.request_id)
        if what.status == 429 and "pipeline_source" in self._scope:  # noqa: PLR2004 - too many requests: say how many are not
            what = replace(what, headers=(*what.headers, *rate_limits(self._scope["pipeline_source"])))
        await respond(self.send, translated(what, self._scope))

    async def fail_silently(self) -> None:
        """Answer a request that was cancelled because the server's time to drain is over."""
        if not self.status:
            error = Unavailable("the server stopped before the request ended; send it again", retry_after_s=5.0)
            await respond(self.send, translated(error_response(error, self.request_id), self._scope))


async def respond(send: Callable[[Message], Any], what: ErrorResponse) -> None:
    """Send a finished JSON answer."""
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", b"%d" % len(what.body)),
        *what.headers,
    ]
    if what.status == 413:  # noqa: PLR2004 - the rest of the body is still on its way
        headers.append((b"connection", b"close"))
    await send({"type": "http.response.start", "status": what.status, "headers": headers})
    await send({"type": "http.response.body", "body": what.body})


async def _deny(scope: Scope, send: Send, what: ErrorResponse) -> int:
    """Refuse a websocket before it is accepted: with a real HTTP answer where the server can, else by closing it."""
    if "websocket.http.response" in scope.get("extensions", {}):
        headers = [(b"content-type", b"application/json"), *what.headers]
        await send({"type": "websocket.http.response.start", "status": what.status, "headers": headers})
        await send({"type": "websocket.http.response.body", "body": what.body})
    else:
        code = _SERVICE_RESTART if what.status == 503 else _POLICY_VIOLATION  # noqa: PLR2004 - unavailable
        await send({"type": "websocket.close", "code": code})
    return what.status


def _request_id(scope: Scope) -> str:
    """Return the caller's id if it is one that may stand in a log, else a new one."""
    for key, value in scope["headers"]:
        if key == b"x-request-id":
            if _SANE_ID.fullmatch(value):
                return str(value, "ascii")
            break
    return f"req_{_PROCESS_ID}{next(_count):016x}"


def _client(scope: Scope) -> str:
    client = scope.get("client")
    return f"{client[0]}:{client[1]}" if client else "-"
