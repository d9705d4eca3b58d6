"""Chat with the model that ships, through the real process and the official client. It reads like a demo."""

from __future__ import annotations

import base64
import contextlib
import io
import json
import math
import os
import re
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import httpx2
import openai
import pytest
from PIL import Image
from pydantic import BaseModel

from tests.e2e.serving import Serving, serving

PIPELINES = """
version: 1
pipelines:
  chat:
    source: {http: POST /v1/chat/completions, queue: 64, overflow: reject}
    operators: [hear: {model: whisper-pocket}, generate]
    sink: reply
  completions:
    source: {http: POST /v1/completions, queue: 64, overflow: reject}
    operators: [generate]
    sink: reply
"""
WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather in a city.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}


class Person(BaseModel):
    name: str
    age: int


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    folder = tmp_path_factory.mktemp("chat")
    (folder / "pipelines.yaml").write_text(PIPELINES)
    with serving(folder) as running:
        yield running


def turn(content: str, role: str = "user") -> dict:
    return {"role": role, "content": content}


def say(client: openai.OpenAI, *turns: object, **options):
    messages = [turn(one) if isinstance(one, str) else one for one in turns]
    return client.chat.completions.create(**{"model": "auto", "messages": messages, "temperature": 0, **options})


def said(client: openai.OpenAI, *turns: object, **options) -> str:
    return say(client, *turns, **options).choices[0].message.content


def test_it_greets_and_says_what_that_took(client: openai.OpenAI) -> None:
    found = say(client, "hello")
    assert found.choices[0].message.content == "Hello! How can I help you?"
    assert found.choices[0].finish_reason == "stop"
    assert found.model == "chat-pocket"
    assert found.usage.prompt_tokens > 0
    assert found.usage.completion_tokens > 5
    assert found.usage.total_tokens == found.usage.prompt_tokens + found.usage.completion_tokens


def test_it_adds(client: openai.OpenAI) -> None:
    assert said(client, "what is 3 + 4?") == "3 + 4 = 7"


def test_it_remembers_over_turns(client: openai.OpenAI) -> None:
    first = said(client, "my name is Anna")
    assert said(client, "my name is Anna", turn(first, "assistant"), "what is my name?") == "Your name is Anna."


def test_the_answer_says_that_the_small_model_spoke(server: Serving) -> None:
    reply = httpx2.post(f"{server.url}/v1/chat/completions", json={"model": "auto", "messages": [turn("hello")]})
    assert reply.headers["x-fastembed-model"] == "chat-pocket"
    assert reply.headers["x-fastembed-model-state"] == "pocket"


def test_the_route_of_an_answer_is_the_one_that_was_told_before(server: Serving) -> None:
    body = {"model": "auto", "messages": [turn("hello")]}
    told = httpx2.post(f"{server.url}/v1/route", json=body).json()["decision"]
    answered = httpx2.post(f"{server.url}/v1/chat/completions", json=body).headers
    assert answered["x-fastembed-model"] == told["candidates"][0]["model"] == "chat-pocket"
    assert "a pocket model, for want of a real one: fastembed pull" in answered["x-fastembed-route"]


def test_a_stream_says_the_same_in_pieces(client: openai.OpenAI) -> None:
    chunks = list(say(client, "what is 3 + 4?", stream=True, stream_options={"include_usage": True}))
    assert chunks[0].choices[0].delta.role == "assistant"
    pieces = [choice.delta.content or "" for chunk in chunks for choice in chunk.choices]
    assert "".join(pieces) == "3 + 4 = 7"
    assert len([piece for piece in pieces if piece]) > 2
    assert chunks[-2].choices[0].finish_reason == "stop"
    assert chunks[-1].usage.completion_tokens == say(client, "what is 3 + 4?").usage.completion_tokens


