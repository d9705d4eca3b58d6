"""What a conversation adds to a session's settings: who answers, how, with which tools and voice.

`session.update {session: {type: "realtime", ...}}` and, for one answer, `response.create {response: {...}}`. What a
client leaves out stays as it was. Names of OpenAI's models mean "auto". Where no voice is here, answers are text
whatever was asked for, and the session shows it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal

from fastembed.pipeline.payload.audio import AudioFormat
from fastembed.pipeline.payload.chat import Tool
from fastembed.server.wire.chat.flat_tools import read_tools
from fastembed.server.wire.fields import Fields

Modality = Literal["text", "audio"]

INSTRUCTIONS: Final = (
    "You are talking with a person. What they said was written down by a machine and may contain mistakes. Answer in "
    "their language, briefly, in plain sentences without lists or markup."
)
"""What the model is told where the client says nothing, as the session shows."""
MAX_INSTRUCTIONS: Final = 200_000
_MOST_TOKENS: Final = 1_000_000
_SPEEDS: Final = (0.25, 1.5)
_HOSTED: Final = re.compile(r"gpt-(realtime(?!-whisper)|live(?!-transcribe)|audio|4o(-mini)?-(realtime|audio))(-.*)?")
"""OpenAI's models for conversations: here they mean "auto"."""
_OUTPUT_FORMATS: Final[dict[str, AudioFormat]] = {"audio/pcm": "pcm16", "audio/pcmu": "pcmu", "audio/pcma": "pcma"}
_EFFORTS: Final = ("none", "minimal", "low", "medium", "high", "xhigh", "max")
SESSION_FIELDS: Final = frozenset(
    {
        "type",
        "model",
        "output_modalities",
        "audio",
        "instructions",
        "tools",
        "tool_choice",
        "max_output_tokens",
        "temperature",
        "parallel_tool_calls",
        "reasoning",
        "include",
        "tracing",
        "truncation",
        "prompt",
        "id",
        "object",
        "expires_at",
    }
)
RESPONSE_FIELDS: Final = frozenset(
    {
        "conversation",
        "input",
        "metadata",
        "output_modalities",
        "audio",
        "instructions",
        "tools",
        "tool_choice",
        "max_output_tokens",
        "temperature",
        "parallel_tool_calls",
        "reasoning",
        "prompt",
    }
)


@dataclass(frozen=True, slots=True)
class DialogueSettings:
    """How answers are made.

    tools_json, choice_json: as the client sent them; tools, tool_choice, named_tool: as chats have them. max_tokens
    None: no limit. effort: of models that think; conversations do not wait for thoughts unless asked to. respond,
    interrupt: whether the end of a turn is answered, and its beginning stops the answer under way. transcribed: whether
    the client is told what was heard. shorten: whether the oldest turns are left out where all are too long.
    """

    model: str = "auto"
    instructions: str = INSTRUCTIONS
    modality: Modality = "audio"
    voice: str = ""
    speed: float = 1.0
    format: AudioFormat = "pcm16"
    tools_json: tuple[Any, ...] = ()
    choice_json: Any = "auto"
    tools: tuple[Tool, ...] = ()
    tool_choice: str = "auto"
    named_tool: bool = False
    parallel: bool = True
    max_tokens: int | None = None
    temperature: float = 0.8
    effort: str = "none"
    respond: bool = True
    interrupt: bool = True
    transcribed: bool = False
    shorten: bool = True
    metadata: dict[str, Any] | None = field(default=None, compare=False)

    def updated(self, fields: Fields) -> DialogueSettings:
        """Apply the `session` of a `session.update`. InvalidInput names the field at fault."""
        fields.known(SESSION_FIELDS)
        changed = self._with_answer(fields)
        if (model := fields.text("model", most=200)) is not None:
            changed = replace(changed, model=model_name(model))
        if fields.has("truncation"):
            changed = replace(changed, shorten=fields.raw("truncation") != "disabled")
        audio = fields.object("audio")
        if audio is None:
            return changed
        audio.known({"input", "output"})
        given = audio.object("input")
        return changed if given is None else _with_input(changed, given)

    def for_response(self, fields: Fields) -> DialogueSettings:
        """Apply the `response` of a `response.create`: these settings are for one answer."""
        fields.known(RESPONSE_FIELDS)
        fields.choice("conversation", ("auto", "none"))
        if (audio := fields.object("audio")) is not None:
            audio.known({"output"})
        return replace(self._with_answer(fields), metadata=fields.mapping("metadata"))

    def _with_answer(self, fields: Fields) -> DialogueSettings:
        """Apply what sessions and single responses have in common."""
        changed = self
        if fields.has("prompt"):
            fields.refuse("prompt", "none: this server stores no prompt templates", "unsupported_value")
        if fields.has("output_modalities"):
            changed = replace(changed, modality=_modality(fields))
        if (instructions := fields.text("instructions", most=MAX_INSTRUCTIONS)) is not None:
            changed = replace(changed, instructions=instructions)
        if fields.has("max_output_tokens"):
            endless = fields.raw("max_output_tokens") == "inf"
            most = None if endless else fields.whole("max_output_tokens", 1, _MOST_TOKENS)
            changed = replace(changed, max_tokens=most)
        if (reasoning := fields.object("reasoning")) is not None and reasoning.has("effort"):
            changed = replace(changed, effort=reasoning.choice("effort", _EFFORTS) or "none")
        changed = replace(
            changed,
            temperature=fields.number("temperature", 0, 2, default=changed.temperature),
            parallel=fields.flag("parallel_tool_calls", default=changed.parallel),
        )
        audio = fields.object("audio")
        output = None if audio is None else audio.object("output")
        changed = _with_tools(changed, fields)
        return changed if output is None else _with_output(changed, output)

    def shown(self, session_id: str, audio_input: dict[str, Any], model: str) -> dict[str, Any]:
        """Return the session object. audio_input: `audio.input` as it is in force. model: what "auto" stands for."""
        turns = audio_input["turn_detection"]
        if turns is not None:
            turns = {**turns, "create_response": self.respond, "interrupt_response": self.interrupt}
        transcription = audio_input["transcription"] if self.transcribed else None
        return {
            "type": "realtime",
            "object": "realtime.session",
            "id": session_id,
            "model": model if self.model == "auto" else self.model,
            "output_modalities": [self.modality],
            "instructions": self.instructions,
            "tools": list(self.tools_json),
            "tool_choice": self.choice_json,
            "max_output_tokens": self.max_tokens or "inf",
            "tracing": None,
            "truncation": "auto" if self.shorten else "disabled",
            "prompt": None,
            "expires_at": 0,
            "audio": {
                "input": {**audio_input, "transcription": transcription, "turn_detection": turns},
                "output": self.shown_output(),
            },
            "include": None,
        }

    def shown_output(self) -> dict[str, Any]:
        """Return `audio.output` of a session or a response."""
        form: dict[str, Any] = {"type": next(wire for wire, name in _OUTPUT_FORMATS.items() if name == self.format)}
        if self.format == "pcm16":
            form["rate"] = 24_000
        return {"format": form, "voice": self.voice or "alloy", "speed": self.speed}


