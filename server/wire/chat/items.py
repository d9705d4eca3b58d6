"""Input items to messages: what the Responses API lists one after the other, as the turns of one conversation.

An answer that calls functions is several items (`message`, `function_call`, `function_call`); a chat has one message of
the assistant for them. Pictures in a function's result go into a message of the user behind the results, since the
templates of models take pictures from nobody else. `reasoning` items are not given to models again: their templates
leave out what was thought in earlier turns.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Any, Final, cast

import orjson

from fastembed.pipeline.payload.chat import ChatRole, DocumentPart, Message, Part, TextPart, ToolCall
from fastembed.server.conversations.record import Json, random_id
from fastembed.server.fetching.references import References
from fastembed.server.files.record import clean_name
from fastembed.server.wire.chat.file_part import MAX_DOCUMENT_BYTES, file_part, part_of
from fastembed.server.wire.chat.media import MAX_MEDIA, image_part, sound_part
from fastembed.server.wire.chat.open_calls import OpenCalls
from fastembed.server.wire.fields import Fields, refuse

MAX_ITEMS: Final = 2048
MAX_PARTS: Final = 512
ITEM_TYPES: Final = (
    "message",
    "function_call",
    "function_call_output",
    "custom_tool_call",
    "custom_tool_call_output",
    "reasoning",
    "item_reference",
)

_ROLES: Final = ("user", "system", "developer", "assistant")
_TEXTS: Final = ("input_text", "output_text", "text", "summary_text")
_PREFIXES: Final = {"message": "msg", "function_call": "fc", "function_call_output": "fco", "reasoning": "rs"}
_PARTS: Final = "input_text, input_image, input_file or input_audio"


class ItemReader:
    """Reads items one after the other and puts the conversation together."""

    def __init__(
        self, references: References, referenced: Callable[[str, str], Awaitable[Json]], *, lenient: bool = False
    ) -> None:
        """referenced(id, place): the stored item that an `item_reference` stands for. lenient: see `OpenCalls`."""
        self._references = references
        self._referenced = referenced
        self._messages: list[Message] = []
        self._calls = OpenCalls("a function_call_output with this call_id", lenient=lenient)
        self._shown: list[Part] = []  # pictures of functions' results, on their way into a message of the user
        self._media = 0
        self._bytes = 0

    async def read(self, fields: Fields) -> Json | None:
        """Add one item; return it as it is stored, None where it stands for one that is stored already."""
        kind = fields.raw("type")
        if kind is None and fields.has("role"):
            kind = "message"
        elif kind is None and fields.has("id"):
            kind = "item_reference"
        elif kind not in ITEM_TYPES:
            fields.refuse("type", f"one of {', '.join(ITEM_TYPES)}")
        if kind == "item_reference":
            found = await self._referenced(fields.needed("id", "the id of a stored item"), fields.place)
            await self.read(fields.inner(found, fields.place))
            return None
        return await _READERS[kind](self, fields)

    def messages(self) -> tuple[Message, ...]:
        """Return the conversation. InvalidInput: a call has no result."""
        self._calls.check()
        self._show()
        return tuple(self._messages)

    async def message(self, fields: Fields) -> Json:
        """Add a message."""
        role = fields.choice("role", _ROLES) or fields.refuse("role", f"one of {', '.join(_ROLES)}")
        content = fields.raw("content")
        if isinstance(content, str):
            content = [{"type": "output_text" if role == "assistant" else "input_text", "text": content}]
        elif content == [] and role == "assistant":  # an answer without words
            content = []
        elif type(content) is not list:
            fields.refuse("content", "a string or a list of parts", "invalid_type")
        parts = await self._parts(fields, content, media=role == "user") if content else ()
        last = self._messages[-1] if self._messages else None
        if role == "assistant" and last is not None and last.role == "assistant" and self._calls:
            self._messages[-1] = replace(last, parts=(*last.parts, *parts))
        else:
            self._calls.check()
            self._show()
            self._messages.append(Message(cast("ChatRole", role), parts))
        return _stored(fields, "message", role=role, content=[_part(entry) for entry in content])

    async def call(self, fields: Fields) -> Json:
        """Add a call, to the message of the assistant that it belongs to."""
        call_id = fields.needed("call_id", "the id by which its output names the call")
        name = fields.needed("name", "the name of the function")
        custom = fields.raw("type") == "custom_tool_call"
        field = "input" if custom else "arguments"
        found = fields.raw(field)
        if type(found) is not str:
            fields.refuse(field, "a string", "invalid_type")
        call = ToolCall(call_id, name, orjson.dumps({"input": found}).decode() if custom else found)
        self._show()
        self._calls.open(call_id, fields.place)
        last = self._messages[-1] if self._messages else None
        if last is not None and last.role == "assistant":
            self._messages[-1] = replace(last, tool_calls=(*last.tool_calls, call))
        else:
            self._messages.append(Message("assistant", tool_calls=(call,)))
        return _stored(fields, str(fields.raw("type")), call_id=call_id, name=name, **{field: found})

    async def result(self, fields: Fields) -> Json:
        """Add the result of a call."""
        call_id = fields.needed("call_id", "the id of the call that this answers")
        self._calls.answer(call_id, fields.at("call_id"))
        output = fields.raw("output")
        if type(output) not in (str, list):
            fields.refuse("output", "a string or a list of parts", "invalid_type")
        parts: tuple[Part, ...] = (TextPart(output),) if isinstance(output, str) and output else ()
        if isinstance(output, list) and output:
            parts = await self._parts(fields, output, media=True, name="output")
        texts = tuple(part for part in parts if isinstance(part, TextPart))
        self._shown.extend(part for part in parts if not isinstance(part, TextPart))
        self._messages.append(Message("tool", texts, tool_call_id=call_id))
        return _stored(fields, str(fields.raw("type")), call_id=call_id, output=output)

    async def reasoning(self, fields: Fields) -> Json:
        """Keep what was thought; the model is not told."""
        known = {name: fields.raw(name) for name in ("content", "encrypted_content") if fields.has(name)}
        return _stored(fields, "reasoning", summary=fields.raw("summary") or [], **known)

    def _show(self) -> None:
        if self._shown and not self._calls:
            self._messages.append(Message("user", tuple(self._shown)))
            self._shown = []

    async def _parts(self, fields: Fields, found: list[Any], *, media: bool, name: str = "content") -> tuple[Part, ...]:
        if len(found) > MAX_PARTS:
            refuse(f"found {len(found)} parts, expected at most {MAX_PARTS}", fields.at(name), "array_above_max_length")
        entries = [fields.inner(entry, f"{fields.at(name)}[{index}]") for index, entry in enumerate(found)]
        return tuple([await self._read_part(entry, media=media) for entry in entries])

    async def _read_part(self, fields: Fields, *, media: bool) -> Part:
        kind = fields.needed("type", f"a part's type: {_PARTS}")
        if kind in _TEXTS or kind == "refusal":
            field = "refusal" if kind == "refusal" else "text"
            text = fields.raw(field)
            return TextPart(text) if type(text) is str else fields.refuse(field, "a string", "invalid_type")
        if kind not in _MEDIA:
            fields.refuse("type", _PARTS)
        if not media:
            fields.refuse("type", "text: only messages of the user and outputs of functions carry other parts")
        self._media += 1
        if self._media > MAX_MEDIA:
            refuse(f"found more than {MAX_MEDIA} pictures, sounds and files, expected fewer", fields.place)
        part = await _MEDIA[kind](fields, self._references)
        size = len(part.data) if isinstance(part, DocumentPart) else len(part.text) if isinstance(part, TextPart) else 0
        self._bytes += size
        if self._bytes > MAX_DOCUMENT_BYTES:
            refuse(f"found more than {MAX_DOCUMENT_BYTES:,} bytes of documents and text, expected fewer", fields.place)
        return part


async def _image(fields: Fields, references: References) -> Part:
    """Read `{"type": "input_image", "image_url" | "file_id", "detail"}`."""
    if fields.has("image_url") == fields.has("file_id"):
        fields.refuse("image_url", "image_url or file_id")
    url = fields.text("image_url") or fields.needed("file_id", "the id of an uploaded file")
    detail = fields.raw("detail")
    found = {"url": url, "detail": "high" if detail == "original" else detail}
    return await image_part(fields.inner({"image_url": found}, fields.place), references)


async def _file(fields: Fields, references: References) -> Part:
    """Read `{"type": "input_file", "file_id" | "file_data" | "file_url", "filename"}`."""
    if fields.has("file_url"):
        url = fields.needed("file_url", "an http(s) URL")
        data = await references.url(url, most_bytes=MAX_DOCUMENT_BYTES, place=fields.at("file_url"))
        name = clean_name(fields.text("filename") or url.partition("?")[0])
        return await part_of(data, name, fields.at("file_url"))
    found = {name: fields.raw(name) for name in ("file_id", "file_data", "filename")}
    return await file_part(fields.inner({"file": found}, fields.place), references)


_MEDIA: Final[Mapping[str, Callable[[Fields, References], Awaitable[Part]]]] = {
    "input_image": _image,
    "input_file": _file,
    "input_audio": sound_part,
}
_READERS: Final[Mapping[str, Callable[[ItemReader, Fields], Awaitable[Json]]]] = {
    "message": ItemReader.message,
    "function_call": ItemReader.call,
    "custom_tool_call": ItemReader.call,
    "function_call_output": ItemReader.result,
    "custom_tool_call_output": ItemReader.result,
    "reasoning": ItemReader.reasoning,
}


def _part(entry: Json) -> Json:
    """Return a part as lists of items show it."""
    if entry["type"] == "output_text":
        return {"annotations": [], "logprobs": [], **entry}
    return {"detail": "auto", **entry} if entry["type"] == "input_image" else entry


def _stored(fields: Fields, kind: str, **more: object) -> Json:
    """Return an item as it is stored and listed: with an id and a status."""
    id_ = fields.text("id", most=128) or random_id(_PREFIXES.get(kind, "item"))
    status = fields.text("status", most=32) or "completed"
    return {"id": id_, "type": kind, "status": status, **more}
