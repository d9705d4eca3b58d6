"""GET /docs: a page over /openapi.json, to read and try every operation; it asks no other server for anything."""

from __future__ import annotations

from importlib.resources import files
from typing import Final

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import BaseRoute

from fastembed.server.endpoints.context import ServerContext
from fastembed.server.wire.operation import Operation

_DOCS: Final = Operation("GET", "/docs", "A page over this description", answer={"text/html": {}}, open=True)
OPERATIONS: Final = (_DOCS,)

# Everything that the page needs is in it; it speaks to its own server only, and no other page may frame it.
_POLICY: Final = (
    "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'; img-src data:; "
    "frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)


def routes(_: ServerContext) -> list[BaseRoute]:
    """Return the route."""
    page = files("fastembed.server").joinpath("web/docs.html").read_text(encoding="utf-8")

    async def docs(_: Request) -> Response:
        return HTMLResponse(page, headers={"content-security-policy": _POLICY, "cache-control": "no-cache"})

    return [_DOCS.route(docs)]
