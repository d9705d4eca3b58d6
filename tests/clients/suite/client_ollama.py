"""Ollama's client for Python."""

import os

import ollama
import pytest

GREETING = "Hello! How can I help you?"
HELLO = [{"role": "user", "content": "hello"}]
GREEDY = {"temperature": 0}
client = ollama.Client(host=os.environ["FASTEMBED_URL"])


def get_weather(city: str) -> str:
    """The weather in a city.

    Args:
        city: the city

    """
    return f"sunny in {city}"


def test_a_chat_is_answered_and_streamed():
    assert client.chat(model="chat-pocket:latest", messages=HELLO, options=GREEDY).message.content == GREETING
    lines = list(client.chat(model="auto", messages=HELLO, options=GREEDY, stream=True))
    assert "".join(line.message.content for line in lines) == GREETING
    assert lines[-1].done
    assert lines[-1].eval_count > 0


def test_a_prompt_is_answered_and_streamed():
    assert client.generate(model="auto", prompt="hello", options=GREEDY).response == GREETING
    lines = list(client.generate(model="auto", prompt="hello", options=GREEDY, stream=True))
    assert "".join(line.response for line in lines) == GREETING


def test_a_function_is_called_and_its_result_answered():
    turns = [{"role": "user", "content": "What is the weather in Paris?"}]
    asked = client.chat(model="auto", messages=turns, tools=[get_weather], options=GREEDY).message
    (call,) = asked.tool_calls
    assert (call.function.name, call.function.arguments) == ("get_weather", {"city": "Paris"})
    turns += [asked, {"role": "tool", "tool_name": "get_weather", "content": get_weather("Paris")}]
    assert client.chat(model="auto", messages=turns, options=GREEDY).message.content


def test_texts_are_embedded():
    assert [len(vector) for vector in client.embed(model="auto", input=["a", "b"]).embeddings] == [384, 384]
    assert len(client.embeddings(model="auto", prompt="a").embedding) == 384


def test_models_are_listed_shown_and_loaded():
    assert "chat-pocket" in [model.model for model in client.list().models]
    assert "completion" in client.show("chat-pocket").capabilities
    assert client.generate(model="chat-pocket").done_reason == "load"
    assert "chat-pocket" in [model.model for model in client.ps().models]
    assert client.pull("chat-pocket").status == "success"


def test_errors_are_the_clients_own():
    with pytest.raises(ollama.ResponseError, match="found no model 'nope'"):
        client.chat(model="nope", messages=HELLO)
    with pytest.raises(ollama.ResponseError, match="fastembed pull gemma-4-e4b"):
        client.pull("gemma-4-e4b")
