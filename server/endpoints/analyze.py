"""POST /v1/multimodal/analyze: describe pictures, sound, videos, documents and text with a model.

    {"inputs": [{"type": "image", "source": "base64", "content": "..."},
                {"type": "audio", "source": "url", "url": "https://..."},
                {"type": "document", "source": "upload_id", "upload_id": "file-..."},
                {"type": "text", "text": "What is this?"}],
     "analysis_type": "comprehensive", "focus_areas": ["objects", "text"], "model": "auto"}

It is one turn of a chat, so it goes where chats go: routed, documents read, sound written down for models that do not
hear, the extensions of `/v1/chat/completions` understood. Texts among the inputs are the question; without one, and
where `analysis_type` is given, a sentence asks for the analysis. `focus_areas` make it an object of a text each,
`findings`.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import orjson

from fastembed.pipeline.errors import InvalidInput, NotFound, TooLarge
from fastembed.pipeline.payload.chat import (
    ChatDelta,
    ChatEvent,
    ChatFinished,
    ChatRequest,
    ChatStarted,
    Message,
    Part,
    Sampling,
    TextPart,
)
from fastembed.server.fetching.references import NOTHING, References
from fastembed.server.files.record import NAMELESS, clean_name
from fastembed.server.wire.base64_text import decode_base64
from fastembed.server.wire.chat.answer import check_finished, new_id, no_event, usage
from fastembed.server.wire.chat.file_part import MAX_DOCUMENT_BYTES, part_of
from fastembed.server.wire.chat.media import DATA_URL, MAX_MEDIA, audio_part, image_part, video_part
from fastembed.server.wire.chat.reply import reply
from fastembed.server.wire.chat.sampling import (
    EXTENSIONS,
    MAX_TOKENS,
    NO_LIMIT,
    UNLIMITED,
    read_limit,
    read_preferences,
)
from fastembed.server.wire.exchange import Exchange
from fastembed.server.wire.fields import Fields, refuse
from fastembed.server.wire.operation import Operation, PipelineEndpoint
from fastembed.server.wire.schema import an_object, choice, listed, string, whole

MAX_AREAS: Final = 16
MAX_AREA: Final = 64
"""Characters of a focus area's name."""

_READERS: Final[Mapping[str, tuple[str, Callable[[Fields, References], Awaitable[Part]]]]] = {
    "image": ("image_url", image_part),
    "audio": ("audio", audio_part),
    "video": ("video_url", video_part),
}
_TYPES: Final = ("text", *_READERS, "document")
_SOURCES: Final = {
    "base64": ("content", "base64 of a file"),
    "url": ("url", "an http(s) URL"),
    "upload_id": ("upload_id", "the id of an uploaded file, file-..."),
}
"""Where an input is, by `source`: the field, and what it holds."""
_ASKED: Final = {
    "quick": "Say in one sentence what this is.",
    "comprehensive": "Describe in detail what this is and what is in it.",
    "focused": "Say only what is asked for.",
}

OPERATION: Final = Operation(
    "POST",
    "/v1/multimodal/analyze",
    "Say what pictures, sound, videos, documents and texts hold",
    body=an_object(
        {
            "inputs": listed(an_object({"type": choice(*_TYPES), "source": choice(*_SOURCES)}), most=MAX_MEDIA),
            "analysis_type": choice(*_ASKED),
            "focus_areas": listed(string(most=MAX_AREA), "each is a text of its own in the answer", most=MAX_AREAS),
            "model": string("a name from /v1/models; auto if it is left out", most=256),
            "max_tokens": whole(UNLIMITED, MAX_TOKENS, NO_LIMIT),
            **EXTENSIONS,
        },
        required=("inputs",),
    ),
)


@dataclass(frozen=True, slots=True)
class AnalysisOptions:
    """The fields that the answer repeats. kinds: of the inputs."""

    kinds: tuple[str, ...]
    analysis_type: str
    focus_areas: tuple[str, ...]


async def answer_analysis(exchange: Exchange) -> None:
    """POST /v1/multimodal/analyze."""
    fields = await exchange.fields()
    with exchange.watched():
        request, asked = await decode(fields, exchange.references)
        await reply(exchange, [request], AnalysisAnswer(asked), stream=False)


async def decode(fields: Fields, references: References = NOTHING) -> tuple[ChatRequest, AnalysisOptions]:
    """Check a request's JSON. InvalidInput names the field, what was found and what was expected."""
    fields.known(OPERATION.fields)
    kind = fields.choice("analysis_type", tuple(_ASKED))
    areas = _areas(fields)
    if kind == "focused" and not areas:
        fields.refuse("focus_areas", 'a list such as ["objects", "text"] for analysis_type focused')
    sampling = Sampling(temperature=0.0, max_tokens=read_limit(fields, "max_tokens")[1])
    preferences = read_preferences(fields)
    model = fields.text("model", most=256) or "auto"
    entries = fields.each("inputs", "a list of inputs", lambda entry: entry, most=MAX_MEDIA)
    parts = [await _part(entry, references) for entry in entries]
    if question := _question(kind, areas, texts=any(isinstance(part, TextPart) and not part.file for part in parts)):
        parts.append(TextPart(question))
    request = ChatRequest(
        (Message("user", tuple(parts)),),
        model=model,
        sampling=sampling,
        json=_schema(areas) if areas else None,
        whole=True,
        **preferences,
    )
    kinds = tuple(str(entry.raw("type")) for entry in entries)
    return request, AnalysisOptions(kinds, kind or "comprehensive", areas)


