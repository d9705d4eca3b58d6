"""`transcribe_live` against a real server, over connections that are cut."""

from __future__ import annotations

import asyncio
import wave
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import openai
import pytest

from fastembed import FastEmbedClient, SyncFastEmbedClient
from fastembed.client import Reconnected, ServerUnreachable, TranscriptPiece, live
from tests.integration.realtime_server import serving

ASSETS = Path(__file__).parents[1] / "assets" / "audio"


def recording(name: str) -> tuple[bytes, int]:
    with wave.open(str(ASSETS / name)) as sound:
        return sound.readframes(sound.getnframes()), sound.getframerate()


class Line:
    """A line to a server. cuts: how many bytes of the client pass before a connection is cut, one for each to come."""

    def __init__(self, port: int, cuts: list[int | None]) -> None:
        self._port = port
        self._cuts = cuts
        self.connections = 0

    async def carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        most = self._cuts.pop(0) if self._cuts else None
        there, back = await asyncio.open_connection("127.0.0.1", self._port)
        answers = asyncio.create_task(self._answers(there, writer))
        passed = 0
        while data := await reader.read(4096):
            passed += len(data)
            if most is not None and passed > most:
                break
            back.write(data)
            await back.drain()
        answers.cancel()
        await asyncio.gather(answers, return_exceptions=True)
        for one in (back, writer):
            one.transport.abort()

    async def _answers(self, there: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await there.read(4096):
            writer.write(data)
            await writer.drain()
        writer.close()


@asynccontextmanager
async def line(cuts: list[int | None]) -> AsyncIterator[tuple[FastEmbedClient, Line]]:
    async with serving() as served:
        carried = Line(served.port, cuts)
        listener = await asyncio.start_server(carried.carry, "127.0.0.1", 0)
        port = listener.sockets[0].getsockname()[1]
        async with listener, FastEmbedClient(f"http://127.0.0.1:{port}") as client:
            yield client, carried


async def pieces_of(client: FastEmbedClient, audio: bytes, rate_hz: int) -> list[TranscriptPiece | Reconnected]:
    return [piece async for piece in client.transcribe_live([audio], rate_hz=rate_hz)]


def final(pieces: list[TranscriptPiece | Reconnected]) -> list[str]:
    return [piece.text for piece in pieces if isinstance(piece, TranscriptPiece) and piece.final]


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Speak as fast as the tiny model hears."""
    monkeypatch.setattr(live, "_PACE", 10.0)


async def test_a_connection_that_is_cut_loses_no_sentence() -> None:
    async with line([None, 60_000]) as (client, carried):
        whole = await pieces_of(client, *recording("two-sentences.wav"))
        pieces = await pieces_of(client, *recording("two-sentences.wav"))
    assert len(final(whole)) == 2
    assert not [piece for piece in whole if isinstance(piece, Reconnected)]
    assert final(pieces) == final(whole)
    assert carried.connections == 3
    (again,) = [piece for piece in pieces if isinstance(piece, Reconnected)]
    assert (again.attempt, again.lost_s) == (1, 0)
    assert again.repeated_s > 0


async def test_the_synchronous_twin_hears_the_same() -> None:
    audio, rate_hz = recording("red-light.wav")
    async with line([]) as (client, _):
        twin = SyncFastEmbedClient(client.root)
        pieces = await asyncio.to_thread(lambda: list(twin.transcribe_live(iter([audio]), rate_hz=rate_hz)))
        twin.close()
    assert final(pieces) == ["turn on the red light please"]


async def test_silence_ends_without_a_word() -> None:
    async with line([]) as (client, _):
        assert await pieces_of(client, bytes(16_000), 16_000) == []
        assert await pieces_of(client, b"", 16_000) == []


async def test_what_the_audio_raises_is_raised_after_the_words_before_it() -> None:
    audio, rate_hz = recording("red-light.wav")

    async def broken() -> AsyncIterator[bytes]:
        yield audio
        raise OSError("the microphone was unplugged")

    async with line([]) as (client, _):
        pieces = aiter(client.transcribe_live(broken(), rate_hz=rate_hz))
        while not (heard := await anext(pieces)).final:
            pass
        assert heard.text == "turn on the red light please"
        with pytest.raises(OSError, match="unplugged"):
            await anext(pieces)


async def test_a_server_that_refuses_the_settings_is_told_and_one_that_is_not_there() -> None:
    async with line([]) as (client, _):
        with pytest.raises(openai.APIError, match="rate"):
            [piece async for piece in client.transcribe_live([b"\0\0"], rate_hz=12_345)]
    gone = FastEmbedClient("http://127.0.0.1:1")
    with pytest.raises(ServerUnreachable, match="fastembed serve"):
        [piece async for piece in gone.transcribe_live([b"\0\0"], retries=0)]
    await gone.close()
