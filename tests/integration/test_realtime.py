"""The realtime transcription of a running server, through real sockets: what clients do, and what they do wrong."""

import asyncio
import base64
import io
import json
import socket
import threading
from pathlib import Path
from typing import Any

import av
import numpy as np
import openai
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from tests.integration.realtime_server import Client, client, configuration, serving
from tests.integration.recordings import AUDIO, FIRST, SECOND, pcm, samples, wrong_words

LIGHT = "turn on the red light please"
SILENCE = bytes(32_000)
PCM_16 = {"format": {"type": "audio/pcm", "rate": 16_000}}
BY_HAND = {**PCM_16, "turn_detection": None}


def resident_bytes() -> int:
    """Return this process's memory, as Linux counts it."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


async def test_the_openai_client_reads_words_while_they_are_said() -> None:
    async with serving(model="auto") as served:
        api = openai.AsyncOpenAI(api_key="none", base_url=f"http://127.0.0.1:{served.port}/v1")
        events = []
        async with asyncio.timeout(60), api.realtime.connect(extra_query={"intent": "transcription"}) as session:
            await session.session.update(
                session={
                    "type": "transcription",
                    "audio": {"input": {"transcription": {"model": "gpt-4o-transcribe", "language": "en"}}},
                }
            )
            heard = av_resampled(pcm("two-sentences.wav"), 24_000)
            for at in range(0, len(heard), 4_800):
                await session.input_audio_buffer.append(audio=base64.b64encode(heard[at : at + 4_800]).decode())
                await asyncio.sleep(0.04)  # more than twice as fast as it was said
            async for event in session:
                events.append(event)
                if sum(e.type.endswith(".completed") for e in events) == 2:
                    break
        await served.settled()
    updated = next(event for event in events if event.type == "session.updated")
    assert updated.session.audio.input.transcription.model == "pocketsphinx (low accuracy)"
    assert updated.session.type == "transcription"
    for sentence, done in zip((FIRST, SECOND), [e for e in events if e.type.endswith(".completed")], strict=True):
        assert wrong_words(sentence, done.transcript) <= 2
        own = [event for event in events if getattr(event, "item_id", None) == done.item_id]
        deltas = [event.delta for event in own if event.type.endswith(".delta")]
        assert "".join(deltas) == done.transcript
        assert all(e.model == "pocketsphinx (low accuracy)" for e in own if e.type.endswith((".delta", ".completed")))
        assert done.usage.type == "duration"
        assert 1 < done.usage.seconds < 10
        kinds = [event.type.removeprefix("input_audio_buffer.") for event in own]
        assert kinds[0] == "speech_started"
        assert kinds.index("speech_stopped") < kinds.index("committed") < len(kinds) - 1
    first = next(event for event in events if event.type.endswith(".delta"))
    stopped = next(event for event in events if event.type.endswith("speech_stopped"))
    assert events.index(first) < events.index(stopped), "no words before the end of the sentence"


def av_resampled(data: bytes, rate_hz: int, codec: str = "pcm_s16le") -> bytes:
    """Return 16 kHz PCM in another rate and raw codec, made by libav."""
    frame = av.AudioFrame.from_ndarray(np.frombuffer(data, "<i2")[None], format="s16", layout="mono")
    frame.sample_rate = 16_000
    resampler = av.AudioResampler("s16", "mono", rate_hz)
    out = io.BytesIO()
    container = {"pcm_s16le": "s16le", "pcm_mulaw": "mulaw", "pcm_alaw": "alaw"}[codec]
    with av.open(out, "w", format=container) as media:
        stream = media.add_stream(codec, rate=rate_hz, layout="mono")
        for piece in [*resampler.resample(frame), *resampler.resample(None)]:
            piece.pts = None
            media.mux(stream.encode(piece))
        media.mux(stream.encode(None))
    return out.getvalue()


@pytest.fixture
async def served():
    async with serving() as running:
        yield running
        await running.settled()


@pytest.mark.parametrize(
    ("settings", "codec", "rate_hz"),
    [
        ({"type": "audio/pcm", "rate": 8_000}, "pcm_s16le", 8_000),
        ({"type": "audio/pcm", "rate": 24_000}, "pcm_s16le", 24_000),
        ({"type": "audio/pcm", "rate": 48_000}, "pcm_s16le", 48_000),
        ({"type": "audio/pcmu"}, "pcm_mulaw", 8_000),
        ({"type": "audio/pcma"}, "pcm_alaw", 8_000),
    ],
)
async def test_every_format_is_understood(served, settings: dict[str, Any], codec: str, rate_hz: int) -> None:
    audio = av_resampled(pcm("red-light.wav") + SILENCE, rate_hz, codec)
    async with client(served) as session:
        shown = await session.configure(format=settings)
        assert shown["session"]["audio"]["input"]["format"] == settings
        await session.append(audio, 999)
        done = await session.until(".completed")
    assert wrong_words(LIGHT, done["transcript"]) <= (
        0 if rate_hz > 8_000 else 3
    )  # the model has never heard a telephone
    assert done["model"] == "whisper-pocket"


async def test_a_browsers_webm_is_understood_from_binary_messages() -> None:
    recording = (AUDIO / "two-sentences.webm").read_bytes()
    async with serving(model="pocketsphinx") as running:
        async with client(running) as session:
            for at in range(0, len(recording), 400):
                await session.connection.send(recording[at : at + 400])
            said = [(await session.until(".completed"))["transcript"] for _ in range(2)]
        await running.settled()
    assert wrong_words(FIRST, said[0]) <= 2
    assert wrong_words(SECOND, said[1]) <= 2
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("decode-webm")]


async def test_raw_pcm_in_binary_messages_is_understood(served) -> None:
    async with client(served) as session:
        await session.configure(**PCM_16)
        await session.connection.send(pcm("red-light.wav") + SILENCE)
        assert (await session.until(".completed"))["transcript"] == LIGHT


async def test_a_client_that_commits_by_itself_gets_one_item_a_commit(served) -> None:
    async with client(served) as session:
        shown = await session.configure(**BY_HAND)
        assert shown["session"]["audio"]["input"]["turn_detection"] is None
        for _ in range(2):
            await session.append(pcm("red-light.wav"))
            await session.say("input_audio_buffer.commit")
            assert (await session.until(".completed"))["transcript"] == LIGHT
    first, second = session.of("buffer.committed")
    assert first["previous_item_id"] is None
    assert second["previous_item_id"] == first["item_id"]
    assert [event["item"]["id"] for event in session.of("item.added")] == [first["item_id"], second["item_id"]]
    assert [event["item"]["id"] for event in session.of("item.done")] == [first["item_id"], second["item_id"]]


async def test_words_said_before_a_clear_are_not_in_the_transcript(served) -> None:
    async with client(served) as session:
        await session.configure(**BY_HAND)
        await session.append(pcm("red-light.wav"))
        await session.say("input_audio_buffer.clear")
        await session.until("buffer.cleared")
        await session.append(pcm("red-light.wav"))
        await session.say("input_audio_buffer.commit")
        done = await session.until(".completed")
    assert done["transcript"] == LIGHT


async def test_a_session_survives_every_mistake(served) -> None:
    mistakes: list[tuple[str, str, str | None]] = [
        ("{", "invalid_json", None),
        ("[1]", "invalid_event", None),
        ('{"event_id": "e1"}', "missing_required_parameter", "e1"),
        ('{"type": "no.such.event", "event_id": "e2"}', "unknown_event", "e2"),
        ('{"type": "response.create", "event_id": "e3"}', "unsupported_event", "e3"),
        ('{"type": "input_audio_buffer.append", "audio": "%%%", "event_id": "e4"}', "invalid_base64", "e4"),
        ('{"type": "input_audio_buffer.append", "event_id": "e5"}', "invalid_value", "e5"),
        ('{"type": "input_audio_buffer.commit", "event_id": "e6"}', "input_audio_buffer_commit_empty", "e6"),
        ('{"type": "session.update", "event_id": "e7", "session": {"type": "realtime"}}', "invalid_value", "e7"),
    ]
    async with client(served) as session:
        for text, code, ref in mistakes:
            await session.connection.send(text)
            error = (await session.until("error"))["error"]
            assert (error["code"], error["event_id"]) == (code, ref)
            assert error["type"] == "invalid_request_error"
        await session.configure(**BY_HAND)
        await session.append(pcm("red-light.wav"))
        await session.say("input_audio_buffer.commit")
        assert (await session.until(".completed"))["transcript"] == LIGHT


async def test_garbage_that_claims_to_be_webm_is_an_error_event(served) -> None:
    async with client(served) as session:
        await session.connection.send(b"\x1a\x45\xdf\xa3" + bytes(range(256)) * 300)
        error = (await session.until("error"))["error"]
        assert error["code"] == "invalid_audio"
        assert "not readable as webm" in error["message"]
        await session.configure(**BY_HAND)


async def test_a_model_or_language_that_is_not_there_changes_nothing(served) -> None:
    async with client(served) as session:
        for wanted, code in (
            ({"model": "whisper-huge"}, "model_not_found"),
            ({"model": "whisper-pocket", "language": "fr"}, "unsupported_language"),
        ):
            await session.say(
                "session.update",
                event_id="mine",
                session={"type": "transcription", "audio": {"input": {**BY_HAND, "transcription": wanted}}},
            )
            error = (await session.until("error"))["error"]
            assert (error["code"], error["event_id"]) == (code, "mine")
        shown = await session.configure(**PCM_16)
    heard = shown["session"]["audio"]["input"]
    assert heard["transcription"] == {"model": "whisper-pocket", "language": None, "prompt": None}
    assert heard["turn_detection"]["type"] == "server_vad"


async def test_a_client_of_the_beta_is_answered_in_beta(served) -> None:
    headers = {"OpenAI-Beta": "realtime=v1"}
    async with connect(served.url, additional_headers=headers) as connection:
        session = Client(connection)
        created = await session.until("session.created")
        assert created["type"] == "transcription_session.created"
        assert created["session"]["input_audio_format"] == "pcm16"
        await session.say(
            "transcription_session.update",
            session={
                "input_audio_format": "g711_ulaw",
                "input_audio_transcription": {"model": "whisper-1", "language": "en"},
                "turn_detection": None,
            },
        )
        updated = (await session.until("session.updated"))["session"]
        assert updated["input_audio_format"] == "g711_ulaw"
        assert updated["input_audio_transcription"]["model"] == "whisper-pocket"
        assert updated["turn_detection"] is None
        await session.append(av_resampled(pcm("red-light.wav"), 8_000, "pcm_mulaw"))
        await session.say("input_audio_buffer.commit")
        await session.until(".completed")
    assert len(session.of("conversation.item.created")) == 1
    assert session.of("conversation.item.added") == []


async def test_a_browser_says_by_its_subprotocols_what_it_speaks(served) -> None:
    async with connect(served.url, subprotocols=["realtime", "openai-beta.realtime-v1"]) as connection:
        assert connection.subprotocol == "realtime"
        assert (await Client(connection).until("session.created"))["type"] == "transcription_session.created"


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
        before = {task.get_name() for task in asyncio.all_tasks()}
    await served.settled()
    idle = {task.get_name() for task in asyncio.all_tasks()} - before
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
    assert idle <= {task.get_name() for task in asyncio.all_tasks()} | idle
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


async def test_items_can_be_retrieved_and_deleted(served) -> None:
    async with client(served) as session:
        await session.configure(**BY_HAND)
        await session.append(pcm("red-light.wav"))
        await session.say("input_audio_buffer.commit")
        item_id = (await session.until(".completed"))["item_id"]
        await session.say("conversation.item.retrieve", item_id=item_id)
        item = (await session.until("item.retrieved"))["item"]
        assert item["content"][0]["transcript"] == LIGHT
        await session.say("conversation.item.delete", item_id=item_id)
        assert (await session.until("item.deleted"))["item_id"] == item_id
        await session.say("conversation.item.delete", item_id=item_id)
        assert (await session.until("error"))["error"]["code"] == "item_not_found"


async def test_the_model_can_be_asked_for_in_the_address(served) -> None:
    async with connect(f"{served.url}&model=pocketsphinx") as connection:
        created = await Client(connection).until("session.created")
        assert created["session"]["audio"]["input"]["transcription"]["model"] == "pocketsphinx (low accuracy)"
    async with connect(f"{served.url}&model=nothing") as connection:
        session = Client(connection)
        created = await session.until("session.created")
        assert session.of("error")[0]["error"]["code"] == "model_not_found"
        assert created["session"]["audio"]["input"]["transcription"]["model"] == "whisper-pocket"


def test_the_recordings_are_there() -> None:
    assert len(samples("two-sentences.wav")) > 16_000
    assert Path(AUDIO / "make.py").is_file()
