"""The tools for models, by the official MCP client: over HTTP with keys, and over standard input and output."""

from __future__ import annotations

import base64
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx2
import pytest
from mcp import Client, StdioServerParameters
from mcp.client.stdio import stdio_client
from mcp.client.streamable_http import streamable_http_client

from fastembed.server.keys.key_file import add_key
from tests.e2e.serving import Serving

PIPELINES = """
version: 1
pipelines:
  documents:
    source: {http: POST /v1/documents/process, queue: 16, overflow: reject}
    operators: [{parse: {ahead: false}}]
    sink: reply
  shout:
    source: {http: POST /shout}
    operators: [{map: "{'said': item.value.text}"}]
    sink: reply
"""
MARKDOWN = b"# Wind\n\nMore of it.\n"


class World:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "pipelines.yaml").write_text(PIPELINES)
        keys = folder / "home" / "keys.json"
        _, self.reader = add_key(keys, "reader", scopes=("documents",))
        _, self.caller = add_key(keys, "caller", scopes=("pipelines", "documents"))
        self.server = Serving(folder, environ={"FASTEMBED_HOME": str(folder / "home")})

    @asynccontextmanager
    async def over_http(self, key: str, mode: str = "auto") -> AsyncIterator[Client]:
        async with httpx2.AsyncClient(headers={"authorization": f"Bearer {key}"}, timeout=60) as http:
            transport = streamable_http_client(f"{self.server.url}/mcp", http_client=http)
            async with Client(transport, mode=mode) as client:
                yield client


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    running = World(tmp_path_factory.mktemp("tools"))
    yield running
    running.server.close()


def text_of(result) -> str:
    return "".join(part.text for part in result.content)


@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_tools_answer_over_http(world: World, mode: str) -> None:
    async with world.over_http(world.caller, mode) as client:
        names = {tool.name for tool in (await client.list_tools()).tools}
        assert names == {"search", "ask", "read_document", "transcribe", "run_pipeline"}
        encoded = base64.b64encode(MARKDOWN).decode()
        read = await client.call_tool("read_document", {"source": encoded, "name": "wind.md"})
        assert text_of(read).startswith("# Wind")
        said = await client.call_tool("run_pipeline", {"path": "/shout", "value": {"text": "hi"}})
        assert said.structured_content == {"said": "hi"}


async def test_a_tool_may_do_what_its_key_may(world: World) -> None:
    async with world.over_http(world.reader) as client:
        refused = await client.call_tool("run_pipeline", {"path": "/shout", "value": {"text": "hi"}})
        assert refused.is_error
        assert "it needs the scope pipelines, and has documents" in text_of(refused)
        missing = await client.call_tool("read_document", {"source": "file-" + "0" * 32})
        assert missing.is_error
        assert "found no file" in text_of(missing)
        fetched = await client.call_tool("read_document", {"source": "http://127.0.0.1:9/a.pdf"})
        assert fetched.is_error
        assert "this server fetches none" in text_of(fetched)


def test_without_a_key_the_answer_is_json_rpc(world: World) -> None:
    call = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
    headers = {"accept": "application/json, text/event-stream"}
    reply = httpx2.post(f"{world.server.url}/mcp", json=call, headers=headers)
    assert reply.status_code == 401
    assert reply.json()["jsonrpc"] == "2.0"
    assert "found no API key" in reply.json()["error"]["message"]


async def test_tools_answer_over_standard_input_and_output(world: World) -> None:
    (world.folder / "wind.md").write_bytes(MARKDOWN)
    server = StdioServerParameters(
        command=sys.executable,
        args=["-m", "fastembed", "mcp", "--api-key", world.reader],
        cwd=str(world.folder),
    )
    async with Client(stdio_client(server)) as client:
        read = await client.call_tool("read_document", {"source": str(world.folder / "wind.md")})
        assert text_of(read).startswith("# Wind")
        missing = await client.call_tool("read_document", {"source": str(world.folder / "no.md")})
        assert missing.is_error
        assert "No such file" in text_of(missing)


async def test_a_server_that_stops_ends_its_sessions(world: World) -> None:
    async with world.over_http(world.reader, "legacy") as client:
        await client.list_tools()
        assert world.server.terminate() == 0
