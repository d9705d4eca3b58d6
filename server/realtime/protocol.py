"""The realtime protocol of a session, as a pure state machine: no socket, no clock, no await.

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
    response.create --`_marks[token]`----SpeechMark--> steps --SpeechMark--> `Dialogue.ask`

A session of `type: realtime` is a conversation: its `Dialogue` answers. A token stands for an update on its way, which
`_asked` maps to the client's event; more than `_UNANSWERED` are refused, items beyond `_REMEMBERED` forgotten.
"""

from __future__ import annotations

import binascii
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
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
    SpeakerTurns,
    SpeechEnded,
    SpeechMark,
    SpeechNotice,
    SpeechProblem,
    SpeechSettings,
    SpeechStarted,
    SpeechStopped,
    Transcript,
    TranscriptDelta,
    TranscriptFailed,
    Utterance,
)
from fastembed.pipeline.payload.chat import ChatDelta, ChatFinished
from fastembed.server.realtime import events
from fastembed.server.realtime.dialogue import Answers, Dialogue, NoAnswers, without_voice
from fastembed.server.realtime.dialogue_items import MAX_ITEMS, DialogueItems, shown_item
from fastembed.server.realtime.dialogue_requests import CONVERSATION, DialogueRequests
from fastembed.server.realtime.dialogue_settings import DialogueSettings, model_name
from fastembed.server.realtime.events import Event, NewId
from fastembed.server.realtime.reaction import Reaction
from fastembed.server.realtime.settings import COMMITTED_BY_CLIENTS, SessionSettings, read_session
from fastembed.server.wire.fields import Fields
from fastembed.server.wire.unknown_fields import UnknownFields

MAX_AUDIO_BYTES: Final = 15 * 2**20
MAX_EVENT_ID: Final = 512
_COMMON: Final = frozenset({"type", "event_id"})  # fields of every event
_REMEMBERED: Final = 128  # items that can be retrieved or deleted
_UNANSWERED: Final = 64  # settings on their way through the pipeline

_PASSED_ON: Final = (Utterance, SpeakerTurns, SpeechEnded, AudioFrame, AudioBytes, Commit, Clear)
"""What a pipeline may give that clients are not told of."""

_WEBRTC: Final = "output_audio_buffer.clear"  # of calls, whose sound the server plays out


@dataclass(frozen=True, slots=True)
class Talk:
    """What a session needs to answer. speaks: whether a voice is here. model: what "auto" stands for."""

    answers: Answers
    speaks: Callable[[], bool] = lambda: False
    model: Callable[[], str] = lambda: "auto"


@dataclass(frozen=True, slots=True)
class _PendingSettings:
    """Settings that the pipeline has not confirmed yet, and the id of the client event that set them."""

    settings: SessionSettings
    ref: str | None
    beta: bool
    dialogue: DialogueSettings | None


