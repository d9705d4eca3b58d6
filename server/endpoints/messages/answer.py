"""An answer as Anthropic's message, in one piece, or as the events `message_start` to `message_stop`.

The tokens of the prompt are known at the end only: `message_start` says 0, and `message_delta`, whose counts replace
those, says how many there are.
"""

from __future__ import annotations

import secrets
from typing import Any, Final

import orjson

from fastembed.pipeline.payload.chat import ChatDelta, ChatEvent, ChatFinished, ChatStarted
from fastembed.server.conversations.record import Json
from fastembed.server.http.error_dialects import anthropic_body
from fastembed.server.wire.chat.answer import check_finished, no_event

_REASONS: Final = {"stop": "end_turn", "length": "max_tokens", "tool_calls": "tool_use", "content_filter": "refusal"}


def failure(body: bytes) -> bytes:
    """Return the last event of a stream that fails."""
    return b"event: error\ndata: %b\n\n" % anthropic_body(body)


class AnthropicAnswer:
    """Encodes one message: `take` returns what a stream sends, `whole` is for an answer in one piece."""

    def __init__(self, *, stream: bool) -> None:
        self.started: ChatStarted | None = None
        self._stream = stream
        self._finished: dict[int, ChatFinished] = {}
        self._content: list[Json] = []
        self._kind: str | int | None = None
        self._pieces: list[str] = []
        self._id = f"msg_{secrets.token_hex(12)}"

    def take(self, event: ChatEvent, prompt: int = 0) -> bytes:  # noqa: ARG002 - there is one prompt
        """Add an event of the chat."""
        if type(event) is ChatDelta:
            return self._delta(event)
        if isinstance(event, ChatFinished):
            self._finished[event.index] = event
            return b""
        if not isinstance(event, ChatStarted):
            raise no_event(event)
        self.started = event
        begun = {**self._message(), "content": [], "stop_reason": None, "stop_sequence": None, "usage": _usage(None)}
        return self._event("message_start", message=begun) + self._event("ping")

    def end(self) -> bytes:
        """Return the last events, or the message."""
        check_finished(self.started, self._finished, 1)
        finished = self._finished[0]
        written = self._close()
        if not self._content and not self._stream:
            self._content.append({"type": "text", "text": ""})
        ended = {"stop_reason": "stop_sequence" if finished.stop else _REASONS[finished.reason]}
        if finished.reason == "tool_calls":
            ended["stop_reason"] = "tool_use"
        ended["stop_sequence"] = finished.stop or None  # type: ignore[assignment] # JSON
        if self._stream:
            last = self._event("message_delta", delta=ended, usage=_usage(finished))
            return written + last + self._event("message_stop")
        return orjson.dumps({**self._message(), "content": self._content, **ended, "usage": _usage(finished)})

    def _message(self) -> Json:
        model = self.started.model if self.started else ""
        return {"id": self._id, "type": "message", "role": "assistant", "model": model}

    def _delta(self, delta: ChatDelta) -> bytes:
        written = b""
        if delta.reasoning:
            written += self._switch("thinking", {"type": "thinking", "thinking": "", "signature": ""})
            written += self._grow(delta.reasoning, "thinking_delta", "thinking")
        if delta.text:
            written += self._switch("text", {"type": "text", "text": ""})
            written += self._grow(delta.text, "text_delta", "text")
        if delta.tool_index is not None:
            block: Json = {"type": "tool_use", "id": delta.tool_id, "name": delta.tool_name, "input": {}}
            written += self._switch(delta.tool_index, block)
            written += self._grow(delta.tool_arguments, "input_json_delta", "partial_json")
        return written

    def _switch(self, kind: str | int, block: Json) -> bytes:
        """Make a block of this kind the one that grows."""
        if self._kind == kind:
            return b""
        written = self._close()
        self._kind = kind
        self._content.append(block)
        return written + self._event("content_block_start", index=len(self._content) - 1, content_block=block)

    def _grow(self, text: str, kind: str, name: str) -> bytes:
        if not text:
            return b""
        self._pieces.append(text)
        return self._event("content_block_delta", index=len(self._content) - 1, delta={"type": kind, name: text})

    def _close(self) -> bytes:
        """End the block that grows, if there is one."""
        if self._kind is None:
            return b""
        block, text = self._content[-1], "".join(self._pieces)
        self._kind, self._pieces = None, []
        if block["type"] == "tool_use":
            block["input"] = _arguments(text)
        else:
            block[block["type"]] = text
        return self._event("content_block_stop", index=len(self._content) - 1)

    def _event(self, name: str, **fields: object) -> bytes:
        if not self._stream:
            return b""
        return b"event: %b\ndata: %b\n\n" % (name.encode(), orjson.dumps({"type": name, **fields}))


def _arguments(text: str) -> Any:
    """Return a call's arguments; those of a call that was cut are no JSON, and none are shown."""
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return {}


def _usage(finished: ChatFinished | None) -> dict[str, int]:
    read = finished.cached_tokens if finished else 0
    return {
        "input_tokens": finished.prompt_tokens - read if finished else 0,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": read,
        "output_tokens": finished.completion_tokens if finished else 0,
    }
