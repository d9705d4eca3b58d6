"""`fastembed mcp`: the tools of the running server over standard input and output."""

from __future__ import annotations

import asyncio
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from fastembed.commands.server import server_url
from fastembed.pipeline.errors import FastEmbedError

if TYPE_CHECKING:
    import httpx2
    from mcp.server.mcpserver import Context

_TIMEOUT_S: Final = 600.0


def mcp(config: Path | None, url: str, api_key: str | None) -> int:
    """Serve until the client closes standard input."""
    try:
        from fastembed.server.tools import model_tools
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] != "mcp":
            raise
        raise FastEmbedError("found no package mcp, expected it: pip install 'fastembed-multimodal[mcp]'") from error
    import httpx2

    async def serve() -> None:
        headers = {"authorization": f"Bearer {api_key}"} if api_key else {}
        base = server_url(url, config).rstrip("/")
        async with httpx2.AsyncClient(base_url=base, headers=headers, timeout=_TIMEOUT_S) as client:
            server = model_tools.make_server(OverHttp(client, model_tools), version("fastembed-multimodal"))
            await server.run_stdio_async()

    asyncio.run(serve())
    return 0


class OverHttp:
    """The backend that asks a running server."""

    sources: Final = "`source` is a path on this machine, or the id of a file that was uploaded to /v1/files."

    def __init__(self, client: httpx2.AsyncClient, tools: Any) -> None:
        self._client = client
        self._tools = tools

    async def post(self, _: Context, path: str, body: bytes, media: str) -> Any:
        """Return an endpoint's JSON."""
        response = await self._send("POST", path, content=body, headers={"content-type": media})
        return self._tools.result_of(response.status_code, response.content)

    async def load(self, _: Context, source: str) -> tuple[str, bytes]:
        """Return a file."""
        if source.startswith("file-"):
            response = await self._send("GET", f"/v1/files/{source}/content")
            if response.status_code >= 400:  # noqa: PLR2004 - an error's status
                self._tools.result_of(response.status_code, response.content)
            return "", response.content
        try:
            return await asyncio.to_thread(_read, source)
        except OSError as error:
            raise self._tools.ToolError(f"{source}: {error.strerror}") from error

    async def _send(self, method: str, path: str, **more: Any) -> httpx2.Response:
        import httpx2

        try:
            return await self._client.request(method, path, **more)
        except httpx2.HTTPError as error:
            text = f"no answer from {self._client.base_url}: {error}; is `fastembed serve` running?"
            raise self._tools.ToolError(text) from error


def _read(source: str) -> tuple[str, bytes]:
    path = Path(source).expanduser()
    return path.name, path.read_bytes()
