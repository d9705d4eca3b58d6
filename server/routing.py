"""From a path to the pipeline that serves it, and to the endpoint that speaks for it."""

from __future__ import annotations

from starlette.types import Receive, Scope, Send

from fastembed.server.caching.cached_answers import CachedAnswers
from fastembed.server.endpoints.registry import endpoint_of
from fastembed.server.fetching.references import NOTHING, References
from fastembed.server.http.errors import MethodNotAllowed
from fastembed.server.wire.exchange import Exchange
from fastembed.sources.http import HttpRoutes


class PipelineRoute:
    """All paths that running pipelines serve, looked up at request time: a reload needs no new application."""

    def __init__(
        self, routes: HttpRoutes, references: References = NOTHING, cached_answers: CachedAnswers | None = None
    ) -> None:
        self._routes = routes
        self._references = references
        self._cached_answers = cached_answers

    def serves(self, path: str) -> bool:
        """Whether a pipeline serves this path, by any method; a wrong method is answered with 405."""
        return self._routes.methods(path) is not None

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        path, method = scope["path"], scope["method"]
        scope["served_path"] = path
        methods = self._routes.methods(path) or {}
        source = methods.get(method)
        if source is None:
            raise MethodNotAllowed(method, path, ", ".join(sorted(methods)))
        exchange = Exchange(
            scope,
            receive,
            send,
            routes=self._routes,
            source=source,
            references=self._references.of(scope["owner"]),
            cached_answers=self._cached_answers,
        )
        scope["pipeline_source"] = source
        await endpoint_of(f"{method} {path}").answer(exchange)
