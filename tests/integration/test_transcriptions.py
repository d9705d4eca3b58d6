"""Recordings over HTTP: the official client, the shipped pipelines, a Whisper of 36 words, no socket."""

from __future__ import annotations

import asyncio
import io
import re
import wave
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import httpx2
import numpy as np
import openai
import pytest
from starlette.types import ASGIApp

from fastembed.inference.library.devices import DeviceLimits, Devices
from fastembed.inference.serving.models import Models
from fastembed.inference.serving.speech.engines import SpeechEngines
from fastembed.pipeline.component import Resources
from fastembed.pipeline.config.load import parse
from fastembed.pipeline.engine import Engine
from fastembed.server.app import create_app
from fastembed.server.http.lifecycle import Lifecycle
from fastembed.server.observability.http_metrics import HttpMetrics
from fastembed.server.settings import ServerSettings
from fastembed.sources.http import HttpRoutes
from tests.integration.realtime_server import REGISTRY
from tests.integration.recordings import AUDIO, FIRST, LIGHT, SECOND, encoded, samples, wrong_words
from tests.unit.server.asgi import call

T = TypeVar("T")

RED = (AUDIO / "red-light.wav").read_bytes()
GERMAN = (AUDIO / "drei-vier-fuenf.wav").read_bytes()
DIARIZED = {"response_format": "diarized_json"}
VOICE = "data:audio/wav;base64,AA"


def knows(names: str, *references: str) -> dict[str, Any]:
    """Return fields that ask for speakers by these names, a letter each."""
    return {**DIARIZED, "known_speaker_names": [*names], "known_speaker_references": [*references]}


PIPELINES = (Path(__file__).parents[2] / "pipelines.yaml").read_text()


@dataclass
class Speech:
    run: Callable[[Awaitable[T]], T]
    app: ASGIApp
    client: openai.AsyncOpenAI
    engine: Engine

    def transcribe(self, data: bytes = RED, **fields: Any) -> Any:
        fields = {"model": "whisper-pocket", **fields}
        return self.run(self.client.audio.transcriptions.create(file=("speech.wav", data), **fields))

    def translate(self, data: bytes = GERMAN, **fields: Any) -> Any:
        fields = {"model": "whisper-pocket", **fields}
        with pytest.warns(DeprecationWarning, match="deprecated"):  # the client's own, about the whole endpoint
            return self.run(self.client.audio.translations.create(file=("speech.wav", data), **fields))

    def events(self, data: bytes = RED, **fields: Any) -> list[Any]:
        async def listen() -> list[Any]:
            made = {"model": "whisper-pocket", "stream": True, **fields}
            stream = await self.client.audio.transcriptions.create(file=("speech.wav", data), **made)
            return [event async for event in stream]

        return self.run(listen())

    def refused(self, data: bytes = RED, **fields: Any) -> Any:
        with pytest.raises(openai.APIStatusError) as caught:
            self.transcribe(data, **fields)
        return caught.value


@pytest.fixture(scope="module")
def speech() -> Iterator[Speech]:
    with asyncio.Runner() as runner:
        models = Models(devices=Devices({"cpu": DeviceLimits(inflight=1)}))
        engines, routes, lifecycle = SpeechEngines(models), HttpRoutes(), Lifecycle()
        engine = Engine(Resources(engines, routes))
        configuration = parse(PIPELINES, registry=REGISTRY, file="pipelines.yaml")
        kept = {
            name: plan for name, plan in configuration.pipelines.items() if name in ("transcriptions", "translations")
        }
        lifecycle.serve()

        async def start() -> ASGIApp:
            await engine.start(configuration.__class__(configuration.path, kept))
            return create_app(ServerSettings(), routes=routes, lifecycle=lifecycle, stats=HttpMetrics())

        app = runner.run(start())
        client = openai.AsyncOpenAI(
            base_url="http://127.0.0.1:8000/v1",
            api_key="-",
            max_retries=0,
            http_client=httpx2.AsyncClient(transport=httpx2.ASGITransport(app)),
        )
        yield Speech(runner.run, app, client, engine)
        runner.run(client.close())
        runner.run(engine.stop())
        runner.run(engines.close())
        runner.run(models.close())


