"""OpenAI's client for Python: chats, responses, conversations, the streaming helpers."""

import json
import os
import time
from typing import Literal

import openai
import pytest
from pydantic import BaseModel

URL = os.environ["FASTEMBED_URL"]
GREETING = "Hello! How can I help you?"
WEATHER = {
    "type": "function",
    "name": "get_weather",
    "description": "The weather in a city.",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}


class Weather(BaseModel):
    sky: Literal["sunny", "cloudy"]
    windy: bool


@pytest.fixture(scope="module")
def client():
    with openai.OpenAI(base_url=f"{URL}/v1", api_key="-", max_retries=0) as client:
        yield client


def ask(client, text, **options):
    return client.responses.create(model="auto", input=text, temperature=0, **options)


def test_a_chat_is_answered_and_streamed(client):
    hello = [{"role": "user", "content": "hello"}]
    said = client.chat.completions.create(model="auto", messages=hello, temperature=0)
    assert said.choices[0].message.content == GREETING
    with client.chat.completions.stream(model="auto", messages=hello, temperature=0) as stream:
        stream.until_done()
        assert stream.get_final_completion().choices[0].message.content == GREETING


def test_a_response_is_answered_and_streamed(client):
    assert ask(client, "hello").output_text == GREETING
    with client.responses.stream(model="auto", input="hello", temperature=0) as stream:
        deltas = [event.delta for event in stream if event.type == "response.output_text.delta"]
        final = stream.get_final_response()
    assert "".join(deltas) == final.output_text == GREETING
    assert final.usage.total_tokens == final.usage.input_tokens + final.usage.output_tokens


def test_responses_follow_each_other_and_tell_what_they_were_made_of(client):
    first = ask(client, "hello")
    second = ask(client, "what is 3 + 4?", previous_response_id=first.id)
    assert second.output_text == "3 + 4 = 7"
    items = list(client.responses.input_items.list(second.id, order="asc", limit=2))
    assert [item.role for item in items] == ["user", "assistant", "user"]
    assert client.responses.retrieve(second.id).output_text == "3 + 4 = 7"
    client.responses.delete(second.id)
    with pytest.raises(openai.NotFoundError, match="found no response"):
        client.responses.retrieve(second.id)


def test_a_function_is_called_and_its_result_answered(client):
    asked = ask(client, "What is the weather in Paris?", tools=[WEATHER], tool_choice="required")
    (call,) = asked.output
    assert json.loads(call.arguments) == {"city": "Paris"}
    output = [{"type": "function_call_output", "call_id": call.call_id, "output": "sunny"}]
    answered = client.responses.create(model="auto", input=output, previous_response_id=asked.id, tools=[WEATHER])
    assert answered.status == "completed"
    with client.responses.stream(
        model="auto", input="weather in Rome", tools=[WEATHER], tool_choice="required"
    ) as stream:
        assert json.loads(stream.get_final_response().output[0].arguments)["city"]


def test_structured_answers_are_parsed(client):
    asked = {"model": "auto", "input": "How is the weather?", "text_format": Weather, "temperature": 0}
    assert client.responses.parse(**asked).output_parsed.sky in ("sunny", "cloudy")
    with client.responses.stream(**asked) as stream:
        assert isinstance(stream.get_final_response().output_parsed, Weather)


def test_a_background_response_is_polled_and_its_stream_resumed(client):
    queued = client.responses.create(model="auto", input="hello", temperature=0, background=True)
    assert queued.status in ("queued", "in_progress")
    while (found := client.responses.retrieve(queued.id)).status in ("queued", "in_progress"):
        time.sleep(0.05)
    assert found.output_text == GREETING
    events = list(client.responses.retrieve(queued.id, stream=True))
    assert [event.sequence_number for event in events] == list(range(len(events)))
    with client.responses.stream(response_id=queued.id, starting_after=6) as stream:
        numbers = [event.sequence_number for event in stream]
        assert stream.get_final_response().output_text == GREETING
    assert min(numbers) == 7
    assert client.responses.cancel(queued.id).status == "completed"


def test_a_conversation_holds_what_was_said(client):
    begun = client.conversations.create(metadata={"topic": "sums"}, items=[{"role": "user", "content": "hello"}])
    assert ask(client, "what is 3 + 4?", conversation=begun.id).output_text == "3 + 4 = 7"
    listed = list(client.conversations.items.list(begun.id, limit=1, order="asc"))
    assert [item.role for item in listed] == ["user", "user", "assistant"]
    assert client.conversations.items.retrieve(listed[0].id, conversation_id=begun.id).id == listed[0].id
    client.conversations.items.delete(listed[0].id, conversation_id=begun.id)
    assert client.conversations.update(begun.id, metadata={"topic": "x"}).metadata == {"topic": "x"}
    assert client.conversations.delete(begun.id).deleted


def test_errors_are_the_clients_own(client):
    with pytest.raises(openai.NotFoundError) as caught:
        client.responses.create(model="nope", input="x")
    assert caught.value.code == "model_not_found"
    with pytest.raises(openai.BadRequestError) as caught:
        client.responses.create(model="auto", input="x", tools=[{"type": "function", "name": "a b"}])
    assert caught.value.param == "tools[0].name"


def test_tokens_are_counted(client):
    assert client.responses.input_tokens.count(model="auto", input="hello").input_tokens > 3


def test_models_are_listed_to_their_end(client):
    assert "chat-pocket" in [model.id for model in client.models.list()]
