"""The forms of both endpoints: their OpenAPI descriptions, and how they are decoded."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

from fastembed.pipeline.payload.audio import KnownSpeaker, SpeechFile, SpeechSettings, TurnDetection
from fastembed.server.http.multipart import MultipartForm
from fastembed.server.wire.base64_text import decode_base64
from fastembed.server.wire.chat.media import DATA_URL
from fastembed.server.wire.chat.sampling import MODEL, read_model
from fastembed.server.wire.fields import Fields, refuse
from fastembed.server.wire.operation import EVENTS, FORM, JSON, Operation
from fastembed.server.wire.schema import Schema, an_object, choice, flag, listed, number, one_of, string, whole
from fastembed.server.wire.unknown_fields import UnknownFields

FORMATS: Final = ("json", "text", "srt", "verbose_json", "vtt")
DIARIZED: Final = "diarized_json"
_MOST_SPEAKERS: Final = 4
_GRANULARITIES: Final = ("word", "segment")
_TURNS: Final[Mapping[str, Schema]] = {
    "type": choice("server_vad"),
    "threshold": number(0, 1),
    "prefix_padding_ms": whole(0, 5_000),
    "silence_duration_ms": whole(50, 10_000),
}
_TRANSLATED: Final[Mapping[str, Schema]] = {
    "file": {"type": "string", "format": "binary", "description": "a recording"},
    "model": MODEL,
    "prompt": string("words that may occur"),
    "response_format": choice(*FORMATS),
    "temperature": number(0, 1, "checked, without effect: engines take the likeliest word"),
}
_TRANSCRIBED: Final[Mapping[str, Schema]] = {
    **_TRANSLATED,
    "language": string("as ISO 639-1 has it; found out if it is left out", most=16),
    "timestamp_granularities": listed(choice(*_GRANULARITIES), "needs verbose_json", most=2),
    "include": listed(string(), "only an empty one: the engines give no log probabilities"),
    "stream": flag("the transcript while it is written, as Server-Sent Events"),
    "chunking_strategy": one_of(choice("auto"), an_object(_TURNS)),
    "channels": choice("mix", "split"),
    "response_format": choice(*FORMATS, DIARIZED),
    "known_speaker_names": listed(string(), "with diarized_json: what speakers are called", most=_MOST_SPEAKERS),
    "known_speaker_references": listed(
        string(), "a data: URL for each name: 2 to 10 s of that voice alone", most=_MOST_SPEAKERS
    ),
}
_ANSWER: Final[Mapping[str, Schema]] = {
    JSON: an_object(about="the formats json, verbose_json and diarized_json"),
    "text/plain": string("the formats text and srt"),
    "text/vtt": string("the format vtt"),
}
TRANSCRIPTION: Final = Operation(
    "POST",
    "/v1/audio/transcriptions",
    "Write a recording down",
    body=an_object(_TRANSCRIBED, required=("file", "model")),
    refused={
        "languages": "use language",
        "keywords": "use prompt",
    },
    media=FORM,
    answer={**_ANSWER, EVENTS: an_object(about="transcript.text.delta, transcript.text.done, ...")},
)
TRANSLATION: Final = Operation(
    "POST",
    "/v1/audio/translations",
    "Write a recording down in English",
    body=an_object(_TRANSLATED, required=("file", "model")),
    media=FORM,
    answer=_ANSWER,
)


@dataclass(frozen=True, slots=True)
class TranscriptOptions:
    """The format of the transcript. words, segments: whether their times are included."""

    form: str = "json"
    words: bool = False
    segments: bool = True
    stream: bool = False

    @property
    def diarized(self) -> bool:
        """Whether speakers are told apart."""
        return self.form == DIARIZED


def decode(
    form: MultipartForm, *, translate: bool, unknown: UnknownFields | None = None
) -> tuple[SpeechFile, TranscriptOptions]:
    """Check a request's form. InvalidInput names the field, what was found and what was expected."""
    if "file" in form.fields:
        refuse("found a field without a filename, expected a file", "file", "invalid_type")
    fields = Fields(_typed(form.fields), unknown=unknown)
    fields.known((TRANSLATION if translate else TRANSCRIPTION).fields)
    _check_the_rest(fields)
    upload = form.files.get("file")
    if upload is None or len(form.files) > 1:
        found = f"the files {', '.join(sorted(form.files))}" if form.files else "no file"
        refuse(f"found {found}, expected one, in the field file", "file", "missing_required_parameter")
    if not upload.data:
        refuse("found an empty file, expected a recording", "file", "invalid_audio")
    options = _read_options(fields, FORMATS if translate else (*FORMATS, DIARIZED))
    known = _known_speakers(fields, options)
    settings = SpeechSettings(
        model=read_model(fields),
        language=fields.text("language", most=16) or None,
        prompt=fields.text("prompt") or None,
        turn_detection=_turns(fields),
        translate=translate,
        words=options.words or options.diarized,
        speakers=known if options.diarized else None,
        channels="split" if fields.choice("channels", ("mix", "split")) == "split" else "mix",
    )
    return SpeechFile(upload.data, settings), options