def wav(heard: np.ndarray) -> bytes:
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setparams((1, 2, 16_000, 0, "NONE", ""))
        file.writeframes((heard * 32_767).astype("<i2").tobytes())
    return out.getvalue()


LONG = wav(np.concatenate([*[np.concatenate([samples("red-light.wav"), np.zeros(16_000, np.float32)])] * 14]))
"""38 s: more than one piece."""


def test_a_recording_becomes_text(speech) -> None:
    found = speech.transcribe()
    assert found.text == LIGHT
    assert (found.usage.type, found.usage.seconds) == ("duration", 1.738)


def test_the_answer_says_who_wrote_it_down(speech) -> None:
    async def ask(model: str) -> Any:
        return await speech.client.audio.transcriptions.with_raw_response.create(file=("a", RED), model=model)

    headers = speech.run(ask("whisper-pocket")).headers
    assert (headers["x-fastembed-model"], headers["x-fastembed-model-state"]) == ("whisper-pocket", "pocket")
    headers = speech.run(ask("whisper-1")).headers
    assert (headers["x-fastembed-model"], headers.get("x-fastembed-model-state")) == ("whisper-base", None)


def test_without_a_declared_whisper_the_one_that_ships_writes_down(speech) -> None:
    found = speech.transcribe((AUDIO / "two-sentences.wav").read_bytes(), model="auto")
    assert wrong_words(f"{FIRST} {SECOND}", found.text) == 0


def test_text_and_subtitles(speech) -> None:
    assert speech.transcribe(response_format="text") == LIGHT + "\n"
    subrip = speech.transcribe(response_format="srt")
    assert re.fullmatch(rf"1\n00:00:00,040 --> 00:00:01,[56]\d\d\n{LIGHT}\n\n", subrip)
    webvtt = speech.transcribe(response_format="vtt")
    assert re.fullmatch(rf"WEBVTT\n\n00:00:00\.040 --> 00:00:01\.[56]\d\d\n{LIGHT}\n\n", webvtt)


def test_a_verbose_answer_has_segments_or_words_with_their_times(speech) -> None:
    found = speech.transcribe(response_format="verbose_json")
    assert (found.task, found.language, found.duration, found.text) == ("transcribe", "english", 1.738, LIGHT)
    [part] = found.segments
    assert (part.id, part.text, part.start, part.end) == (0, LIGHT, 0.04, pytest.approx(1.54, abs=0.1))
    assert found.words is None
    found = speech.transcribe(response_format="verbose_json", timestamp_granularities=["word"])
    assert [word.word for word in found.words] == LIGHT.split()
    assert all(a.end <= b.start for a, b in zip(found.words, found.words[1:], strict=False))
    assert found.segments is None
    both = speech.transcribe(response_format="verbose_json", timestamp_granularities=["word", "segment"])
    assert both.words
    assert both.segments


def test_german_is_written_down_and_translated(speech) -> None:
    assert speech.transcribe(GERMAN, language="de").text == "drei vier fünf"
    found = speech.transcribe(GERMAN, response_format="verbose_json")
    assert (found.text, found.language) == ("drei vier fünf", "german")
    assert speech.translate().text == "three four five"
    found = speech.translate(response_format="verbose_json")
    assert (found.task, found.language, found.text) == ("translate", "english", "three four five")


@pytest.mark.parametrize(
    ("container", "codec"),
    [("flac", "flac"), ("mp3", "libmp3lame"), ("mp4", "aac"), ("webm", "libopus"), ("ogg", "libopus")],
)
def test_every_format_of_the_api_is_heard(speech, container: str, codec: str) -> None:
    assert wrong_words(LIGHT, speech.transcribe(encoded("red-light.wav", container, codec)).text) <= 1


