"""The OpenAI error object, with which every failed request is answered.

`{"error": {"message", "type", "param", "code"}}`, all four keys always. A 500 says "internal error" and the request id,
never what broke; the log has the cause under the same id.
"""

from __future__ import annotations

import asyncio
import logging
import math
from dataclasses import dataclass

import orjson
from starlette.exceptions import HTTPException

from fastembed.pipeline.errors import Expired, ItemError, StepFailed

_log = logging.getLogger("fastembed.http")

_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    405: "invalid_request_error",
    429: "rate_limit_error",
}


@dataclass(frozen=True, slots=True)
class ErrorResponse:
    """A finished answer: status, JSON body, extra headers (content type and length excluded)."""

    status: int
    body: bytes
    headers: tuple[tuple[bytes, bytes], ...] = ()


class MethodNotAllowed(ItemError):
    """The path is right, the method is not; `allow` lists those that are."""

    status = 405
    type = "invalid_request_error"
    code = "method_not_allowed"

    def __init__(self, found: str, path: str, allow: str) -> None:
        """Say what was found and what is allowed."""
        super().__init__(f"found {found} {path}, expected {allow}")
        self.allow = allow


class UpgradeRequired(ItemError):
    """The path is a websocket's, the request is not."""

    status = 426
    type = "invalid_request_error"
    code = "upgrade_required"


def error_body(message: str, kind: str, param: str | None = None, code: str | None = None) -> bytes:
    """Return the error object as JSON."""
    return orjson.dumps({"error": {"message": message, "type": kind, "param": param, "code": code}})


def error_response(error: BaseException, request_id: str) -> ErrorResponse:
    """Return the response for an error; log what the caller must not see."""
    if isinstance(error, ItemError) and error.status != 500:  # noqa: PLR2004 - internal server error
        body = error_body(error.message, error.type, error.param, error.code)
        return ErrorResponse(error.status, body, _error_headers(error))
    if isinstance(error, TimeoutError):
        return error_response(Expired("the request took longer than its pipeline allows"), request_id)
    if isinstance(error, HTTPException):
        kind = _TYPES.get(error.status_code, "invalid_request_error")
        headers = tuple((k.lower().encode(), v.encode()) for k, v in (error.headers or {}).items())
        return ErrorResponse(error.status_code, error_body(str(error.detail), kind), headers)
    log_internal(error, request_id)
    return ErrorResponse(500, internal_body(request_id))


def internal_body(request_id: str) -> bytes:
    """Return the body of a 500: it names the request, never the cause."""
    return error_body(f"internal error; request id {request_id}", "server_error")


def log_internal(error: BaseException, request_id: str) -> None:
    """Log the cause of a 500, with its traceback unless the pipeline has logged it under the same request id."""
    level = logging.INFO if isinstance(error, asyncio.CancelledError) else logging.ERROR
    trace = None if isinstance(error, StepFailed) and error.traced else error
    _log.log(level, "request failed: %s", error, exc_info=trace, extra={"request": request_id})


def _error_headers(error: ItemError) -> tuple[tuple[bytes, bytes], ...]:
    """Return retry, allow and upgrade headers where the error has them."""
    if isinstance(error, MethodNotAllowed):
        return ((b"allow", error.allow.encode()),)
    if isinstance(error, UpgradeRequired):
        return ((b"upgrade", b"websocket"), (b"connection", b"upgrade"))
    if error.code == "insufficient_quota":  # until tomorrow: a client that tries again by itself would wait for nothing
        return (*retry_headers(error.retry_after_s or 1.0), (b"x-should-retry", b"false"))
    if error.status in (429, 503):
        return retry_headers(1.0 if error.retry_after_s is None else error.retry_after_s)
    return ((b"www-authenticate", b"Bearer"),) if error.status == 401 else ()  # noqa: PLR2004


def retry_headers(after_s: float) -> tuple[tuple[bytes, bytes], ...]:
    """Return `retry-after` (whole seconds, at least 1) and `retry-after-ms`, which OpenAI clients prefer."""
    after_s = max(after_s, 0.001)
    return (
        (b"retry-after", b"%d" % math.ceil(after_s)),
        (b"retry-after-ms", b"%d" % math.ceil(after_s * 1000)),
    )
