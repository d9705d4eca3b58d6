"""From the events of a chat to the HTTP response: in one piece, or as Server-Sent Events while they come."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from fastembed.pipeline.payload.chat import ChatEvent, ChatStarted
from fastembed.server.wire.event_stream import OPENAI, EventStream, StreamForm
from fastembed.server.wire.exchange import Exchange
from fastembed.server.wire.headers import Headers, model_headers


class AnswerEncoder(Protocol):
    """Encodes the events of an answer: `ChatChunks` while they come, `ChatAnswer` at the end, ..."""

    @property
    def started(self) -> ChatStarted | None:
        """Which model answers, once it is known."""

    def take(self, event: ChatEvent, prompt: int = 0) -> bytes:
        """Return what a stream sends for the event of the request's prompt; b"" for nothing."""

    def end(self) -> bytes:
        """Return what comes last, or the whole answer. StepFailed if the pipeline left it unfinished."""


async def reply(
    exchange: Exchange,
    requests: Sequence[object],
    encoder: AnswerEncoder,
    *,
    stream: bool,
    form: StreamForm = OPENAI,
) -> None:
    """Send the requests through their pipeline, all at once, and answer with their events, in order."""
    if stream:
        await _stream(exchange, requests, encoder, form)
    else:
        await _whole(exchange, requests, encoder)


async def _whole(exchange: Exchange, requests: Sequence[object], encoder: AnswerEncoder) -> None:
    async with exchange.submitted(*requests, whole=True) as running:
        for prompt, results in enumerate(running):
            async for event in results:
                encoder.take(event, prompt)
        body = encoder.end()
        await exchange.respond(body, headers=_headers(encoder))


async def _stream(exchange: Exchange, requests: Sequence[object], encoder: AnswerEncoder, form: StreamForm) -> None:
    async with (
        EventStream(exchange, lambda: _headers(encoder), form=form) as out,
        exchange.submitted(*requests) as running,
    ):
        for prompt, results in enumerate(running):
            async for event in results:
                await out.send(encoder.take(event, prompt))
        await out.end(encoder.end())


def _headers(encoder: AnswerEncoder) -> Headers:
    started = encoder.started
    return [] if started is None else model_headers(started.model, started.state, started.route)