def test_a_long_recording_is_cut_in_pauses_and_its_times_are_the_recordings(speech) -> None:
    times = ["word", "segment"]
    turn = np.concatenate([samples("two-sentences.wav"), samples("red-light.wav"), np.zeros(8_000, np.float32)])
    long = wav(np.concatenate([turn] * 4))
    found = speech.transcribe(long, model="whisper-base", response_format="verbose_json", timestamp_granularities=times)
    turn_s = len(turn) / 16_000
    assert found.duration == pytest.approx(4 * turn_s, abs=0.05)
    assert wrong_words(" ".join([f"{FIRST} {SECOND} {LIGHT}"] * 4), found.text) <= 6
    foxes = [word.start for word in found.words if word.word == "fox"]
    assert foxes == pytest.approx([foxes[0] + place * turn_s for place in range(4)], abs=0.5)
    assert " ".join(word.word for word in found.words) == found.text
    assert max(word.end for word in found.words) <= found.duration
    starts = [part.start for part in found.segments]
    assert starts == sorted(starts)


def test_turn_detection_makes_an_utterance_of_every_sentence(speech) -> None:
    turns = {"type": "server_vad", "silence_duration_ms": 400}
    three = wav(np.concatenate([np.concatenate([samples("red-light.wav"), np.zeros(16_000, np.float32)])] * 3))
    found = speech.transcribe(
        three,
        response_format="verbose_json",
        chunking_strategy=turns,
        timestamp_granularities=["word", "segment"],
    )
    assert [part.text for part in found.segments] == [LIGHT] * 3
    assert [part.start for part in found.segments] == pytest.approx([0, 2.74, 5.48], abs=0.2)
    assert [word.start for word in found.words if word.word == "turn"] == pytest.approx([0, 2.74, 5.48], abs=0.3)


def test_a_stream_sends_the_words_piece_by_piece(speech) -> None:
    *deltas, done = speech.events(LONG)
    assert len(deltas) == 2
    assert {event.type for event in deltas} == {"transcript.text.delta"}
    assert "".join(event.delta for event in deltas) == done.text
    assert done.type == "transcript.text.done"
    assert done.usage.seconds == pytest.approx(38.34, abs=0.05)


def test_a_verbose_stream_has_segments_too(speech) -> None:
    found = list(speech.events(response_format="verbose_json"))
    assert [event.type for event in found] == [f"transcript.text.{kind}" for kind in ("delta", "segment", "done")]
    assert (found[1].text, found[1].start, found[1].end) == (LIGHT, 0.04, pytest.approx(1.54, abs=0.1))


def test_silence_is_no_text(speech) -> None:
    assert speech.transcribe(wav(np.zeros(16_000, np.float32))).text == ""
    assert [event.type for event in speech.events(wav(np.zeros(16_000, np.float32)))] == ["transcript.text.done"]


