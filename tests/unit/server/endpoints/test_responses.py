"""POST /v1/responses and what is stored of it: items in, events out, as OpenAI's clients and others need them."""

from __future__ import annotations

import asyncio
import base64
import io
import itertools

import numpy as np
import openai
import orjson
import pytest
from PIL import Image

from fastembed.pipeline.errors import InvalidInput, Unavailable
from fastembed.pipeline.item import Item
from fastembed.pipeline.payload.chat import ChatDelta, ChatFinished, ChatRequest, ImagePart
from fastembed.server.endpoints import conversations, responses
from tests.unit.server.asgi import call
from tests.unit.server.chatting import STARTED, chatting, parrot

PATH = "/v1/responses"
WIRES = (responses, conversations)
WEATHER = {
    "type": "function",
    "name": "get_weather",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
}
CALL = {"type": "function_call", "call_id": "c1", "name": "get_weather", "arguments": "{}"}
OUTPUT = {"type": "function_call_output", "call_id": "c1", "output": "sunny"}
OTHER = {**CALL, "call_id": "c2"}
SAID = {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "I look."}]}


def picture() -> str:
    out = io.BytesIO()
    Image.fromarray(np.zeros((2, 3, 3), np.uint8)).save(out, "PNG")
    return "data:image/png;base64," + base64.b64encode(out.getvalue()).decode()


@pytest.fixture
async def chat(tmp_path):
    async with chatting(wires=WIRES, store=tmp_path) as served:
        yield served


@pytest.fixture
async def asked(tmp_path):
    """Yield the requests that reached the pipeline, and a way to send some."""
    seen = []

    async def answer(item: Item[ChatRequest]):
        seen.append(item.value)
        async for event in parrot(item):
            yield event

    async with chatting(answer, wires=WIRES, store=tmp_path) as served:
        yield served, seen


async def create(chat, **body):
    return await call(chat.app, "POST", PATH, body={"model": "auto", "input": "hello you", **body})


async def events(chat, path=PATH, **body):
    """Return the events of a stream; each says its type twice and its number once."""
    if body:
        found = await create(chat, stream=True, **body)
    else:
        found = await call(chat.app, "GET", path)
    assert found.status == 200, found.body
    read = []
    for block in found.body.decode().split("\n\n")[:-1]:
        name, data = block.split("\n")
        one = orjson.loads(data.removeprefix("data: "))
        assert name == f"event: {one['type']}"
        read.append(one)
    return read


def kinds(found):
    """Return the types of events, repeated deltas once."""
    return [name for name, _ in itertools.groupby(one["type"].removeprefix("response.") for one in found)]


async def test_a_response_has_every_field_that_a_client_needs(chat):
    found = (await create(chat, metadata={"a": "b"}, instructions="be brief")).json
    assert found["object"] == "response"
    assert found["status"] == "completed"
    assert found["model"] == "parrot"
    assert found["metadata"] == {"a": "b"}
    assert found["instructions"] == "be brief"
    assert found["error"] is found["incomplete_details"] is None
    assert found["usage"] == {
        "input_tokens": 3,
        "input_tokens_details": {"cached_tokens": 2},
        "output_tokens": 2,
        "output_tokens_details": {"reasoning_tokens": 1},
        "total_tokens": 5,
    }
    (message,) = found["output"]
    assert (message["type"], message["role"], message["status"]) == ("message", "assistant", "completed")
    assert message["content"] == [{"type": "output_text", "text": "hello you", "annotations": [], "logprobs": []}]
    assert isinstance(found["created_at"], int)
    assert (found["tools"], found["tool_choice"], found["parallel_tool_calls"]) == ([], "auto", True)


async def test_a_stream_has_openais_events_in_their_order_and_numbers_without_gaps(chat):
    found = await events(chat, input="hello you")
    assert kinds(found) == [
        "created",
        "in_progress",
        "output_item.added",
        "content_part.added",
        "output_text.delta",
        "output_text.done",
        "content_part.done",
        "output_item.done",
        "completed",
    ]
    assert [one["sequence_number"] for one in found] == list(range(len(found)))
    assert found[0]["response"]["output"] == []
    last = found[-1]["response"]
    assert len({one["response"]["id"] for one in found if "response" in one}) == 1
    assert "".join(one["delta"] for one in found if one["type"].endswith("text.delta")) == "hello you"
    assert last["output"][0]["content"][0]["text"] == "hello you"
    assert last["output"][0]["id"] == found[2]["item"]["id"]


