"""Conversations over /v1/realtime through the real process and the official client, with the tiny models that ship.

What answers is a plug-in that says what the test expects; the voice hums (`tests.voices`) and knows few words. What is
said into the microphone is a real recording, heard by a tiny Whisper.
"""

import asyncio
import base64
import contextlib
import re
from pathlib import Path

import openai
import pytest

from tests.e2e.serving import serving
from tests.integration.recordings import pcm
from tests.voices import make_voice

TALKER = '''
import asyncio
from collections.abc import AsyncIterator

from fastembed.pipeline.component import operator
from fastembed.pipeline.item import Item
from fastembed.pipeline.payload.chat import ChatDelta, ChatEvent, ChatFinished, ChatRequest, ChatStarted


@operator
class Talk:
    """Answers as the last message says."""

    async def __call__(self, item: Item[ChatRequest]) -> AsyncIterator[ChatEvent]:
        request = item.value
        last = request.messages[-1]
        yield ChatStarted("talker")
        if last.text == "break":
            raise ValueError("as asked")
        if request.tools and last.role == "user":
            yield ChatDelta(text="Sure. ")
            yield ChatDelta(tool_index=0, tool_id="call_1", tool_name=request.tools[0].name)
            for piece in ('{"city":', '"Rome"}'):
                yield ChatDelta(tool_index=0, tool_arguments=piece)
            yield ChatFinished(0, "tool_calls", 5, 4)
            return
        text = "Good morning. The weather is cold and windy. Yes, of course."
        if last.role == "tool":
            text = f"The weather is {last.text}."
        if last.text == "history":
            text = "|".join(f"{message.role}:{message.text}" for message in request.messages)
        for word in text.split(" "):
            yield ChatDelta(text=word + " ")
        while last.text == "on and on":
            yield ChatDelta(text="The weather is cold. ")
            await asyncio.sleep(0.02)
        yield ChatFinished(0, "stop", 7, 9, cached_tokens=2)
'''
PIPELINES = """
version: 1
plugins: [./talker.py]
pipelines:
  chat:
    source: {http: POST /v1/chat/completions, queue: 32, overflow: reject}
    operators: [talk]
    sink: reply
  speech:
    source: {http: POST /v1/audio/speech, queue: 32, overflow: reject}
    operators: [speak]
    sink: reply
  transcription:
    source: {websocket: /v1/realtime, queue: 20s, overflow: drop_oldest}
    operators:
      - decode
      - vad: {silence: 300ms}
      - transcribe: {model: whisper-pocket}
        order: none
        latest: not item.final
    sink: reply
"""
KEY = "test-key"
TOOL = {"type": "function", "name": "weather", "description": "Of a city", "parameters": {"type": "object"}}
ANSWER = "Good morning. The weather is cold and windy. Yes, of course. "


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("conversation")
    make_voice(folder / "models" / "kokoro")
    (folder / "talker.py").write_text(TALKER)
    (folder / "pipelines.yaml").write_text(PIPELINES)
    with serving(folder, "--api-key", KEY, environ={"FASTEMBED_MODELS": str(folder / "models")}) as running:
        yield running


@contextlib.asynccontextmanager
async def conversation(server, **settings):
    """Connect as a client does that knows no `intent`, and configure the session."""
    api = openai.AsyncOpenAI(api_key=KEY, base_url=f"{server.url}/v1")
    async with asyncio.timeout(90), api, api.realtime.connect(model="gpt-realtime") as session:
        created = await session.recv()
        assert (created.type, created.session.type) == ("session.created", "realtime")
        if settings:
            await session.session.update(session={"type": "realtime", **settings})
            assert (await session.recv()).type == "session.updated"
        yield session


async def until(session, *kinds):
    """Return the events up to the first of one of these types."""
    found = []
    while not found or found[-1].type not in kinds:
        found.append(await session.recv())
    return found


async def say(session, text):
    part = {"type": "input_text", "text": text}
    await session.conversation.item.create(item={"type": "message", "role": "user", "content": [part]})


async def speak(session, name="two-sentences.wav", rate=16_000):
    """Send a recording and enough silence for its end to be heard, faster than it was said."""
    await session.session.update(
        session={"type": "realtime", "audio": {"input": {"format": {"type": "audio/pcm", "rate": rate}}}}
    )
    audio = pcm(name) + bytes(2 * rate)
    for at in range(0, len(audio), 16_000):
        await session.input_audio_buffer.append(audio=base64.b64encode(audio[at : at + 16_000]).decode())