def _typed(found: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields with the numbers, booleans and objects that a form holds as text."""
    typed = dict(found)
    for name in ("temperature", "stream", "chunking_strategy"):
        text = typed.get(name)
        if isinstance(text, str) and not (name == "chunking_strategy" and text == "auto"):
            with suppress(ValueError):
                typed[name] = json.loads(text.lower() if name == "stream" else text)
    turns = typed.get("chunking_strategy")
    if isinstance(turns, dict):
        for name, text in turns.items():
            if name != "type" and isinstance(text, str):
                with suppress(ValueError):
                    turns[name] = json.loads(text)
    for name in ("timestamp_granularities", "include", "known_speaker_names", "known_speaker_references"):
        if isinstance(typed.get(name), str):
            typed[name] = [typed[name]]
    return typed


def _read_options(fields: Fields, forms: tuple[str, ...]) -> TranscriptOptions:
    form = fields.choice("response_format", forms) or "json"
    if form == DIARIZED and fields.raw("channels") == "split":
        refuse("found split with diarized_json, expected mix: split gives each channel's talker by itself", "channels")
    times = []
    if fields.has("timestamp_granularities"):
        for place, entry in fields.entries("timestamp_granularities", "word, segment or both", most=2):
            if entry not in _GRANULARITIES:
                refuse(f"found {entry!r:.80}, expected word or segment", place)
            times.append(entry)
        if form != "verbose_json":
            refuse(
                f"found timestamp_granularities with response_format {form}, expected verbose_json",
                "timestamp_granularities",
            )
    stream = fields.flag("stream")
    if stream and form in ("srt", "vtt"):
        refuse(f"found stream with response_format {form}, expected json or text", "stream")
    return TranscriptOptions(form, words="word" in times, segments=not times or "segment" in times, stream=stream)


def _known_speakers(fields: Fields, options: TranscriptOptions) -> tuple[KnownSpeaker, ...]:
    """Return the speakers whose voices come with the request: as many references as names."""
    texts = {name: _texts(fields, name) for name in ("known_speaker_names", "known_speaker_references")}
    names, references = texts.values()
    for field, found in texts.items():
        if found and not options.diarized:
            refuse(f"found {field} with response_format {options.form}, expected {DIARIZED}", field)
    if len(names) != len(references):
        refuse(
            f"found {len(references)} references for {len(names)} names, expected one for each",
            "known_speaker_references",
        )
    if len(set(names)) < len(names):
        refuse("found a name twice, expected each once", "known_speaker_names")
    return tuple(
        KnownSpeaker(name, _reference(url, f"known_speaker_references[{place}]"))
        for place, (name, url) in enumerate(zip(names, references, strict=True))
    )


def _texts(fields: Fields, name: str) -> list[str]:
    if not fields.has(name):
        return []
    found = fields.entries(name, "a list of texts", most=_MOST_SPEAKERS)
    for place, entry in found:
        if not isinstance(entry, str) or not entry.strip():
            refuse(f"found {entry!r:.80}, expected a text", place)
    return [entry for _, entry in found]


def _reference(url: str, place: str) -> bytes:
    if (match := DATA_URL.match(url)) is None:
        refuse(f"found {url!r:.60}, expected data:audio/wav;base64,...", place)
    return decode_base64(url[match.end() :], place)


def _turns(fields: Fields) -> TurnDetection | None:
    """Return how to cut; None: as serves best, which is also what `auto` means."""
    found = fields.raw("chunking_strategy")
    if found is None or found == "auto":
        return None
    if type(found) is not dict:
        fields.refuse("chunking_strategy", "auto or an object of the type server_vad")
    turns = fields.inner(found, "chunking_strategy")
    turns.known(_TURNS.keys())
    if turns.choice("type", ("server_vad",)) is None:
        turns.refuse("type", "server_vad")
    return TurnDetection(
        threshold=turns.number("threshold", 0, 1, default=0.5),
        prefix_padding_ms=turns.whole("prefix_padding_ms", 0, 5_000),
        silence_duration_ms=turns.whole("silence_duration_ms", 50, 10_000),
    )


def _check_the_rest(fields: Fields) -> None:
    """Check what has no effect here (engines take the likeliest word), and refuse what they cannot do."""
    fields.number("temperature", 0, 1, default=0)
    if fields.has("include"):
        for place, entry in fields.entries("include", "a list", most=4):
            refuse(f"found {entry!r:.80}, expected an empty list: the engines give no log probabilities", place)
    for name, use in (("languages", "language"), ("keywords", "prompt")):
        if fields.has(name):
            refuse(f"found {name}, expected {use}, which the engines support", name, "unsupported_parameter")
