"""Whatever a model says in whatever pieces: the client's sum of a stream is the answer in one piece."""

from __future__ import annotations

from typing import Any

import orjson
from hypothesis import given
from hypothesis import strategies as st
from openai.lib.streaming.chat import ChatCompletionStreamState
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from fastembed.pipeline.payload.chat import ChatDelta, ChatEvent, ChatFinished, ChatRequest, ChatStarted, TokenLogprob
from fastembed.server.endpoints.chat.answer import ChatAnswer
from fastembed.server.endpoints.chat.chunks import ChatChunks
from fastembed.server.wire.chat.sampling import Delivery

TEXT = st.text(min_size=1, max_size=8)
PROBABLE = st.lists(st.builds(TokenLogprob, TEXT, st.floats(-20, 0), st.just((("x", -1.0),))), max_size=2).map(tuple)


@st.composite
def answers(draw: st.DrawFn) -> tuple[int, list[ChatEvent]]:
    """Return the number of choices and their events: text or calls in pieces, interleaved, then their ends."""
    count = draw(st.integers(1, 3))
    queues: list[list[ChatEvent]] = []
    for index in range(count):
        events: list[ChatEvent] = [
            ChatDelta(index, text=text, logprobs=draw(PROBABLE)) for text in draw(st.lists(TEXT, max_size=4))
        ]
        calls = draw(st.integers(0, 2))
        for place in range(calls):
            events.append(ChatDelta(index, tool_index=place, tool_id=f"c{place}", tool_name=draw(TEXT)))
            events += [ChatDelta(index, tool_index=place, tool_arguments=text) for text in draw(st.lists(TEXT))]
        events.append(ChatFinished(index, "tool_calls" if calls else "stop", 5, draw(st.integers(0, 9))))
        queues.append(events)
    merged: list[ChatEvent] = [ChatStarted("m")]
    while waiting := [queue for queue in queues if queue]:
        merged.append(draw(st.sampled_from(waiting)).pop(0))
    return count, merged


@given(answers(), st.builds(Delivery, st.just(value=True), st.booleans(), st.booleans(), st.booleans()))
def test_the_sum_of_a_stream_is_the_answer_in_one_piece(
    answer: tuple[int, list[ChatEvent]], delivery: Delivery
) -> None:
    count, events = answer
    request = ChatRequest(count=count)
    stream = ChatChunks(request, delivery)
    whole = ChatAnswer(request, delivery)
    for event in events:
        whole.take(event)
    sent = b"".join(stream.take(event) for event in events) + stream.end()

    *chunks, done, rest = sent.split(b"\n\n")
    assert (done, rest) == (b"data: [DONE]", b"")
    state = ChatCompletionStreamState()
    for chunk in chunks:
        state.handle_chunk(ChatCompletionChunk.model_validate(orjson.loads(chunk.removeprefix(b"data: "))))
    streamed = state.get_final_completion()
    expected = ChatCompletion.model_validate(orjson.loads(whole.end()))
    assert [said(choice) for choice in streamed.choices] == [said(choice) for choice in expected.choices]
    assert (streamed.usage == expected.usage) is delivery.usage


def said(choice: Any) -> tuple[Any, ...]:
    calls = [(call.id, call.function.name, call.function.arguments) for call in choice.message.tool_calls or ()]
    return choice.index, choice.finish_reason, choice.message.role, choice.message.content or None, calls
