"""POST /v1/messages: content blocks in, Anthropic's events and errors out."""

from __future__ import annotations

import base64
import io

import numpy as np
import orjson
import pytest
from PIL import Image

from fastembed.pipeline.errors import Unavailable
from fastembed.pipeline.item import Item
from fastembed.pipeline.payload.chat import ChatDelta, ChatFinished, ChatRequest, ImagePart
from fastembed.server.endpoints import messages
from fastembed.server.settings import ServerSettings
from tests.unit.server.asgi import call
from tests.unit.server.chatting import STARTED, chatting, parrot

PATH = "/v1/messages"
HELLO = [{"role": "user", "content": "hello you"}]
WEATHER = {"name": "get_weather", "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}}}
USE = {"type": "tool_use", "id": "t1", "name": "get_weather", "input": {"city": "Paris"}}
RESULT = {"type": "tool_result", "tool_use_id": "t1", "content": "sunny"}


def picture() -> dict:
    out = io.BytesIO()
    Image.fromarray(np.zeros((2, 3, 3), np.uint8)).save(out, "PNG")
    source = {"type": "base64", "media_type": "image/png", "data": base64.b64encode(out.getvalue()).decode()}
    return {"type": "image", "source": source}


@pytest.fixture
async def chat():
    async with chatting(wires=(messages,)) as served:
        yield served


@pytest.fixture
async def asked():
    seen = []

    async def answer(item: Item[ChatRequest]):
        seen.append(item.value)
        async for event in parrot(item):
            yield event

    async with chatting(answer, wires=(messages,)) as served:
        yield served, seen


async def create(chat, **body):
    return await call(
        chat.app, "POST", PATH, body={"model": "auto", "max_tokens": 9, "messages": HELLO, **body}, headers={}
    )


async def events(chat, **body):
    found = await create(chat, stream=True, **body)
    assert found.status == 200, found.body
    read = []
    for block in found.body.decode().split("\n\n")[:-1]:
        name, data = block.split("\n")
        one = orjson.loads(data.removeprefix("data: "))
        assert name == f"event: {one['type']}"
        read.append(one)
    return read


async def test_a_message_has_what_clients_need(chat):
    found = (await create(chat)).json
    assert (found["type"], found["role"], found["model"]) == ("message", "assistant", "parrot")
    assert found["content"] == [{"type": "text", "text": "hello you"}]
    assert (found["stop_reason"], found["stop_sequence"]) == ("end_turn", None)
    assert found["usage"]["input_tokens"] + found["usage"]["cache_read_input_tokens"] == 3
    assert found["usage"]["output_tokens"] == 2


async def test_a_stream_has_anthropics_events_in_their_order(chat):
    found = await events(chat)
    assert [one["type"] for one in found] == [
        "message_start",
        "ping",
        "content_block_start",
        "content_block_delta",
        "content_block_delta",
        "content_block_stop",
        "message_delta",
        "message_stop",
    ]
    assert found[0]["message"]["content"] == []
    assert found[0]["message"]["usage"]["output_tokens"] == 0
    assert found[-2]["usage"]["output_tokens"] == 2
    assert found[-2]["delta"]["stop_reason"] == "end_turn"


async def test_calls_are_blocks_whose_arguments_come_in_pieces(chat):
    found = await events(chat, tools=[WEATHER], tool_choice={"type": "any"})
    begun = next(one for one in found if one["type"] == "content_block_start")
    assert begun["content_block"] == {"type": "tool_use", "id": "call_0", "name": "get_weather", "input": {}}
    pieces = [one["delta"]["partial_json"] for one in found if one["type"] == "content_block_delta"]
    assert orjson.loads("".join(pieces)) == {"said": "hello you"}
    assert found[-2]["delta"]["stop_reason"] == "tool_use"
    whole = (await create(chat, tools=[WEATHER], tool_choice={"type": "tool", "name": "get_weather"})).json
    assert whole["content"][0]["input"] == {"said": "hello you"}


async def thinks(item: Item[ChatRequest]):
    yield STARTED
    yield ChatDelta(reasoning="hm")
    yield ChatDelta(text="yes")
    yield ChatFinished(0, "stop", 1, 2, stop=item.value.sampling.stop[0] if item.value.sampling.stop else "")


async def test_what_a_model_thinks_is_a_block_of_its_own_and_the_stop_sequence_is_named():
    async with chatting(thinks, wires=(messages,)) as chat:
        found = (await create(chat, stop_sequences=["X"], thinking={"type": "enabled", "budget_tokens": 1024})).json
        streamed = await events(chat)
    assert found["content"][0] == {"type": "thinking", "thinking": "hm", "signature": ""}
    assert (found["stop_reason"], found["stop_sequence"]) == ("stop_sequence", "X")
    assert [one["index"] for one in streamed if one["type"] == "content_block_start"] == [0, 1]


async def test_blocks_become_the_turns_of_one_conversation(asked):
    chat, seen = asked
    turns = [
        {"role": "user", "content": [picture(), {"type": "text", "text": "weather?"}]},
        {"role": "assistant", "content": [{"type": "thinking", "thinking": "", "signature": ""}, USE]},
        {
            "role": "user",
            "content": [
                {**RESULT, "content": [{"type": "text", "text": "see"}, picture()]},
                {"type": "text", "text": "and?"},
            ],
        },
    ]
    found = await create(chat, messages=turns, system=[{"type": "text", "text": "be kind", "cache_control": {}}])
    assert found.status == 200, found.body
    turned = seen[0].messages
    assert [message.role for message in turned] == ["system", "user", "assistant", "tool", "user"]
    assert turned[0].text == "be kind"
    assert isinstance(turned[1].parts[0], ImagePart)
    assert (turned[2].tool_calls[0].id, turned[2].tool_calls[0].arguments) == ("t1", '{"city":"Paris"}')
    assert (turned[3].tool_call_id, turned[3].text) == ("t1", "see")
    assert isinstance(turned[4].parts[0], ImagePart)
    assert turned[4].text == "and?"


async def test_documents_are_read_as_files_of_a_chat(asked):
    chat, seen = asked
    text = {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "Seven."}, "title": "a"}
    await create(chat, messages=[{"role": "user", "content": [text]}])
    assert "Seven." in seen[0].messages[0].text


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"max_tokens": None}, "found no max_tokens"),
        ({"messages": []}, "messages: found an empty list"),
        ({"messages": [{"role": "boss", "content": "x"}]}, "messages[0].role"),
        ({"messages": [{"role": "user", "content": [{"type": "video"}]}]}, "messages[0].content[0].type"),
        ({"messages": [{"role": "user", "content": [RESULT]}]}, "messages[0].content[0].tool_use_id"),
        ({"messages": [*HELLO, {"role": "assistant", "content": [USE]}]}, "found no answer to 't1'"),
        ({"tools": [{"name": "a b", "input_schema": {}}]}, "tools[0].name"),
        ({"tool_choice": {"type": "any"}}, "tools when one of them is required"),
        ({"tool_choice": {"type": "tool", "name": "x"}}, "one of the tools"),
        ({"output_config": {"format": {"type": "xml"}}}, "json_schema"),
        ({"stop_sequences": [""]}, "stop_sequences[0]"),
        ({"mcp_servers": [{}]}, "no client of MCP servers"),
        ({"max_token": 5}, "did you mean max_tokens|unknown"),
    ],
)
async def test_a_bad_field_is_refused_in_anthropics_form(chat, fields, message):
    if fields == {"max_token": 5}:
        found = await call(chat.app, "POST", PATH, body={"model": "auto", "messages": HELLO, **fields})
    else:
        found = await create(chat, **fields)
    assert found.status == 400
    assert set(found.json) == {"type", "error", "request_id"}
    assert found.json["error"]["type"] == "invalid_request_error"
    assert any(part in found.json["error"]["message"] for part in message.split("|"))


