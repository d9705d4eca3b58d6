"""A session's settings as clients send them (two generations of the API), as the pipeline takes them, as they show.

GA: `session.update {session: {type: "transcription", audio: {input: {...}}}}`. Beta: `transcription_session.update`
with flat fields. What a client leaves out stays as it was; null turns off. Unknown fields and wrong values are errors.
What nothing here does is shown as it is: noise reduction stays null, log probabilities are not included.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, cast, get_args

from fastembed.pipeline.payload.audio import AudioFormat, Eagerness, SpeechSettings, TurnDetection
from fastembed.server.wire.fields import Fields, refuse, shown
from fastembed.server.wire.unknown_fields import UnknownFields

_SILENCE_MS: Final[Mapping[Eagerness, int]] = {"low": 1_500, "medium": 800, "auto": 800, "high": 400}
"""How long a pause `semantic_vad` sits out where the model that hears the end of a sentence is missing."""
_WIRE_FORMATS: Final[Mapping[AudioFormat, str]] = {
    "pcm16": "audio/pcm",
    "pcmu": "audio/pcmu",
    "pcma": "audio/pcma",
    "webm": "audio/webm",
    "ogg": "audio/ogg",
}
_BETA_FORMATS: Final[Mapping[str, AudioFormat]] = {"pcm16": "pcm16", "g711_ulaw": "pcmu", "g711_alaw": "pcma"}
_RATES_HZ: Final = (8_000, 11_025, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000)
_LANGUAGE: Final = re.compile(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{1,8})*")
_EAGERNESS: Final = get_args(Eagerness)
_DELAYS: Final = ("minimal", "low", "medium", "high", "xhigh")
_INCLUDED: Final = ("item.input_audio_transcription.logprobs",)
COMMITTED_BY_CLIENTS: Final = frozenset({"gpt-realtime-whisper"})
"""OpenAI's models that detect no turns: whoever asks for one of these, and for nothing else, commits by itself."""
_MOST_ENTRIES: Final = 256
_LONGEST_PADDING_MS: Final = 5_000
_LONGEST_SILENCE_MS: Final = 10_000
_IDLE_MS: Final = (1_000, 3_600_000)
_REPLIES: Final = frozenset({"create_response", "interrupt_response"})
"""Settings of conversations that come with turn detection: checked, without effect in a session that transcribes."""