@pytest.mark.parametrize("stream", [False, True])
def test_a_tool_is_called_and_its_result_told(client: openai.OpenAI, stream: bool) -> None:  # noqa: FBT001
    options = {"model": "auto", "temperature": 0, "tools": [WEATHER]}
    asked = [turn("weather in Paris")]
    if stream:
        with client.chat.completions.stream(messages=asked, **options) as events:
            found = events.get_final_completion().choices[0]
    else:
        found = client.chat.completions.create(messages=asked, **options).choices[0]
    assert found.finish_reason == "tool_calls"
    (call,) = found.message.tool_calls
    assert call.function.name == "get_weather"
    assert json.loads(call.function.arguments) == {"city": "Paris"}
    result = {"role": "tool", "tool_call_id": call.id, "content": '{"temp": 21, "sky": "sunny"}'}
    told = client.chat.completions.create(messages=[*asked, found.message.to_dict(), result], **options)
    assert told.choices[0].message.content == "It is 21 degrees and sunny in Paris."


def test_tools_are_called_when_they_must_be_and_left_when_they_must_not(client: openai.OpenAI) -> None:
    for choice in ("required", {"type": "function", "function": {"name": "get_weather"}}):
        (call,) = say(client, "hello", tools=[WEATHER], tool_choice=choice).choices[0].message.tool_calls
        assert set(json.loads(call.function.arguments)) == {"city"}
    message = say(client, "weather in Paris", tools=[WEATHER], tool_choice="none").choices[0].message
    assert message.tool_calls is None


def test_the_client_parses_an_object_of_its_own_type(client: openai.OpenAI) -> None:
    asked = [turn("give me json with name Lola and age 30")]
    found = client.chat.completions.parse(model="auto", messages=asked, temperature=0, response_format=Person)
    assert found.choices[0].message.parsed == Person(name="Lola", age=30)


def test_the_short_form_of_a_schema_and_json_mode_bind_too(client: openai.OpenAI) -> None:
    schema = {"type": "json_schema", "schema": Person.model_json_schema()}
    asked = {"model": "auto", "messages": [turn("give me json with name Lola and age 30")], "temperature": 0}
    for form in (schema, {"type": "json_object"}):
        found = client.post("/chat/completions", body={**asked, "response_format": form}, cast_to=dict[str, object])
        assert json.loads(found["choices"][0]["message"]["content"]) == {"name": "Lola", "age": 30}


def test_stop_strings_end_the_answer_and_are_not_shown(client: openai.OpenAI) -> None:
    found = say(client, "count to 12", stop=[" 5"])
    assert (found.choices[0].message.content, found.choices[0].finish_reason) == ("1 2 3 4", "stop")
    streamed = say(client, "count to 12", stop=" 5", stream=True)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in streamed) == "1 2 3 4"


def test_max_tokens_cut_the_answer(client: openai.OpenAI) -> None:
    for name in ("max_tokens", "max_completion_tokens"):
        found = say(client, "count to 12", **{name: 3})
        assert (found.choices[0].finish_reason, found.usage.completion_tokens) == ("length", 3)


def test_a_seed_repeats_an_answer_and_choices_differ(client: openai.OpenAI) -> None:
    answers = [say(client, "tell me more", n=4, temperature=2, seed=7, max_tokens=20) for _ in range(2)]
    texts = [[choice.message.content for choice in answer.choices] for answer in answers]
    assert texts[0] == texts[1]
    assert len(set(texts[0])) > 1
    assert [choice.index for choice in answers[0].choices] == [0, 1, 2, 3]


def test_probabilities_come_with_the_tokens(client: openai.OpenAI) -> None:
    found = say(client, "hello", logprobs=True).choices[0]
    tokens = found.logprobs.content
    assert "".join(token.token for token in tokens).startswith(found.message.content)
    assert all(0 < math.exp(token.logprob) <= 1.0001 for token in tokens)


def test_text_is_gone_on_with(client: openai.OpenAI) -> None:
    found = client.completions.create(
        model="auto", prompt=["3 + 4 =", "5 + 1 ="], temperature=0, max_tokens=2, echo=True
    )
    assert [choice.index for choice in found.choices] == [0, 1]
    assert found.choices[0].text.startswith("3 + 4 =")
    stream = client.completions.create(model="auto", prompt="3 + 4 =", temperature=0, max_tokens=2, stream=True)
    assert "3 + 4 =" + "".join(chunk.choices[0].text for chunk in stream) == found.choices[0].text


