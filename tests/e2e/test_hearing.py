"""A chat model that hears, through the real process and the official client."""

from __future__ import annotations

import base64
import io
import wave
from collections.abc import Iterator
from pathlib import Path

import httpx2
import numpy as np
import openai
import pytest
from PIL import Image

from tests.e2e.serving import Serving, serving

ASSETS = Path(__file__).parent.parent / "assets"
PIPELINES = f"""
version: 1
models:
  ears: {{from: {ASSETS / "hearing"}}}
pipelines:
  chat:
    source: {{http: POST /v1/chat/completions, queue: 64, overflow: reject}}
    operators: [hear: {{model: whisper-pocket}}, generate]
    sink: reply
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    folder = tmp_path_factory.mktemp("hearing")
    (folder / "pipelines.yaml").write_text(PIPELINES)
    with serving(folder) as running:
        yield running


def sound(pitch_hz: float, rate_hz: int = 44_100) -> dict:
    """Return a second of a tone as the client sends it: a WAV of 16 bits, in stereo."""
    samples = 0.4 * np.sin(2 * np.pi * pitch_hz * np.arange(rate_hz) / rate_hz)
    made = io.BytesIO()
    with wave.open(made, "wb") as file:
        file.setparams((2, 2, rate_hz, 0, "NONE", ""))
        file.writeframes(np.repeat((samples * 32_767).astype("<i2"), 2).tobytes())
    return {"type": "input_audio", "input_audio": {"data": base64.b64encode(made.getvalue()).decode(), "format": "wav"}}


def picture(*rgb: int) -> dict:
    made = io.BytesIO()
    Image.new("RGB", (120, 90), rgb).save(made, "PNG")
    url = f"data:image/png;base64,{base64.b64encode(made.getvalue()).decode()}"
    return {"type": "image_url", "image_url": {"url": url}}


def text(said: str) -> dict:
    return {"type": "text", "text": said}


LOW, HIGH, RED = sound(220), sound(2_200), picture(215, 35, 35)


def ask(client: openai.OpenAI, *parts: dict, **options):
    messages = [{"role": "user", "content": list(parts)}]
    return client.chat.completions.with_raw_response.create(
        **{"model": "auto", "messages": messages, "temperature": 0, **options}
    )


def test_auto_is_the_model_that_hears_and_the_answer_says_so(client):
    answer = ask(client, text("Listen:"), LOW, text("and then"), RED, HIGH)
    assert answer.parse().choices[0].message.content == "low, red, high"
    assert answer.headers["x-fastembed-model"] == "ears"
    assert answer.headers["x-fastembed-route"].startswith("audio heard by ears; ears on CPU: simple request")
    assert answer.parse().usage.prompt_tokens > 2 * 15


def test_it_streams(client):
    with client.chat.completions.create(
        model="ears", messages=[{"role": "user", "content": [HIGH, LOW]}], temperature=0, stream=True
    ) as stream:
        pieces = [event.choices[0].delta.content for event in stream if event.choices[0].delta.content]
    assert "".join(pieces) == "high, low"
    assert len(pieces) > 1


def test_a_model_that_reads_gets_the_transcript_and_the_answer_says_so(client):
    spoken = base64.b64encode((ASSETS / "audio" / "red-light.wav").read_bytes()).decode()
    answer = ask(client, {"type": "input_audio", "input_audio": {"data": spoken, "format": "wav"}}, model="chat-pocket")
    assert answer.headers["x-fastembed-route"].startswith("audio transcribed by whisper-pocket; chat-pocket on CPU")


def test_force_text_has_it_written_down_for_the_model_that_hears_too(client):
    answer = ask(client, LOW, extra_body={"modality_routing": "force_text"})
    assert "audio transcribed by whisper-pocket" in answer.headers["x-fastembed-route"]
    assert "heard" not in answer.headers["x-fastembed-route"]


def test_an_answer_is_held_to_a_form(client):
    schema = {"type": "object", "properties": {"n": {"enum": ["low", "high"]}}, "required": ["n"]}
    form = {"type": "json_schema", "json_schema": {"name": "heard", "schema": schema, "strict": True}}
    answer = ask(client, HIGH, response_format=form, max_tokens=60)
    assert answer.parse().choices[0].message.content.startswith('{"n"')  # it was never taught to end one


def test_what_is_no_sound_is_a_clear_error(client):
    broken = {"type": "input_audio", "input_audio": {"data": "aGVsbG8gaGVsbG8gaGVsbG8=", "format": "wav"}}
    with pytest.raises(openai.BadRequestError, match="found a file that begins with"):
        ask(client, broken)


def test_the_list_of_models_says_that_it_hears(server):
    card = httpx2.get(f"{server.url}/v1/models/ears").json()
    assert (card["capabilities"]["audio"], card["capabilities"]["vision"]) == (True, True)
