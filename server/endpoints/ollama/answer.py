"""Answers as Ollama's lines: a JSON object for each piece, the last with `done` and the counters, in nanoseconds."""

from __future__ import annotations

from datetime import UTC, datetime
from time import perf_counter_ns
from typing import Any, Final

import orjson

from fastembed.pipeline.payload.chat import ChatDelta, ChatEvent, ChatFinished, ChatStarted
from fastembed.server.conversations.record import Json
from fastembed.server.endpoints.ollama.request import NDJSON
from fastembed.server.http.error_dialects import ollama_body
from fastembed.server.wire.chat.answer import LEAST_LOGPROB, check_finished, no_event
from fastembed.server.wire.event_stream import StreamForm

LINES: Final = StreamForm(NDJSON.encode(), failure=lambda body: ollama_body(body) + b"\n", comment=b"")
"""No comments: Ollama's clients take every line for an object."""
_LENGTH: Final = "length"


class OllamaAnswer:
    """Encodes one answer. name: the model, as the request has it; chat: of /api/chat, else of /api/generate."""

    def __init__(self, name: str, *, stream: bool, chat: bool) -> None:
        self.started: ChatStarted | None = None
        self._name = name
        self._stream = stream
        self._chat = chat
        self._finished: dict[int, ChatFinished] = {}
        self._text: list[str] = []
        self._thinking: list[str] = []
        self._logprobs: list[Json] = []
        self._calls: list[Json] = []
        self._open: tuple[str, str, list[str]] | None = None
        self._began_ns = perf_counter_ns()
        self._first_ns = 0

    def take(self, event: ChatEvent, prompt: int = 0) -> bytes:  # noqa: ARG002 - there is one prompt
        """Add an event of the chat; return the lines for it."""
        if type(event) is ChatDelta:
            self._first_ns = self._first_ns or perf_counter_ns()
            return self._delta(event)
        if isinstance(event, ChatFinished):
            self._finished[event.index] = event
            return b""
        if not isinstance(event, ChatStarted):
            raise no_event(event)
        self.started = event
        return b""

    def end(self) -> bytes:
        """Return the last line, or the whole answer."""
        check_finished(self.started, self._finished, 1)
        finished, now_ns = self._finished[0], perf_counter_ns()
        first_ns = self._first_ns or now_ns
        calls = self._ended_call()
        last = b"" if not (calls and self._stream) else self._line(tool_calls=calls)
        counters = {
            "total_duration": now_ns - self._began_ns,
            "load_duration": 0,
            "prompt_eval_count": finished.prompt_tokens,
            "prompt_eval_duration": first_ns - self._began_ns,
            "eval_count": finished.completion_tokens,
            "eval_duration": now_ns - first_ns,
        }
        done: Json = {"done": True, "done_reason": _LENGTH if finished.reason == _LENGTH else "stop", **counters}
        if self._stream:
            return last + self._line(**done)
        more: Json = {"thinking": "".join(self._thinking)} if self._thinking else {}
        if self._calls:
            more["tool_calls"] = self._calls
        if self._logprobs:
            done["logprobs"] = self._logprobs
        return self._line("".join(self._text), **more, **done)

    def loaded(self) -> bytes:
        """Return the answer to a request that asks nothing: it loads the model."""
        return self._line(done=True, done_reason="load")

    def _delta(self, delta: ChatDelta) -> bytes:
        calls = self._call(delta)
        probable = [_logprob(one.token, one.logprob) for one in delta.logprobs]
        if not self._stream:
            self._text.append(delta.text)
            self._thinking += [delta.reasoning] if delta.reasoning else []
            self._logprobs += probable
            return b""
        more: Json = {"thinking": delta.reasoning} if delta.reasoning else {}
        if calls:
            more["tool_calls"] = calls
        if probable:
            more["logprobs"] = probable
        return self._line(delta.text, **more) if delta.text or more else b""

    def _call(self, delta: ChatDelta) -> list[Json]:
        """Add a piece of a call, whose arguments are one object here; return the call that this ends, if it does."""
        if delta.tool_index is None:
            return []
        ended: list[Json] = []
        if delta.tool_name is not None:
            ended = self._ended_call()
            self._open = (delta.tool_id or "", delta.tool_name, [])
        if self._open is not None:
            self._open[2].append(delta.tool_arguments)
        return ended

    def _ended_call(self) -> list[Json]:
        current, self._open = self._open, None
        if current is None:
            return []
        id_, name, pieces = current
        function = {"index": len(self._calls), "name": name, "arguments": _arguments("".join(pieces))}
        self._calls.append({"id": id_, "function": function})
        return self._calls[-1:]

    def _line(self, text: str = "", **more: Any) -> bytes:
        head: Json = {"model": self._name, "created_at": datetime.now(UTC).isoformat().replace("+00:00", "Z")}
        if self._chat:
            own = {key: more.pop(key) for key in ("thinking", "tool_calls") if key in more}
            head["message"] = {"role": "assistant", "content": text, **own}
        else:
            head["response"] = text
        head["done"] = more.pop("done", False)
        return orjson.dumps({**head, **more}) + b"\n"


def _arguments(text: str) -> Any:
    """Return a call's arguments; those of a call that was cut are no JSON, and none are shown."""
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return {}


def _logprob(token: str, logprob: float) -> Json:
    return {"token": token, "logprob": max(logprob, LEAST_LOGPROB), "bytes": list(token.encode())}