def test_a_completion_tells_the_chosen_tokens_only(client: openai.OpenAI) -> None:
    options = {"model": "auto", "prompt": "3 + 4 =", "temperature": 0, "max_tokens": 2}
    logprobs = client.completions.create(**options, logprobs=0).choices[0].logprobs
    assert len(logprobs.tokens) == len(logprobs.token_logprobs) == len(logprobs.text_offset) == 2
    likeliest = client.completions.create(**options, logprobs=1).choices[0].logprobs
    assert [list(top) for top in likeliest.top_logprobs] == [[token] for token in likeliest.tokens]
    with pytest.raises(openai.BadRequestError, match="the chosen token only") as caught:
        client.completions.create(**options, logprobs=2)
    assert caught.value.param == "logprobs"


def picture() -> str:
    file = io.BytesIO()
    Image.new("RGB", (8, 8), (255, 0, 0)).save(file, "PNG")
    return f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"


def test_sound_is_heard_for_a_model_that_only_reads_and_the_answer_says_so(client: openai.OpenAI) -> None:
    sound = (Path(__file__).parents[1] / "assets" / "audio" / "red-light.wav").read_bytes()
    parts = [
        {"type": "text", "text": "what is said here?"},
        {"type": "input_audio", "input_audio": {"data": base64.b64encode(sound).decode(), "format": "wav"}},
    ]
    answer = client.chat.completions.with_raw_response.create(
        model="auto", messages=[{"role": "user", "content": parts}], max_tokens=8
    )
    assert answer.headers["x-fastembed-route"].startswith("audio transcribed by whisper-pocket; chat-pocket on CPU")
    assert answer.parse().usage.prompt_tokens > 20
    with pytest.raises(openai.BadRequestError, match="asks for a model that hears"):
        client.chat.completions.create(
            model="auto",
            messages=[{"role": "user", "content": parts}],
            extra_body={"modality_routing": "force_multimodal"},
        )


@pytest.mark.parametrize(
    ("options", "param", "message"),
    [
        ({"temperature": 3}, "temperature", "found 3, expected at most 2"),
        ({"n": 0}, "n", "found 0, expected at least 1"),
        ({"tool_choice": "required"}, "tool_choice", "expected tools"),
        ({"messages": [turn("x" * 20_000)]}, "messages", "expected a shorter prompt"),
        (
            {
                "messages": [
                    {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "https://x/y.png"}}]}
                ]
            },
            "messages[0].content[0].image_url.url",
            "this server fetches none",
        ),
        (
            {
                "model": "chat-pocket",
                "messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": picture()}}]}],
            },
            "messages",
            "it sees no pictures",
        ),
        (
            {"response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "nonsense"}}}},
            "response_format",
            "found a JSON Schema that answers cannot be held to",
        ),
    ],
)
def test_a_bad_request_gets_the_error_object(client: openai.OpenAI, options: dict, param: str, message: str) -> None:
    for stream in (False, True):
        with pytest.raises(openai.BadRequestError, match=message) as caught:
            say(client, "hello", stream=stream, **options)
        assert (caught.value.param, caught.value.type) == (param, "invalid_request_error")


@pytest.mark.parametrize(
    "options", [{"temperature": 5e-324}, {"temperature": 1e-40}, {"top_p": 1e-300}, {"extra_body": {"min_p": 1}}]
)
def test_numbers_that_vanish_in_float32_choose_as_zero_does_and_open_no_breaker(
    server: Serving, client: openai.OpenAI, options: dict
) -> None:
    assert said(client, "what is 3 + 4?", **options) == "3 + 4 = 7"
    metrics = httpx2.get(f"{server.url}/metrics").text
    assert not re.search(r'outcome="failed"\} [1-9]', metrics)


