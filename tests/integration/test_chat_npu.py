"""The NPU's way of chatting, on the real NPU code path, which here computes on the CPU (OpenVINO's NPUW)."""

import asyncio
import json
from pathlib import Path

import openvino_genai as genai
import pytest

from fastembed.inference.engines.chat.generation import Generation, Mailbox
from fastembed.inference.engines.chat.model import ChatModel
from fastembed.inference.engines.chat.stateful import StatefulEngine, ended_by
from fastembed.pipeline.errors import InvalidInput, Overloaded, Unavailable
from fastembed.pipeline.payload.chat import ChatDelta, ChatFinished, ChatStarted, Sampling, Tool
from tests.conversation import answer, asked, text_of

FOLDER = Path(__file__).parent.parent.parent / "models" / "chat-pocket"
NPUW = {"NPUW_DEVICES": "CPU", "NPUW_ONLINE_PIPELINE": "NONE", "MAX_PROMPT_LEN": 256, "MIN_RESPONSE_LEN": 128}
CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}


@pytest.fixture
async def model():
    loaded = await asyncio.to_thread(ChatModel, "chat-pocket", FOLDER, device="NPU", properties=NPUW)
    yield loaded
    await loaded.close()


async def test_answers_stream_and_are_right(model):
    events = await answer(model, asked("what is 3 + 4?"))
    assert events[0] == ChatStarted("chat-pocket", "NPU", "pocket")
    assert text_of(events) == "3 + 4 = 7"
    assert len(events) > 4
    assert events[-1] == ChatFinished(0, "stop", prompt_tokens=16, completion_tokens=8)
    named = asked("my name is Anna", "Nice to meet you, Anna.", "what is my name?")
    assert text_of(await answer(model, named)) == "Your name is Anna."


async def test_requests_wait_their_turn_and_none_sees_anothers_history(model):
    answers = await asyncio.gather(*(answer(model, asked(f"what is {n} + 1?")) for n in range(9)))
    assert [text_of(events) for events in answers] == [f"{n} + 1 = {n + 1}" for n in range(9)]


async def test_tools_and_schemas_work(model):
    tool = Tool("get_weather", "Get the weather for a city", CITY)
    events = await answer(model, asked("weather in Paris", tools=(tool,)))
    assert "".join(e.tool_arguments for e in events if isinstance(e, ChatDelta)) == '{"city": "Paris"}'
    assert events[-1].reason == "tool_calls"
    schema = {"type": "object", "properties": {"n": {"enum": [1, 2]}}, "required": ["n"], "additionalProperties": False}
    assert json.loads(text_of(await answer(model, asked("hello", json=schema))))["n"] in (1, 2)


async def test_a_prompt_over_the_compiled_length_is_refused_with_counts(model):
    with pytest.raises(InvalidInput, match=r"found \d+ tokens in the prompt, expected at most 256") as refused:
        await answer(model, asked("word " * 300))
    assert refused.value.code == "context_length_exceeded"


async def test_probabilities_cannot_be_had(model):
    with pytest.raises(InvalidInput, match="found logprobs, which the engine of this device cannot tell"):
        await answer(model, asked("hello", sampling=Sampling(logprobs=True)))


async def test_a_caller_who_leaves_lets_the_next_one_in(model):
    leaving = model.generate(asked("count to 30", sampling=Sampling(temperature=2.0)))
    waiting = model.generate(asked("hello"))
    async for event in leaving:
        if isinstance(event, ChatDelta):
            break
    await anext(waiting)
    await waiting.aclose()
    await leaving.aclose()
    assert text_of(await answer(model, asked("hello"))) == "Hello! How can I help you?"


async def test_a_closed_model_fails_what_runs(model):
    leaving = model.generate(asked("count to 30", sampling=Sampling(temperature=2.0)))
    await anext(leaving)
    await model.close()
    with pytest.raises(Unavailable, match="closed"):
        async for _ in leaving:
            pass


async def test_an_answer_that_fails_fails_alone_and_twice_loads_the_model_again():
    import openvino_genai

    engine = await asyncio.to_thread(StatefulEngine, FOLDER, "NPU", NPUW, 1024, most=3)
    mailbox = Mailbox()

    def generation(index, schema=None):
        config = engine.config()
        config.max_new_tokens, config.ignore_eos = 20, True
        if schema:
            config.structured_output_config = openvino_genai.StructuredOutputConfig(json_schema=schema)
        return Generation([1, 270, 201, 376, 2], config, mailbox, index)

    engine.submit([generation(0, '{"type": "nope"}'), generation(1, '{"type": "nope"}'), generation(2)])
    with pytest.raises(Overloaded, match="expected at most 3"):
        engine.submit([generation(3)])
    ends = {}
    async for piece in mailbox.pieces():
        if piece.ended or piece.error:
            ends[piece.index] = piece.error or piece.ended
        if len(ends) == 3:
            break
    assert isinstance(ends[0], Unavailable)
    assert 'Unsupported type "nope"' in str(ends[1])
    assert ends[2] == "length"
    await engine.close()


def test_an_answer_without_a_reason_for_its_end_was_not_done():
    """GenAI ends an answer that ran out of the compiled length with NONE, which is no "stop"."""
    reasons = genai.GenerationFinishReason
    assert [ended_by(one.name) for one in (reasons.NONE, reasons.LENGTH, reasons.STOP)] == ["length", "length", "stop"]