class Protocol:
    """One session's side of the conversation.

    check(settings): refuses, with an ItemError, a model or language that is not there. new_id(prefix): fresh ids.
    talk: of a conversation; None: the session only transcribes.
    """

    def __init__(
        self,
        session_id: str,
        *,
        beta: bool = False,
        check: Callable[[SpeechSettings], None] = lambda _: None,
        new_id: NewId = events.new_id,
        talk: Talk | None = None,
    ) -> None:
        self.session_id = session_id
        self._talk = talk
        self._beta = beta
        self._check = check
        self._new_id = new_id
        self._settings = SessionSettings()
        # Settings take effect behind the audio sent before them, so they travel through the pipeline like it; a token
        # finds the client's event again when they come back (`_settled`) or are refused there (`_problem`).
        self._asked: OrderedDict[str, _PendingSettings] = OrderedDict()
        self._created = False  # until the first settings are back, the answer to settings is `session.created`
        self._items = DialogueItems(_REMEMBERED if talk is None else MAX_ITEMS)
        self.dialogue = Dialogue(self._items, NoAnswers() if talk is None else talk.answers, new_id)
        self._answering = None if talk is None else DialogueSettings()
        self._speaks = False  # whether a voice is here, as of the last update
        self._requests = DialogueRequests(self.dialogue, self._items, self.answering, new_id)
        self._reactions: Mapping[str, Callable[[Fields, str | None], Reaction]] = {
            "session.update": self._update,
            "transcription_session.update": self._update_beta,
            "input_audio_buffer.append": self._append,
            "input_audio_buffer.commit": self._commit,
            "input_audio_buffer.clear": self._clear,
            **self._requests.reactions,
        }

    def start(self, model: str | None = None, session: Mapping[str, Any] | None = None) -> Reaction:
        """Start a session. model: from the address (`?model=`). session: settings that come with its key."""
        reaction = Reaction()
        if model is not None and self._answering is not None:
            self._answering = replace(self._answering, model=model_name(model))
        elif model is not None:
            speech = replace(self._settings.speech, model=model)
            if model in COMMITTED_BY_CLIENTS:
                speech = replace(speech, turn_detection=None)
            try:
                self._check(speech)
                self._settings = replace(self._settings, speech=speech)
            except ItemError as error:
                reaction.events.append(self._stamped(events.refused(error, None)))
        if session is not None:
            self._settings, self._answering = self._updated(session)
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
            return Reaction(events=[self._stamped(events.refused(error, ref))])

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
            case SpeechNotice():
                made = [events.notice(value.message, code=value.code, ref=value.ref)]
            case SpeechMark():
                made = self._requests.marked(value.token)
            case Committed():
                made = self._committed(value.utterance_id)
            case Transcript() | TranscriptDelta() | TranscriptFailed():
                made = self._words(value)
            case SpeechStarted():
                made = [events.speech_started(value)]
                made += [] if self._answering is None else self.dialogue.started(self._answering)
            case SpeechStopped():
                made = [events.speech_stopped(value)]
                self.dialogue.stopped(value.utterance_id)
            case IdleTimeout():
                made = [events.timeout_triggered(value)]
                made += [] if self._answering is None else self.dialogue.idle(self.answering())
            case Cleared():
                made = [{"type": "input_audio_buffer.cleared"}]
            case _:
                made = _unheard(value)
        return self.stamped(made)

    def on_chat(self, response_id: str, event: ChatDelta | ChatFinished) -> list[Event]:
        """Take what a model wrote of an answer."""
        return self.stamped(self.dialogue.on_chat(response_id, event))

    def on_sound(self, response_id: str, encoded: str, size: int, text: str) -> list[Event]:
        """Take sound of an answer: base64, its size in bytes, and what is said in it."""
        return self.stamped(self.dialogue.on_sound(response_id, encoded, size, text))

    def on_answered(self, response_id: str, error: ItemError | None) -> list[Event]:
        """Take note that an answer is complete, or failed."""
        return self.stamped(self.dialogue.on_end(response_id, error, self.answering()))

    def answering(self) -> DialogueSettings:
        """Return how answers are made now: as text where no voice is here."""
        settings = self._answering or DialogueSettings()
        return settings if self._speaks else without_voice(settings)

    def stamped(self, made: Sequence[Event]) -> list[Event]:
        """Return events with their ids."""
        return [self._stamped(event) for event in made]

    def on_lost(self, error: BaseException | None) -> list[Event]:
        """Handle a message that the pipeline refused or failed on."""
        if isinstance(error, Overloaded):
            message = "Audio was dropped: it comes faster than it can be processed."
            made = events.notice(message, code="audio_dropped")
        elif isinstance(error, ItemError) and error.status < 500:  # noqa: PLR2004 - HTTP's classes
            made = events.refused(error, None)
        else:
            made = events.error("The server had an error while processing audio.", code=None, kind="server_error")
        return self.stamped([made, *self.dialogue.lost()])

    def _take(self, message: dict[str, Any], ref: str | None) -> Reaction:
        fields = Fields(message, unknown=UnknownFields(reject=True))
        kind = fields.raw("type")
        if kind is None:
            fields.refuse("type", "the type of a client event")
        if kind == _WEBRTC or (kind in CONVERSATION and self._answering is None):
            expected = "expected audio, commits, clears or session updates: this session only transcribes"
            raise InvalidInput(f"found event type {kind!r}, {expected}", param="type", code="unsupported_event")
        react = self._reactions.get(kind) if isinstance(kind, str) else None
        if react is None:
            expected = f"expected one of {', '.join(self._reactions)}"
            raise InvalidInput(f"found event type {kind!r:.100}, {expected}", param="type", code="unknown_event")
        reaction = react(fields, ref)
        reaction.events = self.stamped(reaction.events)
        return reaction

    def _commit(self, message: Fields, ref: str | None) -> Reaction:
        message.known(_COMMON)
        return Reaction(values=[Commit(ref)])

    def _clear(self, message: Fields, ref: str | None) -> Reaction:
        message.known(_COMMON)
        return Reaction(values=[Clear(ref)])

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
        session = message.raw("session")
        wanted, answering = (self._settings.updated_beta(session), None) if beta else self._updated(session)
        self._check(wanted.speech)  # raises before anything changes: a refused update leaves the session as it was
        self._beta = self._beta or beta
        self._settings, self._answering = wanted, answering
        self.dialogue.sound_format = (wanted.speech.rate_hz, wanted.speech.format)
        return Reaction(values=[self._ask(wanted, ref)])

    def _updated(self, session: object) -> tuple[SessionSettings, DialogueSettings | None]:
        """Return the settings as an update leaves them; a conversation may become a transcription, not otherwise."""
        fields = read_session(session)
        kind = fields.raw("type")
        if kind == "transcription" or (kind != "realtime" and self._answering is None):
            return self._settings.updated(session), None
        if kind not in ("realtime", None):
            fields.refuse("type", "realtime or transcription")
        if self._answering is None:
            raise InvalidInput(
                "session.type: found realtime, expected transcription: conversations connect without the intent",
                param="session.type",
                code="invalid_session_type",
            )
        answering = self._answering.updated(fields)
        wanted = self._settings.updated_input(fields, fields.object("audio"))
        if wanted.speech.model is None:  # the model that answers reads what was said, also where nobody else does
            wanted = replace(wanted, speech=replace(wanted.speech, model="auto"))
        return wanted, answering

    def _ask(self, settings: SessionSettings, ref: str | None) -> SpeechSettings:
        token = self._new_id("settings")
        self._asked[token] = _PendingSettings(settings, ref, self._beta, self._answering)
        return replace(settings.speech, ref=token)

    def _settled(self, speech: SpeechSettings) -> list[Event]:
        asked = self._asked.pop(speech.ref or "", None) or _PendingSettings(
            self._settings, None, self._beta, self._answering
        )
        return [self._session(asked, speech)]

    def _session(self, asked: _PendingSettings, speech: SpeechSettings) -> Event:
        verb, self._created = "updated" if self._created else "created", True
        if asked.beta:
            session = asked.settings.shown_beta(speech, self.session_id)
            return {"type": f"transcription_session.{verb}", "session": session}
        if asked.dialogue is None or self._talk is None:
            return {"type": f"session.{verb}", "session": asked.settings.shown(speech, self.session_id)}
        heard = asked.settings.shown_input(speech)
        self._speaks = self._talk.speaks()
        dialogue = asked.dialogue if self._speaks else without_voice(asked.dialogue)
        return {"type": f"session.{verb}", "session": dialogue.shown(self.session_id, heard, self._talk.model())}

    def _problem(self, problem: SpeechProblem) -> list[Event]:
        asked = self._asked.pop(problem.ref or "", None)
        ref = asked.ref if asked else problem.ref
        made = [events.error(problem.message, code=problem.code, param=problem.param, ref=ref)]
        if asked is not None and not self._created:  # clients wait for `session.created` before they send anything
            made.append(self._session(asked, asked.settings.speech))
        return made

    def _committed(self, item_id: str) -> list[Event]:
        settings = self._answering or DialogueSettings()
        previous = self.dialogue.committed(item_id, settings, answered=self._answering is not None)
        item = shown_item(self._items.get(item_id))
        kinds = ("created",) if self._beta else ("added", "done")
        return [
            events.committed(item_id, previous),
            *({"type": f"conversation.item.{kind}", "previous_item_id": previous, "item": item} for kind in kinds),
        ]

    def _words(self, value: Transcript | TranscriptDelta | TranscriptFailed) -> list[Event]:
        """Tell what was heard, unless the client of a conversation did not ask for it; go on with the conversation."""
        shown = self._answering is None or self._answering.transcribed
        match value:
            case TranscriptDelta():
                return [events.delta(value)] if shown else []
            case Transcript():
                text: str | None = value.text
                made = [events.completed(value)]
            case _:
                text = None
                made = [events.failed(value)]
        after = self.dialogue.transcribed(value.utterance_id, text, self.answering())
        return [*(made if shown else []), *after]

    def _refuse(self, message: str, code: str, ref: str | None, param: str | None = None) -> Reaction:
        return Reaction(events=[self._stamped(events.error(message, code=code, param=param, ref=ref))])

    def _stamped(self, event: Event) -> Event:
        return {"event_id": self._new_id("event"), **event}


def _too_large(size: int) -> str:
    return f"found {size} bytes of audio in one message, expected at most {MAX_AUDIO_BYTES}"


def _unheard(value: object) -> list[Event]:
    """Return no events for a value that the pipeline only passed on. Unprocessable: a type that no session knows."""
    if isinstance(value, _PASSED_ON):
        return []
    raise Unprocessable(
        f"found a result of {type(value).__name__}, expected a transcript: realtime sessions have no event for it"
    )
