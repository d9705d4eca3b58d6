"""Clients that talk: WhisperLive's, Wyoming's (Home Assistant), the Agents SDK's transcription and conversations."""

import asyncio
import os
import sys
import time
import types
import wave

import numpy as np
from agents import function_tool
from agents.realtime import RealtimeAgent, RealtimeRunner
from agents.voice import StreamedAudioInput, STTModelSettings
from agents.voice.models.openai_stt import OpenAISTTTranscriptionSession
from openai import AsyncOpenAI
from wyoming.asr import Transcribe, Transcript
from wyoming.audio import AudioChunk, AudioStart, AudioStop
from wyoming.client import AsyncTcpClient
from wyoming.info import Describe, Info
from wyoming.tts import Synthesize, SynthesizeVoice

for absent in ("pyaudio", "scipy", "av"):  # WhisperLive's client imports them for microphones and files alone
    sys.modules.setdefault(absent, types.ModuleType(absent))

from whisper_live.client import Client  # noqa: E402 - behind what it imports

HOST, PORT = os.environ["FASTEMBED_URL"].removeprefix("http://").split(":")
SAID = "turn on the red light please"


def recording():
    """The samples of a sentence, 16 bits at 16 kHz."""
    with wave.open(os.environ["FASTEMBED_RECORDING"]) as sound:
        return np.frombuffer(sound.readframes(sound.getnframes()), "<i2")


def test_whisper_lives_client_gets_its_segments_and_writes_subtitles(tmp_path):
    client = Client(HOST, PORT, lang="en", srt_file_path=str(tmp_path / "out.srt"), log_transcription=False)
    deadline = time.monotonic() + 30
    while not client.recording and time.monotonic() < deadline:
        time.sleep(0.02)
    audio = np.concatenate([recording(), np.zeros(16_000, np.int16)]).astype(np.float32) / 32_768
    for at in range(0, len(audio), 4096):
        client.send_packet_to_server(audio[at : at + 4096].tobytes())
    client.send_packet_to_server(Client.END_OF_AUDIO.encode())
    client.ws_thread.join(30)
    client.write_srt_file(str(tmp_path / "out.srt"))
    assert [segment["text"].strip() for segment in client.transcript] == [SAID]
    assert f"\n{SAID}\n" in (tmp_path / "out.srt").read_text()


def test_home_assistants_client_is_told_what_is_here_and_has_a_sentence_written_down():
    async def heard():
        async with AsyncTcpClient("127.0.0.1", int(os.environ["FASTEMBED_WYOMING"])) as client:
            await client.write_event(Describe().event())
            info = Info.from_event(await client.read_event())
            await client.write_event(Transcribe(language="en").event())
            await client.write_event(AudioStart(rate=16_000, width=2, channels=1).event())
            audio = recording().tobytes()
            for at in range(0, len(audio), 2048):
                await client.write_event(AudioChunk(16_000, 2, 1, audio[at : at + 2048]).event())
            await client.write_event(AudioStop().event())
            return info, Transcript.from_event(await client.read_event())

    info, transcript = asyncio.run(asyncio.wait_for(heard(), 60))
    assert "en" in info.asr[0].models[0].languages
    assert transcript.text == SAID


def test_home_assistants_client_has_a_text_read_aloud():
    async def spoken():
        async with AsyncTcpClient("127.0.0.1", int(os.environ["FASTEMBED_WYOMING"])) as client:
            voice = SynthesizeVoice(name="af_heart")
            await client.write_event(Synthesize(text="Good morning.", voice=voice).event())
            events = []
            while not events or not AudioStop.is_type(events[-1].type):
                events.append(await client.read_event())
            return events

    events = asyncio.run(asyncio.wait_for(spoken(), 60))
    assert AudioStart.is_type(events[0].type)
    sound = b"".join(AudioChunk.from_event(event).audio for event in events if AudioChunk.is_type(event.type))
    assert len(sound) > 2 * AudioStart.from_event(events[0]).rate // 4


def test_the_agents_sdks_transcription_ends_with_the_sentence():
    async def heard():
        client = AsyncOpenAI(api_key="none", base_url=f"http://{HOST}:{PORT}/v1")
        audio = StreamedAudioInput()
        session = OpenAISTTTranscriptionSession(audio, client, "gpt-transcribe", STTModelSettings(), False, False)
        for piece in np.array_split(np.repeat(recording(), 3)[::2], 20):  # 24 kHz
            await audio.add_audio(piece)
        await audio.add_audio(None)
        found = [text async for text in session.transcribe_turns()]
        await session.close()
        return found

    assert asyncio.run(asyncio.wait_for(heard(), 60)) == [SAID]


def test_an_agents_realtime_session_answers_a_message():
    @function_tool
    def weather() -> str:
        """The weather."""
        return "sunny"

    async def answered():
        agent = RealtimeAgent(name="helper", instructions="Answer in one word.", tools=[weather])
        runner = RealtimeRunner(agent)
        config = {"url": f"ws://{HOST}:{PORT}/v1/realtime", "api_key": "none"}
        kinds = []
        async with await runner.run(model_config=config) as session:
            await session.send_message("Hello")
            async for event in session:
                kinds.append(event.type)
                assert event.type != "error", event
                if event.type == "agent_end":
                    return kinds
        return kinds

    assert "agent_start" in asyncio.run(asyncio.wait_for(answered(), 60))
