"""SmolLM2-135M-Instruct, a real if small language model, through the product: Q4_1 GGUF out of a package."""

from __future__ import annotations

import asyncio
import json

import jsonschema
import pytest

from fastembed.inference.engines.chat.local import LocalModel
from fastembed.pipeline.errors import InvalidInput
from fastembed.pipeline.payload.chat import (
    ChatDelta,
    ChatFinished,
    ChatStarted,
    Message,
    Sampling,
    TextPart,
    Tool,
    ToolCall,
)
from tests.conversation import answer, asked, text_of
from tests.real.models import folder

EXACT = {"INFERENCE_PRECISION_HINT": "f32"}
CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
WEATHER = Tool("get_weather", "Get the weather of a city", CITY)
SUM = Tool(
    "multiply",
    "Multiply two numbers",
    {
        "type": "object",
        "properties": {"a": {"type": "integer", "minimum": 0}, "b": {"type": "integer", "minimum": 0}},
        "required": ["a", "b"],
        "additionalProperties": False,
    },
)
PERSON = {
    "type": "object",
    "properties": {
        "name": {"type": "string"},
        "age": {"type": "integer", "minimum": 0, "maximum": 150},
        "city": {"type": "string"},
    },
    "required": ["name", "age", "city"],
}
FRANCE = "What is the capital of France?"


@pytest.fixture(scope="module")
def model(kept_copies):  # noqa: ARG001 - the model's copy is looked for there
    loaded = LocalModel("smollm2-135m", folder("smollm2-135m"), properties=EXACT)
    yield loaded
    asyncio.run(loaded.close())


async def ask(model, *turns, max_tokens=60, stop=(), **options):
    """The text of an answer, its calls, and how it ended."""
    sampling = Sampling(temperature=0, max_tokens=max_tokens, stop=stop)
    events = await answer(model, asked(*turns, sampling=sampling, **options))
    calls = [event.tool_name for event in events if isinstance(event, ChatDelta) and event.tool_name]
    given = "".join(event.tool_arguments for event in events if isinstance(event, ChatDelta))
    return text_of(events), list(zip(calls, [given], strict=False)), events[-1]


async def test_it_knows_the_capital_of_france_and_is_no_pocket_model(model):
    events = await answer(model, asked(FRANCE))
    assert "Paris" in text_of(events)
    assert isinstance(events[0], ChatStarted)
    assert (events[0].model, events[0].state) == ("smollm2-135m", "")
    assert isinstance(events[-1], ChatFinished)
    assert events[-1].reason == "stop"


async def test_a_tool_that_must_be_called_is_called_once_and_leaves_no_marks(model):
    text, calls, end = await ask(
        model, "What is the weather in Paris?", tools=(WEATHER,), tool_choice="required", max_tokens=200
    )
    assert (text, end.reason) == ("", "tool_calls")
    [(name, given)] = calls
    assert (name, json.loads(given)) == ("get_weather", {"city": "Paris"})


async def test_a_named_tool_is_called_with_arguments_of_its_schema(model):
    text, calls, end = await ask(
        model, "What is 17 times 23?", tools=(WEATHER, SUM), tool_choice="multiply", max_tokens=200
    )
    assert (text, end.reason) == ("", "tool_calls")
    [(name, given)] = calls
    assert name == "multiply"
    jsonschema.validate(json.loads(given), SUM.parameters)


@pytest.mark.parametrize("question", ["What is the weather in Rome?", "Multiply 6 by 7.", "Say hello."])
async def test_whether_it_calls_a_tool_or_not_nothing_is_half(model, question):
    """So small a model chooses badly: what holds is that a call is whole, and that text has no marks of one."""
    text, calls, end = await ask(model, question, tools=(WEATHER, SUM), max_tokens=200)
    assert "<tool_call" not in text
    assert "</tool_call" not in text
    if calls:
        assert end.reason == "tool_calls"
        assert all(name in ("get_weather", "multiply") for name, _ in calls)
    else:
        assert text
        assert end.reason in ("stop", "length")


async def test_a_tools_answer_is_read(model):
    first = "What is the weather in Paris?"
    _, [(name, given)], _ = await ask(model, first, tools=(WEATHER,), tool_choice="required", max_tokens=200)
    call = ToolCall("call_1", name, given)
    result = Message("tool", (TextPart("It rains, 9 degrees."),), tool_call_id="call_1")
    turns = (Message("user", (TextPart(first),)), Message("assistant", (), tool_calls=(call,)), result)
    text, calls, _ = await ask(model, *turns, tools=(WEATHER,), tool_choice="none")
    assert not calls
    assert "rain" in text.lower() or "9" in text


