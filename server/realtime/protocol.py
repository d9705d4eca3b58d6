"""The realtime protocol of a transcription session, as a pure state machine: no socket, no clock, no await.

Client messages go in (`on_text`, `on_bytes`) and become either values for the pipeline or events for the client; what
the pipeline heard goes in (`on_heard`) and becomes events. A mistake of the client is an error event that names the
client's event; the session goes on and nothing else changes.

`session.created` and `session.updated` are sent when the settings have gone through the pipeline and come back with
what is really in force: the steps' defaults, and the model's name in place of "auto". `conversation.item.added` and
`.done` (GA) or `.created` (beta) follow a commit; a client that sends a beta event, or the beta header, is spoken to in
beta.

Two orders run side by side. Mistakes and lookups (`retrieve`, `delete`) are answered at once, by the `Reaction` to the
message. Everything that depends on the audio before it (settings, commits, clears) travels through the pipeline as a
value and is answered when it comes back, so that its event stands behind those of the audio sent earlier:

    session.update --check--> `_asked[token]` --value--> steps --SpeechSettings, SpeechProblem--> `_settled`, `_problem`
    commit, clear ----------------------------value--> steps --Committed, Cleared, SpeechProblem--> events

A token stands for an update on its way; `_asked` maps it back to the client's event. Updates faster than they come back
are refused at `_UNANSWERED`, and the oldest items are forgotten at `_REMEMBERED`: both bound what a session can hold.
"""

from __future__ import annotations

import binascii
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

import orjson

from fastembed.pipeline.errors import InvalidInput, ItemError, Overloaded, Unprocessable
from fastembed.pipeline.payload.audio import (
    AudioBytes,
    AudioFrame,
    Clear,
    Cleared,
    Commit,
    Committed,
    IdleTimeout,
    SpeechEnded,
    SpeechInput,
    SpeechProblem,
    SpeechSettings,
    SpeechStarted,
    SpeechStopped,
    Transcript,
    TranscriptDelta,
    TranscriptFailed,
    Utterance,
)
from fastembed.server.realtime import events
from fastembed.server.realtime.events import Event, NewId
from fastembed.server.realtime.settings import SessionSettings
from fastembed.server.wire.fields import Fields
from fastembed.server.wire.unknown_fields import UnknownFields

MAX_AUDIO_BYTES: Final = 15 * 2**20
MAX_EVENT_ID: Final = 512
_COMMON: Final = frozenset({"type", "event_id"})  # fields of every event
_REMEMBERED: Final = 128  # items that can be retrieved or deleted
_UNANSWERED: Final = 64  # settings on their way through the pipeline

_PASSED_ON: Final = (Utterance, SpeechEnded, AudioFrame, AudioBytes, Commit, Clear)
"""What a pipeline may give that clients are not told of."""

_UNSUPPORTED: Final = frozenset(
    {
        "conversation.item.create",
        "conversation.item.truncate",
        "response.create",
        "response.cancel",
        "output_audio_buffer.clear",
    }
)


@dataclass(slots=True)
class Reaction:
    """The result of a message: values for the pipeline and events for the client, both in order."""

    values: list[SpeechInput] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _PendingSettings:
    """Settings that the pipeline has not confirmed yet, and the id of the client event that set them."""

    settings: SessionSettings
    ref: str | None
    beta: bool


