"""Chat through a real pipeline; the answers are read by the official client."""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import AsyncIterator

import openai
import pytest
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from pydantic import BaseModel

from fastembed.pipeline.errors import InvalidInput, Overloaded, Unavailable
from fastembed.pipeline.item import Item
from fastembed.pipeline.payload.chat import ChatDelta, ChatEvent, ChatFinished, ChatRequest, ChatStarted
from fastembed.pipeline.testing import run_virtual
from tests.unit.server.asgi import call
from tests.unit.server.chatting import CHAT, STARTED, chatting

TOOLS = [{"type": "function", "function": {"name": name}} for name in ("first", "second")]
HELLO = [{"role": "user", "content": "hello you"}]


class Said(BaseModel):
    said: str


def strict(found: dict, model: type[BaseModel]) -> None:
    """Check what the client's types do not: they take anything."""
    assert set(found) <= set(model.model_fields), found


async def test_an_answer_in_one_piece_is_what_the_client_reads():
    async with chatting() as served:
        found = await served.client.chat.completions.create(model="auto", messages=HELLO)
    assert found.object == "chat.completion"
    assert found.id.startswith("chatcmpl-")
    assert found.model == "parrot"
    assert found.system_fingerprint.startswith("fp_")
    assert found.service_tier == "default"
    message = found.choices[0].message
    assert (message.role, message.content, message.refusal, message.tool_calls) == (
        "assistant",
        "hello you",
        None,
        None,
    )
    assert (found.choices[0].finish_reason, found.choices[0].logprobs) == ("stop", None)
    assert (found.usage.prompt_tokens, found.usage.completion_tokens, found.usage.total_tokens) == (3, 2, 5)
    assert found.usage.prompt_tokens_details.cached_tokens == 2
    assert found.usage.completion_tokens_details.reasoning_tokens == 1


async def test_the_answer_has_the_fields_of_the_api_and_no_others():
    async with chatting() as served:
        found = (await served.post(logprobs=True)).json
        strict(found, ChatCompletion)
        strict(found["choices"][0], ChatCompletion.model_fields["choices"].annotation.__args__[0])
        for chunk in (await served.events(stream_options={"include_usage": True}))[:-1]:
            strict(chunk, ChatCompletionChunk)
            ChatCompletionChunk.model_validate(chunk, strict=True)


async def test_headers_say_which_model_answers_and_why():
    async with chatting() as served:
        for stream in (False, True):
            headers = (await served.post(stream=stream)).headers
            assert headers["x-fastembed-model"] == "parrot"
            assert headers["x-fastembed-model-state"] == "pocket"
            assert headers["x-fastembed-route"] == "asked for auto  x: y"  # and begins no header of its own
            assert headers["x-ratelimit-limit-requests"] == "64"


async def test_a_real_model_has_no_state_and_no_route():
    async def answer(request: ChatRequest) -> AsyncIterator[ChatEvent]:
        yield ChatStarted(f"größer-{request.model}")
        yield ChatFinished(0, "stop", 1, 0)

    async with chatting(answer) as served:
        reply = await served.post()
    assert reply.headers["x-fastembed-model"] == r"gr\xf6\xdfer-auto"
    assert not {"x-fastembed-model-state", "x-fastembed-route"} & set(reply.headers)
    assert reply.json["choices"][0]["message"]["content"] == ""


async def test_a_stream_is_role_pieces_reason_done():
    async with chatting() as served:
        *chunks, done = await served.events()
    assert done == "[DONE]"
    assert [chunk["choices"][0]["delta"] for chunk in chunks] == [
        {"role": "assistant", "content": "", "refusal": None},
        {"content": "hello "},
        {"content": "you"},
        {},
    ]
    assert [chunk["choices"][0]["finish_reason"] for chunk in chunks] == [None, None, None, "stop"]
    assert len({chunk["id"] for chunk in chunks}) == 1
    assert {chunk["object"] for chunk in chunks} == {"chat.completion.chunk"}
    assert all("usage" not in chunk for chunk in chunks)


async def test_usage_comes_in_a_chunk_of_its_own_and_is_null_on_the_others():
    async with chatting() as served:
        *chunks, last, done = await served.events(stream_options={"include_usage": True})
    assert done == "[DONE]"
    assert all(chunk["usage"] is None for chunk in chunks)
    assert last["choices"] == []
    assert last["usage"]["total_tokens"] == 5


async def test_obfuscation_makes_events_of_one_length():
    async with chatting() as served:
        reply = await served.post(stream=True, stream_options={"include_obfuscation": True})
        events = await served.events(stream_options={"include_obfuscation": True, "include_usage": True})
    assert {len(event) % 64 for event in reply.body.split(b"data: [DONE]")[0].split(b"data: ")[1:]} == {58}
    assert all(isinstance(event["obfuscation"], str) for event in events[:-1])


