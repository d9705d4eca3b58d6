"""From a request to its response, while the client waits: in one piece, or as a stream."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

import orjson

from fastembed.pipeline.errors import InvalidInput
from fastembed.pipeline.payload.chat import ChatEvent
from fastembed.server.endpoints.responses.events import ResponseEvents
from fastembed.server.endpoints.responses.history import ConversationHistory
from fastembed.server.endpoints.responses.request import ResponseRequest, about_input
from fastembed.server.endpoints.responses.trace import pack
from fastembed.server.wire.event_stream import EventStream, StreamForm
from fastembed.server.wire.exchange import Exchange
from fastembed.server.wire.headers import Headers, model_headers


async def chat_events(exchange: Exchange, asked: ResponseRequest) -> AsyncGenerator[ChatEvent]:
    """Yield the chat's events. With `truncation: auto`, a prompt that is too long loses its oldest turns first."""
    # The engine alone knows how many tokens a prompt has: what it refuses is shortened by 1, 2, 4, ... turns.
    turns = 1
    while True:
        try:
            async with exchange.submitted(asked.chat, whole=asked.chat.whole) as (results,):
                async for event in results:
                    yield event
                return
        except InvalidInput as error:
            too_long = asked.truncate and error.code == "context_length_exceeded"
            shorter = asked.shortened(turns) if too_long else None
            if shorter is None:
                raise about_input(error) from error
            asked, turns = shorter, turns * 2


async def answer(exchange: Exchange, asked: ResponseRequest, history: ConversationHistory) -> None:
    """Answer a request whose client waits; keep the response before the client learns that it is complete."""
    events = ResponseEvents(asked.head, summarize=asked.summarize, logprobs=asked.logprobs)
    if asked.stream:
        await _stream(exchange, asked, history, events)
        return
    trace: list[Any] = []
    async with aclosing(chat_events(exchange, asked)) as found:
        async for event in found:
            trace.append(pack(event))
            events.take(event)
    events.close(int(time.time()))
    await keep(history, asked, events, trace)
    await exchange.respond(orjson.dumps(events.response), headers=headers_of(events))


async def _stream(
    exchange: Exchange, asked: ResponseRequest, history: ConversationHistory, events: ResponseEvents
) -> None:
    trace: list[Any] = []
    form = StreamForm(failure=events.failure)
    async with (
        EventStream(exchange, lambda: headers_of(events), form=form) as out,
        aclosing(chat_events(exchange, asked)) as found,
    ):
        async for event in found:
            trace.append(pack(event))
            written = events.take(event)  # of the first one, which says what model answers, there is nothing to write
            await out.send(written if out.started else events.begin())
        last = events.close(int(time.time()))
        await keep(history, asked, events, trace)
        await out.end(last + events.end())


async def keep(history: ConversationHistory, asked: ResponseRequest, events: ResponseEvents, trace: list[Any]) -> None:
    """Store the response, if it is to be."""
    if asked.store and history.store is not None:
        await history.keep(events.response, asked.given, trace=trace, position=asked.context.position)


def headers_of(events: ResponseEvents) -> Headers:
    """Return the headers that name the model, once it is known."""
    started = events.started
    return [] if started is None else model_headers(started.model, started.state, started.route)
