"""A chat answer as Server-Sent Events: `chat.completion.chunk` objects."""

from __future__ import annotations

import time
from typing import Any, Final

import orjson

from fastembed.pipeline.payload.chat import ChatDelta, ChatEvent, ChatFinished, ChatRequest, ChatStarted
from fastembed.server.endpoints.chat.answer import TIER, logprobs_object
from fastembed.server.wire.chat.answer import check_finished, fingerprint, new_id, no_event, usage
from fastembed.server.wire.chat.chunk_frame import ChunkFrame
from fastembed.server.wire.chat.sampling import Delivery
from fastembed.server.wire.event_stream import DONE

_ROLE_TEXT: Final = b'{"role":"assistant","content":"","refusal":null}'
_ROLE_CALLS: Final = b'{"role":"assistant","content":null,"refusal":null}'


class ChatChunks:
    """Turns the events of one request into events of a stream."""

    def __init__(self, request: ChatRequest, delivery: Delivery) -> None:
        self.started: ChatStarted | None = None
        self._delivery = delivery
        self._count = request.count
        self._begun = 0  # choices whose role was sent
        self._finished: dict[int, ChatFinished] = {}
        self._frame: ChunkFrame | None = None

    def take(self, event: ChatEvent, prompt: int = 0) -> bytes:  # noqa: ARG002 - chat has one prompt
        """Return the stream's events for one of the answer."""
        frame = self._frame
        if frame is None:
            return self._start(event)
        if type(event) is ChatDelta:
            return self._delta(frame, event)
        if isinstance(event, ChatFinished):
            return self._finish(frame, event)
        raise no_event(event)

    def end(self) -> bytes:
        """Return the usage, if it was asked for, and the mark of the end."""
        check_finished(self.started, self._finished, self._count)
        if self._delivery.usage and self._frame is not None:
            return self._frame.usage(usage(self._finished.values())) + DONE
        return DONE

    def _start(self, event: ChatEvent) -> bytes:
        if not isinstance(event, ChatStarted):
            raise no_event(event)
        self.started = event
        head = {
            "id": new_id("chatcmpl"),
            "object": "chat.completion.chunk",
            "created": int(time.time()),
            "model": event.model,
            "service_tier": TIER,
            "system_fingerprint": fingerprint(event.model, event.device),
        }
        self._frame = ChunkFrame(head, self._delivery)
        return b""

    def _delta(self, frame: ChunkFrame, delta: ChatDelta) -> bytes:
        role = b""
        if delta.index >= self._begun:
            role = self._roles(frame, delta.index, _ROLE_TEXT if delta.tool_index is None else _ROLE_CALLS)
        probable = orjson.dumps(logprobs_object(delta.logprobs)) if delta.logprobs else b"null"
        if delta.text and not delta.reasoning and delta.tool_index is None:
            piece = b'{"content":%b}' % orjson.dumps(delta.text)
        elif found := _piece(delta):
            piece = orjson.dumps(found)
        elif delta.logprobs:
            piece = b'{"content":""}'
        else:
            return role
        return role + frame.choice(delta.index, b',"delta":%b,"logprobs":%b,"finish_reason":null' % (piece, probable))

    # OpenAI's Python client appends choices to a list by their index: an index that skips one breaks it, so choices
    # whose first piece has not come yet get their role event early.
    def _roles(self, frame: ChunkFrame, index: int, role: bytes) -> bytes:
        """Begin a choice, and those before it: the official client takes them in no other order."""
        body = b',"delta":%b,"logprobs":null,"finish_reason":null'
        before = [frame.choice(other, body % _ROLE_TEXT) for other in range(self._begun, index)]
        self._begun = index + 1
        return b"".join(before) + frame.choice(index, body % role)

    def _finish(self, frame: ChunkFrame, event: ChatFinished) -> bytes:
        role = b"" if event.index < self._begun else self._roles(frame, event.index, _ROLE_TEXT)
        self._finished[event.index] = event
        body = b',"delta":{},"logprobs":null,"finish_reason":"%b"' % event.reason.encode()
        return role + frame.choice(event.index, body)


def _piece(delta: ChatDelta) -> dict[str, Any]:
    """Return a delta that is more than text: reasoning, or a part of a tool call."""
    piece: dict[str, Any] = {}
    if delta.text:
        piece["content"] = delta.text
    if delta.reasoning:
        piece["reasoning_content"] = delta.reasoning
    if delta.tool_index is not None:
        function: dict[str, str] = {"arguments": delta.tool_arguments}
        call: dict[str, Any] = {"index": delta.tool_index, "function": function}
        if delta.tool_name is not None:
            function = {"name": delta.tool_name, **function}
            call = {"index": delta.tool_index, "id": delta.tool_id, "type": "function", "function": function}
        piece["tool_calls"] = [call]
    return piece
