"""GET / and its files: a page for people, served from the package, which speaks to its own server only."""

from __future__ import annotations

from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from fastembed.pipeline.errors import NotFound
from fastembed.server.endpoints.context import ServerContext
from fastembed.server.http.page_files import INDEX, PAGE_FILES, PREFIX, PageFile
from fastembed.server.wire.operation import Operation

_INDEX: Final = Operation(
    "GET",
    "/",
    "A page: captions, documents, questions, chat, pipelines, models",
    answer={"text/html": {}},
    open=True,
)
_FILE: Final = Operation(
    "GET",
    f"{PREFIX}{{name}}",
    "A file of the page",
    answer={"text/javascript": {}, "text/css": {}},
    open=True,
)
OPERATIONS: Final = (_INDEX, _FILE)

# No outside address, no inline script or style, no frame around it; `blob:` is for what the page itself makes to save.
_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
    "frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)
_HEADERS: Final = {
    "content-security-policy": _POLICY,
    "referrer-policy": "no-referrer",
    "permissions-policy": "microphone=(self), camera=(), geolocation=()",
    "cache-control": "no-cache",
}


def routes(_: ServerContext) -> list[BaseRoute]:
    """Return the routes."""

    async def index(request: Request) -> Response:
        return _answer(request, PAGE_FILES[INDEX])

    async def file(request: Request) -> Response:
        name = request.path_params["name"]
        found = PAGE_FILES.get(name) if name != INDEX else None
        if found is None:
            raise NotFound(f"found {name!r:.80}, expected a file of the page at /")
        return _answer(request, found)

    return [_INDEX.route(index), _FILE.route(file)]


def _answer(request: Request, file: PageFile) -> Response:
    headers = {**_HEADERS, "etag": file.etag}
    if file.etag in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    return Response(file.content, media_type=file.media, headers=headers)