async def test_a_thread_is_refused_so_that_the_tool_runner_sends_whole_conversations(chat):
    found = await create(chat, thread={"type": "create"})
    assert found.status == 400
    assert found.json["error"]["details"] == {"error_code": "thread_unsupported_request", "unsupported": ["thread"]}


async def breaks(_):
    yield STARTED
    yield ChatDelta(text="he")
    raise Unavailable("the engine is gone", retry_after_s=1.0)


async def test_an_error_in_a_stream_is_anthropics_error_event():
    async with chatting(breaks, wires=(messages,)) as chat:
        found = await events(chat)
    assert found[-1]["type"] == "error"
    assert found[-1]["error"] == {"type": "api_error", "message": "the engine is gone"}


async def test_a_server_that_is_starting_says_so_instead_of_not_found():
    async with chatting(path="/v1/completions", wires=(messages,)) as chat:
        assert (await create(chat)).status == 404
        chat.lifecycle.phase = "starting"
        found = await create(chat)
        assert (found.status, found.json["error"]["type"]) == (503, "overloaded_error")
        chat.lifecycle.phase = "serving"


async def test_errors_of_the_gateway_have_the_form_of_the_paths_api():
    async with chatting(wires=(messages,), settings=ServerSettings(api_keys=("k",))) as chat:
        found = await create(chat)
        assert (found.status, found.json["error"]["type"]) == (401, "authentication_error")
        body = {"model": "auto", "max_tokens": 9, "messages": HELLO}
        assert (await call(chat.app, "POST", PATH, body=body, headers={"x-api-key": "k"})).status == 200
        assert (await call(chat.app, "POST", f"/v1{PATH}", body=body, headers={"x-api-key": "k"})).status == 200
        found = await call(chat.app, "GET", PATH, headers={"x-api-key": "k"})
        assert (found.status, found.json["type"]) == (405, "error")
        found = await call(chat.app, "GET", "/v1/x", headers={"x-api-key": "k", "anthropic-version": "2023-06-01"})
        assert found.json["error"]["type"] == "not_found_error"
        assert "error" in (await call(chat.app, "GET", "/v1/x", headers={"x-api-key": "k"})).error["type"]
