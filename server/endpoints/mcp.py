"""/mcp: the Model Context Protocol over streamable HTTP, for applications whose models use this server's tools.

The official SDK speaks the protocol (the extra `mcp`); it is imported when the first client comes. Keys and origins are
checked before, as for every path; each call of a tool is a request of the key that its own HTTP request came with.
"""

from __future__ import annotations

import asyncio
import importlib
from typing import TYPE_CHECKING, Any, Final

from starlette.routing import BaseRoute, Route
from starlette.types import Receive, Scope, Send

from fastembed.pipeline.errors import InvalidInput, NotFound, Unavailable
from fastembed.pipeline.payload.endpoint import EndpointCaller, EndpointRequest
from fastembed.server.endpoints.context import ServerContext
from fastembed.server.endpoints.through import references_of
from fastembed.server.wire.base64_text import decode_base64
from fastembed.server.wire.operation import Operation

if TYPE_CHECKING:
    from mcp.server.mcpserver import Context, MCPServer

_MAX_FILE_BYTES: Final = 64 * 2**20
_SUMMARY: Final = "Tools for models (MCP, streamable HTTP)"
_METHODS: Final = ("GET", "POST", "DELETE")
OPERATIONS: Final = tuple(Operation(method, "/mcp", _SUMMARY) for method in _METHODS)


def routes(site: ServerContext) -> list[BaseRoute]:
    """Return the route; none in a process that cannot ask itself."""
    caller = site.resources.find(EndpointCaller)  # type: ignore[type-abstract] # the process's own
    return [] if caller is None else [Route("/mcp", _Tools(site, caller), methods=list(_METHODS))]


class _Tools:
    """The ASGI application."""

    def __init__(self, site: ServerContext, caller: EndpointCaller) -> None:
        self._site = site
        self._caller = caller
        self._opening = asyncio.Lock()
        self._server: MCPServer[Any] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope["served_path"] = "/mcp"
        server = await self._opened()
        await server.session_manager.handle_request(scope, receive, send)

    async def _opened(self) -> MCPServer[Any]:
        async with self._opening:
            if self._server is None:
                try:
                    tools = await asyncio.to_thread(importlib.import_module, "fastembed.server.tools.model_tools")
                    security = importlib.import_module("mcp.server.transport_security")
                except ModuleNotFoundError as error:
                    if error.name is None or error.name.partition(".")[0] != "mcp":
                        raise
                    raise NotFound(
                        "found no package mcp, expected it: pip install 'fastembed-multimodal[mcp]', then restart",
                        code="mcp_not_installed",
                    ) from error
                server: MCPServer[Any] = tools.make_server(_Within(self._site, self._caller, tools), self._site.version)
                # Host and Origin are checked by the gateway, which knows this server's names.
                unchecked = security.TransportSecuritySettings(enable_dns_rebinding_protection=False)
                server.streamable_http_app(transport_security=unchecked)
                started = asyncio.Event()
                self._site.tasks.start(self._run(server, started), name="mcp")
                await started.wait()
                self._server = server
            return self._server

    async def _run(self, server: MCPServer[Any], started: asyncio.Event) -> None:
        """Keep the sessions until the server stops; then they end, with their streams."""
        async with server.session_manager.run():
            started.set()
            await self._site.lifecycle.draining.wait()


class _Within:
    """The backend within the process: the tools' requests are those of the client's key."""

    sources: Final = (
        "`source` is the id of a file that was uploaded to /v1/files, an http(s) URL that the server may fetch, or "
        "base64 (or a data URL) of the file."
    )

    def __init__(self, site: ServerContext, caller: EndpointCaller, tools: Any) -> None:
        self._site = site
        self._caller = caller
        self._tools = tools

    async def post(self, context: Context, path: str, body: bytes, media: str) -> Any:
        """Return an endpoint's JSON."""
        scope = _scope_of(context)
        if not path.startswith("/") or path.startswith("/mcp"):
            raise self._tools.ToolError(f"found the path {path!r:.80}, expected one such as /v1/search")
        request = EndpointRequest(path, body, scope["owner"], scope.get("key", ""), scope["request_id"], media)
        answer = await self._caller.call(request, priority=0)
        return self._tools.result_of(answer.status, answer.body)

    async def load(self, context: Context, source: str) -> tuple[str, bytes]:
        """Return a file."""
        references = references_of(self._site, _scope_of(context))
        try:
            if source.startswith(("http://", "https://")):
                name = source.partition("?")[0].rpartition("/")[2]
                return name, await references.url(source, most_bytes=_MAX_FILE_BYTES, place="source")
            if source.startswith("file-"):
                stored, data = await references.file(source, most_bytes=_MAX_FILE_BYTES, place="source")
                return stored.name, data
            encoded = source.partition(",")[2] if source.startswith("data:") else source
            return "", decode_base64(encoded, "source")
        except (InvalidInput, NotFound) as error:
            raise self._tools.ToolError(error.message) from error


def _scope_of(context: Context) -> Scope:
    """Return the scope of the HTTP request that a tool is called by. Unavailable: there is none."""
    request = context.request_context.request
    if request is None:
        raise Unavailable("this call came by no HTTP request")
    scope: Scope = request.scope
    return scope
