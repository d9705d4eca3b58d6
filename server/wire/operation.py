"""What an endpoint is to its clients: method, path, fields and answer, as OpenAPI describes an operation."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from fastembed.server.wire.exchange import Exchange
from fastembed.server.wire.schema import Schema

JSON: Final = "application/json"
FORM: Final = "multipart/form-data"
EVENTS: Final = "text/event-stream"


@dataclass(frozen=True, eq=False)
class Operation:
    """One method of one path. path: as Starlette writes it, `/v1/files/{id}`.

    body: of the request; its properties are the fields that the endpoint knows. refused: fields that are known, and
    refused with a reason. media: the request's content type. query: the parameters behind the `?`. answer: of status
    200, by content type. open: whether it needs no API key. through: the path of another operation, whose pipeline
    answers it.
    """

    method: str
    path: str
    summary: str
    body: Schema | None = None
    refused: Mapping[str, str] = field(default_factory=dict)
    media: str = JSON
    query: Mapping[str, Schema] = field(default_factory=dict)
    answer: Mapping[str, Schema] = field(default_factory=lambda: {JSON: {"type": "object"}})
    open: bool = False
    through: str = ""

    @cached_property
    def fields(self) -> frozenset[str]:
        """The names of the fields that its requests may have; what is none of them is an unknown field."""
        properties = (self.body or {}).get("properties", {})
        return frozenset((*properties, *self.refused))

    @property
    def name(self) -> str:
        """Return `METHOD /path`, which is how sources write routes."""
        return f"{self.method} {self.path}"

    def route(self, handler: Callable[[Request], Awaitable[Response]]) -> Route:
        """Return the route of an operation that the server itself answers."""
        return Route(self.path, handler, methods=[self.method])


@dataclass(frozen=True, slots=True)
class PipelineEndpoint:
    """An operation that a pipeline answers. answer: reads the request, submits it, writes the response.

    takes: the type of the value that a request becomes. gives: the types of results that it can be answered with.
    """

    operation: Operation
    answer: Callable[[Exchange], Awaitable[None]]
    takes: Any
    gives: Any