async def test_the_official_client_accumulates_the_stream(chat):
    async with chat.client.responses.stream(model="auto", input="say this") as stream:
        async for _ in stream:
            pass
        assert (await stream.get_final_response()).output_text == "say this"


async def test_calls_stream_their_arguments_and_end_with_all_of_them(chat):
    found = await events(chat, input="x", tools=[WEATHER, {**WEATHER, "name": "other"}], tool_choice="required")
    assert kinds(found)[2:] == [
        "output_item.added",
        "function_call_arguments.delta",
        "function_call_arguments.done",
        "output_item.done",
        "output_item.added",
        "function_call_arguments.delta",
        "function_call_arguments.done",
        "output_item.done",
        "completed",
    ]
    first, second = found[-1]["response"]["output"]
    assert (first["name"], first["call_id"], first["arguments"], first["status"]) == (
        "get_weather",
        "call_0",
        '{"said":"x"}',
        "completed",
    )
    assert (second["name"], second["call_id"]) == ("other", "call_1")


async def patches(item: Item[ChatRequest]):
    (tool,) = item.value.tools
    yield STARTED
    yield ChatDelta(tool_index=0, tool_id="c", tool_name=tool.name, tool_arguments='{"input":"*** ')
    yield ChatDelta(tool_index=0, tool_arguments='Begin"}')
    yield ChatFinished(0, "tool_calls", 1, 1)


async def test_a_custom_tool_gets_text_and_its_grammar_is_told(tmp_path):
    grammar = {"type": "grammar", "syntax": "lark", "definition": "start: /x/"}
    tool = {"type": "custom", "name": "patch", "description": "Edit.", "format": grammar}
    async with chatting(patches, wires=WIRES, store=tmp_path) as chat:
        found = await events(chat, input="x", tools=[tool], tool_choice={"type": "custom", "name": "patch"})
        first = found[-1]["response"]
        output = {"type": "custom_tool_call_output", "call_id": "c", "output": "done"}
        second = await create(chat, input=[output], tools=[tool], previous_response_id=first["id"])
        assert second.status == 200, second.body
    assert kinds(found)[2:] == [
        "output_item.added",
        "custom_tool_call_input.delta",
        "custom_tool_call_input.done",
        "output_item.done",
        "completed",
    ]
    assert first["tools"] == [tool]
    call_ = first["output"][0]
    assert (call_["type"], call_["name"], call_["input"], call_["call_id"]) == (
        "custom_tool_call",
        "patch",
        "*** Begin",
        "c",
    )


async def thinks(_):
    yield STARTED
    yield ChatDelta(reasoning="hm ")
    yield ChatDelta(reasoning="so")
    yield ChatDelta(text="yes")
    yield ChatFinished(0, "stop", 1, 2, reasoning_tokens=2)


@pytest.mark.parametrize(
    ("summary", "text", "field"),
    [(None, "reasoning_text", "content"), ("auto", "reasoning_summary_text", "summary")],
)
async def test_what_a_model_thinks_is_an_item_before_the_message(tmp_path, summary, text, field):
    async with chatting(thinks, wires=WIRES, store=tmp_path) as chat:
        found = await events(chat, input="x", reasoning={"effort": "low", "summary": summary})
    thought, said = found[-1]["response"]["output"]
    assert thought["type"] == "reasoning"
    assert thought[field][0]["text"] == "hm so"
    assert said["content"][0]["text"] == "yes"
    assert f"response.{text}.delta" in {one["type"] for one in found}
    assert kinds(found).index(f"{text}.done") < kinds(found).index("output_text.delta")


async def cut(_):
    yield STARTED
    yield ChatDelta(text="he")
    yield ChatFinished(0, "length", 1, 1)