async def test_a_typed_turn_is_answered_as_text(server):
    async with conversation(server, output_modalities=["text"], max_output_tokens=12) as session:
        await say(session, "Hello there")
        await session.response.create()
        events = await until(session, "response.done")
    kinds = [event.type for event in events]
    deltas = [event.delta for event in events if event.type == "response.output_text.delta"]
    assert [kind for at, kind in enumerate(kinds) if kind != "response.output_text.delta"] == [
        "conversation.item.added",
        "conversation.item.done",
        "response.created",
        "response.output_item.added",
        "conversation.item.added",
        "response.content_part.added",
        "response.output_text.done",
        "response.content_part.done",
        "conversation.item.done",
        "response.output_item.done",
        "response.done",
    ]
    answer = events[-1].response
    assert answer.output[0].content[0].text == "".join(deltas) == ANSWER
    assert answer.status == "completed"
    assert (answer.usage.input_tokens, answer.usage.output_tokens) == (7, 9)


async def test_an_answer_is_spoken_and_its_sound_follows_its_words(server):
    async with conversation(server, max_output_tokens=16) as session:
        await say(session, "Say good morning")
        await session.response.create()
        events = await until(session, "response.done")
    sound = b"".join(base64.b64decode(e.delta) for e in events if e.type == "response.output_audio.delta")
    words = "".join(e.delta for e in events if e.type == "response.output_audio_transcript.delta")
    done = events[-1].response
    assert done.output_modalities == ["audio"]
    assert done.output[0].content[0].transcript == words == ANSWER
    assert len(sound) > 48_000  # over a second: 16 bits at 24 kHz
    kinds = [event.type for event in events]
    assert kinds.index("response.output_audio.done") > max(
        place for place, kind in enumerate(kinds) if kind == "response.output_audio.delta"
    )


async def test_a_spoken_turn_is_answered_by_itself(server):
    settings = {"output_modalities": ["text"], "max_output_tokens": 8}
    settings["audio"] = {"input": {"transcription": {"model": "whisper-1"}, "turn_detection": {"type": "server_vad"}}}
    async with conversation(server, **settings) as session:
        await speak(session)
        events = await until(session, "response.done")
    kinds = [event.type for event in events]
    assert "input_audio_buffer.speech_started" in kinds
    assert kinds.index("conversation.item.input_audio_transcription.completed") < kinds.index("response.created")
    assert "error" not in kinds


async def test_a_function_is_called_and_its_result_answered(server):
    async with conversation(server, tools=[TOOL], output_modalities=["text"]) as session:
        await say(session, "How is the weather?")
        await session.response.create()
        events = await until(session, "response.done")
        kinds = [event.type for event in events]
        called = next(event for event in events if event.type == "response.function_call_arguments.done")
        assert (called.name, called.call_id, called.arguments) == ("weather", "call_1", '{"city":"Rome"}')
        added = [event.item.type for event in events if event.type == "conversation.item.added"]
        assert added == ["message", "message", "function_call"]
        assert kinds.index("response.function_call_arguments.done") > kinds.index("conversation.item.added")
        call = events[-1].response.output[1]
        assert (call.type, call.status) == ("function_call", "completed")
        output = {"type": "function_call_output", "call_id": call.call_id, "output": "windy"}
        await session.conversation.item.create(item=output)
        await session.response.create()
        answer = (await until(session, "response.done"))[-1].response
    assert answer.output[0].content[0].text == "The weather is windy. "


async def test_who_begins_to_speak_silences_the_answer_and_what_was_heard_of_it_stays(server):
    settings = {"audio": {"input": {"turn_detection": {"type": "server_vad", "create_response": False}}}}
    async with conversation(server, **settings) as session:
        await say(session, "on and on")
        await session.response.create()
        events = await until(session, "response.output_audio.delta")
        item_id = events[-1].item_id
        await speak(session, "red-light.wav")
        events += await until(session, "response.done")
        done = events[-1].response
        assert (done.status, done.status_details.reason) == ("cancelled", "turn_detected")
        assert [event.type for event in events].index("input_audio_buffer.speech_started") < len(events) - 1
        await session.conversation.item.truncate(item_id=item_id, content_index=0, audio_end_ms=700)
        await until(session, "conversation.item.truncated")
        await session.conversation.item.retrieve(item_id=item_id)
        heard = (await until(session, "conversation.item.retrieved"))[-1].item
        await say(session, "history")
        await session.response.create(response={"output_modalities": ["text"]})
        told = (await until(session, "response.done"))[-1].response.output[0].content[0].text
    kept = heard.content[0].transcript
    assert ANSWER.startswith(kept)
    assert 0 < len(kept) < 40
    assert f"assistant:{kept}|" in told


