"""A response as it grows: from the events of a chat to output items, and to the events of a stream.

Theory of operation. An answer is a row of items: reasoning, a message, calls of functions. One item is open at a time:
a delta of another kind closes it and opens the next. Each step emits OpenAI's events in OpenAI's order, every one with
the next `sequence_number`. Nothing here depends on chance or the clock: the same events of a chat, encoded again, give
the same ids and numbers, which is how a stream is resumed (`after`: what the client has seen already is not written).

Which event, field and order a client breaks without was measured: the official clients need `response.created`,
`output_item.added` and `content_part.added` before any delta, and one id of the response throughout; the AI SDK needs
`item_id`, `output_index`, `annotations`, the `status` of a finished call, and knows an error by `error`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import orjson

from fastembed.pipeline.payload.chat import ChatDelta, ChatEvent, ChatFinished, ChatStarted, TokenLogprob
from fastembed.server.conversations.record import Json
from fastembed.server.wire.chat.answer import LEAST_LOGPROB, check_finished, no_event, usage
from fastembed.server.wire.chat.flat_tools import custom_names

_INCOMPLETE: Final = {"length": "max_output_tokens", "content_filter": "content_filter"}


@dataclass(frozen=True, slots=True)
class _Words:
    """The names of a text's events: `PART.added`, `TEXT.delta`, `TEXT.done`, `PART.done`. place: the part's index."""

    part: str
    text: str
    place: str
    type: str


_SPOKEN: Final = _Words("response.content_part", "response.output_text", "content_index", "output_text")
_THOUGHT: Final = _Words("response.content_part", "response.reasoning_text", "content_index", "reasoning_text")
_SUMMARY: Final = _Words(
    "response.reasoning_summary_part", "response.reasoning_summary_text", "summary_index", "summary_text"
)
_ARGUMENTS: Final = "response.function_call_arguments"
_INPUT: Final = "response.custom_tool_call_input"


@dataclass(slots=True)
class _OpenItem:
    """The item that grows. kind: `reasoning`, `message`, or the index of a call. frame: what is before a delta."""

    kind: str | int
    item: Json
    index: int
    words: _Words | None
    frame: tuple[bytes, bytes]
    pieces: list[str] = field(default_factory=list)
    logprobs: list[Json] = field(default_factory=list)


class ResponseEvents:
    """Encodes one response. head: the response object as it begins. Its methods return what a stream sends.

    summarize: reasoning is a summary, which clients of hosted models show, instead of `reasoning_text`.
    """

    def __init__(self, head: Json, *, summarize: bool = False, logprobs: bool = False, after: int = -1) -> None:
        self.response: Json = {**head, "output": []}
        self.started: ChatStarted | None = None
        self._finished: dict[int, ChatFinished] = {}
        self._thought = _SUMMARY if summarize else _THOUGHT
        self._custom = custom_names(head["tools"])
        self._logprobs = logprobs
        self._after = after
        self._number = 0
        self._open: _OpenItem | None = None

    def begin(self) -> bytes:
        """Return the events before anything is answered."""
        names = ["response.created", "response.in_progress"]
        if self.response["background"]:
            names.insert(1, "response.queued")
        written = b""
        for name in names:
            queued = self.response["background"] and name != "response.in_progress"
            self.response["status"] = "queued" if queued else "in_progress"
            written += self._event(name, response=self.response)
        return written

    def take(self, event: ChatEvent) -> bytes:
        """Add an event of the chat."""
        if type(event) is ChatDelta:
            return self._delta(event)
        if isinstance(event, ChatFinished):
            self._finished[event.index] = event
            return b""
        if not isinstance(event, ChatStarted):
            raise no_event(event)
        self.started = event
        self.response["model"] = event.model
        return b""

    def close(self, completed_at: int | None) -> bytes:
        """End the answer: close the item that is open, put the response together. StepFailed: it has no end."""
        check_finished(self.started, self._finished, 1)
        finished = self._finished[0]
        written = b""
        if self._open is None and not self.response["output"]:  # clients expect an item, also of an empty answer
            written += self._begin("message")
        why = _INCOMPLETE.get(finished.reason)
        written += self._end("incomplete" if why else "completed")
        self.response["status"] = "incomplete" if why else "completed"
        self.response["incomplete_details"] = {"reason": why} if why else None
        self.response["completed_at"] = None if why else completed_at
        self.response["usage"] = _usage(finished)
        return written

    def end(self) -> bytes:
        """Return the last event of a response that was closed, failed or cancelled."""
        status = self.response["status"]
        name = "response.failed" if status in ("failed", "cancelled") else f"response.{status}"
        written = self._event(name, response=self.response)
        error = self.response["error"]
        if status != "failed" or error is None:
            return written
        return written + self._error(
            {"message": error["message"], "type": "server_error", "param": None, "code": error["code"]}
        )

    def fail(self, error: Json) -> None:
        """Mark the response as failed. error: OpenAI's error object."""
        self.response["status"] = "failed"
        self.response["error"] = {"code": error.get("code") or error["type"], "message": error["message"]}

    def failure(self, body: bytes) -> bytes:
        """Return the last events of a stream that fails. body: the JSON of OpenAI's error object."""
        error = orjson.loads(body)["error"]
        self.fail(error)
        return self._event("response.failed", response=self.response) + self._error(error)

    def _error(self, error: Json) -> bytes:
        # The documented form is flat; half of the clients know an error by the object instead. This is both.
        flat = {"code": error["code"], "message": error["message"], "param": error["param"]}
        return self._event("error", **flat, error=error)

    def _delta(self, delta: ChatDelta) -> bytes:
        written = b""
        if delta.reasoning:
            written += self._switch("reasoning") + self._grow(delta.reasoning)
        if delta.text or delta.logprobs:
            written += self._switch("message") + self._grow(delta.text, delta.logprobs)
        if delta.tool_index is not None:
            written += self._switch(delta.tool_index, delta) + self._grow(delta.tool_arguments)
        return written

    def _switch(self, kind: str | int, delta: ChatDelta | None = None) -> bytes:
        """Make an item of this kind the open one."""
        if self._open is not None and self._open.kind == kind:
            return b""
        return self._end("completed") + self._begin(kind, delta)

    def _begin(self, kind: str | int, delta: ChatDelta | None = None) -> bytes:
        index = len(self.response["output"])
        words = None if isinstance(kind, int) else self._thought if kind == "reasoning" else _SPOKEN
        item = self._new_item(kind, index, delta)
        place = {"item_id": item["id"], "output_index": index}
        name = f"{words.text if words else _ARGUMENTS}.delta"
        more: Json = {words.place: 0} if words else {}
        if words is _SPOKEN and not self._logprobs:
            more["logprobs"] = []
        head = orjson.dumps({"type": name, **place, **more})[:-1]
        self._open = _OpenItem(kind, item, index, words, (f"event: {name}\ndata: ".encode() + head, b"}\n\n"))
        written = self._event("response.output_item.added", output_index=index, item=item)
        if words is not None:
            written += self._event(f"{words.part}.added", **place, **{words.place: 0}, part=_part(words, ""))
        return written

    def _new_item(self, kind: str | int, index: int, delta: ChatDelta | None) -> Json:
        chance = str(self.response["id"]).partition("_")[2]
        if isinstance(kind, int):
            call_id, name = (delta.tool_id, delta.tool_name) if delta else (None, None)
            called = {"call_id": call_id or f"call_{chance}{index:02x}", "name": name or "", "status": "in_progress"}
            if name in self._custom:
                return {"id": f"ctc_{chance}{index:02x}", "type": "custom_tool_call", **called, "input": ""}
            return {"id": f"fc_{chance}{index:02x}", "type": "function_call", **called, "arguments": ""}
        if kind == "reasoning":
            return {"id": f"rs_{chance}{index:02x}", "type": "reasoning", "summary": [], "status": "in_progress"}
        ids = {"id": f"msg_{chance}{index:02x}", "type": "message", "status": "in_progress"}
        return {**ids, "role": "assistant", "content": []}

    def _grow(self, text: str, probable: Sequence[TokenLogprob] = ()) -> bytes:
        current = self._open
        assert current is not None  # noqa: S101 - switched to
        found = [_logprob(one) for one in probable]
        current.logprobs.extend(found)
        if not text and not found:
            return b""
        current.pieces.append(text)
        if "input" in current.item:  # of a custom tool: text inside JSON, which is known when it is whole
            return b""
        number, self._number = self._number, self._number + 1
        if number <= self._after:
            return b""
        head, tail = current.frame
        more = b""
        if self._logprobs and current.words is _SPOKEN:
            more = b',"logprobs":%b' % orjson.dumps(found)
        return b'%b,"sequence_number":%d%b,"delta":%b%b' % (head, number, more, orjson.dumps(text), tail)

    def _end(self, status: str) -> bytes:
        """Close the open item, if there is one."""
        current, self._open = self._open, None
        if current is None:
            return b""
        text, item, words = "".join(current.pieces), current.item, current.words
        place = {"item_id": item["id"], "output_index": current.index}
        item["status"] = status
        if words is None and "input" in item:
            item["input"] = _input(text)
            written = self._event(f"{_INPUT}.delta", **place, delta=item["input"])
            written += self._event(f"{_INPUT}.done", **place, input=item["input"])
        elif words is None:
            item["arguments"] = text
            written = self._event(f"{_ARGUMENTS}.done", **place, name=item["name"], arguments=text)
        else:
            part = _part(words, text, current.logprobs)
            item["summary" if words is _SUMMARY else "content"] = [part]
            more: Json = {"logprobs": current.logprobs} if words is _SPOKEN else {}
            where = {**place, words.place: 0}
            written = self._event(f"{words.text}.done", **where, text=text, **more)
            written += self._event(f"{words.part}.done", **where, part=part)
        self.response["output"].append(item)
        return written + self._event("response.output_item.done", output_index=current.index, item=item)

    def _event(self, name: str, /, **fields: object) -> bytes:
        number, self._number = self._number, self._number + 1
        if number <= self._after:
            return b""
        data = orjson.dumps({"type": name, "sequence_number": number, **fields})
        return b"event: %b\ndata: %b\n\n" % (name.encode(), data)


