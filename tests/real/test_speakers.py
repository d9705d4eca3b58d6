"""Who speaks: GE2E out of a package, through the whole server, on voices of a person and of two synthetic ones."""

from __future__ import annotations

import asyncio
import io
import wave
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import openai
import pytest

from fastembed import FastEmbedServer
from fastembed.inference.serving.models import Models
from fastembed.inference.serving.speech.engines import SpeechEngines
from fastembed.operators.chunk import chunk
from fastembed.operators.parse import Parse
from fastembed.pipeline.component import Context, Resources
from fastembed.pipeline.payload.document import Chunk, File
from tests.real.hearing import ASSETS, sound, words

PIPELINES = """
version: 1
pipelines:
  ears:
    source: {http: POST /v1/audio/transcriptions, max_body: 25MiB, key: item.id}
    operators: [listen, transcribe: {model: whisper-base}]
    sink: reply
"""
TALK = ["af_heart-0", "bm_george-1", "af_heart-2", "bm_george-0"]
TEXTS = {
    "0": "She opened the window and looked at the children playing in the garden.",
    "1": "The committee will meet on Tuesday morning to discuss the new budget for the school library.",
    "2": "I do not think that we should wait any longer for the answer from the office.",
}


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[openai.OpenAI]:
    config = tmp_path_factory.mktemp("speakers") / "pipelines.yaml"
    config.write_text(PIPELINES)
    with FastEmbedServer(config=config, port=0) as running:
        yield openai.OpenAI(base_url=f"{running.url}/v1", api_key="-", max_retries=0)


def voice(name: str) -> np.ndarray:
    folder = "speakers" if "_" in name else "librivox"
    return asyncio.run(sound(ASSETS / folder / f"{name}.flac"))


def talk(names: list[str], gains: tuple[float, ...] = (1.0, 0.3)) -> bytes:
    """Return a recording in which these follow each other, the second of each pair from farther away."""
    pause = np.zeros(6_400, np.float32)
    pieces = [part for place, name in enumerate(names) for part in (voice(name) * gains[place % len(gains)], pause)]
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(16_000)
        out.writeframes((np.concatenate(pieces) * 32_767).clip(-32_768, 32_767).astype("<i2").tobytes())
    return file.getvalue()


def diarized(client: openai.OpenAI, recording: bytes, **fields: Any) -> Any:
    made = {"model": "gpt-4o-transcribe-diarize", "response_format": "diarized_json", "language": "en", **fields}
    return client.audio.transcriptions.create(file=("talk.wav", recording), **made)


def by_speaker(segments: list[Any]) -> list[tuple[str, str]]:
    """Return what each says until the other speaks."""
    found: list[tuple[str, str]] = []
    for part in segments:
        if found and found[-1][0] == part.speaker:
            found[-1] = (part.speaker, f"{found[-1][1]} {part.text}")
        else:
            found.append((part.speaker, part.text))
    return found


def test_each_of_two_speakers_gets_what_they_said(client: openai.OpenAI) -> None:
    answer = diarized(client, talk(TALK))
    found = by_speaker(answer.segments)
    assert [speaker for speaker, _ in found] == ["A", "B", "A", "B"]
    assert [words(text) for _, text in found] == [words(TEXTS[name[-1]]) for name in TALK]
    assert words(answer.text) == words(" ".join(text for _, text in found))
    assert (answer.task, answer.usage.type) == ("transcribe", "duration")
    assert all(part.type == "transcript.text.segment" for part in answer.segments)
    assert all(0 <= part.start < part.end <= answer.duration for part in answer.segments)


def test_a_known_speaker_goes_by_the_name_and_a_stranger_by_a_letter(client: openai.OpenAI) -> None:
    reference = "data:audio/wav;base64," + b64encode(talk(["bm_george-2"])).decode()
    answer = diarized(client, talk(TALK), known_speaker_names=["George"], known_speaker_references=[reference])
    assert [speaker for speaker, _ in by_speaker(answer.segments)] == ["A", "George", "A", "George"]


def test_a_person_who_reads_alone_is_one_speaker(client: openai.OpenAI) -> None:
    answer = diarized(client, talk(["0870", "0890", "0920"], (0.5,)))
    assert {part.speaker for part in answer.segments} == {"A"}


def test_a_stream_has_the_text_at_once_and_the_speakers_in_the_end(client: openai.OpenAI) -> None:
    events = list(diarized(client, talk(TALK[:2]), stream=True))
    kinds = [event.type.removeprefix("transcript.text.") for event in events]
    assert kinds == sorted(kinds, key=["delta", "segment", "done"].index)
    segments = [event for event in events if event.type == "transcript.text.segment"]
    assert [speaker for speaker, _ in by_speaker(segments)] == ["A", "B"]
    assert events[-1].text == "".join(event.delta for event in events if event.type == "transcript.text.delta")


def test_a_reference_without_speech_is_refused(client: openai.OpenAI) -> None:
    silence = "data:audio/wav;base64," + b64encode(talk(["bm_george-2"], (0.0,))).decode()
    with pytest.raises(openai.BadRequestError, match="found no speech, expected 2 to 10 s of one voice"):
        diarized(client, talk(TALK[:1]), known_speaker_names=["George"], known_speaker_references=[silence])


async def test_a_recording_that_is_dropped_says_who_speaks(tmp_path: Path) -> None:
    file = tmp_path / "talk.wav"
    file.write_bytes(await asyncio.to_thread(talk, TALK[:2]))
    models = Models()
    engines, parse = SpeechEngines(models), Parse(ahead=False)
    await parse.open(Context("papers", "parse", "d", tmp_path, Resources(models, engines)))
    document = await parse(File(file, file.name, "s", file.stat().st_size, 0))
    for resource in (parse, engines, models):
        await resource.close()
    assert [block.text[:6] for block in document.blocks] == ["A: She", "B: The"]
    assert [block.speaker for block in document.blocks] == ["A", "B"]
    assert [found.speakers for found in chunk(document) if isinstance(found, Chunk)] == [("A", "B")]