def model_name(asked: str) -> str:
    """Return the chat model that is meant."""
    return "auto" if _HOSTED.fullmatch(asked) else asked


def _modality(fields: Fields) -> Modality:
    """Return what answers are made of: sound, which its transcript comes with, or text."""
    found = [entry for _, entry in fields.entries("output_modalities", 'a list: ["audio"] or ["text"]', most=2)]
    if any(entry not in ("text", "audio") for entry in found):
        fields.refuse("output_modalities", '["audio"] or ["text"]')
    return "audio" if "audio" in found else "text"


def _with_input(settings: DialogueSettings, given: Fields) -> DialogueSettings:
    """Apply what `audio.input` says of answers; the rest of it is the transcription's."""
    changed = settings
    if given.given("transcription"):
        changed = replace(changed, transcribed=given.has("transcription"))
    if isinstance(given.raw("turn_detection"), dict):
        turns = given.required("turn_detection")
        changed = replace(
            changed,
            respond=turns.flag("create_response", default=True),
            interrupt=turns.flag("interrupt_response", default=True),
        )
    return changed


def _with_output(settings: DialogueSettings, output: Fields) -> DialogueSettings:
    output.known({"format", "voice", "speed"})
    changed = replace(settings, speed=output.number("speed", *_SPEEDS, default=settings.speed))
    if (wanted := output.object("format")) is not None:
        wanted.known({"type", "rate"})
        name = wanted.choice("type", tuple(_OUTPUT_FORMATS)) or wanted.refuse("type", "audio/pcm")
        if name == "audio/pcm" and wanted.raw("rate") not in (None, 24_000):
            wanted.refuse("rate", "24000")
        changed = replace(changed, format=_OUTPUT_FORMATS[name])
    voice = output.raw("voice")
    if isinstance(voice, dict):
        voice = output.required("voice").needed("id", "a voice's name")
    elif voice is not None:
        voice = output.text("voice", most=200)
    return changed if voice is None else replace(changed, voice=voice)


def _with_tools(settings: DialogueSettings, fields: Fields) -> DialogueSettings:
    """Apply tools and the choice among them, which are checked against each other."""
    if not (fields.given("tools") or fields.given("tool_choice")):
        return settings
    tools = (fields.raw("tools") or []) if fields.given("tools") else list(settings.tools_json)
    choice = fields.raw("tool_choice") if fields.has("tool_choice") else settings.choice_json
    if not tools and not isinstance(choice, dict) and choice in ("required", "auto"):
        choice = "auto"
    (found, word, named), shown = read_tools(fields.inner({"tools": tools, "tool_choice": choice}, fields.place))
    kept = tuple({key: value for key, value in tool.items() if key != "strict"} for tool in shown)
    return replace(
        settings, tools=tuple(found), tool_choice=word, named_tool=named, tools_json=kept, choice_json=choice
    )