async def test_a_cancelled_answer_ends_and_a_second_cancel_is_told_apart(server):
    async with conversation(server, output_modalities=["text"]) as session:
        await say(session, "on and on")
        await session.response.create()
        await until(session, "response.output_text.delta")
        await session.response.create(event_id="second")
        refused = (await until(session, "error"))[-1].error
        assert (refused.code, refused.event_id) == ("conversation_already_has_active_response", "second")
        await session.response.cancel()
        done = (await until(session, "response.done"))[-1].response
        assert (done.status, done.status_details.reason) == ("cancelled", "client_cancelled")
        await session.response.cancel()
        assert (await until(session, "error"))[-1].error.code == "response_cancel_not_active"


async def test_an_answer_beside_the_conversation_leaves_no_item(server):
    async with conversation(server, output_modalities=["text"]) as session:
        await say(session, "never mind")
        part = {"type": "input_text", "text": "history"}
        item = {"type": "message", "role": "user", "content": [part]}
        aside = {"conversation": "none", "input": [item], "instructions": "Be brief.", "metadata": {"topic": "x"}}
        await session.response.create(response=aside)
        events = (await until(session, "response.done"))[2:]
        assert not [event for event in events if event.type.startswith("conversation.item")]
        done = events[-1].response
        assert (done.conversation_id, done.metadata) == (None, {"topic": "x"})
        assert done.output[0].content[0].text == "system:Be brief.|user:history "


async def test_an_answer_that_fails_ends_as_failed_and_the_session_goes_on(server):
    async with conversation(server, output_modalities=["text"]) as session:
        await say(session, "break")
        await session.response.create()
        failed = (await until(session, "response.done"))[-1].response
        assert (failed.status, failed.status_details.error.type) == ("failed", "server_error")
        assert "as asked" not in failed.status_details.error.message
        await say(session, "again")
        await session.response.create()
        assert (await until(session, "response.done"))[-1].response.status == "completed"


async def test_a_turn_committed_by_hand_is_heard_before_it_is_answered(server):
    settings = {"output_modalities": ["text"], "audio": {"input": {"turn_detection": None}}}
    async with conversation(server, **settings) as session:
        await speak(session, "red-light.wav")
        await session.input_audio_buffer.commit()
        await session.response.create()
        events = await until(session, "response.done")
        assert events[-1].response.output[0].content[0].text == ANSWER
        item_id = next(event.item_id for event in events if event.type == "input_audio_buffer.committed")
        await session.conversation.item.retrieve(item_id=item_id)
        item = (await until(session, "conversation.item.retrieved"))[-1].item
        assert item.content[0].transcript
        assert not [event for event in events if "transcription" in event.type]  # nobody asked for it


async def test_a_client_secret_opens_sessions_with_its_settings_and_nothing_else(server):
    def api(key):
        return openai.AsyncOpenAI(api_key=key, base_url=f"{server.url}/v1")

    session = {"type": "realtime", "output_modalities": ["text"], "instructions": "Be kind."}
    expires = {"anchor": "created_at", "seconds": 60}
    async with api(KEY) as owner:
        secret = await owner.realtime.client_secrets.create(session=session, expires_after=expires)
        assert secret.session.instructions == "Be kind."
        with pytest.raises(openai.BadRequestError, match="expires_after"):
            await owner.realtime.client_secrets.create(expires_after={**expires, "seconds": 5})
        with pytest.raises(openai.BadRequestError, match="output_modalities"):
            await owner.realtime.client_secrets.create(session={"type": "realtime", "output_modalities": ["smell"]})
    async with api(secret.value) as page:
        async with asyncio.timeout(30), page.realtime.connect(model="gpt-realtime") as session:
            created = (await session.recv()).session
            assert (created.output_modalities, created.instructions) == (["text"], "Be kind.")
        with pytest.raises(openai.AuthenticationError):
            await page.models.list()


async def test_the_pages_example_prints_the_answer(server, capsys):
    page = (Path(__file__).parents[2] / "docs" / "realtime.md").read_text()
    names: dict = {}
    exec(re.findall(r"^```python\n(.*?)^```", page, re.MULTILINE | re.DOTALL)[1], names)  # noqa: S102 - our own page
    names["AsyncOpenAI"] = lambda **options: openai.AsyncOpenAI(**{**options, "api_key": KEY})
    answer = await names["ask"](f"{server.url}/v1", "Hello")
    assert answer
    assert capsys.readouterr().out == answer