def _input(arguments: str) -> str:
    """Return a custom tool's text; that of a call that was cut is no JSON, and none is shown."""
    try:
        return str(orjson.loads(arguments).get("input", ""))
    except (orjson.JSONDecodeError, AttributeError):
        return ""


def _part(words: _Words, text: str, logprobs: Sequence[Json] = ()) -> Json:
    more: Json = {"annotations": [], "logprobs": list(logprobs)} if words is _SPOKEN else {}
    return {"type": words.type, "text": text, **more}


def _logprob(token: TokenLogprob) -> Json:
    top = [
        {"token": text, "logprob": max(value, LEAST_LOGPROB), "bytes": list(text.encode())} for text, value in token.top
    ]
    first = {"token": token.token, "logprob": max(token.logprob, LEAST_LOGPROB), "bytes": list(token.token.encode())}
    return {**first, "top_logprobs": top}


def _usage(finished: ChatFinished) -> dict[str, Any]:
    found = usage([finished])
    return {
        "input_tokens": found["prompt_tokens"],
        "input_tokens_details": {"cached_tokens": found["prompt_tokens_details"]["cached_tokens"]},
        "output_tokens": found["completion_tokens"],
        "output_tokens_details": {"reasoning_tokens": found["completion_tokens_details"]["reasoning_tokens"]},
        "total_tokens": found["total_tokens"],
    }
