from __future__ import annotations

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastembed.pipeline.errors import InvalidInput
from fastembed.pipeline.payload.chat import ChatRequest, Message, Sampling, TextPart, Tool, ToolCall
from fastembed.server.endpoints.chat import decode
from fastembed.server.wire.chat.sampling import Delivery
from tests.unit.server.strict import strict

USER = {"role": "user", "content": "hi"}
TOOL = {"type": "function", "function": {"name": "add", "description": "Adds.", "parameters": {"type": "object"}}}
CALL = {"id": "c1", "type": "function", "function": {"name": "add", "arguments": '{"a": 1}'}}
CALLED = {"role": "assistant", "content": None, "tool_calls": [CALL]}
ANSWERED = {"role": "tool", "tool_call_id": "c1", "content": "2"}
DEEP: dict = {"type": "string"}
for _ in range(600):
    DEEP = {"items": DEEP}
SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}}


async def request(**fields) -> ChatRequest:
    found, _ = await decode(strict({"model": "m", "messages": [USER], **fields}))
    return found


async def messages(*given_messages) -> tuple[Message, ...]:
    return (await request(messages=list(given_messages))).messages


def text_of(role: str, text: str, **fields) -> Message:
    return Message(role, (TextPart(text),), **fields)


async def test_the_smallest_request_has_openais_defaults():
    found, delivery = await decode(strict({"model": "m", "messages": [USER]}))
    assert found == ChatRequest(messages=(text_of("user", "hi"),), model="m", sampling=Sampling(), whole=True)
    assert delivery == Delivery(stream=False, usage=False, padded=False, logprobs=False)


@pytest.mark.parametrize(
    ("fields", "continues"),
    [
        ({}, True),
        ({"continue_final_message": False}, False),
        ({"continue_final_message": True, "add_generation_prompt": False}, True),
        ({"add_generation_prompt": True}, False),
    ],
)
async def test_whether_an_answer_goes_on_with_the_last_message_can_be_said(fields, continues):
    assert (await request(**fields)).continues is continues


async def test_biases_of_nought_are_none():
    assert (await request(logit_bias={"5": 0, "6": 0.0})).sampling.logit_bias == {}


async def test_every_sampling_field_is_read():
    found = await request(
        temperature=0,
        top_p=0.5,
        n=3,
        stop=["a", "b"],
        seed=-7,
        max_completion_tokens=9,
        frequency_penalty=-2,
        presence_penalty=2,
        logit_bias={"50": -100, "7": 1.5},
        logprobs=True,
        top_logprobs=20,
    )
    assert found.count == 3
    assert found.sampling == Sampling(
        temperature=0.0,
        top_p=0.5,
        max_tokens=9,
        stop=("a", "b"),
        seed=-7,
        frequency_penalty=-2.0,
        presence_penalty=2.0,
        logit_bias={50: -100.0, 7: 1.5},
        logprobs=True,
        top_logprobs=20,
    )


async def test_fields_of_local_servers_reach_the_engine():
    found = await request(top_k=40, min_p=0.05, repetition_penalty=1.1, ignore_eos=True, seed=-1)
    assert found.sampling == Sampling(top_k=40, min_p=0.05, repetition_penalty=1.1, ignore_eos=True)
    assert (await request(top_k=-1, repeat_penalty=1.2)).sampling == Sampling(top_k=0, repetition_penalty=1.2)
    thinking = {"enable_thinking": False, "budget": [1, None]}
    assert (await request(chat_template_kwargs=thinking)).template == thinking


@pytest.mark.parametrize("name", ["max_tokens", "max_completion_tokens"])
async def test_a_limit_of_minus_one_is_none_and_whole_numbers_may_have_a_point(name):
    assert (await request(**{name: -1})).sampling.max_tokens is None
    found = (await request(**{name: 4.0, "top_k": 3.0, "n": 2.0})).sampling.max_tokens
    assert (found, type(found)) == (4, int)


@pytest.mark.parametrize("name", ["max_tokens", "max_completion_tokens"])
async def test_both_spellings_limit_the_answer(name):
    assert (await request(**{name: 5})).sampling.max_tokens == 5


async def test_one_stop_string_is_as_good_as_a_list():
    assert (await request(stop="END")).sampling.stop == ("END",)


