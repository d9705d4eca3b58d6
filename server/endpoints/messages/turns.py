"""Anthropic's messages, which are made of content blocks, as the turns of a conversation.

A message of the user may hold results of tools beside text and pictures: the results become messages of their own, and
a picture in them goes into the message of the user behind them, since the templates of models take pictures from
nobody else. What the model thought in earlier turns is not given to it again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

import orjson

from fastembed.inference.engines.media.pictures import MAX_IMAGE_BYTES
from fastembed.pipeline.payload.chat import DocumentPart, Message, Part, TextPart, ToolCall
from fastembed.server.fetching.references import References
from fastembed.server.files.record import clean_name
from fastembed.server.wire.base64_text import decode_base64
from fastembed.server.wire.chat.file_part import MAX_DOCUMENT_BYTES, part_of
from fastembed.server.wire.chat.media import MAX_MEDIA, picture
from fastembed.server.wire.chat.open_calls import OpenCalls
from fastembed.server.wire.fields import Fields, refuse

MAX_MESSAGES: Final = 2048
MAX_BLOCKS: Final = 512
_ROLES: Final = ("user", "assistant", "system")
_SKIPPED: Final = ("thinking", "redacted_thinking")
_OF_USER: Final = "text, image, document or tool_result"
_OF_ASSISTANT: Final = "text, tool_use or thinking"


class TurnReader:
    """Reads messages one after the other and puts the conversation together."""

    def __init__(self, references: References) -> None:
        self._references = references
        self._messages: list[Message] = []
        self._calls = OpenCalls("a tool_result with this tool_use_id")
        self._media = 0
        self._bytes = 0

    async def read(self, body: Fields) -> tuple[Message, ...]:
        """Return the field `messages` and what is in `system`."""
        if body.has("system"):
            text = "\n\n".join(part.text for part in await self._blocks(body, "system") if isinstance(part, TextPart))
            self._messages.append(Message("system", (TextPart(text),) if text else ()))
        for place, entry in body.entries("messages", "a list of messages", most=MAX_MESSAGES):
            fields = body.inner(entry, place)
            role = fields.choice("role", _ROLES) or fields.refuse("role", "user or assistant")
            await (self._assistant if role == "assistant" else self._user)(fields, role)
        self._calls.check()
        return tuple(self._messages)

    async def _user(self, fields: Fields, role: str) -> None:
        results, parts = [], []
        shown: list[Part] = []
        for block in _entries(fields, "content"):
            if role == "user" and block.raw("type") == "tool_result":
                call_id = block.needed("tool_use_id", "the id of the call that this answers")
                self._calls.answer(call_id, block.at("tool_use_id"))
                found = await self._blocks(block, "content") if block.raw("content") else []
                texts = tuple(part for part in found if isinstance(part, TextPart))
                shown += [part for part in found if not isinstance(part, TextPart)]
                results.append(Message("tool", texts, tool_call_id=call_id))
            else:
                parts.append(await self._part(block, media=role == "user"))
        self._calls.check()
        self._messages += results
        if parts or shown or not results:
            kind: Any = role
            self._messages.append(Message(kind, (*shown, *parts)))

    async def _assistant(self, fields: Fields, _: str) -> None:
        self._calls.check()
        parts, calls = [], []
        for block in _entries(fields, "content", empty=True):
            kind = block.needed("type", f"a block's type: {_OF_ASSISTANT}")
            if kind == "tool_use":
                calls.append(self._call(block))
            elif kind == "text":
                parts.append(_text(block))
            elif kind not in _SKIPPED:
                block.refuse("type", _OF_ASSISTANT)
        self._messages.append(Message("assistant", tuple(parts), tool_calls=tuple(calls)))

    def _call(self, block: Fields) -> ToolCall:
        call_id = block.needed("id", "the id of the call")
        self._calls.open(call_id, block.place)
        arguments = orjson.dumps(block.mapping("input") or {}).decode()
        return ToolCall(call_id, block.needed("name", "the name of the tool"), arguments)

    async def _blocks(self, fields: Fields, name: str) -> list[Part]:
        media = name != "system"
        return [await self._part(block, media=media) for block in _entries(fields, name)]

    async def _part(self, block: Fields, *, media: bool) -> Part:
        kind = block.needed("type", f"a block's type: {_OF_USER}")
        if kind == "text":
            return _text(block)
        if kind not in _MEDIA or not media:
            block.refuse("type", _OF_USER if media else "text")
        self._media += 1
        if self._media > MAX_MEDIA:
            refuse(f"found more than {MAX_MEDIA} pictures and documents, expected fewer", block.place)
        part = await _MEDIA[kind](block, self._references)
        size = len(part.data) if isinstance(part, DocumentPart) else len(part.text) if isinstance(part, TextPart) else 0
        self._bytes += size
        if self._bytes > MAX_DOCUMENT_BYTES:
            refuse(f"found more than {MAX_DOCUMENT_BYTES:,} bytes of documents, expected fewer", block.place)
        return part


async def _image(block: Fields, references: References) -> Part:
    """Read `{"type": "image", "source": {"type": "base64" | "url" | "file", ...}}`."""
    source = block.required("source", 'an object {"type": "base64", "media_type", "data"}')
    kind = source.choice("type", ("base64", "url", "file")) or source.refuse("type", "base64, url or file")
    if kind == "base64":
        return await picture(source.needed("data", "base64 of a picture"), source.at("data"))
    return await picture((await _fetched(source, references, MAX_IMAGE_BYTES))[1], source.place)


async def _document(block: Fields, references: References) -> Part:
    """Read `{"type": "document", "source", "title"}`."""
    source = block.required("source", 'an object {"type": "base64", "media_type", "data"}')
    kinds = ("base64", "text", "content", "url", "file")
    kind = source.choice("type", kinds) or source.refuse("type", f"one of {', '.join(kinds)}")
    title = block.text("title", most=4096)
    if kind == "text":
        return TextPart.of_file(clean_name(title or "document"), source.needed("data", "the document's text"))
    if kind == "content":
        texts = [_text(entry).text for entry in _entries(source, "content")]
        return TextPart.of_file(clean_name(title or "document"), "\n".join(texts))
    if kind == "base64":
        encoded = source.needed("data", "base64 of a document")
        data = await asyncio.to_thread(decode_base64, encoded, source.at("data"))
        return await part_of(data, clean_name(title or "document"), source.at("data"))
    name, data = await _fetched(source, references, MAX_DOCUMENT_BYTES)
    return await part_of(data, clean_name(title or name), source.place)


async def _fetched(source: Fields, references: References, most_bytes: int) -> tuple[str, bytes]:
    """Return the name and the bytes of what is at a URL, or of an uploaded file."""
    if source.raw("type") == "url":
        url = source.needed("url", "an http(s) URL")
        return url.partition("?")[0], await references.url(url, most_bytes=most_bytes, place=source.at("url"))
    id_ = source.needed("file_id", "the id of an uploaded file")
    stored, data = await references.file(id_, most_bytes=most_bytes, place=source.at("file_id"))
    return stored.name, data


_MEDIA: Final[Mapping[str, Callable[[Fields, References], Awaitable[Part]]]] = {"image": _image, "document": _document}


def _entries(fields: Fields, name: str, *, empty: bool = False) -> list[Fields]:
    """Return content blocks; text stands for one. empty: there may be none."""
    found = fields.raw(name)
    if isinstance(found, str):
        return [fields.inner({"type": "text", "text": found}, fields.at(name))] if found else []
    if empty and found == []:
        return []
    entries = fields.entries(name, "text or a list of content blocks", most=MAX_BLOCKS)
    return [fields.inner(entry, place) for place, entry in entries]


def _text(block: Fields) -> TextPart:
    found = block.raw("text")
    return TextPart(found) if type(found) is str else block.refuse("text", "a string", "invalid_type")
