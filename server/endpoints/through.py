"""From another wire's path to the pipeline that answers it: one internal conversation, several wires.

`/v1/responses`, `/v1/messages` and Ollama's paths have no pipelines of their own: what they decode is the `ChatRequest`
that the pipeline on `POST /v1/chat/completions` takes, and its `ChatEvent`s are what they encode.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from fastembed.pipeline.errors import NotFound, Unavailable
from fastembed.server.endpoints.context import ServerContext
from fastembed.server.fetching.references import References
from fastembed.server.wire.exchange import Exchange
from fastembed.server.wire.operation import Operation

CHAT_PATH: Final = "/v1/chat/completions"


def through(site: ServerContext, operation: Operation, answer: Callable[[Exchange], Awaitable[None]]) -> Route:
    """Return the route of an operation whose answer is an exchange with another operation's pipeline."""
    return Route(operation.path, _Through(site, operation, answer), methods=[operation.method])


def references_of(site: ServerContext, scope: Scope) -> References:
    """Return what a request may refer to."""
    return References(site.fetcher, site.files, scope["owner"])


class _Through:
    """An ASGI application, since an answer may be a stream; the pipeline is that of `operation.through`."""

    def __init__(
        self, site: ServerContext, operation: Operation, answer: Callable[[Exchange], Awaitable[None]]
    ) -> None:
        self._site = site
        self._path = operation.path
        self._through = operation.through
        self._answer = answer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope["served_path"] = self._path
        source = (self._site.routes.methods(self._through) or {}).get("POST")
        if source is None and self._site.lifecycle.phase == "starting":
            raise Unavailable(f"the server is starting; {self._path} may be served soon, try again", retry_after_s=1.0)
        if source is None:
            raise NotFound(
                f"found no pipeline on POST {self._through}, expected one: it answers {self._path} too",
                code="unknown_url",
            )
        scope["pipeline_source"] = source
        await self._answer(
            Exchange(
                scope,
                receive,
                send,
                routes=self._site.routes,
                source=source,
                references=references_of(self._site, scope),
                cached_answers=self._site.cached_answers,
            )
        )
