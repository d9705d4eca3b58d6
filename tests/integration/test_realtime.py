"""The realtime transcription of a running server, through real sockets: what clients do, and what they do wrong."""

import asyncio
import base64
import io
import threading
from typing import Any

import av
import numpy as np
import openai
import pytest
import pytest_asyncio
from websockets.asyncio.client import connect

from tests.integration.realtime_server import BY_HAND, PCM_16, Client, Served, client, serving
from tests.integration.recordings import AUDIO, FIRST, LIGHT, SECOND, SILENCE, pcm, samples, wrong_words

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server():
    """One server for all: each test has a session of its own and leaves nothing behind (`served`)."""
    async with serving() as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def hearing():
    """The same with the model that "auto" means."""
    async with serving(model="auto") as running:
        yield running


async def test_the_openai_client_reads_words_while_they_are_said(hearing: Served) -> None:
    api = openai.AsyncOpenAI(api_key="none", base_url=f"http://127.0.0.1:{hearing.port}/v1")
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
            await asyncio.sleep(0.1)  # as fast as it was said
        async for event in session:
            events.append(event)
            if sum(e.type.endswith(".completed") for e in events) == 2:
                break
    await hearing.settled()
    updated = next(event for event in events if event.type == "session.updated")
    assert updated.session.audio.input.transcription.model == "whisper-base"
    assert updated.session.type == "transcription"
    for sentence, done in zip((FIRST, SECOND), [e for e in events if e.type.endswith(".completed")], strict=True):
        assert wrong_words(sentence, done.transcript) <= 2
        own = [event for event in events if getattr(event, "item_id", None) == done.item_id]
        deltas = [event.delta for event in own if event.type.endswith(".delta")]
        assert wrong_words(sentence, "".join(deltas)) <= 2
        assert all(e.model == "whisper-base" for e in own if e.type.endswith((".delta", ".completed")))
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


@pytest_asyncio.fixture(loop_scope="module")
async def served(server: Served):
    yield server
    await server.settled()


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


async def test_a_browsers_webm_is_understood_from_binary_messages(hearing: Served) -> None:
    recording = (AUDIO / "two-sentences.webm").read_bytes()
    async with client(hearing) as session:
        for at in range(0, len(recording), 400):
            await session.connection.send(recording[at : at + 400])
        said = [(await session.until(".completed"))["transcript"] for _ in range(2)]
    await hearing.settled()
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
        ('{"type": "input_audio_buffer.append", "event_id": "e5"}', "missing_required_parameter", "e5"),
        ('{"type": "output_audio_buffer.clear", "event_id": "e6"}', "unsupported_event", "e6"),
        ('{"type": "session.update", "event_id": "e7", "session": {"type": "realtime"}}', "invalid_session_type", "e7"),
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


async def test_a_commit_that_the_servers_own_forestalled_is_no_error(served) -> None:
    async with client(served) as session:
        await session.say("input_audio_buffer.commit", event_id="late")
        notice = await session.until("notice")
        assert (notice["type"], notice["code"], notice["ref"]) == (
            "fastembed.notice",
            "input_audio_buffer_commit_empty",
            "late",
        )
        await session.configure(**BY_HAND)
        await session.say("input_audio_buffer.commit", event_id="mistaken")
        assert (await session.until("error"))["error"]["code"] == "input_audio_buffer_commit_empty"


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
    async with connect(f"{served.url}&model=whisper-base") as connection:
        created = await Client(connection).until("session.created")
        assert created["session"]["audio"]["input"]["transcription"]["model"] == "whisper-base"
    async with connect(f"{served.url}&model=nothing") as connection:
        session = Client(connection)
        created = await session.until("session.created")
        assert (await session.until("error"))["error"]["code"] == "model_not_found"
        assert created["session"]["audio"]["input"]["transcription"]["model"] == "whisper-pocket"


async def test_the_recordings_are_there() -> None:
    assert len(samples("two-sentences.wav")) > 16_000
    assert await asyncio.to_thread((AUDIO / "make.py").is_file)
