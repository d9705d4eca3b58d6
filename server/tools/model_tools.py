"""The tools that models get over MCP: search, ask, read a document, transcribe, run a pipeline.

They ask this server's own endpoints through a `ToolBackend`: within the process for `/mcp`, over HTTP for
`fastembed mcp`.
Needs the package `mcp` (the extra `mcp`); nothing else imports this module before it is asked for.
"""

from __future__ import annotations

import secrets
from typing import Annotated, Any, Final, Protocol

import orjson
from mcp.server.mcpserver import Context, MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from pydantic import Field

JSON: Final = "application/json"
_INSTRUCTIONS: Final = (
    "A private server on the user's own machine: it searches and answers from documents that it has read, reads "
    "documents, and transcribes recordings. Nothing leaves the machine."
)

Limit = Annotated[int, Field(ge=1, le=50, description="how many passages")]
Source = Annotated[str, Field(description="where the file is")]
FileName = Annotated[str, Field(description="the file's name with its suffix, where the source does not show it")]


class ToolBackend(Protocol):
    """What carries a tool's request to an endpoint. sources: says what a tool's `source` may be."""

    @property
    def sources(self) -> str:
        """Say where files may be."""

    async def post(self, context: Context, path: str, body: bytes, media: str) -> Any:
        """Return an endpoint's JSON. ToolError: its error's message."""

    async def load(self, context: Context, source: str) -> tuple[str, bytes]:
        """Return a file's name, if the source shows it, and its bytes. ToolError: it cannot be had."""


def make_server(backend: ToolBackend, version: str) -> MCPServer[Any]:
    """Return the server with its tools."""
    server: MCPServer[Any] = MCPServer(
        name="fastembed", version=version, instructions=_INSTRUCTIONS, log_level="WARNING"
    )

    @server.tool(
        description="Search the documents that were read: passages with their file and page, the nearest first."
    )
    async def search(query: str, ctx: Context, limit: Limit = 8) -> dict[str, Any]:
        return await _asked(backend, ctx, "/v1/search", {"query": query, "limit": limit})

    @server.tool(description="Answer a question from the documents that were read, with the passages that support it.")
    async def ask(question: str, ctx: Context, limit: Limit = 6) -> dict[str, Any]:
        return await _asked(backend, ctx, "/v1/ask", {"question": question, "limit": min(limit, 20)})

    @server.tool(description=f"Read a document (PDF, Office, HTML, a picture, ...) as Markdown. {backend.sources}")
    async def read_document(source: Source, ctx: Context, name: FileName = "") -> str:
        shown, data = await backend.load(ctx, source)
        body, media = form({}, name or shown or "document", data)
        return str((await backend.post(ctx, "/v1/documents/process", body, media))["content"])

    @server.tool(description=f"Transcribe a recording (speech in sound or video). {backend.sources}")
    async def transcribe(source: Source, ctx: Context, name: FileName = "", language: str = "") -> str:
        shown, data = await backend.load(ctx, source)
        fields = {"model": "auto", **({"language": language} if language else {})}
        body, media = form(fields, name or shown or "recording", data)
        return str((await backend.post(ctx, "/v1/audio/transcriptions", body, media))["text"])

    @server.tool(description="Run a pipeline that serves POST on a path of its own, such as /shout, with a JSON value.")
    async def run_pipeline(path: str, value: dict[str, Any], ctx: Context) -> dict[str, Any]:
        return await _asked(backend, ctx, path, value)

    return server


async def _asked(backend: ToolBackend, context: Context, path: str, body: dict[str, Any]) -> dict[str, Any]:
    found = await backend.post(context, path, orjson.dumps(body), JSON)
    return found if isinstance(found, dict) else {"result": found}


def form(fields: dict[str, str], name: str, data: bytes) -> tuple[bytes, str]:
    """Return a multipart/form-data body with a file in the field `file`, and its content type."""
    boundary = secrets.token_hex(16)
    plain = name.replace('"', "_").replace("\r", "_").replace("\n", "_")
    parts = [
        f'--{boundary}\r\ncontent-disposition: form-data; name="{key}"\r\n\r\n{value}\r\n'
        for key, value in fields.items()
    ]
    head = f'--{boundary}\r\ncontent-disposition: form-data; name="file"; filename="{plain}"\r\n\r\n'
    body = b"".join([*(part.encode() for part in parts), head.encode(), data, f"\r\n--{boundary}--\r\n".encode()])
    return body, f"multipart/form-data; boundary={boundary}"


def result_of(status: int, body: bytes) -> Any:
    """Return an answer's JSON, None for none. ToolError: the error's message."""
    found = orjson.loads(body) if body else None
    if status >= 400:  # noqa: PLR2004 - an error's status
        raise ToolError(
            str(found["error"]["message"]) if isinstance(found, dict) and "error" in found else f"HTTP {status}"
        )
    return found