@dataclass(frozen=True, slots=True)
class SessionSettings:
    """The settings that the client has sent so far. eagerness: set where turns are detected by `semantic_vad`."""

    speech: SpeechSettings = field(default_factory=SpeechSettings)
    eagerness: Eagerness | None = None

    def updated(self, session: object) -> SessionSettings:
        """Apply the `session` of a `session.update`. InvalidInput names the field at fault."""
        fields = read_session(session)
        fields.known({"type", "audio", "include"})
        if fields.choice("type", ("transcription",)) is None:
            fields.refuse("type", "transcription")
        audio = fields.object("audio")
        if audio is not None:
            audio.known({"input"})
        return self.updated_input(fields, audio)

    def updated_input(self, fields: Fields, audio: Fields | None) -> SessionSettings:
        """Apply what sessions of every kind have in common: `include` and `audio.input`."""
        _check_list(fields, "include", _INCLUDED)
        given = None if audio is None else audio.object("input")
        if given is None:
            return self
        given.known({"format", "transcription", "noise_reduction", "turn_detection"})
        _check_noise_reduction(given, "noise_reduction")
        wanted = given.object("format")
        changed = self if wanted is None else _with(self, **_read_format(wanted))
        return _with_parts(changed, given, "transcription")

    def updated_beta(self, session: object) -> SessionSettings:
        """Apply the `session` of a `transcription_session.update`. InvalidInput names the field at fault."""
        fields = read_session(session)
        prefix = "input_audio_"
        names = {f"{prefix}format", f"{prefix}transcription", f"{prefix}noise_reduction", "turn_detection", "include"}
        fields.known(names)
        _check_list(fields, "include", _INCLUDED)
        _check_noise_reduction(fields, f"{prefix}noise_reduction")
        name = fields.choice(f"{prefix}format", tuple(_BETA_FORMATS))
        changed = self if name is None else _with(self, **_of_format(_BETA_FORMATS[name]))
        return _with_parts(changed, fields, f"{prefix}transcription")

    def shown(self, speech: SpeechSettings, session_id: str) -> dict[str, Any]:
        """Return the GA session object of these settings as they are in force (`speech`)."""
        return {
            "type": "transcription",
            "object": "realtime.transcription_session",
            "id": session_id,
            "expires_at": 0,
            "audio": {"input": self.shown_input(speech)},
            "include": [],
        }

    def shown_input(self, speech: SpeechSettings) -> dict[str, Any]:
        """Return `audio.input` of the session object."""
        audio_format: dict[str, Any] = {"type": _WIRE_FORMATS[speech.format]}
        if speech.format == "pcm16":
            audio_format["rate"] = speech.rate_hz
        return {
            "format": audio_format,
            "transcription": _shown_transcription(speech),
            "noise_reduction": None,
            "turn_detection": self._shown_turns(speech.turn_detection),
        }

    def shown_beta(self, speech: SpeechSettings, session_id: str) -> dict[str, Any]:
        """Return the beta session object of these settings as they are in force (`speech`)."""
        names = {wire: name for name, wire in _BETA_FORMATS.items()}
        return {
            "id": session_id,
            "object": "realtime.transcription_session",
            "expires_at": 0,
            "input_audio_format": names.get(speech.format, _WIRE_FORMATS[speech.format]),
            "input_audio_transcription": _shown_transcription(speech),
            "input_audio_noise_reduction": None,
            "turn_detection": self._shown_turns(speech.turn_detection),
            "include": [],
            "client_secret": None,
        }

    def _shown_turns(self, turns: TurnDetection | None) -> dict[str, Any] | None:
        if turns is None:
            return None
        if self.eagerness is not None:
            return {"type": "semantic_vad", "eagerness": self.eagerness}
        return {
            "type": "server_vad",
            "threshold": turns.threshold,
            "prefix_padding_ms": turns.prefix_padding_ms,
            "silence_duration_ms": turns.silence_duration_ms,
            "idle_timeout_ms": turns.idle_timeout_ms,
        }


def _shown_transcription(speech: SpeechSettings) -> dict[str, Any] | None:
    if speech.model is None:
        return None
    return {"model": speech.model, "language": speech.language, "prompt": speech.prompt}


def _with(settings: SessionSettings, **changes: Any) -> SessionSettings:
    return replace(settings, speech=replace(settings.speech, **changes))


def _with_parts(settings: SessionSettings, given: Fields, transcription: str) -> SessionSettings:
    """Apply what both generations of the API have in common; null turns a part off, what is absent stays."""
    changed = settings
    if given.given(transcription):
        changed = _with(changed, **_read_transcription(given.object(transcription), settings.speech))
        if changed.speech.model in COMMITTED_BY_CLIENTS and not given.given("turn_detection"):
            return replace(_with(changed, turn_detection=None), eagerness=None)
    if given.given("turn_detection") and given.raw("turn_detection") is False:  # as pipecat writes null
        return replace(_with(changed, turn_detection=None), eagerness=None)
    if given.given("turn_detection"):
        turns, eagerness = _read_turns(given.object("turn_detection"))
        changed = replace(_with(changed, turn_detection=turns), eagerness=eagerness)
    return changed


def read_session(session: object) -> Fields:
    """Return the reader of a session. What it does not have is refused: there is no header to report it in."""
    return Fields(session, "session", unknown=UnknownFields(reject=True))


