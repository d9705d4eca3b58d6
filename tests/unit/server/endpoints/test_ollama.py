"""Ollama's paths: its requests in, its lines and errors out."""

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
from fastembed.pipeline.payload.embedding import EmbeddingRequest, Embeddings
from fastembed.server.endpoints import ollama
from tests.unit.server.asgi import call
from tests.unit.server.chatting import STARTED, chatting, parrot

HELLO = [{"role": "user", "content": "hello you"}]
WEATHER = {"type": "function", "function": {"name": "get_weather", "parameters": {"type": "object"}}}
CALL = {"function": {"name": "get_weather", "arguments": {"city": "Paris"}}}


@pytest.fixture
async def chat():
    async with chatting(wires=(ollama,)) as served:
        yield served


@pytest.fixture
async def asked():
    seen = []

    async def answer(item: Item[ChatRequest]):
        seen.append(item.value)
        async for event in parrot(item):
            yield event

    async with chatting(answer, wires=(ollama,)) as served:
        yield served, seen


async def post(chat, path="/api/chat", **body):
    return await call(chat.app, "POST", path, body={"model": "auto", **body})


async def lines(chat, path="/api/chat", **body):
    found = await post(chat, path, **body)
    assert found.status == 200, found.body
    assert found.headers["content-type"] == "application/x-ndjson"
    assert b"\n\n" not in found.body, "clients take a blank line for an object"
    return [orjson.loads(line) for line in found.body.splitlines()]


async def test_a_chat_streams_lines_unless_it_is_told_not_to(chat):
    found = await lines(chat, messages=HELLO, tools=[])
    assert "".join(line["message"]["content"] for line in found) == "hello you"
    assert all(line["message"]["role"] == "assistant" for line in found)
    assert [line["done"] for line in found] == [False, False, True]
    assert (found[-1]["done_reason"], found[-1]["prompt_eval_count"], found[-1]["eval_count"]) == ("stop", 3, 2)
    whole = (await post(chat, messages=HELLO, stream=False)).json
    assert whole["message"] == {"role": "assistant", "content": "hello you"}
    assert whole["done"] is True


async def test_a_call_comes_whole_with_its_arguments_as_an_object(chat):
    found = await lines(chat, messages=[*HELLO[:-1], {"role": "user", "content": "x"}], tools=[WEATHER])
    assert found[-1]["done"] is True
    async with chatting(calls, wires=(ollama,)) as calling:
        found = await lines(calling, messages=HELLO, tools=[WEATHER])
        (line,) = [line for line in found if "tool_calls" in line["message"]]
        assert line["message"]["tool_calls"][0]["function"]["arguments"] == {"a": 1}
        whole = (await post(calling, messages=HELLO, stream=False)).json
        assert [call["function"]["name"] for call in whole["message"]["tool_calls"]] == ["f"]


async def calls(_):
    yield STARTED
    yield ChatDelta(tool_index=0, tool_id="c", tool_name="f", tool_arguments='{"a"')
    yield ChatDelta(tool_index=0, tool_arguments=":1}")
    yield ChatFinished(0, "tool_calls", 1, 1)


async def test_results_answer_calls_by_name_or_in_order(asked):
    chat, seen = asked
    other = {"function": {"name": "other", "arguments": {}}}
    turns = [
        *HELLO,
        {"role": "assistant", "content": "", "tool_calls": [CALL, other]},
        {"role": "tool", "tool_name": "other", "content": "2"},
        {"role": "tool", "content": "1"},
    ]
    await post(chat, messages=turns, stream=False)
    _, said, second, first = seen[0].messages
    assert second.tool_call_id == said.tool_calls[1].id
    assert first.tool_call_id == said.tool_calls[0].id
    found = await post(chat, messages=[*HELLO, {"role": "tool", "content": "1"}])
    assert found.json == {"error": "messages[1]: found a result, expected a call of the assistant's message before it"}


async def test_options_choose_tokens_and_those_of_the_machine_change_nothing(asked):
    chat, seen = asked
    options = {"temperature": 0, "num_predict": 5, "stop": "x", "num_ctx": 4096, "top_k": None, "repeat_penalty": 1.1}
    found = await post(chat, messages=HELLO, stream=False, options=options, think=False, keep_alive=0, format="json")
    assert found.status == 200
    sampling = seen[0].sampling
    assert (sampling.temperature, sampling.max_tokens, sampling.stop) == (0, 5, ("x",))
    assert sampling.repetition_penalty == 1.1
    assert seen[0].template == {"enable_thinking": False}
    assert seen[0].json == "object"
    await post(chat, messages=HELLO, stream=False, options={"num_predict": -1}, format={"type": "object"})
    assert seen[1].sampling.max_tokens is None
    assert seen[1].json == {"type": "object"}


async def test_generate_takes_a_prompt_pictures_and_a_system_message(asked):
    chat, seen = asked
    out = io.BytesIO()
    Image.fromarray(np.zeros((2, 3, 3), np.uint8)).save(out, "PNG")
    encoded = base64.b64encode(out.getvalue()).decode()
    found = await lines(chat, "/api/generate", prompt="hello you", system="be kind", images=[encoded])
    assert "".join(line["response"] for line in found) == "hello you"
    assert [message.role for message in seen[0].messages] == ["system", "user"]
    assert isinstance(seen[0].messages[1].parts[0], ImagePart)
    await lines(chat, "/api/generate", prompt="as it is", raw=True)
    assert seen[1].prompt == "as it is"


async def test_a_request_that_asks_nothing_is_answered_at_once(chat):
    found = (await post(chat, "/api/generate", stream=False)).json
    assert (found["done"], found["done_reason"], found["response"]) == (True, "load", "")
    (line,) = await lines(chat, messages=[])
    assert line["message"] == {"role": "assistant", "content": ""}


async def breaks(_):
    yield STARTED
    yield ChatDelta(text="he")
    raise Unavailable("the engine is gone", retry_after_s=1.0)


async def test_errors_are_text_before_the_stream_and_in_it(chat):
    found = await post(chat, messages=5)
    assert found.status == 400
    assert found.json == {"error": "messages: found 5, expected a list of messages"}
    assert (await post(chat, messages=HELLO, options={"temprature": 1})).status == 400
    assert (await call(chat.app, "DELETE", "/api/delete", body={})).json["error"].startswith("found DELETE /api/delete")
    async with chatting(breaks, wires=(ollama,)) as broken:
        found = await lines(broken, messages=HELLO)
    assert found[-1] == {"error": "the engine is gone"}


async def test_texts_are_embedded():
    seen = []

    async def embed(item: Item[EmbeddingRequest]) -> Embeddings:
        seen.append(item.value)
        return Embeddings(np.ones((len(item.value.inputs), 2), np.float32), [3] * len(item.value.inputs), "m")

    async with chatting(embed, "/v1/embeddings", wires=(ollama,)) as served:
        found = (await post(served, "/api/embed", input=["a", "b"])).json
        assert found["embeddings"] == [[1, 1], [1, 1]]
        assert found["prompt_eval_count"] == 6
        assert (await post(served, "/api/embed", input="a", truncate=False)).json["embeddings"] == [[1, 1]]
        assert (await post(served, "/api/embeddings", prompt="a")).json == {"embedding": [1, 1]}
        assert [one.most_tokens for one in seen] == [0, None, 0]
        refused = await post(served, messages=HELLO)
        assert refused.status == 404
        assert "/v1/chat/completions" in refused.json["error"]
