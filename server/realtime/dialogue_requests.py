"""The client's events about items and answers: each is checked, and led to what it means to the conversation."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from fastembed.pipeline.errors import ItemError, Overloaded
from fastembed.pipeline.payload.audio import SpeechMark
from fastembed.server.realtime import events
from fastembed.server.realtime.dialogue import Dialogue
from fastembed.server.realtime.dialogue_items import DialogueItems, shown_item
from fastembed.server.realtime.dialogue_settings import DialogueSettings
from fastembed.server.realtime.events import Event, NewId
from fastembed.server.realtime.reaction import Reaction
from fastembed.server.wire.fields import Fields

CONVERSATION: Final = frozenset(
    {"conversation.item.create", "conversation.item.truncate", "response.create", "response.cancel"}
)
"""Events of conversations alone."""
_COMMON: Final = frozenset({"type", "event_id"})
_UNANSWERED: Final = 64  # requests for answers on their way through the pipeline

React = Callable[[Fields, str | None], Reaction]


class DialogueRequests:
    """Takes the events. answering: how answers are made now."""

    def __init__(
        self, dialogue: Dialogue, items: DialogueItems, answering: Callable[[], DialogueSettings], new_id: NewId
    ) -> None:
        self._dialogue = dialogue
        self._items = items
        self._answering = answering
        self._new_id = new_id
        self._marks: dict[str, tuple[Fields | None, str | None]] = {}
        self.reactions: Mapping[str, React] = {
            "conversation.item.retrieve": self._retrieve,
            "conversation.item.delete": self._delete,
            "conversation.item.create": self._create_item,
            "conversation.item.truncate": self._truncate,
            "response.create": self._create_response,
            "response.cancel": self._cancel,
        }

    def marked(self, token: str) -> list[Event]:
        """Answer the `response.create` whose mark came back."""
        response, ref = self._marks.pop(token, (None, None))
        try:
            return self._dialogue.ask(response, self._answering())
        except ItemError as error:
            return [events.refused(error, ref)]

    def _retrieve(self, message: Fields, _: str | None) -> Reaction:
        message.known(_COMMON | {"item_id"})
        item = shown_item(self._items.get(message.raw("item_id")), sound=True)
        return Reaction(events=[{"type": "conversation.item.retrieved", "item": item}])

    def _delete(self, message: Fields, _: str | None) -> Reaction:
        message.known(_COMMON | {"item_id"})
        item_id = self._items.get(message.raw("item_id"))["id"]
        deleted: Event = {"type": "conversation.item.deleted", "item_id": item_id}
        return Reaction(events=[deleted, *self._dialogue.forget_item(item_id)])

    def _create_item(self, message: Fields, _: str | None) -> Reaction:
        message.known(_COMMON | {"item", "previous_item_id"})
        return Reaction(events=self._dialogue.create_item(message))

    def _truncate(self, message: Fields, _: str | None) -> Reaction:
        message.known(_COMMON | {"item_id", "content_index", "audio_end_ms"})
        return Reaction(events=self._dialogue.truncate(message))

    def _create_response(self, message: Fields, ref: str | None) -> Reaction:
        message.known(_COMMON | {"response"})
        response = message.object("response")
        if response is not None:
            self._answering().for_response(response)  # what is wrong with it is said at once
        if len(self._marks) >= _UNANSWERED:
            raise Overloaded(f"found {_UNANSWERED} response.create unanswered, expected fewer")
        token = self._new_id("mark")
        self._marks[token] = (response, ref)
        return Reaction(values=[SpeechMark(token)])

    def _cancel(self, message: Fields, _: str | None) -> Reaction:
        message.known(_COMMON | {"response_id"})
        return Reaction(events=self._dialogue.cancel(message))