@pytest.mark.parametrize(
    ("data", "fields", "expected", "message"),
    [
        (RED, {"model": "nope"}, (404, "model"), "found model 'nope', expected one of auto"),
        (RED, {"model": "whisper-tiny"}, (404, "model"), "fastembed pull whisper-tiny"),
        (RED, {"language": "fr"}, (400, "language"), "expected one that whisper-pocket knows: de, en"),
        (RED, {"language": "tlh", "model": "whisper-base"}, (400, "language"), "expected one that whisper-base knows"),
        (RED, DIARIZED, (404, "response_format"), "tells speakers apart: run `fastembed pull resemblyzer`"),
        (RED, {**DIARIZED, "extra_body": {"channels": "split"}}, (400, "channels"), "expected mix"),
        (
            RED,
            {**DIARIZED, "known_speaker_names": ["x"]},
            (400, "known_speaker_references"),
            "0 references for 1 names",
        ),
        (RED, knows("x", "a.wav"), (400, "known_speaker_references[0]"), "expected data:audio/wav;base64"),
        (RED, knows("xx", VOICE, VOICE), (400, "known_speaker_names"), "found a name twice"),
        (RED, knows("abcde", *[VOICE] * 5), (400, "known_speaker_names"), "found 5 entries, expected at most 4"),
        (
            RED,
            {"response_format": "xml"},
            (400, "response_format"),
            "expected one of json, text, srt, verbose_json, vtt",
        ),
        (RED, {"include": ["logprobs"]}, (400, "include[0]"), "the engines give no log probabilities"),
        (RED, {"timestamp_granularities": ["word"]}, (400, "timestamp_granularities"), "expected verbose_json"),
        (RED, {"temperature": 2}, (400, "temperature"), "found 2, expected at most 1"),
        (RED, {"stream": True, "response_format": "srt"}, (400, "stream"), "expected json or text"),
        (RED, {"known_speaker_names": ["x"]}, (400, "known_speaker_names"), "expected diarized_json"),
        (RED, {"keywords": ["x"]}, (400, "keywords"), "expected prompt"),
        (RED, {"extra_body": {"temprature": "1"}}, (400, "temprature"), "did you mean temperature?"),
        (RED, {"chunking_strategy": {"type": "server_vad", "threshold": 7}}, (400, "chunking_strategy.threshold"), "7"),
        (b"", {}, (400, "file"), "found an empty file"),
        (b"hello hello hello", {}, (400, "file"), "expected one of wav, flac, mp3"),
        (RED[:44], {}, (400, "file"), "found a recording without a sample"),
    ],
)
def test_what_cannot_be_is_refused(speech, data, fields, expected, message) -> None:
    error = speech.refused(data, **fields)
    assert (error.status_code, error.param) == expected
    assert message in error.message


def test_a_form_without_a_file_is_refused(speech) -> None:
    media = {"content-type": "multipart/form-data; boundary=x"}
    body = b'--x\r\ncontent-disposition: form-data; name="model"\r\n\r\nauto\r\n--x--\r\n'
    found = speech.run(call(speech.app, "POST", "/v1/audio/transcriptions", body=body, headers=media))
    assert (found.status, found.error["param"]) == (400, "file")


def test_a_file_beyond_the_limit_is_too_large(speech) -> None:
    assert speech.refused(bytes(26 * 2**20)).status_code == 413


def test_a_prompt_that_is_too_long_is_cut_as_whisper_does(speech) -> None:
    assert speech.transcribe(prompt="hello " * 2_000).usage.seconds == 1.738


def test_a_client_that_leaves_ends_the_work(speech) -> None:
    async def leave() -> None:
        gone = asyncio.Event()
        request = httpx2.Request(
            "POST", "http://x/", data={"model": "whisper-pocket", "stream": "true"}, files={"file": LONG}
        )
        media = {"content-type": request.headers["content-type"]}
        asked = asyncio.create_task(
            call(speech.app, "POST", "/v1/audio/transcriptions", body=request.read(), headers=media, leave=gone)
        )
        stats = speech.engine.pipelines["transcriptions"].stats
        async with asyncio.timeout(20):
            while not stats.in_flight:  # noqa: ASYNC110 - no event says it
                await asyncio.sleep(0)
            gone.set()
            await asked
            while stats.in_flight:  # noqa: ASYNC110 - no event says it
                await asyncio.sleep(0)

    speech.run(leave())


def test_recordings_are_heard_side_by_side(speech) -> None:
    async def all_of_them() -> list[Any]:
        create = speech.client.audio.transcriptions.create
        files = [LONG, RED, GERMAN, RED]
        return await asyncio.gather(*[create(file=("a", data), model="whisper-pocket") for data in files])

    long, *short = speech.run(all_of_them())
    assert [found.text for found in short] == [LIGHT, "drei vier fünf", LIGHT]
    assert len(long.text) > 200