class AnalysisAnswer:
    """The response, once all events of the answer are there."""

    def __init__(self, asked: AnalysisOptions) -> None:
        self.started: ChatStarted | None = None
        self._asked = asked
        self._text: list[str] = []
        self._finished: dict[int, ChatFinished] = {}

    def take(self, event: ChatEvent, prompt: int = 0) -> bytes:  # noqa: ARG002 - one prompt
        """Store the event; the answer is sent at the end."""
        if isinstance(event, ChatStarted):
            self.started = event
        elif isinstance(event, ChatDelta):
            self._text.append(event.text)
        elif isinstance(event, ChatFinished):
            self._finished[event.index] = event
        else:
            raise no_event(event)
        return b""

    def end(self) -> bytes:
        """Return the response's JSON."""
        started = check_finished(self.started, self._finished, 1)
        text = "".join(self._text)
        findings = _findings(text, self._asked.focus_areas)
        return orjson.dumps(
            {
                "id": new_id("analysis"),
                "object": "multimodal.analysis",
                "created": int(time.time()),
                "model": started.model,
                "analysis_type": self._asked.analysis_type,
                "inputs": [{"index": index, "type": kind} for index, kind in enumerate(self._asked.kinds)],
                "analysis": text if findings is None else "\n".join(map(": ".join, findings.items())),
                "findings": findings,
                "finish_reason": self._finished[0].reason,
                "usage": usage(self._finished.values()),
            }
        )


def _areas(fields: Fields) -> tuple[str, ...]:
    if not fields.has("focus_areas") or fields.raw("focus_areas") == []:
        return ()
    areas: list[str] = []
    for place, entry in fields.entries("focus_areas", "a list of strings", most=MAX_AREAS):
        if not isinstance(entry, str) or not 0 < len(entry) <= MAX_AREA or entry in areas:
            refuse(f"found {str(entry)[:80]!r}, expected a name of 1 to {MAX_AREA} characters, each once", place)
        areas.append(entry)
    return tuple(areas)


async def _part(fields: Fields, references: References) -> Part:
    """Read one input, through the reader of the chat's part of its kind."""
    kind = fields.choice("type", _TYPES) or fields.refuse("type", f"one of {', '.join(_TYPES)}")
    if kind == "text":
        fields.known({"type", "text", "content"})
        return TextPart(fields.needed("text" if fields.has("text") else "content", "the text"))
    fields.known({"type", "source", "content", "url", "upload_id", "filename"})
    name, content = _content(fields)
    if kind == "document":
        return await _document(fields, name, content, references)
    url = content if _names(name, content) else f"data:;base64,{content}"
    part, reader = _READERS[kind]
    inner = fields.inner({part: {"url": url}}, fields.place)
    try:
        return await reader(inner, references)
    except (InvalidInput, NotFound, TooLarge) as error:  # the reader names its own field, the caller has another
        theirs, ours = f"{fields.place}.{part}.url", fields.at(name)
        raise type(error)(error.message.replace(theirs, ours), param=ours, code=error.code) from error


async def _document(fields: Fields, name: str, content: str, references: References) -> Part:
    """Read a document; what a file really is, its bytes tell."""
    place, called = fields.at(name), clean_name(fields.text("filename", most=4096) or NAMELESS)
    if name == "upload_id":
        stored, data = await references.file(content, most_bytes=MAX_DOCUMENT_BYTES, place=place)
        return await part_of(data, stored.name, place)
    if _is_url(content):
        return await part_of(await references.url(content, most_bytes=MAX_DOCUMENT_BYTES, place=place), called, place)
    match = DATA_URL.match(content)
    data = await asyncio.to_thread(decode_base64, content[match.end() :] if match else content, place)
    return await part_of(data, called, place)


def _content(fields: Fields) -> tuple[str, str]:
    """Return the field that holds an input's content, and what it holds."""
    source = fields.choice("source", tuple(_SOURCES)) or fields.refuse("source", f"one of {', '.join(_SOURCES)}")
    name, what = _SOURCES[source]
    if source == "url" and fields.has("content"):
        name = "content"
    content = fields.needed(name, what)
    if (source == "url" and not _names(name, content)) or (source == "upload_id" and not content.startswith("file-")):
        fields.refuse(name, what)
    return name, content


def _names(name: str, content: str) -> bool:
    """Whether a field refers to its content, or holds it with what it is, rather than holding base64."""
    return name == "upload_id" or _is_url(content) or content.startswith("data:")


def _is_url(content: str) -> bool:
    return content[:8].lower().startswith(("http:", "https:"))


def _question(kind: str | None, areas: Sequence[str], *, texts: bool) -> str:
    """Return what to ask of the inputs beside their own texts."""
    asked = [_ASKED[kind]] if kind else [] if texts or areas else [_ASKED["comprehensive"]]
    if areas:
        asked.append(f"Answer as a JSON object with a text for each of: {', '.join(areas)}.")
    return "\n\n" * bool(asked and texts) + " ".join(asked)


def _schema(areas: Sequence[str]) -> dict[str, Any]:
    text = {"type": "string"}
    return {
        "type": "object",
        "properties": dict.fromkeys(areas, text),
        "required": list(areas),
        "additionalProperties": False,
    }


def _findings(text: str, areas: Sequence[str]) -> dict[str, str] | None:
    """Return the text of each focus area; None without any, or when the answer was cut in the middle."""
    if not areas:
        return None
    try:
        found = json.loads(text)
    except json.JSONDecodeError:
        return None
    return {area: str(found[area]) for area in areas}


ENDPOINT: Final = PipelineEndpoint(OPERATION, answer_analysis, ChatRequest, ChatEvent)