async def test_an_answer_that_the_limit_cuts_is_incomplete(tmp_path):
    async with chatting(cut, wires=WIRES, store=tmp_path) as chat:
        found = await events(chat, input="x", max_output_tokens=1)
    assert found[-1]["type"] == "response.incomplete"
    assert found[-1]["response"]["incomplete_details"] == {"reason": "max_output_tokens"}
    assert found[-1]["response"]["output"][0]["status"] == "incomplete"


async def test_probabilities_come_where_they_are_included(chat):
    found = await events(chat, input="hello you", include=["message.output_text.logprobs"])
    delta = next(one for one in found if one["type"] == "response.output_text.delta")
    assert delta["logprobs"][0]["logprob"] == -0.5
    assert len(found[-1]["response"]["output"][0]["content"][0]["logprobs"]) == 2


async def breaks(item: Item[ChatRequest]):
    yield STARTED
    yield ChatDelta(text="he")
    if item.value.messages[-1].text == "x":
        raise Unavailable("the engine is gone", retry_after_s=1.0)


async def test_an_error_in_a_stream_is_an_event_that_every_client_notices(tmp_path):
    async with chatting(breaks, wires=WIRES, store=tmp_path) as chat:
        found = await events(chat, input="x")
        with pytest.raises(openai.APIError, match="the engine is gone"):
            async for _ in await chat.client.responses.create(model="auto", input="x", stream=True):
                pass
    failed, error = found[-2:]
    assert failed["type"] == "response.failed"
    assert failed["response"]["status"] == "failed"
    assert failed["response"]["error"]["message"] == "the engine is gone"
    assert error["type"] == "error"
    assert error["message"] == error["error"]["message"] == "the engine is gone"


async def test_items_become_the_turns_of_one_conversation(asked):
    chat, seen = asked
    items = [
        {"role": "user", "content": "weather?"},
        SAID,
        CALL,
        OTHER,
        OUTPUT,
        {**OUTPUT, "call_id": "c2", "output": [{"type": "input_text", "text": "rain"}]},
        {"type": "reasoning", "id": "rs_1", "summary": []},
        {"type": "message", "role": "developer", "content": [{"type": "input_text", "text": "be kind"}]},
        {"role": "user", "content": [{"type": "input_text", "text": "and?"}]},
    ]
    assert (await create(chat, input=items, instructions="first")).status == 200
    messages = seen[0].messages
    assert [message.role for message in messages] == [
        "system",
        "user",
        "assistant",
        "tool",
        "tool",
        "developer",
        "user",
    ]
    assert messages[2].text == "I look."
    assert [call.id for call in messages[2].tool_calls] == ["c1", "c2"]
    assert (messages[4].tool_call_id, messages[4].text) == ("c2", "rain")


async def test_a_picture_that_a_function_returns_is_shown_behind_the_results(asked):
    chat, seen = asked
    shown = [{"type": "input_text", "text": "see"}, {"type": "input_image", "image_url": picture()}]
    items = [{"role": "user", "content": "?"}, CALL, OTHER, {**OUTPUT, "output": shown}, {**OUTPUT, "call_id": "c2"}]
    assert (await create(chat, input=items)).status == 200
    messages = seen[0].messages
    assert [message.role for message in messages] == ["user", "assistant", "tool", "tool", "user"]
    assert messages[2].text == "see"
    assert isinstance(messages[4].parts[0], ImagePart)


