"""A chat answer in one piece: the `chat.completion` object."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import orjson

from fastembed.pipeline.payload.chat import ChatDelta, ChatEvent, ChatFinished, ChatRequest, ChatStarted, TokenLogprob
from fastembed.server.wire.chat.answer import LEAST_LOGPROB, check_finished, fingerprint, new_id, no_event, usage
from fastembed.server.wire.chat.sampling import Delivery

TIER: Final = "default"


@dataclass(slots=True)
class _Choice:
    """One choice as it grows."""

    text: list[str] = field(default_factory=list)
    reasoning: list[str] = field(default_factory=list)
    calls: dict[int, dict[str, Any]] = field(default_factory=dict)
    arguments: dict[int, list[str]] = field(default_factory=dict)
    logprobs: list[TokenLogprob] = field(default_factory=list)


class ChatAnswer:
    """Puts the events of one request together to a `chat.completion`."""

    def __init__(self, request: ChatRequest, delivery: Delivery) -> None:
        self.started: ChatStarted | None = None
        self._request = request
        self._logprobs = delivery.logprobs
        self._choices = [_Choice() for _ in range(request.count)]
        self._finished: dict[int, ChatFinished] = {}

    def take(self, event: ChatEvent, prompt: int = 0) -> bytes:  # noqa: ARG002 - chat has one prompt
        """Add an event."""
        if isinstance(event, ChatDelta):
            self._add(event)
        elif isinstance(event, ChatFinished):
            self._finished[event.index] = event
        elif isinstance(event, ChatStarted):
            self.started = event
        else:
            raise no_event(event)
        return b""

    def end(self) -> bytes:
        """Return the response's JSON."""
        started = check_finished(self.started, self._finished, self._request.count)
        return orjson.dumps(
            {
                "id": new_id("chatcmpl"),
                "object": "chat.completion",
                "created": int(time.time()),
                "model": started.model,
                "choices": [self._choice(index) for index in range(self._request.count)],
                "usage": usage(self._finished.values()),
                "service_tier": TIER,
                "system_fingerprint": fingerprint(started.model, started.device),
            }
        )

    def _add(self, delta: ChatDelta) -> None:
        choice = self._choices[delta.index]
        if delta.text:
            choice.text.append(delta.text)
        if delta.reasoning:
            choice.reasoning.append(delta.reasoning)
        if delta.logprobs:
            choice.logprobs.extend(delta.logprobs)
        if delta.tool_index is not None:
            if delta.tool_name is not None:
                choice.calls[delta.tool_index] = {"id": delta.tool_id, "name": delta.tool_name}
            choice.arguments.setdefault(delta.tool_index, []).append(delta.tool_arguments)

    def _choice(self, index: int) -> dict[str, Any]:
        choice = self._choices[index]
        calls = [
            {
                "id": call["id"],
                "type": "function",
                "function": {"name": call["name"], "arguments": "".join(choice.arguments[place])},
            }
            for place, call in sorted(choice.calls.items())
        ]
        text = "".join(choice.text)
        message: dict[str, Any] = {
            "role": "assistant",
            "content": text if text or not calls else None,
            "refusal": None,
            "annotations": [],
        }
        if choice.reasoning:
            message["reasoning_content"] = "".join(choice.reasoning)
        if calls:
            message["tool_calls"] = calls
        return {
            "index": index,
            "message": message,
            "logprobs": logprobs_object(choice.logprobs) if self._logprobs else None,
            "finish_reason": self._finished[index].reason,
        }


def logprobs_object(tokens: Sequence[TokenLogprob]) -> dict[str, Any]:
    """Return a choice's `logprobs`."""
    content = [
        {**_logprob(one.token, one.logprob), "top_logprobs": [_logprob(token, value) for token, value in one.top]}
        for one in tokens
    ]
    return {"content": content, "refusal": None}


def _logprob(token: str, logprob: float) -> dict[str, Any]:
    return {"token": token, "logprob": max(logprob, LEAST_LOGPROB), "bytes": list(token.encode())}