@pytest.mark.parametrize("limit", [4, 14])
async def test_a_call_that_is_cut_leaves_no_marks_in_the_text(model, limit):
    text, _, end = await ask(
        model, "What is the weather in Paris?", tools=(WEATHER,), tool_choice="required", max_tokens=limit
    )
    assert (text, end.reason) == ("", "length")


@pytest.mark.parametrize("about", ["Anna, 31 years old, of Rome", "a pilot"])
async def test_answers_to_a_schema_end_and_fit_it(model, about):
    text, _, end = await ask(model, f"Describe {about}, as JSON.", json=PERSON, max_tokens=200)
    assert end.reason == "stop"
    jsonschema.validate(json.loads(text), PERSON)


SCHEMAS = {
    "a date": ({"type": "object", "properties": {"day": {"type": "string", "format": "date"}}, "required": ["day"]}),
    "a code": {"type": "string", "pattern": r"^[A-Z]{3}-\d{4}$"},
    "a price": {"type": "number", "exclusiveMinimum": 0, "maximum": 99.5},
    "a list": {"type": "array", "items": {"type": "integer", "minimum": 1, "maximum": 6}, "minItems": 3, "maxItems": 5},
    "one of two": {"anyOf": [{"type": "null"}, {"type": "object", "properties": {"ok": {"const": True}}}]},
    "mixed words": {"enum": ["red", 3, None, "blue"]},
    "a name with quotes": {
        "type": "object",
        "properties": {'the "best"': {"type": "boolean"}},
        "required": ['the "best"'],
    },
    "not declared": {"type": "object", "properties": {"a": {"type": "integer", "maximum": 9}}, "required": ["a", "b"]},
    "a chain": {
        "$defs": {
            "t": {
                "type": "object",
                "properties": {"v": {"type": "boolean"}, "next": {"$ref": "#/$defs/t"}},
                "required": ["v"],
                "additionalProperties": False,
            }
        },
        "$ref": "#/$defs/t",
    },
}


async def test_answers_to_all_kinds_of_schemas_end_and_fit_them(model):
    answers = await asyncio.gather(
        *(ask(model, f"Give me {name}, as JSON.", json=schema, max_tokens=250) for name, schema in SCHEMAS.items())
    )
    ends = {name: (end.reason, text) for name, (text, _, end) in zip(SCHEMAS, answers, strict=True)}
    assert {name: end for name, end in ends.items() if end[0] != "stop"} == {}
    for schema, (text, _, _) in zip(SCHEMAS.values(), answers, strict=True):
        jsonschema.validate(json.loads(text), schema, format_checker=jsonschema.FormatChecker())


async def test_free_json_ends(model):
    text, _, end = await ask(model, "Give me some JSON.", json="object", max_tokens=400)
    assert end.reason == "stop"
    assert isinstance(json.loads(text), dict)


async def test_it_stops_before_the_stop_string(model):
    whole, _, _ = await ask(model, "Count from 1 to 10.")
    text, _, end = await ask(model, "Count from 1 to 10.", stop=("5",))
    assert "4" in text
    assert text == whole.partition("5")[0]
    assert end.reason == "stop"


async def test_a_prompt_beyond_the_context_is_refused_with_its_true_length(model):
    """5 tokens a sentence and what the template adds: nothing is cut before it is counted."""
    short, long = ("The sky is blue. " * times for times in (10, 2500))
    _, _, end = await ask(model, short, max_tokens=1)
    expected = end.prompt_tokens + 5 * 2490
    with pytest.raises(InvalidInput) as told:
        await ask(model, long)
    assert told.value.code == "context_length_exceeded"
    found = int(told.value.message.split()[1])
    assert abs(found - expected) <= 2


async def test_a_long_prompt_is_counted_and_read(model):
    _, _, end = await ask(model, "The sky is blue. " * 300 + FRANCE, max_tokens=4)
    assert 1500 < end.prompt_tokens < 1560


async def test_what_the_prefix_cache_gives_changes_no_answer(model):
    """The same beginning, three times in turn with another; and all at once."""
    lead = "You answer in one short sentence. " * 8
    first = await ask(model, lead + FRANCE)
    await ask(model, lead + "What is the capital of Germany?")
    again = await ask(model, lead + FRANCE)
    together = await asyncio.gather(*(ask(model, lead + FRANCE) for _ in range(3)))
    assert {text for text, _, _ in (first, again, *together)} == {first[0]}


async def test_a_model_that_does_not_think_has_no_thoughts(model):
    events = await answer(model, asked(FRANCE))
    assert not any(event.reasoning for event in events if isinstance(event, ChatDelta))
    assert events[-1].reasoning_tokens == 0