@pytest.mark.parametrize(
    ("fields", "param", "message"),
    [
        ({"input": []}, "input", "found an empty list|found no items"),
        ({"input": ""}, "input", "found an empty string"),
        ({"input": 5}, "input", "expected text or a list of items"),
        ({"input": [5]}, "input[0]", "expected an object"),
        ({"input": [{"type": "computer_call"}]}, "input[0].type", "expected one of message"),
        ({"input": [{"role": "boss", "content": "x"}]}, "input[0].role", "expected one of user"),
        ({"input": [{"role": "user", "content": 1}]}, "input[0].content", "expected a string or a list"),
        (
            {"input": [{"role": "user", "content": [{"type": "image_url"}]}]},
            "input[0].content[0].type",
            "expected input_text",
        ),
        (
            {"input": [{"role": "system", "content": [{"type": "input_image", "image_url": "data:"}]}]},
            "input[0].content[0].type",
            "only messages of the user",
        ),
        ({"input": [CALL]}, "input[0]", "found no answer to 'c1'"),
        ({"input": [OUTPUT]}, "input[0].call_id", "found an answer to 'c1'"),
        ({"input": [CALL, CALL, OUTPUT]}, "input[1]", "found two calls"),
        ({"input": [{"id": "msg_1"}]}, "input[0]", "found no item 'msg_1'"),
        ({"tools": [{**WEATHER, "name": "a b"}]}, "tools[0].name", "expected 1 to 64"),
        ({"tools": [WEATHER, WEATHER]}, "tools[1].name", "found a second tool"),
        ({"tool_choice": "required"}, "tool_choice", "when one is required"),
        ({"tool_choice": {"type": "web_search"}}, "tool_choice.type", "no other tools"),
        ({"tools": [WEATHER], "tool_choice": {"type": "function", "name": "x"}}, "tool_choice.name", "get_weather"),
        ({"text": {"format": {"type": "xml"}}}, "text.format.type", "json_schema"),
        ({"background": True, "store": False}, "background", "stored"),
        ({"previous_response_id": "resp_1"}, "previous_response_id", "found no response"),
        ({"conversation": "conv_1"}, "conversation", "found no conversation"),
        ({"conversation": "c", "previous_response_id": "r"}, "conversation", "one of them"),
        ({"prompt": {"id": "p"}}, "prompt", "no prompt templates"),
        ({"truncation": "middle"}, "truncation", "auto"),
        ({"temprature": 1}, "temprature", "temperature"),
        ({"max_output_tokens": 0}, "max_output_tokens", "at least 1"),
        ({"metadata": {"a": 1}}, "metadata.a", "a string"),
    ],
)
async def test_a_bad_field_is_named_with_what_was_found(chat, fields, param, message):
    found = await create(chat, **fields)
    assert found.status in (400, 404), found.body
    assert found.error["param"] == param
    assert any(part in found.error["message"] for part in message.split("|"))


async def test_explicit_nulls_are_as_if_they_were_absent(chat):
    names = (name for name in responses.CREATE.fields if name not in ("input", "model"))
    assert (await create(chat, **dict.fromkeys(names))).status == 200


async def test_tools_that_openai_runs_itself_are_left_out_and_reported(asked):
    chat, seen = asked
    found = await create(chat, tools=[WEATHER, {"type": "web_search"}])
    assert [tool.name for tool in seen[0].tools] == ["get_weather"]
    assert "web_search" in found.headers["x-fastembed-warning"]


async def test_a_response_goes_on_from_the_ones_before_it(asked):
    chat, seen = asked
    first = (await create(chat, input="one", instructions="only here")).json
    second = (await create(chat, input="two", previous_response_id=first["id"])).json
    await create(chat, input="three", previous_response_id=second["id"])
    assert [message.text for message in seen[2].messages] == ["one", "one", "two", "two", "three"]
    items = (await call(chat.app, "GET", f"{PATH}/{second['id']}/input_items?order=asc")).json
    assert [item["content"][0]["text"] for item in items["data"]] == ["one", "one", "two"]
    assert items["has_more"] is False


async def test_an_item_can_be_referred_to_by_its_id(asked):
    chat, seen = asked
    first = (await create(chat, input="one")).json
    items = [{"role": "user", "content": "one"}, {"type": "item_reference", "id": first["output"][0]["id"]}]
    assert (await create(chat, input=[*items, {"role": "user", "content": "two"}])).status == 200
    assert [message.role for message in seen[1].messages] == ["user", "assistant", "user"]


async def test_what_is_not_to_be_stored_is_not(chat):
    first = (await create(chat, store=False)).json
    assert first["store"] is False
    assert (await call(chat.app, "GET", f"{PATH}/{first['id']}")).status == 404


async def test_a_server_that_stores_nothing_answers_all_the_same():
    async with chatting(wires=WIRES) as chat:
        assert (await create(chat)).status == 200
        found = await create(chat, previous_response_id="resp_1")
        assert "stores no conversations" in found.error["message"]
        assert (await create(chat, background=True)).error["param"] == "background"