async def test_our_preferences_and_the_effort_reach_the_engine():
    found = await request(
        modality_routing="force_text", npu_priority="high", model_fallback=False, reasoning_effort="low"
    )
    assert (found.modality_routing, found.npu_priority) == ("force_text", "high")
    assert (found.model_fallback, found.reasoning_effort) == (False, "low")


async def test_fields_without_effect_are_checked_and_accepted():
    await request(
        metadata={"a": "b"},
        store=True,
        user="u",
        safety_identifier="s",
        prompt_cache_key="k",
        prompt_cache_retention="24h",
        service_tier="priority",
        verbosity="low",
        modalities=["text"],
        prediction={"type": "content", "content": "guess"},
    )


async def test_null_is_as_good_as_absent():
    optional = ("temperature", "top_p", "n", "stop", "seed", "max_tokens", "max_completion_tokens", "logit_bias",
                "logprobs", "top_logprobs", "tools", "tool_choice", "response_format", "stream", "stream_options",
                "metadata", "modalities", "reasoning_effort", "audio", "web_search_options", "functions")  # fmt: skip
    assert await request(**dict.fromkeys(optional)) == await request()


async def test_delivery_is_read():
    body = {"model": "m", "messages": [USER], "stream": True, "logprobs": True}
    _, delivery = await decode(strict({**body, "stream_options": {"include_usage": True, "include_obfuscation": True}}))
    assert delivery == Delivery(stream=True, usage=True, padded=True, logprobs=True)


async def test_every_role_is_read():
    found = await messages(
        {"role": "system", "content": "s"},
        {"role": "developer", "content": [{"type": "text", "text": "d"}]},
        {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}], "name": "Ann"},
        CALLED,
        ANSWERED,
        {"role": "assistant", "content": "done", "refusal": None, "annotations": [], "audio": None},
    )
    assert found == (
        text_of("system", "s"),
        text_of("developer", "d"),
        Message("user", (TextPart("a"), TextPart("b")), name="Ann"),
        Message("assistant", (), tool_calls=(ToolCall("c1", "add", '{"a": 1}'),)),
        text_of("tool", "2", tool_call_id="c1"),
        text_of("assistant", "done"),
    )


async def test_a_refusal_sent_back_is_what_was_said():
    found = await messages(USER, {"role": "assistant", "content": None, "refusal": "no"}, USER)
    assert found[1].text == "no"


async def test_answers_to_parallel_calls_may_come_in_any_order():
    both = {**CALLED, "tool_calls": [CALL, {**CALL, "id": "c2"}]}
    found = await messages(USER, both, {**ANSWERED, "tool_call_id": "c2"}, ANSWERED)
    assert [message.tool_call_id for message in found] == [None, None, "c2", "c1"]


async def test_tools_and_the_choice_among_them():
    found = await request(tools=[TOOL], tool_choice="required", parallel_tool_calls=False)
    assert found.tools == (Tool("add", "Adds.", {"type": "object"}),)
    assert (found.tool_choice, found.named_tool, found.parallel_tool_calls) == ("required", False, False)
    named = await request(tools=[TOOL], tool_choice={"type": "function", "function": {"name": "add"}})
    assert (named.tool_choice, named.named_tool) == ("add", True)
    assert (await request(tools=[TOOL])).tool_choice == "auto"


async def test_a_choice_of_allowed_tools_leaves_only_those():
    other = {"type": "function", "function": {"name": "other", "strict": True}}
    allowed = {"mode": "required", "tools": [{"type": "function", "function": {"name": "other"}}]}
    found = await request(tools=[TOOL, other], tool_choice={"type": "allowed_tools", "allowed_tools": allowed})
    assert found.tools == (Tool("other", strict=True),)
    assert (found.tool_choice, found.named_tool) == ("required", False)


@pytest.mark.parametrize(
    ("form", "read"),
    [
        ({"type": "text"}, None),
        ({"type": "json_object"}, "object"),
        ({"type": "json_schema", "json_schema": {"name": "n", "schema": SCHEMA, "strict": True}}, SCHEMA),
        ({"type": "json_schema", "json_schema": {"name": "n"}}, "object"),
        ({"type": "json_schema", "schema": SCHEMA}, SCHEMA),
        ({"type": "json_object", "schema": SCHEMA}, SCHEMA),
    ],
)
async def test_every_form_of_an_answer_is_read(form, read):
    assert (await request(response_format=form)).json == read