def test_the_client_has_the_answer_begin_as_it_wants(client: openai.OpenAI) -> None:
    assert said(client, "what is 3 + 4?", turn("3 + ", role="assistant")) == "4 = 7"


def test_fields_of_local_servers_work_through_the_official_client(client: openai.OpenAI) -> None:
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
    body = {"guided_json": schema, "max_tokens": -1, "chat_template_kwargs": {"enable_thinking": False}}
    assert set(json.loads(said(client, "hello", extra_body=body))) == {"n"}
    raw = client.chat.completions.with_raw_response.create(
        model="auto", messages=[turn("hello")], max_tokens=4, extra_body={"top_k": 5, "keep_alive": "5m"}
    )
    assert raw.headers["x-fastembed-warning"] == "ignored unknown fields: keep_alive"


def test_the_official_client_for_azure_reaches_the_same_chat(server: Serving) -> None:
    azure = openai.AzureOpenAI(azure_endpoint=server.url, api_version="2024-10-21", api_key="-", max_retries=0)
    with azure:
        assert said(azure, "what is 3 + 4?") == "3 + 4 = 7"


def test_an_unknown_model_is_404(client: openai.OpenAI) -> None:
    with pytest.raises(
        openai.NotFoundError, match=r"found 'gpt-9', a model of a service, expected one that is here: chat-pocket"
    ) as caught:
        say(client, "hello", model="gpt-9")
    assert (caught.value.code, caught.value.param) == ("model_not_found", "model")


def ended(server: Serving) -> tuple[float, float]:
    """Return how many requests of the chat pipeline are under way and how many were cancelled."""
    counts = dict(
        line.rsplit(" ", 1)
        for line in httpx2.get(f"{server.url}/metrics").text.splitlines()
        if line.startswith("fastembed_") and 'pipeline="chat"' in line
    )
    in_flight = float(counts['fastembed_items_in_flight{pipeline="chat"}'])
    cancelled = float(counts.get('fastembed_items_ended_total{outcome="cancelled",pipeline="chat"}', 0))
    return in_flight, cancelled


def test_a_client_that_leaves_frees_its_place(server: Serving, client: openai.OpenAI) -> None:
    _, before = ended(server)
    stream = say(client, "hello", temperature=2, n=64, stream=True)
    assert next(stream).choices
    stream.close()
    deadline = time.monotonic() + 5
    while ended(server) != (0, before + 1):
        assert time.monotonic() < deadline, ended(server)
    assert said(client, "what is 3 + 4?") == "3 + 4 = 7"


def engines_of(server: Serving) -> list[int]:
    """Return the ids of the server's chat processes, one a model that was asked so far."""
    tasks = Path(f"/proc/{server.process.pid}/task").glob("*/children")
    children = [int(child) for task in tasks for child in task.read_text().split()]
    return [
        child
        for child in children
        if b"fastembed.inference.engines.chat" in Path(f"/proc/{child}/cmdline").read_bytes()
    ]


def test_clients_do_not_see_that_the_engine_died(server: Serving, client: openai.OpenAI) -> None:
    stream = say(client, "hello", temperature=2, n=8, stream=True)
    assert any(chunk.choices[0].delta.content for chunk in stream)
    engines = engines_of(server)
    assert engines
    for engine in engines:
        os.kill(engine, signal.SIGKILL)
    ends = [choice.finish_reason for chunk in stream for choice in chunk.choices if choice.finish_reason]
    assert len(ends) == 8
    assert said(client, "what is 3 + 4?") == "3 + 4 = 7"


def test_many_at_once_are_all_answered_right(client: openai.OpenAI) -> None:
    streams = {(a, b): say(client, f"what is {a} + {b}?", stream=True) for a in range(4) for b in range(1, 5)}
    with contextlib.ExitStack() as stack:
        for (a, b), stream in streams.items():
            stack.enter_context(stream)
            text = "".join(chunk.choices[0].delta.content or "" for chunk in stream)
            assert text == f"{a} + {b} = {a + b}"
