"""The events of a chat as JSON, so that a stored response can be streamed again, event for event."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict, replace
from typing import Any

from fastembed.pipeline.payload.chat import ChatDelta, ChatEvent, ChatFinished, ChatStarted, TokenLogprob
from fastembed.server.wire.chat.answer import LEAST_LOGPROB


def pack(event: ChatEvent) -> Any:
    """Return JSON for an event; most are a piece of text, which stands for itself."""
    if type(event) is not ChatDelta:
        return ["started" if isinstance(event, ChatStarted) else "finished", asdict(event)]
    if event.text and event.tool_index is None and not event.reasoning and not event.logprobs:
        return event.text
    fields = event.__reduce__()[1][:-1]
    return ["delta", *fields, [_packed(one) for one in event.logprobs]]


def unpack(trace: Iterable[Any]) -> Iterator[ChatEvent]:
    """Yield the events again."""
    for entry in trace:
        if isinstance(entry, str):
            yield ChatDelta(text=entry)
        elif entry[0] == "delta":
            logprobs = (TokenLogprob(one[0], one[1], tuple(map(tuple, one[2]))) for one in entry[-1])
            yield replace(ChatDelta(*entry[1:-1]), logprobs=tuple(logprobs))
        else:
            yield (ChatStarted if entry[0] == "started" else ChatFinished)(**entry[1])


def _packed(token: TokenLogprob) -> list[Any]:
    top = [[text, max(value, LEAST_LOGPROB)] for text, value in token.top]
    return [token.token, max(token.logprob, LEAST_LOGPROB), top]
