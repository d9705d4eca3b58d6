"""Errors in the words of other APIs: their clients show nothing of an error whose form they do not know.

Every error is OpenAI's error object first (`fastembed.server.http.errors`); on the paths of another API it is put into
that API's form. `{"type": "error", "error": {"type", "message"}, "request_id"}` is Anthropic's, `{"error": "text"}`
Ollama's.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

import orjson
from starlette.types import Scope

from fastembed.server.http.errors import ErrorResponse

THREADS: Final = "thread_unsupported_request"
"""The code by which Anthropic's clients learn to send whole conversations."""
_ANTHROPIC_TYPES: Final = {
    "not_found_error": "not_found_error",
    "authentication_error": "authentication_error",
    "permission_error": "permission_error",
    "rate_limit_error": "rate_limit_error",
    "invalid_request_error": "invalid_request_error",
}
_ANTHROPIC_STATUSES: Final = {413: "request_too_large", 503: "overloaded_error", 504: "timeout_error"}
_ANTHROPIC_VERSION: Final = b"anthropic-version"


def translated(what: ErrorResponse, scope: Scope) -> ErrorResponse:
    """Return an error in the form that the request's API has."""
    dialect = _dialect(scope)
    if dialect is None:
        return what
    return replace(what, body=dialect(what.body, what.status, str(scope.get("request_id", ""))))


def anthropic_body(body: bytes, status: int = 0, request_id: str = "") -> bytes:
    """Return Anthropic's form of an error object. status: 0, it is not known, as in a stream."""
    error: dict[str, Any] = orjson.loads(body)["error"]
    kind = _ANTHROPIC_STATUSES.get(status) or _ANTHROPIC_TYPES.get(error["type"], "api_error")
    found: dict[str, Any] = {"type": kind, "message": error["message"]}
    if error["code"] == THREADS:
        found["details"] = {"error_code": THREADS, "unsupported": ["thread"]}
    return orjson.dumps({"type": "error", "error": found, "request_id": request_id or None})


def ollama_body(body: bytes, _status: int = 0, _request_id: str = "") -> bytes:
    """Return Ollama's form of an error object."""
    return orjson.dumps({"error": orjson.loads(body)["error"]["message"]})


def docling_body(body: bytes, _status: int = 0, _request_id: str = "") -> bytes:
    """Return an error object with docling-serve's `detail` beside it, a text: its clients read nothing else."""
    found = orjson.loads(body)
    return orjson.dumps({**found, "detail": found["error"]["message"]})


def rpc_body(body: bytes, _status: int = 0, _request_id: str = "") -> bytes:
    """Return JSON-RPC's form of an error object, the object beside it: MCP's clients read nothing else."""
    error: dict[str, Any] = orjson.loads(body)["error"]
    told = {"code": -32600, "message": error["message"], "data": error}
    return orjson.dumps({"jsonrpc": "2.0", "id": None, "error": told})


def _dialect(scope: Scope) -> Callable[[bytes, int, str], bytes] | None:
    path = scope["path"]
    if path.startswith("/v1/messages") or any(name == _ANTHROPIC_VERSION for name, _ in scope["headers"]):
        return anthropic_body
    if path == "/mcp":
        return rpc_body
    if path.startswith(("/v1/convert/", "/v1/status/", "/v1/result/")):
        return docling_body
    if path.startswith("/api/") and not path.startswith("/api/v1/"):
        return ollama_body
    return None
