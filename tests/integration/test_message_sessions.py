"""Websocket sessions of messages of one's own: what goes in, what comes back, and how they end."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import uvicorn
from starlette.applications import Starlette
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from fastembed.assembly import lint_configuration, make_registry
from fastembed.pipeline.component import Resources
from fastembed.pipeline.config.load import parse
from fastembed.pipeline.engine import Engine
from fastembed.pipeline.runner import Pipeline
from fastembed.server.http.server import listen
from fastembed.server.realtime.session import RealtimeRoute
from fastembed.sources.websocket import WebsocketRoutes

REGISTRY = make_registry()


class Sockets:
    """A running pipeline `p` at /mine."""

    def __init__(self, engine: Engine, port: int, draining: asyncio.Event) -> None:
        self.engine, self.port, self.draining = engine, port, draining

    @property
    def pipeline(self) -> Pipeline:
        return self.engine.pipelines["p"]

    def client(self) -> connect:
        return connect(f"ws://127.0.0.1:{self.port}/mine")


@asynccontextmanager
async def sockets(folder: Path, source: str, operators: str, plugin: str = "") -> AsyncIterator[Sockets]:
    (folder / "ops.py").write_text("from fastembed.pipeline.component import operator\n" + plugin)
    text = f"version: 1\nplugins: [ops.py]\npipelines:\n  p:\n    source: {{websocket: /mine, {source}}}\n"
    path = folder / "pipelines.yaml"
    path.write_text(f"{text}    operators: [{operators}]\n    sink: reply\n")
    assert lint_configuration(path).errors == ()
    routes = WebsocketRoutes()
    engine = Engine(Resources(routes))
    await engine.start(parse(path.read_text(), registry=REGISTRY, base=folder))
    draining = asyncio.Event()
    app = Starlette(routes=[RealtimeRoute(routes, draining=draining)])
    server = uvicorn.Server(uvicorn.Config(app, ws="websockets-sansio", lifespan="off", log_config=None))
    sock = listen("127.0.0.1", 0)
    running = asyncio.create_task(server.serve([sock]))
    try:
        yield Sockets(engine, sock.getsockname()[1], draining)
    finally:
        server.should_exit = True
        await running
        await engine.stop()


async def told(client: ClientConnection) -> object:
    return json.loads(await asyncio.wait_for(client.recv(), 5))


async def test_json_is_answered_with_json_in_order(tmp_path: Path) -> None:
    async with sockets(tmp_path, "messages: json", "map: value.n * 2") as served, served.client() as client:
        for number in range(20):
            await client.send(json.dumps({"n": number}))
        assert [await told(client) for _ in range(20)] == [2 * number for number in range(20)]


async def test_a_wrong_message_is_an_error_and_the_session_goes_on(tmp_path: Path) -> None:
    source = "messages: json, max_message: 100B"
    async with sockets(tmp_path, source, "map: value.n + 1") as served, served.client() as client:
        wrong = ["{", '{"m": 1}', json.dumps({"n": "x" * 100}), json.dumps("ü" * 60), b"\x00"]
        for message in wrong:
            await client.send(message)
            error = (await told(client))["error"]
            assert set(error) == {"message", "type", "param", "code"}
            assert error["type"] == "invalid_request_error"
        await client.send('{"n": 1}')
        assert await told(client) == 2


async def test_texts_come_back_as_texts_and_bytes_as_bytes(tmp_path: Path) -> None:
    async with sockets(tmp_path, "messages: text", "map: value.upper()") as served, served.client() as client:
        await client.send("grüße")
        assert await client.recv() == "GRÜSSE"
        await client.send(b"x")
        assert "text frame" in (await told(client))["error"]["message"]
    async with sockets(tmp_path, "messages: bytes", "") as served, served.client() as client:
        await client.send(b"\x00\xff")
        assert await client.recv() == b"\x00\xff"
        await client.send("x")
        assert "binary frame" in (await told(client))["error"]["message"]


async def test_a_session_is_a_key_with_a_state_of_its_own(tmp_path: Path) -> None:
    operators = "window: {count: 2}"
    async with sockets(tmp_path, "messages: text", operators) as served, served.client() as one, served.client() as two:
        await one.send("a")
        await two.send("b")
        await one.send("c")
        await two.send("d")
        assert [await told(one), await told(two)] == [["a", "c"], ["b", "d"]]


WAITING = """
import asyncio
@operator
async def slowly(text: str) -> str:
    await asyncio.sleep(60)
    return text
"""


async def test_a_client_that_leaves_cancels_what_it_asked_for(tmp_path: Path) -> None:
    async with sockets(tmp_path, "messages: text", "slowly", WAITING) as served:
        async with served.client() as client:
            await client.send("x")
            while not served.pipeline.stats.in_flight:  # noqa: ASYNC110 - no event says it
                await asyncio.sleep(0.01)
        async with asyncio.timeout(5):
            while served.pipeline.stats.in_flight:  # noqa: ASYNC110 - no event says it
                await asyncio.sleep(0.01)
        assert {outcome.value for outcome, n in served.pipeline.stats.outcomes.items() if n} >= {"cancelled"}
        assert served.pipeline.source.count == 0


MANY = """
from collections.abc import Iterator
@operator
def many(text: str) -> Iterator[str]:
    for number in range(900):
        yield f"{number:03000d}"
"""


async def test_a_client_that_reads_slowly_gets_all_and_holds_up_nobody(tmp_path: Path) -> None:
    async with sockets(tmp_path, "messages: text", "many", MANY) as served, served.client() as slow:
        await slow.send("x")
        await asyncio.sleep(0.2)
        async with served.client() as other:
            await other.send("x")
            assert int(await asyncio.wait_for(other.recv(), 5)) == 0
        assert [int(await slow.recv()) for _ in range(900)] == list(range(900))


async def test_a_client_too_many_is_refused_and_a_drain_ends_the_sessions(tmp_path: Path) -> None:
    async with sockets(tmp_path, "messages: text, sessions: 1", "") as served, served.client() as client:
        with pytest.raises(InvalidStatus) as refused:
            async with served.client():
                pass
        assert refused.value.response.status_code == 429
        await client.send("last")
        assert await client.recv() == "last"
        served.draining.set()
        with pytest.raises(ConnectionClosed) as closed:
            await asyncio.wait_for(client.recv(), 5)
        assert closed.value.rcvd.code == 1012


CHAINS = {
    ("json", "parse"): False,
    ("text", "json"): True,
    ("text", "parse"): False,
    ("bytes", "json"): True,
    ("speech", "json"): False,
    ("text", "filter: value.pages > 1"): False,
}


@pytest.mark.parametrize(("messages", "operator"), CHAINS)
def test_check_knows_what_the_messages_are(tmp_path: Path, messages: str, operator: str) -> None:
    path = tmp_path / "pipelines.yaml"
    source = f"    source: {{websocket: /mine, messages: {messages}}}\n"
    path.write_text(f"version: 1\npipelines:\n  p:\n{source}    operators: [{operator}]\n    sink: reply\n")
    assert (lint_configuration(path).errors == ()) is CHAINS[messages, operator]