async def test_the_client_reads_a_stream_while_it_comes():
    async with chatting() as served:
        pieces = []
        usage = None
        stream = await served.client.chat.completions.create(
            model="auto", messages=HELLO, stream=True, stream_options={"include_usage": True}
        )
        async for chunk in stream:
            pieces += [choice.delta.content for choice in chunk.choices]
            usage = chunk.usage or usage
    assert pieces == ["", "hello ", "you", None]
    assert usage.total_tokens == 5


async def test_several_choices_come_interleaved_and_in_one_piece():
    async with chatting() as served:
        *chunks, _ = await served.events(n=3)
        whole = await served.client.chat.completions.create(model="auto", messages=HELLO, n=3)
    assert [chunk["choices"][0]["index"] for chunk in chunks] == [0, 0, 1, 1, 2, 2, 0, 1, 2, 0, 1, 2]
    assert [(choice.index, choice.message.content) for choice in whole.choices] == [(n, "hello you") for n in range(3)]
    assert whole.usage.completion_tokens == 6


async def test_probabilities_have_openais_shape():
    async with chatting() as served:
        whole = await served.client.chat.completions.create(model="auto", messages=HELLO, logprobs=True, top_logprobs=1)
        *chunks, _ = await served.events(logprobs=True)
    tokens = whole.choices[0].logprobs.content
    assert [(token.token, token.logprob, bytes(token.bytes)) for token in tokens] == [
        ("hello ", -0.5, b"hello "),
        ("you", -0.5, b"you"),
    ]
    top = tokens[0].top_logprobs[0]
    assert (top.token, top.logprob, bytes(top.bytes)) == ("ä", -9999.0, "ä".encode())
    (streamed,) = chunks[1]["choices"][0]["logprobs"]["content"]
    assert "hello " in streamed.values()
    assert chunks[0]["choices"][0]["logprobs"] is None


async def test_calls_come_as_name_then_pieces_of_arguments():
    async with chatting() as served:
        *chunks, _ = await served.events(tools=TOOLS, tool_choice="required")
    deltas = [chunk["choices"][0]["delta"] for chunk in chunks]
    assert deltas[0] == {"role": "assistant", "content": None, "refusal": None}
    calls = [delta["tool_calls"][0] for delta in deltas[1:-1]]
    assert calls[0] == {"index": 0, "id": "call_0", "type": "function", "function": {"name": "first", "arguments": ""}}
    assert calls[1] == {"index": 0, "function": {"arguments": '{"said":'}}
    assert calls[4]["id"] == "call_1"
    assert chunks[-1]["choices"][0]["finish_reason"] == "tool_calls"


async def test_the_client_puts_calls_together_in_both_ways():
    async with chatting() as served:
        whole = await served.client.chat.completions.create(
            model="auto", messages=HELLO, tools=TOOLS, tool_choice={"type": "function", "function": {"name": "second"}}
        )
        async with served.client.chat.completions.stream(
            model="auto", messages=HELLO, tools=TOOLS, tool_choice="required"
        ) as stream:
            streamed = await stream.get_final_completion()
    for found in (whole, streamed):
        message = found.choices[0].message
        assert (message.content, found.choices[0].finish_reason) == (None, "tool_calls")
        assert [call.function.name for call in message.tool_calls] == ["first", "second"]
        assert {call.function.arguments for call in message.tool_calls} == {'{"said":"hello you"}'}
        assert [call.id for call in message.tool_calls] == ["call_0", "call_1"]


async def test_the_client_parses_an_answer_into_its_own_type():
    async with chatting() as served:
        messages = [{"role": "user", "content": '{"said": "so"}'}]
        found = await served.client.chat.completions.parse(model="auto", messages=messages, response_format=Said)
    assert found.choices[0].message.parsed == Said(said="so")


async def test_reasoning_is_kept_apart():
    async def think(request: ChatRequest) -> AsyncIterator[ChatEvent]:
        yield STARTED
        yield ChatDelta(reasoning=request.messages[0].text[:2])
        yield ChatDelta(reasoning="mm")
        yield ChatDelta(text="4")
        yield ChatFinished(0, "length", 1, 2)

    async with chatting(think) as served:
        whole = await served.client.chat.completions.create(model="auto", messages=HELLO)
        *chunks, _ = await served.events()
    assert (whole.choices[0].message.reasoning_content, whole.choices[0].message.content) == ("hemm", "4")
    assert whole.choices[0].finish_reason == "length"
    assert [chunk["choices"][0]["delta"].get("reasoning_content") for chunk in chunks] == [None, "he", "mm", None, None]


async def test_what_is_said_arrives_byte_for_byte():
    text = 'Zürich 今日は 🎈 "quoted" \\ \u2028 \x00 </script>\n'

    async with chatting() as served:
        stream = await served.client.chat.completions.create(
            model="auto", messages=[{"role": "user", "content": text}], stream=True
        )
        assert "".join([chunk.choices[0].delta.content or "" async for chunk in stream]) == text


