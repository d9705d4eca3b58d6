"""Reading multipart/form-data (RFC 7578): the text fields as JSON would hold them, and the files."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.types import Receive, Scope

from pipeline.errors import InvalidInput, UnsupportedMedia
from server.body import header, read_body

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks

MAX_FIELDS: Final = 64
MAX_FIELD_BYTES: Final = 2**20

_INLINE: Final = 2**16
"""Bodies up to this size are read on the event loop."""


@dataclass(frozen=True, slots=True)
class Upload:
    """A file as it was sent. name: what the client calls it, media: its declared content type; both may be wrong."""

    data: bytes
    name: str = ""
    media: str = ""


@dataclass(frozen=True, slots=True)
class Form:
    """fields: text; `a[]` are lists under `a`, `a[b]` mappings under `a`. Of a repeated name the last counts."""

    fields: Mapping[str, Any] = field(default_factory=dict)
    files: Mapping[str, Upload] = field(default_factory=dict)


async def read_form(scope: Scope, receive: Receive, *, max_bytes: int) -> Form:
    """Read the body as a form: 413 beyond `max_bytes`, 415 for another content type, 400 for what is no form."""
    found = header(scope, b"content-type") or b""
    media, options = parse_options_header(found.decode("latin-1"))
    boundary = options.get(b"boundary")
    if media != b"multipart/form-data" or not boundary:
        shown = found.decode("latin-1")[:80]
        raise UnsupportedMedia(f"found content type {shown!r}, expected multipart/form-data with a boundary")
    body = await read_body(scope, receive, max_bytes=max_bytes)
    if len(body) <= _INLINE:
        return parse(body, boundary)
    return await asyncio.to_thread(parse, body, boundary)


def parse(body: bytes, boundary: bytes) -> Form:
    """Read a whole form. InvalidInput if it is none, or not whole."""
    parts = _Parts()
    try:
        parser = MultipartParser(boundary, parts.callbacks())
        parser.write(body)
        parser.finalize()
    except FormParserError as error:
        raise InvalidInput(f"the body is no multipart/form-data: {error}", code="invalid_form") from None
    if not parts.complete:
        raise InvalidInput("the body is no whole multipart/form-data: found no end", code="invalid_form")
    return parts.form()


class _Parts:
    """Collects the parts that the parser finds."""

    def __init__(self) -> None:
        self.complete = False
        self._fields: dict[str, Any] = {}
        self._files: dict[str, Upload] = {}
        self._count = 0
        self._headers: dict[bytes, bytes] = {}
        self._name, self._value = b"", b""
        self._data: list[bytes] = []

    def callbacks(self) -> MultipartCallbacks:
        return {
            "on_part_begin": self._begin,
            "on_header_field": self._header_name,
            "on_header_value": self._header_value,
            "on_header_end": self._header_end,
            "on_part_data": self._part_data,
            "on_part_end": self._part_end,
            "on_end": self._end,
        }

    def form(self) -> Form:
        return Form(self._fields, self._files)

    def _begin(self) -> None:
        self._count += 1
        if self._count > MAX_FIELDS:
            raise InvalidInput(f"found more than {MAX_FIELDS} parts of a form, expected fewer", code="invalid_form")
        self._headers, self._data = {}, []

    def _header_name(self, data: bytes, start: int, end: int) -> None:
        self._name += data[start:end]

    def _header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _header_end(self) -> None:
        self._headers[self._name.lower()] = self._value
        self._name, self._value = b"", b""

    def _part_data(self, data: bytes, start: int, end: int) -> None:
        self._data.append(data[start:end])

    def _part_end(self) -> None:
        _, options = parse_options_header(self._headers.get(b"content-disposition", b"").decode("latin-1"))
        name = options.get(b"name", b"").decode("utf-8", "replace")
        data = b"".join(self._data)
        if not name:
            raise InvalidInput("found a part of a form without a name, expected one", code="invalid_form")
        if b"filename" in options:
            media = self._headers.get(b"content-type", b"").decode("latin-1")
            self._files[name] = Upload(data, options[b"filename"].decode("utf-8", "replace"), media)
            return
        if len(data) > MAX_FIELD_BYTES:
            found = f"found {len(data)} bytes, expected at most {MAX_FIELD_BYTES}"
            raise InvalidInput(f"{found} in a field of a form", param=name[:80], code="string_above_max_length")
        self._put(name, data.decode("utf-8", "replace"))

    def _put(self, name: str, text: str) -> None:
        outer, opened, inner = name.partition("[")
        if not opened or not inner.endswith("]") or not outer:
            self._fields[name] = text
            return
        inner = inner[:-1]
        kind: type[Any] = dict if inner else list
        held = self._fields.setdefault(outer, kind())
        if type(held) is not kind:
            raise InvalidInput(f"found {name} beside {outer}, expected one of them", param=outer[:80])
        if inner:
            held[inner] = text
        else:
            held.append(text)

    def _end(self) -> None:
        self.complete = True
