"""What goes to the kernel for one response: a fake transport counts the writes."""

from __future__ import annotations

import asyncio

import pytest
import uvicorn
from uvicorn.server import ServerState

from fastembed.server.http.connection import HttpConnection
from fastembed.server.http.disconnect import DisconnectSignal, DisconnectWatch
from fastembed.server.http.request_body import ClientDisconnected


class Transport(asyncio.Transport):
    def __init__(self) -> None:
        super().__init__()
        self.writes: list[bytes] = []
        self.closed = False

    def get_extra_info(self, _name, default=None):
        return default

    def write(self, data):
        if data:
            self.writes.append(bytes(data))

    def writelines(self, list_of_data):
        self.write(b"".join(list_of_data))

    def close(self):
        self.closed = True

    def is_closing(self):
        return self.closed

    def pause_reading(self):
        pass

    def resume_reading(self):
        pass


async def connect(app, *requests: bytes) -> Transport:
    transport = Transport()
    config = uvicorn.Config(app, http=HttpConnection, lifespan="off", log_config=None, server_header=False)
    connection = HttpConnection(config=config, server_state=ServerState(), app_state={})
    connection.connection_made(transport)
    for request in requests:
        connection.data_received(request)
    await asyncio.wait(connection.tasks)
    return transport


def answering(body: bytes, *, length: bool = True, pieces: int = 1):
    async def app(_scope, _receive, send):
        headers = [(b"content-length", b"%d" % (len(body) * pieces))] if length else []
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        for piece in range(pieces):
            await send({"type": "http.response.body", "body": body, "more_body": piece < pieces - 1})

    return app


GET = b"GET /x HTTP/1.1\r\nhost: a\r\n\r\n"


async def test_head_and_body_of_a_known_length_are_one_packet():
    (packet,) = (await connect(answering(b"hello"), GET)).writes
    head, _, body = packet.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"content-length: 5" in head
    assert body == b"hello"


async def test_each_response_of_a_connection_is_a_packet():
    writes = (await connect(answering(b"hello"), GET, GET, GET)).writes
    assert [packet[-5:] for packet in writes] == [b"hello"] * 3
    assert all(packet.startswith(b"HTTP/1.1 200") for packet in writes)


async def test_later_pieces_go_out_as_they_come():
    writes = (await connect(answering(b"abc", pieces=3), GET)).writes
    assert writes[0].endswith(b"\r\n\r\nabc")
    assert writes[1:] == [b"abc", b"abc"]


async def test_a_stream_of_unknown_length_begins_at_once():
    writes = (await connect(answering(b"data: 1\n\n", length=False, pieces=2), GET)).writes
    assert writes[0].endswith(b"transfer-encoding: chunked\r\n\r\n")
    assert b"".join(writes[1:]) == b"9\r\ndata: 1\n\n\r\n" * 2 + b"0\r\n\r\n"


async def test_a_response_without_a_body_is_sent_too():
    (packet,) = (await connect(answering(b"hello"), GET.replace(b"GET", b"HEAD"))).writes
    assert packet.endswith(b"\r\n\r\n")
    assert b"content-length: 5" in packet


async def test_what_a_broken_application_had_begun_is_sent_before_the_connection_closes():
    async def app(_scope, _receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"9")]})

    transport = await connect(app, GET)
    assert len(transport.writes) == 1
    assert transport.closed


async def test_whoever_watches_is_told_when_the_client_leaves():
    seen = []

    async def app(scope, _receive, send):
        try:
            with DisconnectWatch(scope):
                await asyncio.sleep(5)
        except ClientDisconnected as gone:
            seen.append(gone)
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    config = uvicorn.Config(app, http=HttpConnection, lifespan="off", log_config=None)
    connection = HttpConnection(config=config, server_state=ServerState(), app_state={})
    connection.connection_made(Transport())
    connection.data_received(GET)
    await asyncio.sleep(0)
    connection.connection_lost(None)
    await asyncio.wait(connection.tasks)
    assert len(seen) == 1


async def test_a_client_that_left_before_the_watch_began_is_gone_at_once():
    disconnect = DisconnectSignal()
    disconnect.set()
    with pytest.raises(ClientDisconnected), DisconnectWatch({"extensions": {"fastembed.presence": disconnect}}):
        raise AssertionError("unreachable")