async def test_a_stored_response_is_shown_streamed_again_and_deleted(chat):
    streamed = await events(chat, input="one two three")
    id_ = streamed[0]["response"]["id"]
    shown = (await call(chat.app, "GET", f"{PATH}/{id_}")).json
    assert shown == streamed[-1]["response"]
    again = await events(chat, f"{PATH}/{id_}?stream=true")
    assert [(one["type"], one["sequence_number"]) for one in again] == [
        (one["type"], one["sequence_number"]) for one in streamed
    ]
    rest = await events(chat, f"{PATH}/{id_}?stream=true&starting_after=5")
    assert [one["sequence_number"] for one in rest] == list(range(6, len(streamed)))
    assert rest[0]["delta"] == streamed[6]["delta"]
    gone = (await call(chat.app, "DELETE", f"{PATH}/{id_}")).json
    assert gone == {"id": id_, "object": "response", "deleted": True}
    assert (await call(chat.app, "GET", f"{PATH}/{id_}")).status == 404
    assert (await call(chat.app, "GET", f"{PATH}/{id_}?stream=true&starting_after=x")).status == 400


class Slow:
    """Answers with `one`, and, when it may go on, with ` two`."""

    def __init__(self) -> None:
        self.go_on = asyncio.Event()
        self.ended = asyncio.Event()

    async def answer(self):
        try:
            yield STARTED
            yield ChatDelta(text="one")
            await self.go_on.wait()
            yield ChatDelta(text=" two")
            yield ChatFinished(0, "stop", 1, 2)
        finally:
            self.ended.set()


async def polled(chat, id_, *, until):
    for _ in range(1000):
        found = (await call(chat.app, "GET", f"{PATH}/{id_}")).json
        if found["status"] in until:
            return found
        await asyncio.sleep(0.001)
    raise AssertionError(found)


async def test_a_background_response_is_polled_followed_and_found_complete(tmp_path):
    slow = Slow()

    async def answer(_):
        async for event in slow.answer():
            yield event

    async with chatting(answer, wires=WIRES, store=tmp_path) as chat:
        queued = (await create(chat, background=True)).json
        assert (queued["status"], queued["background"], queued["output"]) == ("queued", True, [])
        await polled(chat, queued["id"], until=("in_progress",))
        following = asyncio.create_task(events(chat, f"{PATH}/{queued['id']}?stream=true"))
        await asyncio.sleep(0)
        slow.go_on.set()
        followed = await following
        assert kinds(followed)[:3] == ["created", "queued", "in_progress"]
        assert followed[-1]["response"]["output"][0]["content"][0]["text"] == "one two"
        done = await polled(chat, queued["id"], until=("completed",))
        assert done["output"] == followed[-1]["response"]["output"]
        again = await events(chat, f"{PATH}/{queued['id']}?stream=true&starting_after=4")
        assert [one["sequence_number"] for one in again] == list(range(5, len(followed)))


async def test_a_background_response_is_cancelled_and_its_place_is_free(tmp_path):
    slow = Slow()

    async def answer(_):
        async for event in slow.answer():
            yield event

    async with chatting(answer, wires=WIRES, store=tmp_path) as chat:
        queued = (await create(chat, background=True)).json
        await polled(chat, queued["id"], until=("in_progress",))
        found = (await call(chat.app, "POST", f"{PATH}/{queued['id']}/cancel")).json
        assert found["status"] == "cancelled"
        await asyncio.wait_for(slow.ended.wait(), 5)
        assert (await call(chat.app, "GET", f"{PATH}/{queued['id']}")).json["status"] == "cancelled"
        again = (await call(chat.app, "POST", f"{PATH}/{queued['id']}/cancel")).json
        assert again["status"] == "cancelled"
        plain = asyncio.create_task(create(chat))
        slow.go_on.set()
        found = await call(chat.app, "POST", f"{PATH}/{(await plain).json['id']}/cancel")
        assert "background: true" in found.error["message"]


async def test_a_background_response_that_fails_says_why(tmp_path):
    async with chatting(breaks, wires=WIRES, store=tmp_path) as chat:
        queued = (await create(chat, background=True, input="x")).json
        found = await polled(chat, queued["id"], until=("failed",))
        assert found["error"] == {"code": "server_error", "message": "the engine is gone"}


