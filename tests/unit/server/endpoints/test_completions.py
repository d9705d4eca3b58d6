from __future__ import annotations

import openai
import pytest

from fastembed.pipeline.errors import InvalidInput
from fastembed.pipeline.payload.chat import ChatRequest, Sampling
from fastembed.server.endpoints.completions import decode
from fastembed.server.wire.chat.sampling import Delivery
from tests.unit.server.chatting import COMPLETIONS, chatting
from tests.unit.server.strict import strict


def read(**fields):
    return decode(strict({"model": "m", "prompt": "Once", **fields}))


def test_the_smallest_request_has_openais_defaults():
    assert read() == ([ChatRequest(prompt="Once", model="m", sampling=Sampling(max_tokens=16), whole=True)], Delivery())


def test_every_field_is_read():
    (request,), delivery = read(
        max_tokens=3, temperature=0.5, top_p=0.1, n=2, best_of=2, stop=["\n"], seed=1, echo=True, logprobs=0,
        presence_penalty=1, frequency_penalty=-1, logit_bias={"1": 2}, user="u", suffix="", model_fallback=False,
    )  # fmt: skip
    assert (request.count, request.echo, request.model_fallback) == (2, True, False)
    assert request.sampling == Sampling(0.5, 0.1, 3, ("\n",), 1, -1.0, 1.0, {1: 2.0}, logprobs=True)
    assert delivery.logprobs


@pytest.mark.parametrize(
    ("fields", "param", "message"),
    [
        ({"prompt": None}, "prompt", "found no prompt, expected a string or a list of strings"),
        ({"prompt": ""}, "prompt", "found an empty string"),
        ({"prompt": []}, "prompt", "found an empty list"),
        ({"prompt": ["a", ""]}, "prompt[1]", "found an empty string"),
        ({"prompt": [1, 2]}, "prompt[0]", "found token ids, expected text"),
        ({"prompt": [[1]]}, "prompt[0]", "found token ids, expected text"),
        ({"prompt": {}}, "prompt", "found an object"),
        ({"prompt": ["a"] * 65, "n": 2}, "prompt", "found 65 prompts and n 2, expected at most 128 answers"),
        ({"best_of": 2}, "best_of", "found best_of 2 and n 1"),
        ({"suffix": "end"}, "suffix", "found a suffix"),
        ({"logprobs": 6}, "logprobs", "expected at most 5"),
        ({"logprobs": True}, "logprobs", "found true, expected a whole number"),
        ({"max_tokens": 0}, "max_tokens", "expected at least 1"),
        ({"messages": []}, "messages", "found the unknown field 'messages'"),
        ({"model": None}, "model", "found no model"),
    ],
)
def test_a_bad_field_is_named(fields, param, message):
    with pytest.raises(InvalidInput, match=message) as caught:
        read(**fields)
    assert caught.value.param == param


async def test_the_choices_of_several_prompts_are_numbered_on():
    async with chatting(path=COMPLETIONS) as served:
        found = await served.client.completions.create(model="auto", prompt=["a b", "c"], n=2)
    assert found.object == "text_completion"
    assert found.id.startswith("cmpl-")
    assert [(choice.index, choice.text, choice.finish_reason) for choice in found.choices] == [
        (0, "a b", "stop"),
        (1, "a b", "stop"),
        (2, "c", "stop"),
        (3, "c", "stop"),
    ]
    assert (found.usage.prompt_tokens, found.usage.completion_tokens) == (6, 6)


async def test_probabilities_have_the_legacy_shape():
    async with chatting(path=COMPLETIONS) as served:
        found = await served.client.completions.create(model="auto", prompt="a b", logprobs=1)
        *chunks, _ = await served.events(COMPLETIONS, prompt="a b", logprobs=1)
        silent = await served.client.completions.create(model="auto", prompt="a b")
    logprobs = found.choices[0].logprobs
    assert (logprobs.tokens, logprobs.token_logprobs, logprobs.text_offset) == (["a ", "b"], [-0.5, -0.5], [0, 2])
    assert logprobs.top_logprobs[1] == {"ä": -9999.0, "b": -0.5}
    assert [chunk["choices"][0]["logprobs"] and chunk["choices"][0]["logprobs"]["text_offset"] for chunk in chunks] == [
        [0],
        [2],
        None,
    ]
    assert silent.choices[0].logprobs is None


async def test_a_stream_is_pieces_reason_usage_done():
    async with chatting(path=COMPLETIONS) as served:
        *chunks, usage, done = await served.events(
            COMPLETIONS, prompt=["a b", "c"], stream_options={"include_usage": True}
        )
        stream = await served.client.completions.create(model="auto", prompt="x y", stream=True)
        assert [chunk.choices[0].text async for chunk in stream] == ["x ", "y", ""]
    assert done == "[DONE]"
    assert [(chunk["choices"][0]["index"], chunk["choices"][0]["text"]) for chunk in chunks] == [
        (0, "a "),
        (0, "b"),
        (0, ""),
        (1, "c"),
        (1, ""),
    ]
    assert [chunk["choices"][0]["finish_reason"] for chunk in chunks] == [None, None, "stop", None, "stop"]
    assert all(chunk["usage"] is None for chunk in chunks)
    assert (usage["choices"], usage["usage"]["total_tokens"]) == ([], 9)


async def test_a_bad_request_is_the_error_object():
    async with chatting(path=COMPLETIONS) as served:
        with pytest.raises(openai.BadRequestError) as caught:
            await served.client.completions.create(model="auto", prompt=[1, 2])
    assert (caught.value.param, caught.value.code) == ("prompt[0]", "unsupported_value")
