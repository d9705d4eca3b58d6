"""GET /openapi.json: the operations of this server, now, as an OpenAPI 3.1 document.

A path that no running pipeline serves is left out; pipelines on paths of their own are in it. OpenAPI knows no
websockets: `x-websockets` lists their paths.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from fastembed.server.endpoints.context import ServerContext
from fastembed.server.endpoints.registry import OWN_OPERATIONS, endpoint_of
from fastembed.server.wire.operation import Operation
from fastembed.server.wire.responses import json_answer
from fastembed.server.wire.schema import Schema, an_object, choice, one_of, string

OPERATION: Final = Operation("GET", "/openapi.json", "This document")

_PARAMETER: Final = re.compile(r"{(\w+)(?::\w+)?}")
_SOCKET: Final = "websocket "
_NULL: Final = {"type": "null"}
_ERROR: Final = an_object(
    {
        "error": an_object(
            {
                "message": string("what was found, and what was expected"),
                "type": string(),
                "param": one_of(string("the field at fault"), _NULL),
                "code": one_of(string(), _NULL),
            },
            required=("message", "type", "param", "code"),
        )
    },
    required=("error",),
)

_OTHER_ERRORS: Final[Mapping[str, Schema]] = {
    "/api/": an_object({"error": string("what was found, and what was expected")}, required=("error",)),
    "/v1/messages": an_object(
        {
            "type": choice("error"),
            "error": an_object({"type": string(), "message": string()}, required=("type", "message")),
        },
        required=("type", "error"),
    ),
    "/mcp": an_object(
        {"jsonrpc": choice("2.0"), "error": an_object({"code": {"type": "integer"}, "message": string()})}
    ),
}
"""Errors of other APIs, by what their paths begin with (`fastembed.server.http.error_dialects`)."""


def routes(site: ServerContext) -> list[BaseRoute]:
    """Return the route."""

    async def openapi(_: Request) -> Response:
        served = [endpoint_of(name).operation for name in site.routes.paths()]
        own = [operation for operation in OWN_OPERATIONS if _is_served(operation, site)]
        sockets = [
            view.source.removeprefix(_SOCKET) for view in site.running.views() if view.source.startswith(_SOCKET)
        ]
        return json_answer({**document((*served, *own, OPERATION), version=site.version), "x-websockets": sockets})

    return [OPERATION.route(openapi)]


def _is_served(operation: Operation, site: ServerContext) -> bool:
    """Whether one of the server's own operations is there now."""
    if operation.through and site.routes.methods(operation.through) is None:
        return False
    if operation.path.startswith("/v1/files"):
        return site.files is not None
    return site.conversations is not None or not operation.path.startswith(("/v1/responses/{id}", "/v1/conversations"))


def document(operations: Iterable[Operation], *, version: str) -> dict[str, Any]:
    """Return the OpenAPI document of these operations."""
    paths: dict[str, dict[str, Any]] = {}
    for operation in operations:
        path = _PARAMETER.sub(r"{\1}", operation.path)
        paths.setdefault(path, {})[operation.method.lower()] = describe(operation)
    return {
        "openapi": "3.1.0",
        "info": {"title": "FastEmbed", "version": version},
        "paths": dict(sorted(paths.items())),
        "components": {
            "schemas": {"Error": _ERROR},
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{"key": []}, {}],  # {}: none, where the server asks for no key
    }


def describe(operation: Operation) -> dict[str, Any]:
    """Return an operation object."""
    found: dict[str, Any] = {"summary": operation.summary, "parameters": [*_in_path(operation), *_in_query(operation)]}
    if operation.body is not None:
        found["requestBody"] = {"required": True, "content": {operation.media: {"schema": _body(operation)}}}
    if operation.open:
        found["security"] = []
    error = {"description": "an error", "content": {"application/json": {"schema": _error_of(operation.path)}}}
    content = {media: {"schema": schema} for media, schema in operation.answer.items()}
    found["responses"] = {"200": {"description": "the answer", "content": content}, "default": error}
    return found


def _error_of(path: str) -> Mapping[str, Any]:
    """Return the schema of an operation's errors."""
    other = next((schema for begin, schema in _OTHER_ERRORS.items() if path.startswith(begin)), None)
    return _reference("Error") if other is None else other


def _body(operation: Operation) -> Mapping[str, Any]:
    """Return the schema of the body; fields that are refused are allowed in none of its values."""
    body = operation.body or {}
    refused = {name: {"not": {}, "description": f"not supported: {why}"} for name, why in operation.refused.items()}
    return {**body, "properties": {**body["properties"], **refused}} if refused else body


def _in_path(operation: Operation) -> list[dict[str, Any]]:
    names = _PARAMETER.findall(operation.path)
    return [{"name": name, "in": "path", "required": True, "schema": {"type": "string"}} for name in names]


def _in_query(operation: Operation) -> list[dict[str, Any]]:
    return [{"name": name, "in": "query", "schema": schema} for name, schema in operation.query.items()]


def _reference(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{name}"}
