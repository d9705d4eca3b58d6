"""LiteLLM, which speaks to all wires."""

import os

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"

import litellm
import pytest

URL = os.environ["FASTEMBED_URL"]
GREETING = "Hello! How can I help you?"
HELLO = [{"role": "user", "content": "hello"}]
WIRES = [("openai/auto", f"{URL}/v1"), ("anthropic/auto", URL), ("ollama_chat/auto", URL), ("ollama/auto", URL)]


@pytest.mark.parametrize(("model", "base"), WIRES, ids=lambda value: value if "/auto" in value else "")
def test_a_chat_is_answered_and_streamed_over_every_wire(model, base):
    asked = {"model": model, "messages": HELLO, "api_base": base, "api_key": "-", "temperature": 0}
    assert litellm.completion(**asked).choices[0].message.content == GREETING
    pieces = [chunk.choices[0].delta.content or "" for chunk in litellm.completion(**asked, stream=True)]
    assert "".join(pieces) == GREETING


def test_responses_embeddings_and_rankings_are_answered():
    said = litellm.responses(model="openai/auto", input="hello", api_base=f"{URL}/v1", api_key="-", temperature=0)
    assert said.output[0].content[0].text == GREETING
    found = litellm.embedding(model="openai/auto", input=["a"], api_base=f"{URL}/v1", api_key="-")
    assert len(found.data[0]["embedding"]) == 384
    asked = {"query": "when", "documents": ["The cat sleeps.", "It is when seven."], "top_n": 1}
    ranked = litellm.rerank(model="cohere/auto", api_base=f"{URL}/v1/rerank", api_key="-", **asked)
    assert ranked.results[0]["index"] == 1
