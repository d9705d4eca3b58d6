"""POST /v1/audio/speech through the real process and the official client, with a tiny voice."""

import io
import time
import wave

import av
import httpx2
import numpy as np
import openai
import pytest

from tests.e2e.serving import serving
from tests.voices import make_voice

TEXT = "Good morning. The weather is cold and windy. Yes, of course."
PIPELINES = """
version: 1
pipelines:
  speech:
    source: {http: POST /v1/audio/speech, queue: 32, overflow: reject}
    operators: [speak: {model: auto, voices: {narrator: bm_fable}}]
    sink: reply
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("speech")
    make_voice(folder / "models" / "kokoro")
    (folder / "pipelines.yaml").write_text(PIPELINES)
    with serving(folder, environ={"FASTEMBED_MODELS": str(folder / "models")}) as running:
        yield running


def seconds(data):
    with av.open(io.BytesIO(data)) as media:
        return sum(frame.samples / frame.sample_rate for frame in media.decode(audio=0))


@pytest.mark.parametrize(
    ("form", "media"),
    [("mp3", "audio/mpeg"), ("opus", "audio/ogg"), ("aac", "audio/aac"), ("flac", "audio/flac"), ("wav", "audio/wav")],
)
def test_a_text_becomes_a_file_of_the_wanted_form(client, form, media):
    answer = client.audio.speech.create(model="tts-1", voice="alloy", input=TEXT, response_format=form)
    assert answer.response.headers["content-type"] == media
    assert answer.response.headers["x-fastembed-model"] == "kokoro"
    assert answer.response.headers["x-fastembed-voice"] == "af_alloy"
    assert 1.0 < seconds(answer.content) < 4.0


def test_the_client_streams_the_sound_while_it_is_spoken(client, tmp_path):
    options = {"model": "tts-1", "voice": "fable", "input": TEXT * 20, "response_format": "pcm", "speed": 1.25}
    with client.audio.speech.with_streaming_response.create(**options) as answer:
        pieces = [piece for piece in answer.iter_bytes(1024) if piece]
    samples = np.frombuffer(b"".join(pieces), "<i2") / 32767
    assert len(samples) > 10 * 24_000
    assert np.abs(samples).max() == pytest.approx(0.5, abs=0.05)
    with client.audio.speech.with_streaming_response.create(**{**options, "input": "Yes."}) as answer:
        answer.stream_to_file(tmp_path / "yes.pcm")
    assert (tmp_path / "yes.pcm").stat().st_size > 1_000


def test_a_short_text_is_a_wav_with_true_sizes(client):
    data = client.audio.speech.create(model="kokoro", voice="af_heart", input="Yes.", response_format="wav").content
    with wave.open(io.BytesIO(data)) as file:
        assert file.getnframes() * 2 + 44 == len(data)


def test_events_carry_the_same_bytes(client, server):
    options = {"model": "tts-1", "voice": "alloy", "input": TEXT, "response_format": "pcm"}
    whole = client.audio.speech.create(**options).content
    lines = httpx2.post(f"{server.url}/v1/audio/speech", json={**options, "stream_format": "sse"}).text.split("\n\n")
    import base64
    import json

    events = [json.loads(line.removeprefix("data: ")) for line in lines if line]
    assert [event["type"] for event in events[:-1]] == ["speech.audio.delta"] * (len(events) - 1)
    assert b"".join(base64.b64decode(event["audio"]) for event in events[:-1]) == whole
    assert events[-1]["type"] == "speech.audio.done"
    assert events[-1]["usage"] == {
        "input_tokens": len(TEXT),
        "output_tokens": round(len(whole) / 2 / 24_000 / 0.05),
        "total_tokens": len(TEXT) + round(len(whole) / 2 / 24_000 / 0.05),
    }


def test_instructions_are_ignored_and_a_header_says_so(client):
    answer = client.audio.speech.create(model="tts-1", voice="narrator", input="Yes.", instructions="Whisper.")
    assert "instructions: ignored" in answer.response.headers["x-fastembed-warning"]


@pytest.mark.parametrize(
    ("fields", "param", "message"),
    [
        ({"voice": "bob"}, "voice", "expected one of af_alloy, af_heart, bm_fable"),
        ({"input": ""}, "input", "found an empty string"),
        ({"input": " 😀 "}, "input", "found no words to say"),
        ({"speed": 9}, "speed", "expected at most 4"),
    ],
)
def test_what_is_wrong_is_a_400_that_names_it(client, fields, param, message):
    with pytest.raises(openai.BadRequestError, match=message) as told:
        client.audio.speech.create(**{"model": "tts-1", "voice": "alloy", "input": "Yes.", **fields})
    assert told.value.body["param"] == param


def test_an_unknown_model_is_a_404(client):
    with pytest.raises(openai.NotFoundError, match="fastembed pull piper-joe"):
        client.audio.speech.create(model="piper-joe", voice="alloy", input="Yes.")


def test_the_voices_are_listed(server):
    found = httpx2.get(f"{server.url}/v1/audio/voices").json()
    assert found["voices"] == ["af_alloy", "af_heart", "bm_fable"]
    assert found["data"][0] == {
        "id": "af_alloy",
        "object": "voice",
        "name": "af_alloy",
        "model": "kokoro",
        "aliases": ["alloy"],
        "default": False,
    }
    model = next(model for model in httpx2.get(f"{server.url}/v1/models").json()["data"] if model["id"] == "kokoro")
    assert (model["task"], model["voices"], model["default_voice"]) == (
        "speech_synthesis",
        found["voices"],
        "af_heart",
    )


def test_a_client_that_leaves_frees_the_voice(client, server):
    options = {"model": "tts-1", "voice": "alloy", "input": TEXT * 1_500, "response_format": "pcm"}
    with httpx2.stream("POST", f"{server.url}/v1/audio/speech", json=options, timeout=60) as answer:
        next(answer.iter_bytes())
    client.audio.speech.create(model="tts-1", voice="alloy", input="Yes.")
    deadline = time.monotonic() + 20
    while (found := httpx2.get(f"{server.url}/v1/pipelines").json()["data"][0])["in_flight"]:
        assert time.monotonic() < deadline, found
    assert found["outcomes"]["cancelled"] == 1
