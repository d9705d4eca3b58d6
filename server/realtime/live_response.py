"""One answer of a conversation as it grows: from pieces of text, calls and sound to the API's `response.*` events.

An answer is a row of items: at most one message, whose single part is text, or sound with its transcript, and the calls
of functions. The message stays open to the end, since its sound is made while the model already writes on; a call is
closed when the next begins. The order of events is the API's, which the clients depend on: `response.created`,
`output_item.added`, `conversation.item.added`, `content_part.added`, deltas, the parts' `.done`,
`conversation.item.done`, `output_item.done`, `response.done`. A call's `arguments.done` stands behind its item's
`added`. Nothing here waits or knows the clock.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final, Literal

from fastembed.pipeline.payload.chat import ChatDelta, ChatFinished
from fastembed.server.realtime.dialogue_items import DialogueItem, DialogueItems, shown_item
from fastembed.server.realtime.dialogue_settings import DialogueSettings
from fastembed.server.realtime.events import Event, NewId

ResponseStatus = Literal["in_progress", "completed", "cancelled", "failed", "incomplete"]

_INCOMPLETE: Final = {"length": "max_output_tokens", "content_filter": "content_filter"}
_BYTES_A_MS: Final = {"pcm16": 48, "pcmu": 8, "pcma": 8}


@dataclass(slots=True)
class SpokenPiece:
    """A part of an answer that was spoken: its text, and how long it sounds so far."""

    text: str
    ms: float = 0.0


@dataclass(slots=True)
class LiveResponse:
    """One answer. conversation_id None: its items are no part of the conversation. previous: the item before it."""

    id: str
    settings: DialogueSettings
    items: DialogueItems
    new_id: NewId
    conversation_id: str | None
    status: ResponseStatus = "in_progress"
    pieces: list[SpokenPiece] = field(default_factory=list)
    _output: list[DialogueItem] = field(default_factory=list)
    _message: DialogueItem | None = None
    _calls: dict[int, DialogueItem] = field(default_factory=dict)
    _closed: set[str] = field(default_factory=set)
    _finished: ChatFinished | None = None
    _details: dict[str, Any] | None = None

    def created(self) -> list[Event]:
        """Return the first event."""
        return [{"type": "response.created", "response": self.shown()}]

    def take(self, event: ChatDelta | ChatFinished) -> list[Event]:
        """Add what the model wrote."""
        if isinstance(event, ChatFinished):
            self._finished = event
            return []
        if event.tool_index is not None:
            return self._call(event)
        return self._say(event.text) if event.text else []

    def sound(self, encoded: str, size: int, text: str) -> list[Event]:
        """Add sound of the message: base64, and how many bytes. text: what is said in it."""
        if self._message is None:
            return []
        if not self.pieces or self.pieces[-1].text != text:
            self.pieces.append(SpokenPiece(text))
        self.pieces[-1].ms += size / _BYTES_A_MS[self.settings.format]
        return [self._part_event("response.output_audio.delta", delta=encoded)]

    def end(
        self, status: ResponseStatus = "completed", *, reason: str | None = None, error: dict[str, Any] | None = None
    ) -> list[Event]:
        """Return the last events. reason, error: why it did not complete."""
        if status == "completed" and self._finished is not None and (why := _INCOMPLETE.get(self._finished.reason)):
            status, reason = "incomplete", why
        made: list[Event] = []
        whole = status == "completed"
        if self._message is not None:
            made += self._close_message("completed" if whole else "incomplete")
        for call in self._calls.values():
            made += self._close_call(call, "completed" if whole else "incomplete")
        self.status = status
        if status != "completed":
            self._details = {"type": status}
            self._details |= {"reason": reason} if reason else {}
            self._details |= {"error": error} if error else {}
        return [*made, {"type": "response.done", "response": self.shown()}]

    def shown(self) -> dict[str, Any]:
        """Return the response object."""
        return {
            "id": self.id,
            "object": "realtime.response",
            "status": self.status,
            "status_details": self._details,
            "output": [shown_item(item) for item in self._output],
            "conversation_id": self.conversation_id,
            "output_modalities": [self.settings.modality],
            "max_output_tokens": self.settings.max_tokens or "inf",
            "audio": {"output": {name: self.settings.shown_output()[name] for name in ("format", "voice")}},
            "usage": self._usage(),
            "metadata": self.settings.metadata,
        }

    @property
    def message_id(self) -> str | None:
        """The id of its message, once there is one."""
        return None if self._message is None else str(self._message["id"])

    def _say(self, text: str) -> list[Event]:
        made: list[Event] = []
        name = "transcript" if self.settings.modality == "audio" else "text"
        if self._message is None:
            kind = "output_audio" if name == "transcript" else "output_text"
            self._message = {
                "id": self.new_id("item"),
                "object": "realtime.item",
                "type": "message",
                "status": "in_progress",
                "role": "assistant",
                "content": [],
            }
            made += self._added(self._message)
            part = {"type": kind, name: ""}
            self._message["content"].append(part)
            made.append(self._part_event("response.content_part.added", part={"type": kind[7:], name: ""}))
        self._message["content"][0][name] += text
        stem = "output_audio_transcript" if name == "transcript" else "output_text"
        return [*made, self._part_event(f"response.{stem}.delta", delta=text)]

    def _close_message(self, status: str) -> list[Event]:
        message = self._message
        assert message is not None  # noqa: S101 - asked by the caller
        part = message["content"][0]
        made: list[Event] = []
        if part["type"] == "output_audio":
            made.append(self._part_event("response.output_audio.done"))
            made.append(self._part_event("response.output_audio_transcript.done", transcript=part["transcript"]))
            made.append(
                self._part_event("response.content_part.done", part={"type": "audio", "transcript": part["transcript"]})
            )
        else:
            made.append(self._part_event("response.output_text.done", text=part["text"]))
            made.append(self._part_event("response.content_part.done", part={"type": "text", "text": part["text"]}))
        return [*made, *self._done(message, status)]

    def _call(self, event: ChatDelta) -> list[Event]:
        assert event.tool_index is not None  # noqa: S101 - asked by the caller
        made: list[Event] = []
        call = self._calls.get(event.tool_index)
        if call is None:
            for earlier in self._calls.values():
                made += self._close_call(earlier, "completed")
            call = self._calls[event.tool_index] = {
                "id": self.new_id("item"),
                "object": "realtime.item",
                "type": "function_call",
                "status": "in_progress",
                "call_id": event.tool_id or self.new_id("call"),
                "name": event.tool_name or "",
                "arguments": "",
            }
            made += self._added(call)
        if event.tool_arguments:
            call["arguments"] += event.tool_arguments
            made.append(self._call_event("response.function_call_arguments.delta", call, delta=event.tool_arguments))
        return made

    def _close_call(self, call: DialogueItem, status: str) -> list[Event]:
        if call["id"] in self._closed:
            return []
        name, arguments = call["name"], call["arguments"]
        done = self._call_event("response.function_call_arguments.done", call, arguments=arguments, name=name)
        return [done, *self._done(call, status)]

    def _added(self, item: DialogueItem) -> list[Event]:
        self._output.append(item)
        made: list[Event] = [self._item_event("response.output_item.added", item)]
        if self.conversation_id is not None:
            previous = self.items.add(item)
            shown = shown_item(item)
            made.append({"type": "conversation.item.added", "previous_item_id": previous, "item": shown})
        return made

    def _done(self, item: DialogueItem, status: str) -> list[Event]:
        item["status"] = status
        self._closed.add(item["id"])
        made: list[Event] = []
        if self.conversation_id is not None:
            order = [one["id"] for one in self.items.all()]
            place = order.index(item["id"]) if item["id"] in order else 0
            previous = order[place - 1] if place else None
            made.append({"type": "conversation.item.done", "previous_item_id": previous, "item": shown_item(item)})
        return [*made, self._item_event("response.output_item.done", item)]

    def _item_event(self, kind: str, item: DialogueItem) -> Event:
        index = self._output.index(item)
        return {"type": kind, "response_id": self.id, "output_index": index, "item": shown_item(item)}

    def _call_event(self, kind: str, call: DialogueItem, **more: Any) -> Event:
        place = {"item_id": call["id"], "output_index": self._output.index(call), "call_id": call["call_id"]}
        return {"type": kind, "response_id": self.id, **place, **more}

    def _part_event(self, kind: str, **more: Any) -> Event:
        assert self._message is not None  # noqa: S101 - only a message has parts
        place = {"item_id": self._message["id"], "output_index": self._output.index(self._message)}
        return {"type": kind, "response_id": self.id, **place, "content_index": 0, **more}

    def _usage(self) -> dict[str, Any] | None:
        found = self._finished
        if found is None:
            return None
        kinds = {"text_tokens": found.cached_tokens, "audio_tokens": 0, "image_tokens": 0}
        taken = {
            "text_tokens": found.prompt_tokens,
            "audio_tokens": 0,
            "image_tokens": 0,
            "cached_tokens": found.cached_tokens,
            "cached_tokens_details": kinds,
        }
        return {
            "total_tokens": found.prompt_tokens + found.completion_tokens,
            "input_tokens": found.prompt_tokens,
            "output_tokens": found.completion_tokens,
            "input_token_details": taken,
            "output_token_details": {"text_tokens": found.completion_tokens, "audio_tokens": 0},
        }


def heard_text(transcript: str, pieces: list[SpokenPiece], end_ms: float) -> str:
    """Return what of an answer had been heard at a time: whole sentences, of the one under way its share of words."""
    kept, place, at_ms = 0, 0, 0.0
    for piece in pieces:
        start = transcript.find(piece.text, place)
        start = place if start < 0 else start
        place = min(len(transcript), start + len(piece.text))
        if at_ms + piece.ms <= end_ms:
            kept, at_ms = place, at_ms + piece.ms
            continue
        share = (end_ms - at_ms) / piece.ms if piece.ms else 0.0
        words = piece.text[: round(len(piece.text) * share)].rpartition(" ")[0]
        return transcript[:start] + words if words else transcript[:kept]
    return transcript[:kept] if pieces else transcript