@pytest.mark.parametrize("stream", [False, True])
async def test_a_bad_request_is_a_400_before_anything_runs(stream):
    async with chatting() as served:
        with pytest.raises(openai.BadRequestError) as caught:
            await served.client.chat.completions.create(
                model="auto", messages=[{"role": "user", "content": [{"type": "smell"}]}], stream=stream
            )
        assert served.pipeline.stats.admitted == 0
    assert (caught.value.param, caught.value.type) == ("messages[0].content[0].type", "invalid_request_error")


@pytest.mark.parametrize("stream", [False, True])
async def test_an_error_before_the_first_event_is_a_status(stream):
    async def full(request: ChatRequest) -> AsyncIterator[ChatEvent]:
        raise Overloaded(f"found no room for {request.model}", retry_after_s=2.5)
        yield

    async with chatting(full) as served:
        reply = await served.post(stream=stream)
    assert reply.status == 429
    assert reply.headers["retry-after-ms"] == "2500"
    assert reply.error["type"] == "rate_limit_error"


async def breaks(request: ChatRequest) -> AsyncIterator[ChatEvent]:
    yield STARTED
    yield ChatDelta(text=request.model)
    raise Unavailable("the engine failed", retry_after_s=1)


async def test_an_error_after_the_first_event_is_an_event_then_the_end():
    async with chatting(breaks) as served:
        *_, piece, error = await served.events()
        assert piece["choices"][0]["delta"] == {"content": "auto"}
        assert error == {"error": {"message": "the engine failed", "type": "server_error", "param": None, "code": None}}
        stream = await served.client.chat.completions.create(model="auto", messages=HELLO, stream=True)
        with pytest.raises(openai.APIError, match="the engine failed"):
            [chunk async for chunk in stream]


async def test_an_error_in_the_middle_of_an_answer_in_one_piece_is_a_status():
    async with chatting(breaks) as served:
        reply = await served.post()
    assert (reply.status, reply.error["message"]) == (503, "the engine failed")


@pytest.mark.parametrize("stream", [False, True])
async def test_a_pipeline_that_leaves_the_answer_unfinished_is_an_internal_error(stream, caplog):
    async def stops_short(request: ChatRequest) -> AsyncIterator[ChatEvent]:
        yield STARTED
        yield ChatDelta(text=request.model)

    with caplog.at_level(logging.ERROR):
        async with chatting(stops_short) as served:
            reply = await served.post(stream=stream)
    assert (reply.status, b"internal error" in reply.body) == (200 if stream else 500, True)
    assert b"[DONE]" not in reply.body
    assert "found 0 finished choices, expected 1" in caplog.text


@pytest.mark.parametrize("stream", [False, True])
async def test_a_pipeline_that_answers_with_something_else_is_an_internal_error(stream, caplog):
    def shout(request: ChatRequest) -> str:
        return request.model.upper()

    with caplog.at_level(logging.ERROR):
        async with chatting(shout) as served:
            assert (await served.post(stream=stream)).status == 500
    assert "found a result of str, expected events of a chat" in caplog.text


@pytest.mark.parametrize("stream", [False, True])
async def test_a_client_that_leaves_cancels_the_answer(stream):
    leave, ended = asyncio.Event(), asyncio.Event()

    async def endless(item: Item[ChatRequest]) -> AsyncIterator[ChatEvent]:
        try:
            yield STARTED
            for said in itertools.count():
                yield ChatDelta(text=item.value.model)
                await asyncio.sleep(0)
                if said == 100:
                    leave.set()
        finally:
            ended.set()

    body = {"model": "auto", "messages": HELLO, "stream": stream}
    async with chatting(endless) as served, asyncio.timeout(5):
        reply = await call(served.app, "POST", CHAT, body=body, leave=leave)
        await ended.wait()
    assert reply.status == (200 if stream else 0)
    assert b"[DONE]" not in reply.body


def test_a_stream_that_waits_says_so_and_one_that_talks_does_not():
    async def slow(request: ChatRequest) -> AsyncIterator[ChatEvent]:
        yield STARTED
        await asyncio.sleep(40)
        for _ in range(4):
            yield ChatDelta(text=request.model)
            await asyncio.sleep(10)
        yield ChatFinished(0, "stop", 1, 4)

    async def talk() -> bytes:
        async with chatting(slow) as served:
            return (await served.post(stream=True)).body

    before, _, after = run_virtual(talk()).partition(b"data: ")
    assert before == b": keep-alive\n\n" * 2
    assert b": keep-alive" not in after


async def test_what_the_models_engine_refuses_names_the_field():
    async def refuse(request: ChatRequest) -> AsyncIterator[ChatEvent]:
        raise InvalidInput(f"{request.model} reads text only", param="messages[0].content", code="unsupported_content")
        yield

    async with chatting(refuse) as served:
        with pytest.raises(openai.BadRequestError) as caught:
            await served.client.chat.completions.create(model="auto", messages=HELLO)
    assert (caught.value.param, caught.value.code) == ("messages[0].content", "unsupported_content")
