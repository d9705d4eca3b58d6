"""Connections that misbehave, on a real socket: none takes memory or a place for ever, each is told why if possible."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import orjson
import pytest
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocket
from websockets.asyncio.client import connect

from fastembed.server.http import server as serving_module
from fastembed.server.http.connection import MAX_HEAD_BYTES, HttpConnection
from fastembed.server.http.disconnect import DisconnectWatch
from fastembed.server.http.lifecycle import Lifecycle
from fastembed.server.http.request_body import ClientDisconnected, read_body
from fastembed.server.http.server import Server, listen

ASKED = b"POST /echo HTTP/1.1\r\nhost: localhost\r\ncontent-length: 4\r\n\r\n"
SOON_S = 10.0


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    try:
        body = await read_body(scope, receive, max_bytes=1000)
    except ClientDisconnected:
        return
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]})
    await send({"type": "http.response.body", "body": body})


async def nothing() -> None:
    """There is nothing to drain."""


@asynccontextmanager
async def serving(app: ASGIApp) -> AsyncIterator[tuple[str, int]]:
    sock = listen("127.0.0.1", 0)
    server = Server(app, lifecycle=Lifecycle(), drain=nothing, drain_s=1)
    task = asyncio.create_task(server.serve([sock]))
    try:
        async with asyncio.timeout(SOON_S):
            yield sock.getsockname()
    finally:
        server.stop()
        await task
        sock.close()


@asynccontextmanager
async def connected() -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    async with serving(echo) as address:
        reader, writer = await asyncio.open_connection(*address)
        try:
            yield reader, writer
        finally:
            writer.close()


async def refusal(reader: asyncio.StreamReader) -> tuple[int, dict[str, str | None]]:
    """Return the status and the error object of the only answer, after which the server has hung up."""
    head, _, body = (await reader.read()).partition(b"\r\n\r\n")
    return int(head.split()[1]), orjson.loads(body)["error"]


async def test_headers_without_end_are_refused() -> None:
    async with connected() as (reader, writer):
        head = b"GET / HTTP/1.1\r\nx: "
        writer.write(head + b"a" * (MAX_HEAD_BYTES + 1 - len(head)))
        status, error = await refusal(reader)
    assert status == 431
    assert error["code"] == "headers_too_large"
    assert error["message"] == f"found headers of more than {MAX_HEAD_BYTES:,} bytes, expected at most that"


async def test_long_headers_that_end_are_read() -> None:
    async with connected() as (reader, writer):
        writer.write(ASKED[:-2] + b"x: " + b"a" * (MAX_HEAD_BYTES - 200) + b"\r\n\r\nbody")
        assert (await reader.readline()).split()[1] == b"200"


async def test_a_body_is_no_header_however_long_the_connection_lives() -> None:
    async with connected() as (reader, writer):
        for _ in range(3):
            writer.write(ASKED.replace(b": 4", b": 900") + b"b" * 900)
            assert (await reader.readline()).split()[1] == b"200"
            await reader.readuntil(b"b" * 900)


async def test_headers_that_never_come_are_not_waited_for_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(HttpConnection, "patience_s", 0.2)
    async with connected() as (reader, writer):
        writer.write(ASKED[:20])
        status, error = await refusal(reader)
    assert status == 408
    assert error["message"] == "the headers were not complete after 0.2 s"


@pytest.mark.parametrize("sent", [b"", ASKED], ids=["nothing", "no body"])
async def test_a_silent_client_is_hung_up_on(sent: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(HttpConnection, "patience_s", 0.2)
    async with connected() as (reader, writer):
        writer.write(sent)
        assert await reader.read() == b""


async def test_a_client_that_is_answered_slowly_is_not_impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(HttpConnection, "patience_s", 0.2)
    async with connected() as (reader, writer):
        writer.write(ASKED + b"bo")
        await asyncio.sleep(0.5)  # longer than a head may take; the pause within a body has a bound of its own
        writer.write(b"dy")
        assert (await reader.readline()).split()[1] == b"200"


async def test_what_is_no_http_gets_the_error_object() -> None:
    async with connected() as (reader, writer):
        writer.write(b"\x16\x03\x01 what\r\n\r\n")
        status, error = await refusal(reader)
    assert (status, error["code"]) == (400, "invalid_http")


CHUNKED = b"POST /echo HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n"


@pytest.mark.parametrize("chunks", [b"zz\r\nabc\r\n", b"4\r\nabcdef\r\n", b"3\r\nabc\r\n-1\r\n", b"1" * 20 + b"\r\n"])
async def test_a_bad_chunk_size_gets_the_error_object(chunks: bytes) -> None:
    async with connected() as (reader, writer):
        writer.write(CHUNKED + chunks)
        status, error = await refusal(reader)
    assert (status, error["code"]) == (400, "invalid_http")


async def test_a_bad_chunk_behind_a_good_request_is_not_mixed_with_its_answer() -> None:
    async with connected() as (reader, writer):
        writer.write(ASKED + b"good")
        assert (await reader.readuntil(b"good")).startswith(b"HTTP/1.1 200")
        writer.write(CHUNKED + b"3\r\nabc\r\nzz\r\n")
        assert (await refusal(reader))[0] == 400


async def test_an_idle_connection_outlives_the_patience_of_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[HttpConnection] = []
    begin = HttpConnection.connection_made
    monkeypatch.setattr(HttpConnection, "connection_made", lambda self, to: (made.append(self), begin(self, to))[1])
    async with connected() as (reader, writer):
        writer.write(ASKED + b"good")
        await reader.readuntil(b"good")
        timer = made[0].timeout_keep_alive_task
        assert timer is not None
        assert timer.when() - asyncio.get_running_loop().time() > 75


@asynccontextmanager
async def streaming(*, chunks: int, size: int) -> AsyncIterator[tuple[tuple[str, int], asyncio.Event]]:
    """Serve a long answer; the event is set when its client has gone before its end."""
    gone = asyncio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await read_body(scope, receive, max_bytes=1000)
        try:
            with DisconnectWatch(scope):
                await send({"type": "http.response.start", "status": 200, "headers": []})
                for _ in range(chunks):
                    await send({"type": "http.response.body", "body": b"z" * size, "more_body": True})
                await send({"type": "http.response.body", "body": b""})
        except ClientDisconnected:
            gone.set()

    async with serving(app) as address:
        yield address, gone


async def test_a_client_that_does_not_read_is_hung_up_on_and_its_request_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(HttpConnection, "unread_s", 0.2)
    async with streaming(chunks=10_000, size=65_536) as (address, gone):
        _, writer = await asyncio.open_connection(*address, limit=1024)
        writer.write(ASKED + b"good")
        await gone.wait()
        writer.close()


async def test_a_client_that_reads_slowly_gets_all_of_its_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(HttpConnection, "unread_s", 0.5)
    async with streaming(chunks=200, size=65_536) as (address, gone):
        reader, writer = await asyncio.open_connection(*address)
        writer.write(ASKED + b"good")
        size = due = 0
        while size < 200 * 65_536 and (data := await reader.read(2**20)):
            size += data.count(b"z")
            if size > due:  # it pauses longer in all than it may read nothing
                due += 2 * 2**20
                await asyncio.sleep(0.2)
        assert size == 200 * 65_536
        assert not gone.is_set()
        writer.close()


async def deny(_: Scope, __: Receive, send: Send) -> None:
    await send({"type": "websocket.http.response.start", "status": 401, "headers": []})
    await send({"type": "websocket.http.response.body", "body": b"{}"})


HANDSHAKE = (
    b"GET /live HTTP/1.1\r\nhost: localhost\r\nconnection: upgrade\r\nupgrade: websocket\r\n"
    b"sec-websocket-version: 13\r\n"
)
KEY = b"sec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"


@pytest.mark.parametrize(
    ("rest", "status"),
    [
        (KEY, 401),
        (b"", 400),
        (b"sec-websocket-key: abc\r\n", 400),
        (KEY + KEY, 400),
        (KEY + b"content-length: 3\r\n", 400),
        (KEY + b"x-long: " + b"a" * 9000 + b"\r\n", 400),
        (KEY + b"x: y\r\n" * 200, 400),
        (KEY + b"sec-websocket-extensions: ;;\r\n", 400),
    ],
)
async def test_a_refused_websocket_gets_an_answer_and_is_no_error_of_the_server(
    rest: bytes, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    async with serving(deny) as address:
        reader, writer = await asyncio.open_connection(*address)
        writer.write(HANDSHAKE + rest + b"\r\n")
        assert int((await reader.read()).split()[1]) == status
        writer.close()
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


async def test_a_client_that_sends_faster_than_it_is_read_keeps_its_websocket(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving_module, "_PING_EVERY_S", 0.1)
    monkeypatch.setattr(serving_module, "_PING_PATIENCE_S", serving_module._PING_PATIENCE_S / 200)
    pieces, piece = 40, bytes(1 << 20)

    async def read_late(scope: Scope, receive: Receive, send: Send) -> None:
        websocket = WebSocket(scope, receive, send)
        await websocket.accept()
        await asyncio.sleep(0.5)  # 100 s on the same scale
        for _ in range(pieces):
            await websocket.receive_bytes()
        await websocket.send_text("all")

    async with serving(read_late) as (host, port), connect(f"ws://{host}:{port}", max_queue=None) as client:
        for _ in range(pieces):
            await client.send(piece)
        assert await client.recv() == "all"