async def test_what_a_killed_server_had_begun_has_failed(tmp_path):
    slow = Slow()

    async def answer(_):
        async for event in slow.answer():
            yield event

    async with chatting(answer, wires=WIRES, store=tmp_path) as chat:
        queued = (await create(chat, background=True)).json
        await polled(chat, queued["id"], until=("in_progress",))
        async with chatting(wires=WIRES, store=tmp_path) as other:  # another server on the same folder
            found = (await call(other.app, "GET", f"{PATH}/{queued['id']}")).json
            assert found["status"] == "failed"
            assert "the server stopped" in found["error"]["message"]
        slow.go_on.set()
        await polled(chat, queued["id"], until=("completed",))


async def short(item: Item[ChatRequest]):
    if len(item.value.messages) > 3:
        raise InvalidInput("found 99 tokens in messages", param="messages", code="context_length_exceeded")
    async for event in parrot(item):
        yield event


async def test_truncation_leaves_out_the_oldest_turns_and_keeps_the_instructions(tmp_path):
    turns = [{"role": role, "content": f"{role} {n}"} for n in range(6) for role in ("user", "assistant")]
    asked = {"input": [*turns, {"role": "user", "content": "last"}], "instructions": "stay"}
    async with chatting(short, wires=WIRES, store=tmp_path) as chat:
        found = await create(chat, **asked)
        assert found.error["param"] == "input"
        assert found.error["code"] == "context_length_exceeded"
        found = await create(chat, **asked, truncation="auto")
        assert found.json["output"][0]["content"][0]["text"] == "last"


async def test_responses_add_to_the_conversation_that_they_go_on_with(asked):
    chat, seen = asked
    begun = (await call(chat.app, "POST", "/v1/conversations", body={"metadata": {"a": "b"}})).json
    assert (begun["object"], begun["metadata"]) == ("conversation", {"a": "b"})
    path = f"/v1/conversations/{begun['id']}"
    first = (await create(chat, input="one", conversation=begun["id"])).json
    assert first["conversation"] == {"id": begun["id"]}
    await create(chat, input="two", conversation={"id": begun["id"]})
    assert [message.text for message in seen[1].messages] == ["one", "one", "two"]
    listed = (await call(chat.app, "GET", f"{path}/items?limit=3")).json
    assert [item["content"][0]["text"] for item in listed["data"]] == ["two", "two", "one"]
    assert listed["has_more"] is True
    rest = (await call(chat.app, "GET", f"{path}/items?after={listed['last_id']}")).json
    assert [item["content"][0]["text"] for item in rest["data"]] == ["one"]
    assert rest["has_more"] is False
    removed = await call(chat.app, "DELETE", f"{path}/items/{listed['first_id']}")
    assert removed.json["id"] == begun["id"]
    assert (await call(chat.app, "GET", f"{path}/items/{listed['first_id']}")).status == 404
    assert (await call(chat.app, "GET", f"{path}/items/{listed['last_id']}")).json["id"] == listed["last_id"]
    changed = (await call(chat.app, "POST", path, body={"metadata": {"c": "d"}})).json
    assert (await call(chat.app, "GET", path)).json == changed
    gone = (await call(chat.app, "DELETE", path)).json
    assert gone == {"id": begun["id"], "object": "conversation.deleted", "deleted": True}
    assert (await call(chat.app, "GET", f"{path}/items")).status == 404


async def test_items_can_be_added_to_a_conversation_by_hand(asked):
    chat, seen = asked
    begun = (
        await call(chat.app, "POST", "/v1/conversations", body={"items": [{"role": "user", "content": "hi"}]})
    ).json
    path = f"/v1/conversations/{begun['id']}/items"
    added = (await call(chat.app, "POST", path, body={"items": [CALL, OUTPUT]})).json
    assert [item["type"] for item in added["data"]] == ["function_call", "function_call_output"]
    assert added["has_more"] is False
    await create(chat, input="so?", conversation=begun["id"])
    assert [message.role for message in seen[0].messages] == ["user", "assistant", "tool", "user"]
    refused = await call(chat.app, "POST", path, body={"items": [{"type": "item_reference", "id": "x"}]})
    assert "expected the item itself" in refused.error["message"]
