"""With nothing downloaded, every endpoint answers, rightly, by the tiny models that ship. It reads like a demo.

One server with the shipped pipelines, the official client, real pictures, sound and pages.
"""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import openai
import pytest
from PIL import Image, ImageDraw

from fastembed import FastEmbedClient
from tests.e2e.serving import Serving, serving

ROOT = Path(__file__).parents[2]
WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Get the weather for a city",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    with serving(tmp_path_factory.mktemp("answers")) as running:  # no pipelines.yaml there: the built-in one
        yield running


def chat(client: openai.OpenAI, *said: Any, **options: Any) -> Any:
    """Return the answer's message; what was said alternates between user and assistant."""
    roles = ("user", "assistant")
    messages: Any = [{"role": roles[place % 2], "content": content} for place, content in enumerate(said)]
    return client.chat.completions.create(model="auto", messages=messages, temperature=0, **options).choices[0].message


def red_circle() -> str:
    image = Image.new("RGB", (200, 200), (235, 235, 235))
    ImageDraw.Draw(image).ellipse([40, 40, 160, 160], fill=(215, 35, 35))
    file = io.BytesIO()
    image.save(file, "PNG")
    return f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"


def test_it_says_what_stands_in_for_real_models(server: Serving) -> None:
    assert "chat-pocket answers until a real model for chat is here: fastembed pull gemma-4-e4b" in server.lines


def test_it_lists_every_model_that_can_be_named_and_knows_how_to_get_others(client: openai.OpenAI) -> None:
    states = {model.id: model.state for model in client.models.list()}  # type: ignore[attr-defined]
    assert {name for name, state in states.items() if state == "pocket"} >= {
        "chat-pocket",
        "whisper-pocket",
    }
    assert client.models.retrieve("whisper-pocket").capabilities["transcription"]  # type: ignore[attr-defined]
    assert client.models.retrieve("auto").stands_for == "auto"  # type: ignore[attr-defined]
    with pytest.raises(openai.NotFoundError, match=r"found no files of gemma-3n-4b, .*: fastembed convert gemma-3n-4b"):
        client.models.retrieve("gemma-3n-4b")


def test_a_model_that_is_not_here_names_the_command_and_its_fallback_answers_if_it_may(client: openai.OpenAI) -> None:
    for name, command in (("gemma-3n-4b", "convert gemma-3n-4b"), ("phi-4-mini", "pull phi-4-mini")):
        asked: Any = {"model": name, "messages": [{"role": "user", "content": "hello"}], "temperature": 0}
        with pytest.raises(openai.NotFoundError, match=f"expected a model folder: fastembed {command}"):
            client.chat.completions.create(**asked)
        answer = client.chat.completions.create(**asked, extra_body={"model_fallback": True})
        assert (answer.model, answer.choices[0].message.content) == ("chat-pocket", "Hello! How can I help you?")
    with pytest.raises(openai.NotFoundError, match=r"fastembed pull bge-small-en-v1\.5"):
        client.embeddings.create(model="bge-small-en-v1.5", input="a", extra_body={"model_fallback": True})


def test_it_greets_adds_and_remembers(client: openai.OpenAI) -> None:
    assert chat(client, "hello").content == "Hello! How can I help you?"
    assert chat(client, "what is 3 + 4?").content == "3 + 4 = 7"
    assert (
        chat(client, "my name is Anna", "Nice to meet you, Anna.", "what is my name?").content == "Your name is Anna."
    )


def test_it_calls_a_tool_and_answers_with_what_the_tool_said(client: openai.OpenAI) -> None:
    asked = {"role": "user", "content": "weather in Paris"}
    called = chat(client, "weather in Paris", tools=[WEATHER])
    (call,) = called.tool_calls
    assert (call.function.name, json.loads(call.function.arguments)) == ("get_weather", {"city": "Paris"})
    said = {"role": "tool", "tool_call_id": call.id, "content": '{"temp": 21, "sky": "sunny"}'}
    answer = client.chat.completions.create(
        model="auto", messages=[asked, called.model_dump(exclude_none=True), said], tools=[WEATHER], temperature=0
    )
    assert answer.choices[0].message.content == "It is 21 degrees and sunny in Paris."