@pytest.mark.parametrize("name", ["guided_json", "json_schema"])
async def test_a_schema_in_the_field_of_another_local_server_binds(name):
    assert (await request(**{name: SCHEMA})).json == SCHEMA
    assert (await request(**{name: json.dumps(SCHEMA)})).json == SCHEMA
    assert (await request(**{name: {}, "response_format": {"type": "text"}})).json == "object"


@pytest.mark.parametrize(
    ("fields", "param", "code", "message"),
    [
        ({"max_tokens": -2}, "max_tokens", "integer_below_min_value", "found -2, expected at least 1"),
        ({"max_tokens": 4.5}, "max_tokens", "invalid_type", r"found 4\.5, expected a whole number"),
        ({"max_tokens": 1e300}, "max_tokens", "integer_above_max_value", "expected at most 2147483647"),
        ({"max_tokens": -1, "max_completion_tokens": -1}, "max_tokens", None, "expected one of them"),
        ({"top_k": -2}, "top_k", "integer_below_min_value", "found -2"),
        ({"min_p": 1.1}, "min_p", "decimal_above_max_value", r"found 1\.1"),
        ({"repetition_penalty": 0}, "repetition_penalty", "decimal_below_min_value", r"expected at least 0\.01"),
        ({"repetition_penalty": 1, "repeat_penalty": 1}, "repeat_penalty", None, "expected one of them"),
        ({"guided_json": "{"}, "guided_json", "invalid_value", "found '{', expected a JSON Schema"),
        ({"guided_json": 5}, "guided_json", "invalid_type", "found 5, expected a JSON Schema"),
        (
            {"guided_json": SCHEMA, "response_format": {"type": "json_object"}},
            "guided_json",
            None,
            "expected one of them",
        ),
        (
            {"chat_template_kwargs": {"messages": []}},
            "chat_template_kwargs.messages",
            None,
            "found messages, which the server sets",
        ),
        ({"chat_template_kwargs": DEEP}, "chat_template_kwargs", None, "nested deeper than 64"),
        ({"chat_template_kwargs": {"a": "x" * 70_000}}, "chat_template_kwargs", None, "expected at most 65536"),
        ({"model": None}, "model", "missing_required_parameter", "found no model"),
        ({"model": ""}, "model", "invalid_value", "found an empty string"),
        ({"messages": None}, "messages", "missing_required_parameter", "found no messages"),
        ({"messages": []}, "messages", "empty_array", "found an empty list"),
        ({"messages": "hi"}, "messages", "invalid_type", "found 'hi', expected a list of messages"),
        (
            {"messages": [USER] * 2049},
            "messages",
            "array_above_max_length",
            "found 2049 entries, expected at most 2048",
        ),
        ({"temprature": 1}, "temprature", "unknown_parameter", "did you mean temperature?"),
        ({"temperature": 2.1}, "temperature", "decimal_above_max_value", r"found 2\.1, expected at most 2"),
        ({"temperature": -1}, "temperature", "decimal_below_min_value", "found -1, expected at least 0"),
        ({"temperature": "1"}, "temperature", "invalid_type", "found '1', expected a number from 0 to 2"),
        ({"temperature": True}, "temperature", "invalid_type", "found true"),
        ({"top_p": 1.01}, "top_p", "decimal_above_max_value", r"found 1\.01"),
        ({"n": 0}, "n", "integer_below_min_value", "found 0, expected at least 1"),
        ({"n": 129}, "n", "integer_above_max_value", "expected at most 128"),
        ({"n": 1.5}, "n", "invalid_type", r"found 1\.5, expected a whole number"),
        ({"seed": "x"}, "seed", "invalid_type", "found 'x'"),
        ({"max_tokens": 0}, "max_tokens", "integer_below_min_value", "expected at least 1"),
        ({"max_tokens": 1, "max_completion_tokens": 1}, "max_tokens", None, "expected one of them"),
        ({"stop": ["a"] * 5}, "stop", "array_above_max_length", "found 5 strings, expected at most 4"),
        ({"stop": ["a", 1]}, "stop", "invalid_type", "found a list, expected a string or up to 4 strings"),
        ({"stop": ""}, "stop", "invalid_value", "found an empty string"),
        ({"logit_bias": [1]}, "logit_bias", "invalid_type", "found a list, expected an object"),
        ({"logit_bias": {"a": 1}}, "logit_bias", "invalid_value", "found the key 'a', expected token ids"),
        ({"logit_bias": {"1": 101}}, "logit_bias.1", "decimal_above_max_value", "found 101, expected at most 100"),
        ({"top_logprobs": 1}, "top_logprobs", None, "without logprobs: true"),
        ({"logprobs": True, "top_logprobs": 21}, "top_logprobs", "integer_above_max_value", "at most 20"),
        ({"stream": "yes"}, "stream", "invalid_type", "found 'yes', expected true or false"),
        ({"stream_options": {}}, "stream_options", None, "without stream: true"),
        ({"stream": True, "stream_options": {"usage": 1}}, "stream_options.usage", "unknown_parameter", "usage"),
        ({"response_format": {"type": "xml"}}, "response_format.type", "invalid_value", "found 'xml', expected one of"),
        ({"response_format": {}}, "response_format.type", "missing_required_parameter", "found no type"),
        ({"response_format": "json_object"}, "response_format", "invalid_type", "found a string, expected an object"),
        (
            {
                "response_format": {
                    "type": "json_schema",
                    "json_schema": {"name": "n", "strict": True, "schema": {"items": {"multipleOf": 2}}},
                }
            },
            "response_format.json_schema.schema",
            "invalid_json_schema",
            "found a strict schema with 'multipleOf', which cannot be enforced",
        ),
        (
            {"response_format": {"type": "json_schema", "schema": DEEP}},
            "response_format.schema",
            "invalid_json_schema",
            "found a JSON Schema nested deeper than 64, expected less",
        ),
        (
            {"tools": [{"type": "function", "function": {"name": "n", "parameters": DEEP}}]},
            "tools[0].function.parameters",
            "invalid_json_schema",
            "found a JSON Schema nested deeper than 64, expected less",
        ),
        (
            {"response_format": {"type": "json_schema"}},
            "response_format.json_schema",
            "missing_required_parameter",
            "found no json_schema",
        ),
        (
            {"response_format": {"type": "json_schema", "json_schema": {"schema": {}}}},
            "response_format.json_schema.name",
            "missing_required_parameter",
            "found no name",
        ),
        (
            {"response_format": {"type": "json_schema", "json_schema": {"name": "a b", "schema": {}}}},
            "response_format.json_schema.name",
            "invalid_value",
            "found 'a b', expected 1 to 64 of",
        ),
        ({"tools": []}, "tools", "empty_array", "found an empty list, expected a list of tools"),
        ({"tools": [TOOL] * 2}, "tools[1].function.name", None, "found a second tool 'add'"),
        ({"tools": [{"type": "custom"}]}, "tools[0].type", "invalid_value", "found 'custom', expected one of function"),
        ({"tools": [{"type": "function"}]}, "tools[0].function", "missing_required_parameter", "found no function"),
        ({"tool_choice": "required"}, "tool_choice", "invalid_value", "expected tools when one of them is required"),
        ({"tools": [TOOL], "tool_choice": "any"}, "tool_choice", "invalid_value", "found 'any', expected none, auto"),
        (
            {"tools": [TOOL], "tool_choice": {"type": "function", "function": {"name": "sub"}}},
            "tool_choice.function.name",
            "invalid_value",
            "found 'sub', expected one of the tools: add",
        ),
        ({"functions": [{}]}, "functions", "unsupported_parameter", "expected tools and tool_choice"),
        ({"modalities": ["text", "audio"]}, "modalities[1]", "unsupported_value", "found 'audio'"),
        ({"audio": {}}, "audio", "unsupported_parameter", "answers are text"),
        ({"metadata": {"a": 1}}, "metadata.a", "invalid_type", "found 1, expected a string"),
        ({"metadata": {str(n): "" for n in range(17)}}, "metadata", "object_above_max_properties", "found 17 pairs"),
        ({"modality_routing": "never"}, "modality_routing", "invalid_value", "force_multimodal"),
        ({"npu_priority": 1}, "npu_priority", "invalid_value", "found 1, expected one of high, normal, low"),
        ({"model_fallback": "no"}, "model_fallback", "invalid_type", "found 'no'"),
        ({"reasoning_effort": "huge"}, "reasoning_effort", "invalid_value", "expected one of none, minimal"),
        ({"service_tier": "gold"}, "service_tier", "invalid_value", "found 'gold'"),
    ],
)
async def test_a_bad_field_is_named_with_what_was_found(fields, param, code, message):
    with pytest.raises(InvalidInput, match=message) as caught:
        await request(**fields)
    assert (caught.value.param, caught.value.code) == (param, code)