def _read_format(fields: Fields) -> dict[str, Any]:
    name = fields.choice("type", tuple(_WIRE_FORMATS.values()))
    if name is None:
        fields.refuse("type", f"one of {', '.join(_WIRE_FORMATS.values())}")
    fields.known({"type", "rate"} if name == "audio/pcm" else {"type"})
    rate_hz = fields.raw("rate")
    if rate_hz is not None and (type(rate_hz) is not int or rate_hz not in _RATES_HZ):
        fields.refuse("rate", f"one of {', '.join(map(str, _RATES_HZ))}")
    return _of_format(next(key for key, wire in _WIRE_FORMATS.items() if wire == name), rate_hz)


def _of_format(audio_format: AudioFormat, rate_hz: int | None = None) -> dict[str, Any]:
    return {"format": audio_format, "rate_hz": (rate_hz or 24_000) if audio_format == "pcm16" else 8_000}


def _read_transcription(fields: Fields | None, speech: SpeechSettings) -> dict[str, Any]:
    if fields is None:
        return {"model": None, "language": None, "prompt": None}
    fields.known({"model", "language", "prompt", "languages", "keywords", "delay"})
    fields.choice("delay", _DELAYS)
    model, language = fields.text("model", most=200), fields.text("language")
    if language is not None and not _LANGUAGE.fullmatch(language):
        fields.refuse("language", "a language such as de or pt-BR")
    languages, keywords = _strings(fields, "languages"), _strings(fields, "keywords")
    if language is None and len(languages) == 1:
        language = languages[0]
    prompt = ", ".join(filter(None, [fields.text("prompt", most=4_000), *keywords])) or None
    return {"model": model or speech.model or "auto", "language": language, "prompt": prompt}


def _read_turns(fields: Fields | None) -> tuple[TurnDetection | None, Eagerness | None]:
    """Return how turns are detected, and the eagerness, where it is said so."""
    if fields is None:
        return None, None
    kind = fields.choice("type", ("server_vad", "semantic_vad")) or fields.refuse("type", "server_vad or semantic_vad")
    for name in _REPLIES:
        fields.flag(name)
    if kind == "semantic_vad":
        fields.known({"type", "eagerness", *_REPLIES})
        eagerness = cast("Eagerness", fields.choice("eagerness", _EAGERNESS) or "auto")
        return TurnDetection(silence_duration_ms=_SILENCE_MS[eagerness], eagerness=eagerness), eagerness
    fields.known({"type", "threshold", "prefix_padding_ms", "silence_duration_ms", "idle_timeout_ms", *_REPLIES})
    threshold = fields.number("threshold", 0, 1, default=0.0) if fields.has("threshold") else None
    turns = TurnDetection(
        threshold,
        fields.whole("prefix_padding_ms", 0, _LONGEST_PADDING_MS),
        fields.whole("silence_duration_ms", 0, _LONGEST_SILENCE_MS),
        fields.whole("idle_timeout_ms", *_IDLE_MS),
    )
    return turns, None


def _check_noise_reduction(fields: Fields, name: str) -> None:
    """Check what has no effect here."""
    found = fields.object(name)
    if found is not None:
        found.known({"type", "strength"})
        found.choice("type", ("near_field", "far_field"))
        found.number("strength", 0, 1, default=0.0)


def _check_list(fields: Fields, name: str, allowed: tuple[str, ...]) -> None:
    for place, entry in enumerate(_strings(fields, name)):
        if entry not in allowed:
            refuse(f"found {entry!r:.80}, expected {' or '.join(allowed)}", f"{fields.at(name)}[{place}]")


def _strings(fields: Fields, name: str) -> list[str]:
    """Return a list of strings; it may be empty, or absent."""
    if fields.raw(name) in (None, []):
        return []
    found = []
    for place, entry in fields.entries(name, "a list of strings", most=_MOST_ENTRIES):
        if type(entry) is not str:
            refuse(f"found {shown(entry)}, expected a string", place, "invalid_type")
        found.append(entry)
    return found