def test_it_keeps_to_a_json_schema(client: openai.OpenAI) -> None:
    person = {
        "type": "object",
        "properties": {"name": {"type": "string"}, "age": {"type": "integer"}},
        "required": ["name", "age"],
        "additionalProperties": False,
    }
    wanted = {"type": "json_schema", "json_schema": {"name": "person", "schema": person}}
    answer = chat(client, "give me json with name Lola and age 30", response_format=wanted)
    assert json.loads(answer.content) == {"name": "Lola", "age": 30}


def test_it_sees_a_red_circle(client: openai.OpenAI) -> None:
    picture = {"type": "image_url", "image_url": {"url": red_circle()}}
    raw = client.chat.completions.with_raw_response.create(
        model="auto",
        messages=[{"role": "user", "content": [picture, {"type": "text", "text": "What is in this image?"}]}],
        temperature=0,
    )
    assert raw.parse().choices[0].message.content == "a red circle"
    assert raw.headers["x-fastembed-model"] == "vision-pocket"
    assert "it sees the picture" in raw.headers["x-fastembed-route"]


async def test_our_own_client_asks_about_a_picture_in_one_call(server: Serving, tmp_path: Path) -> None:
    photo = tmp_path / "photo.png"
    photo.write_bytes(base64.b64decode(red_circle().partition(",")[2]))
    async with FastEmbedClient(server.url) as client:
        found = await client.analyze(text="What is in this image?", images=[str(photo)])
        areas = await client.multimodal.analyze(
            inputs=[{"type": "image", "source": "base64", "content": red_circle()}],
            analysis_type="focused",
            focus_areas=["objects", "text"],
            max_tokens=400,
        )
    assert (found.analysis, found.model, found.findings) == ("a red circle", "vision-pocket", None)
    assert areas.finish_reason == "length" or set(areas.findings) == {"objects", "text"}


def test_it_writes_a_function_that_runs(client: openai.OpenAI) -> None:
    raw = client.chat.completions.with_raw_response.create(
        model="auto",
        messages=[
            {"role": "user", "content": "Write a Python function is_even(n) that tests whether a number is even"}
        ],
        temperature=0,
    )
    assert raw.headers["x-fastembed-model"] == "code-pocket"
    code = (raw.parse().choices[0].message.content or "").removeprefix("```python\n").removesuffix("```")
    names: dict[str, Any] = {}
    exec(code, names)  # noqa: S102 - two lines of our own model's
    assert [names["is_even"](number) for number in (2, 3, 10)] == [True, False, True]


def test_it_writes_down_a_recording(client: openai.OpenAI) -> None:
    with (ROOT / "tests" / "assets" / "audio" / "red-light.wav").open("rb") as sound:
        heard = client.audio.transcriptions.create(model="whisper-pocket", file=sound)
    assert heard.text == "turn on the red light please"


def test_it_ranks_documents(server: Serving) -> None:
    documents = ["The snow is deep.", "An invoice lists what is to be paid.", "Trains run on tracks."]
    body = {"model": "auto", "query": "what does an invoice list?", "documents": documents}
    ranked = httpx2.post(f"{server.url}/v1/rerank", json=body, timeout=60).json()
    assert ranked["results"][0]["index"] == 1


def test_it_embeds(client: openai.OpenAI) -> None:
    texts = ["Snow is falling.", "It is winter.", "The invoice is due."]
    found = [row.embedding for row in client.embeddings.create(model="auto", input=texts).data]
    near, far = (sum(a * b for a, b in zip(found[0], other, strict=True)) for other in found[1:])
    assert near > far + 0.2


def test_every_tiny_model_says_that_it_is_one(client: openai.OpenAI) -> None:
    states = {model.id: model.state for model in client.models.list()}  # type: ignore[attr-defined] # ours
    assert {name for name, state in states.items() if name.endswith("-pocket") and state != "pocket"} == set()
    assert {"chat-pocket", "vision-pocket", "code-pocket", "rerank-pocket", "docling-pocket"} <= states.keys()