@pytest.mark.parametrize(
    ("turns", "param", "message"),
    [
        (["hi"], "messages[0]", "found a string, expected an object"),
        ([{"content": "hi"}], "messages[0].role", "found no role"),
        ([{"role": "function", "content": "x"}], "messages[0].role", "found 'function', expected one of system"),
        ([USER, {"role": "user"}], "messages[1].content", "found no content"),
        ([{"role": "user", "content": []}], "messages[0].content", "found an empty list"),
        ([{"role": "user", "content": 5}], "messages[0].content", "found 5, expected a string or a list of parts"),
        ([{"role": "user", "content": ["x"]}], "messages[0].content[0]", "found a string, expected an object"),
        ([{"role": "user", "content": [{}]}], "messages[0].content[0].type", "found no type"),
        ([{"role": "user", "content": [{"type": "smell"}]}], "messages[0].content[0].type", "found 'smell'"),
        ([{"role": "user", "content": [{"type": "text"}]}], "messages[0].content[0].text", "found no text"),
        (
            [{"role": "user", "content": [{"type": "video_url", "video_url": {"url": "x"}}]}],
            "messages[0].content[0].video_url.url",
            r"expected data:video/\.\.\.;base64,\.\.\. or an http\(s\) URL",
        ),
        (
            [{"role": "user", "content": [{"type": "input_image", "image_url": "x"}]}],
            "messages[0].content[0].type",
            "expected text, image_url, image_file, video_url, input_audio, audio or file",
        ),
        (
            [{"role": "system", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}],
            "messages[0].content[0].type",
            "only messages of the role user carry other parts, this one is of system",
        ),
        ([ANSWERED], "messages[0].tool_call_id", "found an answer to 'c1', expected one to a call"),
        ([CALLED, USER], "messages[0].tool_calls[0]", "found no answer to 'c1'"),
        ([CALLED], "messages[0].tool_calls[0]", "found no answer to 'c1'"),
        ([{**ANSWERED, "tool_call_id": ""}], "messages[0].tool_call_id", "found an empty string"),
        ([{**CALLED, "tool_calls": []}], "messages[0].tool_calls", "found an empty list"),
        ([{**CALLED, "tool_calls": [CALL, CALL]}], "messages[0].tool_calls[1]", "found two calls with the id"),
        (
            [{**CALLED, "tool_calls": [{**CALL, "function": {"name": "f", "arguments": {}}}]}],
            "messages[0].tool_calls[0].function.arguments",
            "found an object, expected a string",
        ),
    ],
)
async def test_a_bad_message_is_named_with_its_place(turns, param, message):
    with pytest.raises(InvalidInput, match=message) as caught:
        await messages(*turns)
    assert caught.value.param == param


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
NAMES = ("model", "messages", "tools", "tool_choice", "response_format", "stop", "logit_bias", "stream_options", "n",
         "metadata", "modalities", "prediction")  # fmt: skip
TURN = st.fixed_dictionaries(
    {"role": st.sampled_from(["user", "assistant", "tool", "system"])},
    optional={"content": JSON, "tool_calls": JSON, "tool_call_id": JSON, "refusal": JSON},
)


@given(
    st.fixed_dictionaries({}, optional=dict.fromkeys(NAMES, JSON))
    | st.fixed_dictionaries({"model": st.just("m"), "messages": st.lists(TURN, min_size=1, max_size=3)})
    | JSON
)
async def test_any_json_is_read_or_refused(value):
    with contextlib.suppress(InvalidInput):
        found, _ = await decode(strict(value))
        assert found.messages
