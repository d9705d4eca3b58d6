"""Real speech through the whole server, heard by the whisper-base that ships."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator

import numpy as np
import openai
import pytest
from websockets.asyncio.client import connect

from fastembed import FastEmbedServer
from tests.real.hearing import ASSETS, BAD, COMMITTEE, LIBRIVOX, NO_SPEECH, RATE_HZ, errors, fragments, sound, wav


@pytest.fixture(scope="module")
def server() -> Iterator[FastEmbedServer]:
    with FastEmbedServer(port=0) as running:
        yield running


@pytest.fixture(scope="module")
def client(server: FastEmbedServer) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{server.url}/v1", api_key="-", max_retries=0)


@pytest.fixture(scope="module")
def committee() -> np.ndarray:
    return asyncio.run(sound(ASSETS / "audio" / "committee.wav"))


@pytest.fixture(scope="module")
def passage() -> np.ndarray:
    """The five sentences as one recording."""

    async def joined() -> np.ndarray:
        return np.concatenate([await sound(ASSETS / "librivox" / f"{name}.flac") for name in LIBRIVOX])

    return asyncio.run(joined())


def test_a_passage_that_a_person_reads_is_heard_without_an_error(client: openai.OpenAI, passage: np.ndarray) -> None:
    times = ["word", "segment"]
    found = client.audio.transcriptions.create(
        model="auto", file=("a", wav(passage)), response_format="verbose_json", timestamp_granularities=times
    )
    assert errors(" ".join(LIBRIVOX.values()), found.text) == 0
    assert found.language == "english"
    assert " ".join(word.word for word in found.words) == found.text
    ends = [part.end for part in (*found.words, *found.segments)]
    assert max(ends) <= found.duration
    starts = [word.start for word in found.words]
    assert starts == sorted(starts)


@pytest.mark.parametrize("name", LIBRIVOX)
def test_each_of_its_sentences_is_heard(client: openai.OpenAI, name: str) -> None:
    with (ASSETS / "librivox" / f"{name}.flac").open("rb") as file:
        found = client.audio.transcriptions.create(model="whisper-1", file=file)
    assert errors(LIBRIVOX[name], found.text) <= 1


@pytest.mark.parametrize("how", BAD)
def test_a_sentence_is_heard_however_bad_its_sound_is(client: openai.OpenAI, committee: np.ndarray, how: str) -> None:
    found = client.audio.transcriptions.create(model="auto", file=("a", BAD[how](committee)))
    assert (
        errors(COMMITTEE, found.text) <= 2
    )  # whisper-base hears "a new budget", and of an overdriven one "any budget"


@pytest.mark.parametrize("what", NO_SPEECH)
def test_what_is_no_speech_has_no_words(client: openai.OpenAI, what: str) -> None:
    found = client.audio.transcriptions.create(model="auto", file=("a", wav(NO_SPEECH[what])))
    assert found.text == ""


def test_live_speech_reads_as_the_recording_does(server: FastEmbedServer, passage: np.ndarray) -> None:
    async def call() -> tuple[str, str, list[str]]:
        url = f"ws{server.url.removeprefix('http')}/v1/realtime?intent=transcription"
        async with connect(url) as socket:
            pcm = (passage * 32_767).astype("<i2").tobytes() + bytes(2 * RATE_HZ * 2)
            audio = {"input": {"format": {"type": "audio/pcm", "rate": RATE_HZ}}}
            await socket.send(
                json.dumps({"type": "session.update", "session": {"type": "transcription", "audio": audio}})
            )
            for at in range(0, len(pcm), 6_400):
                await socket.send(pcm[at : at + 6_400])
                await asyncio.sleep(0.1)  # twice as fast as it was read
            deltas, finished = "", None
            async for message in socket:
                event = json.loads(message)
                if event["type"].endswith(".delta"):
                    deltas += event["delta"]
                if event["type"].endswith(".completed"):
                    finished = event
                    break
            return deltas, finished["transcript"], [word["word"] for word in finished["words"]]

    deltas, transcript, spoken = asyncio.run(call())
    assert errors(" ".join(LIBRIVOX.values()), transcript) == 0
    assert errors(transcript, deltas) <= 3
    assert spoken == transcript.split()


def test_a_browsers_mp4_is_heard_over_the_socket(server: FastEmbedServer, committee: np.ndarray) -> None:
    async def call() -> str:
        recording = fragments(np.concatenate([committee, np.zeros(RATE_HZ, np.float32)]))
        async with connect(f"ws{server.url.removeprefix('http')}/v1/realtime?intent=transcription") as socket:
            for at in range(0, len(recording), 4_000):
                await socket.send(recording[at : at + 4_000])
            async for message in socket:
                event = json.loads(message)
                assert event["type"] != "error", event
                if event["type"].endswith(".completed"):
                    return event["transcript"]
        return ""

    assert errors(COMMITTEE, asyncio.run(call())) <= 1


def test_two_talkers_on_two_channels_have_a_transcript_each(client: openai.OpenAI, committee: np.ndarray) -> None:
    other = asyncio.run(sound(ASSETS / "librivox" / "0930.flac"))
    length = max(len(committee), len(other))
    both = np.stack([np.pad(committee, (0, length - len(committee))), np.pad(other, (0, length - len(other)))], axis=1)
    found = client.audio.transcriptions.create(model="auto", file=("a", wav(both)), extra_body={"channels": "split"})
    first, second = found.model_extra["channels"]
    assert (first["channel"], second["channel"]) == (0, 1)
    assert errors(COMMITTEE, first["text"]) <= 1
    assert errors(LIBRIVOX["0930"], second["text"]) <= 1
