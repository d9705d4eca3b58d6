"""The ASGI application: the gateway around the pipelines' routes and the server's own."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.middleware.exceptions import ExceptionMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp

from fastembed.pipeline.errors import NotFound, Unavailable
from fastembed.server.caching.cached_answers import CachedAnswers
from fastembed.server.fetching.fetcher import Fetcher
from fastembed.server.fetching.references import References
from fastembed.server.files.store import FileStore
from fastembed.server.gateway import Gateway
from fastembed.server.http.errors import MethodNotAllowed
from fastembed.server.http.key_ring import KeyRing
from fastembed.server.http.lifecycle import Lifecycle
from fastembed.server.http.path_aliases import resolve
from fastembed.server.keys.client_secrets import ClientSecrets
from fastembed.server.keys.key_file import KeyFile
from fastembed.server.keys.usage import UsageLog
from fastembed.server.observability.http_metrics import HttpMetrics
from fastembed.server.routing import PipelineRoute
from fastembed.server.settings import ServerSettings
from fastembed.sources.http import HttpRoutes

_EXPOSED = [
    "x-request-id",
    "openai-processing-ms",
    "retry-after",
    "retry-after-ms",
    "x-ratelimit-limit-requests",
    "x-ratelimit-remaining-requests",
    "x-ratelimit-reset-requests",
    "x-fastembed-model",
    "x-fastembed-model-state",
    "x-fastembed-route",
    "x-fastembed-cache",
    "x-fastembed-voice",
    "x-fastembed-warning",
]


def create_app(
    settings: ServerSettings,
    *,
    routes: HttpRoutes,
    lifecycle: Lifecycle,
    stats: HttpMetrics,
    cached_answers: CachedAnswers | None = None,
    files: FileStore | None = None,
    usage: UsageLog | None = None,
    client_secrets: ClientSecrets | None = None,
    endpoints: Sequence[BaseRoute] = (),
) -> ASGIApp:
    """Return the application.

    cached_answers: the cache of answers. files: what requests may refer to. usage: counts
    what each key uses; None: nothing is counted. client_secrets: keys of realtime sessions. endpoints: what the server
    answers itself.
    """
    paths = _Paths(routes, endpoints)
    file = None if settings.keys_file is None else KeyFile(settings.keys_file)
    refusal = _refusal(lifecycle, paths)
    app = _Endpoints(routes=list(endpoints), exception_handlers={HTTPException: refusal})
    app.router.redirect_slashes = False
    gateway = Gateway(
        app,
        resolve=paths.resolve,
        pipelines=PipelineRoute(routes, References(Fetcher(settings.urls), files), cached_answers),
        keys=KeyRing(settings.keys, file, usage, client_secrets=client_secrets),
        guard=settings.guard,
        lifecycle=lifecycle,
        stats=stats,
        reject_unknown_fields=settings.unknown_fields == "reject",
        access_log=settings.access_log,
    )
    return _cors(gateway, settings)


class _Endpoints(Starlette):
    """Starlette without the layer that answers what broke: the gateway does, and stands outside."""

    def build_middleware_stack(self) -> ASGIApp:
        """Return the router and the handlers of exceptions."""
        return ExceptionMiddleware(self.router, handlers=self.exception_handlers)


def _cors(app: ASGIApp, settings: ServerSettings) -> ASGIApp:
    """Let allowed web pages read the answers; none are allowed by default."""
    if not settings.allow_origins:
        return app
    return CORSMiddleware(
        app,
        allow_origins=[origin.lower().rstrip("/") for origin in settings.allow_origins],
        allow_methods=["GET", "POST", "DELETE"],
        allow_headers=["*"],
        expose_headers=_EXPOSED,
    )


class _Paths:
    """The paths that are served now, by running pipelines and by the server itself."""

    def __init__(self, routes: HttpRoutes, endpoints: Sequence[BaseRoute]) -> None:
        self._pipelines = routes
        self._own = [route for route in endpoints if isinstance(route, Route)]
        self._fixed = {route.path for route in self._own}
        self._patterns = [route.path_regex for route in self._own if "{" in route.path]

    def resolve(self, path: str) -> str:
        """Return the path that is meant; an entry is no name of a list: `/v1/models/` is `/v1/models`."""
        bare = path.rstrip("/") or "/"
        return bare if self._listed(bare) and not self._listed(path) else resolve(path, self._served)

    def names(self) -> list[str]:
        """Return every `METHOD /path`, those of pipelines first."""
        own = [
            f"{method} {route.path}" for route in self._own for method in sorted((route.methods or set()) - {"HEAD"})
        ]
        return [*self._pipelines.paths(), *own]

    def _served(self, path: str) -> bool:
        return self._listed(path) or any(pattern.match(path) for pattern in self._patterns)

    def _listed(self, path: str) -> bool:
        return path in self._fixed or self._pipelines.methods(path) is not None


def _refusal(lifecycle: Lifecycle, paths: _Paths) -> Callable[[Request, Exception], Awaitable[Response]]:
    """Return a handler that raises the router's own 404 and 405 as errors of ours; the gateway answers them.

    A coroutine, since Starlette gives plain functions to a thread: by the time that one runs, a server that was
    starting may have started, and the path that it was asked for would be one that nothing serves.
    """

    async def refuse(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)  # noqa: S101 - registered for it
        path = request.url.path
        if error.status_code == 404 and lifecycle.phase == "starting":  # noqa: PLR2004 - not found, yet
            raise Unavailable(f"the server is starting; {path} may be served soon, try again", retry_after_s=1.0)
        if error.status_code == 404:  # noqa: PLR2004 - not found
            expected = ", ".join(paths.names())
            raise NotFound(
                f"found {request.method} {path:.200}, which is not served here; expected one of {expected}",
                code="unknown_url",
            )
        if error.status_code == 405:  # noqa: PLR2004 - method not allowed
            raise MethodNotAllowed(request.method, path, (error.headers or {}).get("Allow", ""))
        raise error

    return refuse
