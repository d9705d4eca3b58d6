"""A conversation as a pure state machine: what was said, typed and answered; which answers are under way.

    idle --(response.create, or the end of a turn)--> asked: `response.created`, waiting for what was just said
    asked --(every transcript is there)--> running: the `Answers` are told to begin
    running --(the model and the voice are done)--> idle: `response.done`
    asked, running --(speech begins, response.cancel)--> idle: `response.done` cancelled, the `Answers` told to stop

One answer at a time belongs to the conversation; others (`conversation: none`) may run beside it, up to `_MOST`. What
comes of an answer that was cancelled is ignored. A turn without a word in it is not answered: it was a noise.
A `response.create` travels through the pipeline as a `SpeechMark`, so that what was committed before it is heard first.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Protocol

from fastembed.pipeline.errors import Conflict, InvalidInput, ItemError, Overloaded
from fastembed.pipeline.payload.chat import ChatDelta, ChatFinished
from fastembed.server.realtime.dialogue_items import (
    DialogueItem,
    DialogueItems,
    as_input,
    read_item,
    shown_item,
    spoken_item,
)
from fastembed.server.realtime.dialogue_settings import DialogueSettings
from fastembed.server.realtime.events import Event, NewId
from fastembed.server.realtime.live_response import LiveResponse, SpokenPiece, heard_text
from fastembed.server.wire.fields import Fields

_MOST: Final = 8
_HEARD: Final = 64  # answers whose spoken pieces are remembered, to truncate them


@dataclass(frozen=True, slots=True)
class AnswerRequest:
    """An answer to make. items: what goes before it, as the Responses API takes items."""

    id: str
    settings: DialogueSettings
    items: Sequence[dict[str, Any]]


class Answers(Protocol):
    """Makes answers; what comes of them is told to the `Dialogue`."""

    def begin(self, request: AnswerRequest) -> None:
        """Start to make an answer; returns at once."""

    def stop(self, response_id: str) -> None:
        """Stop making an answer."""


class NoAnswers:
    """Of sessions that only transcribe."""

    def begin(self, request: AnswerRequest) -> None:
        """Do nothing: nothing is ever asked of it."""

    def stop(self, response_id: str) -> None:
        """Do nothing."""


@dataclass(slots=True)
class _Asked:
    """An answer under way. items: its own input, None: the conversation. begun: whether it is being made."""

    response: LiveResponse
    items: Sequence[DialogueItem] | None
    begun: bool = False


class Dialogue:
    """One conversation. Methods return events; those that clients cause raise InvalidInput."""

    def __init__(self, items: DialogueItems, answers: Answers, new_id: NewId) -> None:
        self.id = new_id("conv")
        self._items = items
        self._answers = answers
        self._new_id = new_id
        self._asked: dict[str, _Asked] = {}
        self._main: str | None = None  # the answer under way that belongs to the conversation
        self._unheard: set[str] = set()  # committed, without a transcript yet
        self._turn: str | None = None  # the turn whose end was heard, until it is answered
        self._stopped: str | None = None
        self._owed = False  # a turn ended while an answer was under way that it does not interrupt
        self._heard: dict[str, list[SpokenPiece]] = {}
        self.sound_format = (24_000, "pcm16")
        """Of sound that clients put into items: the session's."""

    def create_item(self, fields: Fields) -> list[Event]:
        """Take a client's item into the conversation."""
        after = fields.text("previous_item_id")
        item = read_item(fields.required("item", "an item"), self._new_id("item"))
        size = len(str(item))
        previous = self._items.add(item, after, size=size)
        return [
            {"type": f"conversation.item.{kind}", "previous_item_id": previous, "item": shown_item(item)}
            for kind in ("added", "done")
        ]

    def truncate(self, fields: Fields) -> list[Event]:
        """Forget what of an answer was not heard any more. More than there is of it is all of it."""
        item = self._items.get(fields.raw("item_id"))
        end_ms = fields.whole("audio_end_ms", 0, 2**31 - 1)
        if end_ms is None:
            fields.refuse("audio_end_ms", "milliseconds")
        if item["type"] != "message" or item["role"] != "assistant":
            raise InvalidInput("found an item that is no answer, expected an assistant's message", param="item_id")
        part = item["content"][0] if item["content"] else {}
        if part.get("type") == "output_audio":
            part["transcript"] = heard_text(part["transcript"], self._heard.get(item["id"], []), end_ms)
        place = {"item_id": item["id"], "content_index": 0, "audio_end_ms": end_ms}
        return [{"type": "conversation.item.truncated", **place}]

    def ask(self, fields: Fields | None, settings: DialogueSettings) -> list[Event]:
        """Answer a `response.create`, whose `response` the fields are."""
        plan = settings if fields is None else settings.for_response(fields)
        aside = fields is not None and fields.raw("conversation") == "none"
        items: list[DialogueItem] | None = None
        if fields is not None and fields.raw("input") is not None:
            items = self._given_items(fields)
        if not aside and self._main is not None:
            raise Conflict(
                f"Conversation already has an active response in progress: {self._main}. Wait until the response is "
                "finished before creating a new one.",
                code="conversation_already_has_active_response",
            )
        if len(self._asked) >= _MOST:
            raise Overloaded(f"found {_MOST} responses in progress, expected fewer")
        return self._begin(plan, items, aside=aside)

    def cancel(self, fields: Fields) -> list[Event]:
        """Answer a `response.cancel`."""
        response_id = fields.text("response_id") or self._main
        if response_id not in self._asked:
            raise InvalidInput("Cancellation failed: no active response found", code="response_cancel_not_active")
        return self._cancel(response_id, "client_cancelled")

    def committed(self, item_id: str, settings: DialogueSettings, *, answered: bool) -> str | None:
        """Take what was said into the conversation; return the id of the item before. answered: in a conversation."""
        previous = self._items.add(spoken_item(item_id))
        self._unheard.add(item_id)
        if answered and settings.respond and self._stopped == item_id:
            self._turn = item_id
        return previous

    def transcribed(self, item_id: str, transcript: str | None, settings: DialogueSettings) -> list[Event]:
        """Take the words of an item, or None: it could not be transcribed."""
        if item_id in self._items:
            self._items.get(item_id)["content"][0]["transcript"] = transcript
        self._unheard.discard(item_id)
        if self._turn == item_id:
            self._turn = None
            if transcript:
                return self._answer_turn(settings)
        return self._begin_heard()

    def forget_item(self, item_id: str) -> list[Event]:
        """Forget an item; nothing waits for its words any more."""
        self._items.remove(item_id)
        self._unheard.discard(item_id)
        return self._begin_heard()

    def lost(self) -> list[Event]:
        """Wait for no words any more: those of some item were lost."""
        self._unheard.clear()
        return self._begin_heard()

    def close(self) -> None:
        """Stop every answer: the session ends."""
        for response_id in list(self._asked):
            self._forget(response_id)
            self._answers.stop(response_id)

    def started(self, settings: DialogueSettings) -> list[Event]:
        """Note that someone speaks: who is answered falls silent, and a turn that seemed to be over goes on."""
        self._turn = None
        if not settings.interrupt:
            return []
        self._owed = False
        return [] if self._main is None else self._cancel(self._main, "turn_detected")

    def stopped(self, item_id: str) -> None:
        """Note the end of a turn."""
        self._stopped = item_id

    def idle(self, settings: DialogueSettings) -> list[Event]:
        """Speak to someone who has been silent for the session's idle timeout."""
        return [] if self._main is not None or not len(self._items) else self._begin(settings, None, aside=False)

    def on_chat(self, response_id: str, event: ChatDelta | ChatFinished) -> list[Event]:
        """Take what the model wrote."""
        asked = self._asked.get(response_id)
        return [] if asked is None else asked.response.take(event)

    def on_sound(self, response_id: str, encoded: str, size: int, text: str) -> list[Event]:
        """Take sound (base64, its size in bytes) in which `text` is said."""
        asked = self._asked.get(response_id)
        if asked is None:
            return []
        made = asked.response.sound(encoded, size, text)
        if (message := asked.response.message_id) is not None:
            self._heard[message] = asked.response.pieces
            if len(self._heard) > _HEARD:
                del self._heard[next(iter(self._heard))]
        return made

    def on_end(self, response_id: str, error: ItemError | None, settings: DialogueSettings) -> list[Event]:
        """Take note that an answer is complete, or failed."""
        asked = self._forget(response_id)
        if asked is None:
            return []
        if error is None:
            made = asked.response.end()
        else:
            what = {"type": error.type, "code": error.code, "message": error.message}
            made = asked.response.end("failed", error=what)
        if self._owed and self._main is None:
            self._owed = False
            made += self._begin(settings, None, aside=False)
        return made

    def _given_items(self, fields: Fields) -> list[DialogueItem]:
        """Return a response's own input: items, and references to items of the session."""
        found = []
        if fields.raw("input") == []:
            return []
        for place, entry in fields.entries("input", "a list of items", most=256):
            one = fields.inner(entry, place)
            if one.raw("type") == "item_reference":
                found.append(self._items.get(one.raw("id")))
            else:
                found.append(read_item(one, self._new_id("item")))
        return found

    def _answer_turn(self, settings: DialogueSettings) -> list[Event]:
        if self._main is not None:
            self._owed = True
            return self._begin_heard()
        return [*self._begin_heard(), *self._begin(settings, None, aside=False)]

    def _begin(self, settings: DialogueSettings, items: Sequence[DialogueItem] | None, *, aside: bool) -> list[Event]:
        conversation_id = None if aside else self.id
        response = LiveResponse(self._new_id("resp"), settings, self._items, self._new_id, conversation_id)
        self._asked[response.id] = _Asked(response, items)
        if not aside:
            self._main = response.id
        return [*response.created(), *self._begin_heard()]

    def _begin_heard(self) -> list[Event]:
        """Begin the answers that wait for nothing any more."""
        for asked in self._asked.values():
            if not asked.begun and not (self._unheard and asked.items is None):
                asked.begun = True
                items = self._items.all() if asked.items is None else asked.items
                found = as_input(items, *self.sound_format)
                self._answers.begin(AnswerRequest(asked.response.id, asked.response.settings, found))
        return []

    def _cancel(self, response_id: str, reason: str) -> list[Event]:
        asked = self._forget(response_id)
        assert asked is not None  # noqa: S101 - looked up by the callers
        self._answers.stop(response_id)
        return asked.response.end("cancelled", reason=reason)

    def _forget(self, response_id: str) -> _Asked | None:
        if self._main == response_id:
            self._main = None
        return self._asked.pop(response_id, None)


def without_voice(settings: DialogueSettings) -> DialogueSettings:
    """Return the settings where nothing here can speak: answers are text."""
    return replace(settings, modality="text")
