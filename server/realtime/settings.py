"""A session's settings as clients send them (two generations of the API), as the pipeline takes them, as they show.

GA: `session.update {session: {type: "transcription", audio: {input: {...}}}}`. Beta: `transcription_session.update`
with flat fields. What a client leaves out stays as it was; null turns off. Unknown fields and wrong values are errors.
What nothing here does is shown as it is: noise reduction stays null, log probabilities are not included.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Annotated, Any, Final, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from fastembed.pipeline.errors import InvalidInput
from fastembed.pipeline.payload.audio import AudioFormat, SpeechSettings, TurnDetection

Eagerness = Literal["low", "medium", "high", "auto"]

_SILENCE_MS: Final[Mapping[Eagerness, int]] = {"low": 1_500, "medium": 800, "auto": 800, "high": 400}
"""What `semantic_vad` means here: how long a pause its eagerness sits out."""
_WIRE_FORMATS: Final[Mapping[AudioFormat, str]] = {
    "pcm16": "audio/pcm",
    "pcmu": "audio/pcmu",
    "pcma": "audio/pcma",
    "webm": "audio/webm",
    "ogg": "audio/ogg",
}
_BETA_FORMATS: Final[Mapping[str, AudioFormat]] = {"pcm16": "pcm16", "g711_ulaw": "pcmu", "g711_alaw": "pcma"}
_TAGS: Final = frozenset({*_WIRE_FORMATS.values(), "server_vad", "semantic_vad"})


class _StrictModel(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


F = TypeVar("F", bound=_StrictModel)


class _Pcm(_StrictModel):
    type: Literal["audio/pcm"]
    rate: Literal[8_000, 16_000, 24_000, 48_000] = 24_000


class _TelephoneOrContainerFormat(_StrictModel):
    type: Literal["audio/pcmu", "audio/pcma", "audio/webm", "audio/ogg"]


class _Transcription(_StrictModel):
    model: str | None = Field(default=None, max_length=200)
    language: str | None = Field(default=None, pattern=r"^[A-Za-z]{2,3}(-[A-Za-z0-9]{1,8})*$")
    prompt: str | None = Field(default=None, max_length=4_000)
    languages: list[str] | None = None
    keywords: list[str] | None = None
    delay: Literal["minimal", "low", "medium", "high", "xhigh"] | None = None


class _ServerVad(_StrictModel):
    type: Literal["server_vad"]
    threshold: float | None = Field(default=None, ge=0, le=1)
    prefix_padding_ms: int | None = Field(default=None, ge=0, le=5_000)
    silence_duration_ms: int | None = Field(default=None, ge=0, le=10_000)
    idle_timeout_ms: int | None = Field(default=None, ge=1_000, le=3_600_000)
    create_response: bool | None = None
    interrupt_response: bool | None = None


class _SemanticVad(_StrictModel):
    type: Literal["semantic_vad"]
    eagerness: Eagerness = "auto"
    create_response: bool | None = None
    interrupt_response: bool | None = None


class _NoiseReduction(_StrictModel):
    type: Literal["near_field", "far_field"] | None = None
    strength: float | None = Field(default=None, ge=0, le=1)


_Turns = Annotated[_ServerVad | _SemanticVad, Field(discriminator="type")]
_Include = list[Literal["item.input_audio_transcription.logprobs"]]


class _Input(_StrictModel):
    format: Annotated[_Pcm | _TelephoneOrContainerFormat, Field(discriminator="type")] | None = None
    transcription: _Transcription | None = None
    noise_reduction: _NoiseReduction | None = None
    turn_detection: _Turns | None = None


class _Audio(_StrictModel):
    input: _Input | None = None


class _Session(_StrictModel):
    type: Literal["transcription"]
    audio: _Audio | None = None
    include: _Include | None = None


class _BetaSession(_StrictModel):
    input_audio_format: Literal["pcm16", "g711_ulaw", "g711_alaw"] | None = None
    input_audio_transcription: _Transcription | None = None
    input_audio_noise_reduction: _NoiseReduction | None = None
    turn_detection: _Turns | None = None
    include: _Include | None = None


@dataclass(frozen=True, slots=True)
class SessionSettings:
    """The settings that the client has sent so far. eagerness: set where turns are detected by `semantic_vad`."""

    speech: SpeechSettings = field(default_factory=SpeechSettings)
    eagerness: Eagerness | None = None

    def updated(self, session: Any) -> SessionSettings:
        """Apply the `session` of a `session.update`. InvalidInput names the field at fault."""
        form = _read(_Session, session)
        return self if form.audio is None or form.audio.input is None else self._with_input(form.audio.input)

    def updated_beta(self, session: Any) -> SessionSettings:
        """Apply the `session` of a `transcription_session.update`. InvalidInput names the field at fault."""
        form = _read(_BetaSession, session)
        given: dict[str, Any] = {}
        if form.input_audio_format is not None:
            given["format"] = {"type": _WIRE_FORMATS[_BETA_FORMATS[form.input_audio_format]]}
        if "input_audio_transcription" in form.model_fields_set:
            given["transcription"] = form.input_audio_transcription
        if "turn_detection" in form.model_fields_set:
            given["turn_detection"] = form.turn_detection
        return self._with_input(_Input(**given))

    def shown(self, speech: SpeechSettings, session_id: str) -> dict[str, Any]:
        """Return the GA session object of these settings as they are in force (`speech`)."""
        audio_format: dict[str, Any] = {"type": _WIRE_FORMATS[speech.format]}
        if speech.format == "pcm16":
            audio_format["rate"] = speech.rate_hz
        return {
            "type": "transcription",
            "object": "realtime.transcription_session",
            "id": session_id,
            "expires_at": 0,
            "audio": {
                "input": {
                    "format": audio_format,
                    "transcription": _shown_transcription(speech),
                    "noise_reduction": None,
                    "turn_detection": self._shown_turns(speech.turn_detection),
                }
            },
            "include": [],
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

    def _with_input(self, form: _Input) -> SessionSettings:
        speech, eagerness, given = self.speech, self.eagerness, form.model_fields_set
        if form.format is not None:
            wire = {name: key for key, name in _WIRE_FORMATS.items()}
            rate_hz = form.format.rate if isinstance(form.format, _Pcm) else 8_000
            speech = replace(speech, format=wire[form.format.type], rate_hz=rate_hz)
        if "transcription" in given:
            speech = _with_transcription(speech, form.transcription)
        if "turn_detection" in given:
            eagerness = form.turn_detection.eagerness if isinstance(form.turn_detection, _SemanticVad) else None
            speech = replace(speech, turn_detection=_turns(form.turn_detection))
        return SessionSettings(speech, eagerness)

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


def _with_transcription(speech: SpeechSettings, form: _Transcription | None) -> SpeechSettings:
    if form is None:
        return replace(speech, model=None, language=None, prompt=None)
    language = form.language or (form.languages[0] if form.languages and len(form.languages) == 1 else None)
    prompt = ", ".join(filter(None, [form.prompt, *(form.keywords or ())])) or None
    return replace(speech, model=form.model or speech.model or "auto", language=language, prompt=prompt)


def _turns(form: _ServerVad | _SemanticVad | None) -> TurnDetection | None:
    if form is None:
        return None
    if isinstance(form, _SemanticVad):
        return TurnDetection(silence_duration_ms=_SILENCE_MS[form.eagerness])
    return TurnDetection(form.threshold, form.prefix_padding_ms, form.silence_duration_ms, form.idle_timeout_ms)


def _read(form: type[F], session: Any) -> F:
    try:
        return form.model_validate(session)
    except ValidationError as error:
        raise _problem(error.errors(include_url=False)) from None


def _problem(problems: Sequence[Any]) -> InvalidInput:
    """Return the first problem as the API words it."""
    first = problems[0]
    param = ".".join(["session", *(str(part) for part in first["loc"] if part not in _TAGS)])
    if first["type"] == "extra_forbidden":
        return InvalidInput(f"Unknown parameter: '{param}'.", param=param, code="unknown_parameter")
    if first["type"] in ("missing", "union_tag_not_found"):
        param += ".type" if first["type"] == "union_tag_not_found" else ""
        return InvalidInput(f"Missing required parameter: '{param}'.", param=param, code="missing_required_parameter")
    if first["type"].startswith("union_tag"):
        param += ".type"
    found = first["input"] if not isinstance(first["input"], dict | list) else type(first["input"]).__name__
    found = first.get("ctx", {}).get("tag", found)
    return InvalidInput(
        f"Invalid value for '{param}': found {found!r:.100}, expected {_expected(first)}.",
        param=param,
        code="invalid_value",
    )


def _expected(problem: Any) -> str:
    """Return what pydantic expected, without naming our classes."""
    if problem["type"] in ("model_type", "model_attributes_type", "dict_type"):
        return "an object"
    if problem["type"] == "union_tag_invalid":
        return f"one of {problem['ctx']['expected_tags']}"
    text = str(problem["msg"])
    wanted = text.removeprefix("Input should be ")
    return f"otherwise: {text}" if wanted == text else wanted