class Protocol:
    """One session's side of the conversation.

    check(settings): refuses, with an ItemError, a model or language that is not there. new_id(prefix): fresh ids.
    """

    def __init__(
        self,
        session_id: str,
        *,
        beta: bool = False,
        check: Callable[[SpeechSettings], None] = lambda _: None,
        new_id: NewId = events.new_id,
    ) -> None:
        self.session_id = session_id
        self._beta = beta
        self._check = check
        self._new_id = new_id
        self._settings = SessionSettings()
        # Settings take effect behind the audio sent before them, so they travel through the pipeline like it; a token
        # finds the client's event again when they come back (`_settled`) or are refused there (`_problem`).
        self._asked: OrderedDict[str, _PendingSettings] = OrderedDict()
        self._created = False  # until the first settings are back, the answer to settings is `session.created`
        self._items: OrderedDict[str, str | None] = OrderedDict()
        self._previous: str | None = None
        self._reactions: Mapping[str, Callable[[Fields, str | None], Reaction]] = {
            "session.update": self._update,
            "transcription_session.update": self._update_beta,
            "input_audio_buffer.append": self._append,
            "input_audio_buffer.commit": self._commit,
            "input_audio_buffer.clear": self._clear,
            "conversation.item.retrieve": self._retrieve,
            "conversation.item.delete": self._delete,
        }

    def start(self, model: str | None = None) -> Reaction:
        """Start a session. model: from the address (`?model=`)."""
        reaction = Reaction()
        if model is not None:
            wanted = replace(self._settings, speech=replace(self._settings.speech, model=model))
            try:
                self._check(wanted.speech)
                self._settings = wanted
            except ItemError as error:
                reaction.events.append(self._stamped(_error(error, None)))
        reaction.values.append(self._ask(self._settings, None))
        return reaction

    def on_text(self, text: str) -> Reaction:
        """Handle a client event."""
        try:
            message = orjson.loads(text)
        except orjson.JSONDecodeError as error:
            return self._refuse(f"found text that is not JSON ({error}), expected a client event", "invalid_json", None)
        if not isinstance(message, dict):
            found = type(message).__name__
            return self._refuse(
                f"found JSON of type {found}, expected an object: a client event", "invalid_event", None
            )
        ref = message.get("event_id")
        if ref is not None and not (isinstance(ref, str) and len(ref) <= MAX_EVENT_ID):
            expected = f"expected text of at most {MAX_EVENT_ID} characters"
            return self._refuse(f"found event_id {ref!r:.50}, {expected}", "invalid_value", None, "event_id")
        try:
            return self._take(message, ref)
        except ItemError as error:
            return Reaction(events=[self._stamped(_error(error, ref))])

    def on_bytes(self, data: bytes) -> Reaction:
        """Handle a binary message: audio in the session's format, or a webm or ogg stream."""
        if len(data) > MAX_AUDIO_BYTES:
            return self._refuse(_too_large(len(data)), "audio_too_large", None)
        return Reaction(values=[AudioBytes(data, sniff=True)] if data else [])

    def on_heard(self, value: Any) -> list[Event]:
        """Take a result of the pipeline; return the events for it, if any.

        Unprocessable: the session has no words for a result of this kind.
        """
        match value:
            case SpeechSettings():
                made = self._settled(value)
            case SpeechProblem():
                made = self._problem(value)
            case Committed():
                made = self._committed(value.utterance_id)
            case Transcript():
                if value.utterance_id in self._items:
                    self._items[value.utterance_id] = value.text
                made = [events.completed(value)]
            case TranscriptDelta():
                made = [events.delta(value)]
            case TranscriptFailed():
                made = [events.failed(value)]
            case SpeechStarted():
                made = [events.speech_started(value)]
            case SpeechStopped():
                made = [events.speech_stopped(value)]
            case IdleTimeout():
                made = [events.timeout_triggered(value)]
            case Cleared():
                made = [{"type": "input_audio_buffer.cleared"}]
            case _:
                made = _unheard(value)
        return [self._stamped(event) for event in made]

    def on_lost(self, error: BaseException | None) -> list[Event]:
        """Handle a message that the pipeline refused or failed on."""
        if isinstance(error, Overloaded):
            message = "Audio was dropped: it comes faster than it can be processed."
            made = events.error(message, code="audio_dropped", kind="rate_limit_error")
        elif isinstance(error, ItemError) and error.status < 500:  # noqa: PLR2004 - HTTP's classes
            made = _error(error, None)
        else:
            made = events.error("The server had an error while processing audio.", code=None, kind="server_error")
        return [self._stamped(made)]

    def _take(self, message: dict[str, Any], ref: str | None) -> Reaction:
        fields = Fields(message, unknown=UnknownFields(reject=True))
        kind = fields.raw("type")
        if kind is None:
            fields.refuse("type", "the type of a client event")
        if kind in _UNSUPPORTED:
            expected = "expected audio, commits, clears or session updates: this session only transcribes"
            raise InvalidInput(f"found event type {kind!r}, {expected}", param="type", code="unsupported_event")
        react = self._reactions.get(kind) if isinstance(kind, str) else None
        if react is None:
            expected = f"expected one of {', '.join(self._reactions)}"
            raise InvalidInput(f"found event type {kind!r:.100}, {expected}", param="type", code="unknown_event")
        return react(fields, ref)

    def _commit(self, message: Fields, ref: str | None) -> Reaction:
        message.known(_COMMON)
        return Reaction(values=[Commit(ref)])

    def _clear(self, message: Fields, ref: str | None) -> Reaction:
        message.known(_COMMON)
        return Reaction(values=[Clear(ref)])

    def _retrieve(self, message: Fields, _: str | None) -> Reaction:
        item_id = self._known(message)
        item = events.conversation_item(item_id, self._items[item_id])
        return Reaction(events=[self._stamped({"type": "conversation.item.retrieved", "item": item})])

    def _delete(self, message: Fields, _: str | None) -> Reaction:
        item_id = self._known(message)
        del self._items[item_id]
        return Reaction(events=[self._stamped({"type": "conversation.item.deleted", "item_id": item_id})])

    def _append(self, message: Fields, ref: str | None) -> Reaction:
        message.known(_COMMON | {"audio"})
        audio = message.raw("audio")
        if not isinstance(audio, str):
            message.refuse("audio", "base64 text")
        if len(audio) * 3 // 4 > MAX_AUDIO_BYTES + 2:
            raise InvalidInput(_too_large(len(audio) * 3 // 4), param="audio", code="audio_too_large")
        try:
            data = binascii.a2b_base64(audio, strict_mode=True)
        except (binascii.Error, ValueError) as error:
            raise InvalidInput(
                f"found audio that is not base64 ({error}), expected base64 text", param="audio", code="invalid_base64"
            ) from error
        return Reaction(values=[AudioBytes(data, ref=ref)] if data else [])

    def _update_beta(self, message: Fields, ref: str | None) -> Reaction:
        return self._update(message, ref, beta=True)

    def _update(self, message: Fields, ref: str | None, *, beta: bool = False) -> Reaction:
        message.known(_COMMON | {"session"})
        if not message.has("session"):
            message.refuse("session", "an object")
        if len(self._asked) >= _UNANSWERED:
            raise Overloaded(
                f"found {_UNANSWERED} session updates unanswered, expected fewer: wait for session.updated"
            )
        update = self._settings.updated_beta if beta else self._settings.updated
        wanted = update(message.raw("session"))
        self._check(wanted.speech)  # raises before anything changes: a refused update leaves the session as it was
        self._beta = self._beta or beta
        self._settings = wanted
        return Reaction(values=[self._ask(wanted, ref)])

    def _ask(self, settings: SessionSettings, ref: str | None) -> SpeechSettings:
        token = self._new_id("settings")
        self._asked[token] = _PendingSettings(settings, ref, self._beta)
        return replace(settings.speech, ref=token)

    def _settled(self, speech: SpeechSettings) -> list[Event]:
        asked = self._asked.pop(speech.ref or "", None) or _PendingSettings(self._settings, None, self._beta)
        return [self._session(asked, speech)]

    def _session(self, asked: _PendingSettings, speech: SpeechSettings) -> Event:
        verb, self._created = "updated" if self._created else "created", True
        if asked.beta:
            session = asked.settings.shown_beta(speech, self.session_id)
            return {"type": f"transcription_session.{verb}", "session": session}
        return {"type": f"session.{verb}", "session": asked.settings.shown(speech, self.session_id)}

    def _problem(self, problem: SpeechProblem) -> list[Event]:
        asked = self._asked.pop(problem.ref or "", None)
        ref = asked.ref if asked else problem.ref
        made = [events.error(problem.message, code=problem.code, param=problem.param, ref=ref)]
        if asked is not None and not self._created:  # clients wait for `session.created` before they send anything
            made.append(self._session(asked, asked.settings.speech))
        return made

    def _committed(self, item_id: str) -> list[Event]:
        previous, self._previous = self._previous, item_id
        self._items[item_id] = None
        if len(self._items) > _REMEMBERED:
            self._items.popitem(last=False)
        item = events.conversation_item(item_id)
        kinds = ("created",) if self._beta else ("added", "done")
        return [
            events.committed(item_id, previous),
            *({"type": f"conversation.item.{kind}", "previous_item_id": previous, "item": item} for kind in kinds),
        ]

    def _known(self, message: Fields) -> str:
        message.known(_COMMON | {"item_id"})
        item_id = message.raw("item_id")
        if not isinstance(item_id, str) or item_id not in self._items:
            raise InvalidInput(
                f"found item_id {item_id!r:.100}, expected that of an item of this session",
                param="item_id",
                code="item_not_found",
            )
        return item_id

    def _refuse(self, message: str, code: str, ref: str | None, param: str | None = None) -> Reaction:
        return Reaction(events=[self._stamped(events.error(message, code=code, param=param, ref=ref))])

    def _stamped(self, event: Event) -> Event:
        return {"event_id": self._new_id("event"), **event}


def _error(error: ItemError, ref: str | None) -> Event:
    return events.error(error.message, code=error.code, param=error.param, ref=ref, kind=error.type)


def _too_large(size: int) -> str:
    return f"found {size} bytes of audio in one message, expected at most {MAX_AUDIO_BYTES}"


def _unheard(value: object) -> list[Event]:
    """Return no events for a value that the pipeline only passed on. Unprocessable: a type that no session knows."""
    if isinstance(value, _PASSED_ON):
        return []
    raise Unprocessable(
        f"found a result of {type(value).__name__}, expected a transcript: realtime sessions have no event for it"
    )
