"""The messages of a chat request: roles, content parts, and which tool message answers which call.

What a message carries beyond this (`annotations`, `audio`, ... of an answer that a client sends back) is ignored, as
the real API does. Pictures, sound and files are fetched and decoded one after the other, by
`fastembed.server.wire.chat.media` and `fastembed.server.wire.chat.file_part`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Final, cast

from fastembed.pipeline.payload.chat import ChatRole, DocumentPart, Message, Part, TextPart, ToolCall
from fastembed.server.fetching.references import References
from fastembed.server.wire.chat.file_part import MAX_DOCUMENT_BYTES, file_part
from fastembed.server.wire.chat.media import MAX_MEDIA, audio_part, image_file_part, image_part, sound_part, video_part
from fastembed.server.wire.chat.open_calls import OpenCalls, open_all
from fastembed.server.wire.fields import Fields, refuse

MAX_MESSAGES: Final = 2048
MAX_PARTS: Final = 512
MAX_CALLS: Final = 128

_ROLES: Final = ("system", "developer", "user", "assistant", "tool")
_TAKEN: Final = "text, image_url, image_file, video_url, input_audio, audio or file"
_MEDIA: Final[Mapping[str, Callable[[Fields, References], Awaitable[Part]]]] = {
    "image_url": image_part,
    "image_file": image_file_part,
    "input_audio": sound_part,
    "audio": audio_part,
    "video_url": video_part,
    "file": file_part,
}


async def read_messages(body: Fields, references: References) -> tuple[Message, ...]:
    """Return the conversation. InvalidInput names the message, and the part, at fault."""
    places = body.entries("messages", "a list of messages", most=MAX_MESSAGES)
    reader = _MessageReader(references)
    messages = [await reader.message(body.inner(entry, place)) for place, entry in places]
    _check_calls(messages)
    return tuple(messages)


class _MessageReader:
    """Reads messages one after the other and counts what is costly in them."""

    __slots__ = ("_bytes", "_media", "_references")

    def __init__(self, references: References) -> None:
        self._references = references
        self._media = 0
        self._bytes = 0

    async def message(self, fields: Fields) -> Message:
        role = fields.choice("role", _ROLES) or fields.refuse("role", f"one of {', '.join(_ROLES)}")
        calls = _calls(fields) if role == "assistant" else ()
        return Message(
            cast("ChatRole", role),
            await self._content(fields, role, optional=bool(calls)),
            name=fields.text("name", most=256),
            tool_calls=calls,
            tool_call_id=fields.needed("tool_call_id", "the id of the call that this answers")
            if role == "tool"
            else None,
        )

    async def _content(self, fields: Fields, role: str, *, optional: bool) -> tuple[Part, ...]:
        found = fields.raw("content")
        if type(found) is str:
            return (TextPart(found),) if found else ()
        if found is None and role == "assistant":
            refusal = fields.text("refusal")
            if refusal is not None or optional:
                return (TextPart(refusal),) if refusal else ()
        if type(found) is not list:
            fields.refuse("content", "a string or a list of parts", "invalid_type")
        entries = fields.entries("content", "a string or a list of parts", most=MAX_PARTS)
        return tuple([await self._part(fields.inner(entry, place), role) for place, entry in entries])

    async def _part(self, fields: Fields, role: str) -> Part:
        name = fields.needed("type", f"a part's type: {_TAKEN}")
        if name == "text":
            return TextPart(_string(fields, "text"))
        if name == "refusal" and role == "assistant":
            return TextPart(_string(fields, "refusal"))
        if role != "user" and name in _MEDIA:
            fields.refuse("type", f"text: only messages of the role user carry other parts, this one is of {role}")
        if name not in _MEDIA:
            fields.refuse("type", _TAKEN)
        self._media += 1
        if self._media > MAX_MEDIA:
            refuse(f"found more than {MAX_MEDIA} pictures, videos, sounds and files, expected fewer", fields.place)
        part = await _MEDIA[name](fields, self._references)
        self._bytes += _size(part)
        if self._bytes > MAX_DOCUMENT_BYTES:
            refuse(f"found more than {MAX_DOCUMENT_BYTES:,} bytes of documents and text, expected fewer", fields.place)
        return part


def _size(part: Part) -> int:
    """Return what of an attached file is kept as it is."""
    if isinstance(part, DocumentPart):
        return len(part.data)
    return len(part.text) if isinstance(part, TextPart) else 0


def _string(fields: Fields, name: str) -> str:
    found = fields.raw(name)
    return found if type(found) is str else fields.refuse(name, "a string", "invalid_type")


def _calls(fields: Fields) -> tuple[ToolCall, ...]:
    """Return the calls that an assistant's turn made."""
    if not fields.has("tool_calls"):
        return ()
    return tuple(fields.each("tool_calls", "a list of calls", _call, most=MAX_CALLS))


def _call(fields: Fields) -> ToolCall:
    if fields.choice("type", ("function",)) is None:
        fields.refuse("type", "function")
    function = fields.required("function", "an object with name and arguments")
    return ToolCall(
        fields.needed("id", "the id of the call"),
        function.needed("name", "the name of the function"),
        _string(function, "arguments"),
    )


def _check_calls(messages: list[Message]) -> None:
    """Refuse calls without answers and answers without calls."""
    calls = OpenCalls("a tool message with this tool_call_id")
    for index, message in enumerate(messages):
        place = f"messages[{index}]"
        if message.role == "tool":
            calls.answer(message.tool_call_id or "", f"{place}.tool_call_id")
            continue
        calls.check()
        open_all(calls, message.tool_calls, f"{place}.tool_calls")
    calls.check()
