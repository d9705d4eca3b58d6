"""Realtime sessions as a server has them: many at once, how they end, what they may cost."""

import asyncio
import json
import socket
import threading
from pathlib import Path

import pytest
import pytest_asyncio
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from tests.integration.realtime_server import PCM_16, Client, Served, client, configuration, serving
from tests.integration.recordings import AUDIO, LIGHT, SILENCE, pcm


def resident_bytes() -> int:
    """Return this process's memory, as Linux counts it."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server():
    """One server for all tests, each of which leaves nothing behind (`served`)."""
    async with serving() as running:
        yield running


@pytest_asyncio.fixture(loop_scope="module")
async def served(server: Served):
    yield server
    await server.settled()


async def test_ten_sessions_at_once_hear_what_one_hears_alone(served) -> None:
    async def listen() -> list[str]:
        async with client(served) as session:
            await session.configure(**PCM_16)
            for _ in range(2):
                await session.append(pcm("red-light.wav") + SILENCE, 3_200)
            return [(await session.until(".completed"))["transcript"] for _ in range(2)]

    assert await asyncio.gather(*[listen() for _ in range(10)]) == [[LIGHT, LIGHT]] * 10


async def test_a_client_that_leaves_takes_everything_with_it(served) -> None:
    async with client(served):
        pass  # the first starts what stays
    await served.settled()
    threads = set(threading.enumerate())
    for _ in range(5):
        async with client(served) as session:
            await session.configure(**PCM_16)
            await session.append(pcm("red-light.wav") * 20, 3_200)
            await session.connection.send((AUDIO / "two-sentences.webm").read_bytes()[:5_000])
            session.connection.transport.abort()
    await served.settled()
    left = [task.get_name() for task in asyncio.all_tasks() if task.get_name().startswith("realtime:")]
    assert left == []
    assert not [task for task in asyncio.all_tasks() if task.get_name().startswith(("vad:sess", "decode:sess"))]
    for thread in set(threading.enumerate()) - threads:
        if thread.name.startswith("decode-"):
            await asyncio.to_thread(thread.join, 5)
            assert not thread.is_alive()
    stats = served.pipeline.stats
    assert stats.in_flight == 0
    assert stats.admitted == sum(stats.outcomes.values())


async def test_a_client_that_does_not_read_is_closed_and_costs_little(served) -> None:
    rest = resident_bytes()
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8_192)
    sock.setblocking(False)
    await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", served.port))
    async with asyncio.timeout(60), connect(served.url, sock=sock, max_queue=1) as connection:
        flood = json.dumps({"type": "x" * 100, "event_id": "e" * 500})
        sent = 0
        while served.source.count:
            await connection.send(flood)
            sent += 1
        with pytest.raises(ConnectionClosed) as closed:
            await Client(connection).until("never")
    assert closed.value.rcvd.code == 1008
    assert "reads too slowly" in closed.value.rcvd.reason
    assert sent > 1_000
    assert resident_bytes() - rest < 60 << 20


async def test_one_client_too_many_is_refused_with_a_status() -> None:
    async with serving(sessions=1) as running:
        async with client(running):
            with pytest.raises(InvalidStatus) as refused:
                async with connect(running.url):
                    pass
            assert refused.value.response.status_code == 429
            assert json.loads(refused.value.response.body)["error"]["code"] == "session_limit_exceeded"
            assert float(refused.value.response.headers["retry-after"]) > 0
        await running.settled()
        async with client(running):
            assert running.source.count == 1


async def test_a_pipeline_that_drains_answers_what_was_being_said_and_then_closes() -> None:
    async with serving() as running, client(running) as session:
        await session.configure(**PCM_16)
        await session.append(pcm("red-light.wav"), 3_200)
        await session.until("speech_started")
        running.draining.set()
        stopping = asyncio.create_task(running.engine.stop())
        assert (await session.until(".completed"))["transcript"] == LIGHT
        with pytest.raises(ConnectionClosed) as closed:
            await session.until("never")
        assert closed.value.rcvd.code == 1012
        assert "connect again" in closed.value.rcvd.reason
        await stopping


async def test_a_session_goes_on_where_it_began_while_a_reload_replaces_its_pipeline() -> None:
    async with serving() as running, client(running) as session:
        await session.configure(**PCM_16)
        old = running.source
        await running.engine.reload(configuration(sessions=5))
        async with asyncio.timeout(10), client(running) as newcomer:
            assert running.source is not old
            assert (old.count, running.source.count) == (1, 1)
            for talking in (session, newcomer):
                await talking.configure(**PCM_16)
                await talking.append(pcm("red-light.wav") + SILENCE)
                assert (await talking.until(".completed"))["transcript"] == LIGHT


async def test_minutes_of_silence_cost_no_memory_and_can_time_out(served) -> None:
    minute = bytes(16_000 * 2 * 60)
    async with client(served) as session:
        turns = {"type": "server_vad", "idle_timeout_ms": 60_000}
        await session.configure(**PCM_16, turn_detection=turns)
        await session.append(minute, 1 << 18)
        await session.until("timeout_triggered")
        before = resident_bytes()
        for _ in range(5):
            await session.append(minute, 1 << 18)
            event = await session.until("timeout_triggered")
            assert 60_000 <= event["audio_end_ms"] - event["audio_start_ms"] < 60_100
        assert resident_bytes() - before < 20 << 20
    assert session.of("speech_started") == []


async def test_the_largest_message_is_taken_and_a_larger_one_is_an_error(served) -> None:
    async with client(served) as session:
        await session.configure(**PCM_16, transcription=None)
        await session.append(bytes(15 << 20), 15 << 20)
        await session.append(bytes((15 << 20) + 2), 16 << 20)
        error = (await session.until("error"))["error"]
        assert error["code"] == "audio_too_large"
        assert "expected at most 15728640" in error["message"]
