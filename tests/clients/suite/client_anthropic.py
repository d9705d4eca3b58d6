"""Anthropic's client for Python: messages, the streaming helper, the tool runner."""

import os

import anthropic
import pytest

GREETING = "Hello! How can I help you?"
HELLO = [{"role": "user", "content": "hello"}]
PARIS = [{"role": "user", "content": "What is the weather in Paris?"}]
WEATHER = {
    "name": "get_weather",
    "description": "The weather in a city.",
    "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}
ASKED = {"model": "auto", "max_tokens": 100, "extra_body": {"temperature": 0}}


@pytest.fixture(scope="module")
def client():
    with anthropic.Anthropic(base_url=os.environ["FASTEMBED_URL"], api_key="-", max_retries=0) as client:
        yield client


def test_a_message_is_answered_and_streamed(client):
    said = client.messages.create(**ASKED, messages=HELLO, system="be nice")
    assert said.content[0].text == GREETING
    assert said.stop_reason == "end_turn"
    with client.messages.stream(**ASKED, messages=HELLO) as stream:
        assert "".join(stream.text_stream) == GREETING
        assert stream.get_final_message().usage.input_tokens > 0


def test_a_tool_is_used_and_its_result_answered(client):
    used = client.messages.create(**ASKED, messages=PARIS, tools=[WEATHER], tool_choice={"type": "any"})
    (block,) = used.content
    assert (used.stop_reason, block.input) == ("tool_use", {"city": "Paris"})
    result = {"type": "tool_result", "tool_use_id": block.id, "content": "sunny"}
    turns = [*PARIS, {"role": "assistant", "content": used.content}, {"role": "user", "content": [result]}]
    assert client.messages.create(**ASKED, messages=turns, tools=[WEATHER]).stop_reason == "end_turn"
    with client.messages.stream(**ASKED, messages=PARIS, tools=[WEATHER], tool_choice={"type": "any"}) as stream:
        assert stream.get_final_message().content[0].input == {"city": "Paris"}


def test_the_tool_runner_runs_tools_to_the_end(client):
    seen = []

    @anthropic.beta_tool
    def get_weather(city: str) -> str:
        """The weather in a city."""
        seen.append(city)
        return "sunny"

    runner = client.beta.messages.tool_runner(**ASKED, tools=[get_weather], messages=PARIS)
    reasons = [message.stop_reason for message in runner]
    assert (reasons, seen) == (["tool_use", "end_turn"], ["Paris"])


def test_a_stop_sequence_is_named_and_tokens_are_counted(client):
    said = client.messages.create(**ASKED, messages=HELLO, stop_sequences=["can"])
    assert (said.stop_reason, said.stop_sequence) == ("stop_sequence", "can")
    assert client.messages.count_tokens(model="auto", messages=HELLO).input_tokens > 3


def test_errors_are_the_clients_own(client):
    with pytest.raises(anthropic.NotFoundError, match="found no model 'nope'"):
        client.messages.create(model="nope", max_tokens=9, messages=HELLO)
    with pytest.raises(anthropic.BadRequestError, match="found an empty list"):
        client.messages.create(model="auto", max_tokens=9, messages=[])


def test_models_are_listed_with_names(client):
    assert "chat-pocket" in [model.display_name for model in client.models.list()]
