"""Reading multipart/form-data (RFC 7578): the text fields as JSON would hold them, and the files.

`read_form` holds the whole body in memory, `spool_form` passes a file on while it comes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.types import Receive, Scope

from fastembed.pipeline.errors import InvalidInput, UnsupportedMedia
from fastembed.server.http.request_body import header, read_body, read_pieces

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks

MAX_FIELDS: Final = 64
MAX_FIELD_BYTES: Final = 2**22
"""10 s of a speaker's voice as an uncompressed data: URL are 2.4 MB."""

_INLINE: Final = 2**16
"""Bodies up to this size are read on the event loop."""
_SPOOL_BYTES: Final = 2**20
"""Bytes of a file that are passed on at a time."""


@dataclass(frozen=True, slots=True)
class UploadedFile:
    """A file as it was sent. name: what the client calls it, media: its declared content type; both may be wrong.

    data: empty where the file was passed on while it came.
    """

    data: bytes
    name: str = ""
    media: str = ""


@dataclass(frozen=True, slots=True)
class MultipartForm:
    """fields: text; `a[]` are lists under `a`, `a[b]` mappings under `a`. Of a repeated name the last counts.

    repeated: all texts of each name, in order.
    """

    fields: Mapping[str, Any] = field(default_factory=dict)
    files: Mapping[str, UploadedFile] = field(default_factory=dict)
    repeated: Mapping[str, list[str]] = field(default_factory=dict)


async def read_form(scope: Scope, receive: Receive, *, max_bytes: int) -> MultipartForm:
    """Read the body as a form: 413 beyond `max_bytes`, 415 for another content type, 400 for what is no form."""
    boundary = _boundary(scope)
    body = await read_body(scope, receive, max_bytes=max_bytes)
    if len(body) <= _INLINE:
        return parse(body, boundary)
    return await asyncio.to_thread(parse, body, boundary)


async def spool_form(
    scope: Scope, receive: Receive, *, max_bytes: int, write: Callable[[bytes], object]
) -> MultipartForm:
    """Read a form with one file, whose bytes go to `write`, in a thread, while they come. Raises what `read_form` does.

    Fields may stand before or behind the file.
    """
    pending: list[bytes] = []
    reader = _FormReader(_boundary(scope), pending.append)
    async with aclosing(read_pieces(scope, receive, max_bytes=max_bytes)) as pieces:
        async for piece in pieces:
            reader.feed(piece)
            if sum(map(len, pending)) >= _SPOOL_BYTES:
                await asyncio.to_thread(write, b"".join(pending))
                pending.clear()
    form = reader.end()
    if pending:
        await asyncio.to_thread(write, b"".join(pending))
    return form


def parse(body: bytes, boundary: bytes) -> MultipartForm:
    """Read a whole form. InvalidInput if it is none, or not whole."""
    reader = _FormReader(boundary)
    reader.feed(body)
    return reader.end()


def _boundary(scope: Scope) -> bytes:
    """Return what separates the parts. UnsupportedMedia: the body is declared to be something else."""
    found = header(scope, b"content-type") or b""
    media, options = parse_options_header(found.decode("latin-1"))
    boundary = options.get(b"boundary")
    if media != b"multipart/form-data" or not boundary:
        shown = found.decode("latin-1")[:80]
        raise UnsupportedMedia(f"found content type {shown!r}, expected multipart/form-data with a boundary")
    return boundary


class _FormReader:
    """Takes a form's bytes, piece by piece. InvalidInput if they are no form, or not a whole one."""

    def __init__(self, boundary: bytes, spool: Callable[[bytes], object] | None = None) -> None:
        self._parts = _FormParts(spool)
        try:
            self._parser = MultipartParser(boundary, self._parts.callbacks())
        except FormParserError as error:
            raise self._refusal(error) from None

    def feed(self, piece: bytes) -> None:
        try:
            self._parser.write(piece)
        except FormParserError as error:
            raise self._refusal(error) from None

    def end(self) -> MultipartForm:
        try:
            self._parser.finalize()
        except FormParserError as error:
            raise self._refusal(error) from None
        if not self._parts.complete:
            raise InvalidInput("the multipart/form-data body ends before its closing boundary", code="invalid_form")
        return self._parts.form()

    @staticmethod
    def _refusal(error: FormParserError) -> InvalidInput:
        return InvalidInput(f"the body is not valid multipart/form-data: {error}", code="invalid_form")


class _FormParts:
    """Collects the parts that the parser finds. spool: takes the bytes of the one file, instead of this memory."""

    def __init__(self, spool: Callable[[bytes], object] | None = None) -> None:
        self.complete = False
        self._spool = spool
        self._fields: dict[str, Any] = {}
        self._files: dict[str, UploadedFile] = {}
        self._repeated: dict[str, list[str]] = {}
        self._count = 0
        self._headers: dict[bytes, bytes] = {}
        self._name, self._value = b"", b""
        self._data: list[bytes] = []
        self._size = 0
        self._options: Mapping[bytes, bytes] = {}
        self._keep: Callable[[bytes], object] = self._data.append

    def callbacks(self) -> MultipartCallbacks:
        return {
            "on_part_begin": self._begin,
            "on_header_field": self._header_name,
            "on_header_value": self._header_value,
            "on_header_end": self._header_end,
            "on_headers_finished": self._headers_finished,
            "on_part_data": self._part_data,
            "on_part_end": self._part_end,
            "on_end": self._end,
        }

    def form(self) -> MultipartForm:
        return MultipartForm(self._fields, self._files, self._repeated)

    def _begin(self) -> None:
        self._count += 1
        if self._count > MAX_FIELDS:
            raise InvalidInput(f"found more than {MAX_FIELDS} parts in the form, expected fewer", code="invalid_form")
        self._headers, self._data, self._size = {}, [], 0

    def _header_name(self, data: bytes, start: int, end: int) -> None:
        self._name += data[start:end]

    def _header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _header_end(self) -> None:
        self._headers[self._name.lower()] = self._value
        self._name, self._value = b"", b""

    def _headers_finished(self) -> None:
        """Decide where the part's bytes go."""
        _, self._options = parse_options_header(self._headers.get(b"content-disposition", b"").decode("latin-1"))
        self._keep = self._data.append
        if b"filename" in self._options and self._spool is not None:
            if self._files:
                raise InvalidInput("found two files, expected one", param="file", code="invalid_form")
            self._keep = self._spool

    def _part_data(self, data: bytes, start: int, end: int) -> None:
        self._size += end - start
        if self._size > MAX_FIELD_BYTES and b"filename" not in self._options:
            name = self._options.get(b"name", b"").decode("utf-8", "replace")
            found = f"found {self._size} bytes or more, expected at most {MAX_FIELD_BYTES}"
            raise InvalidInput(f"{found} in a field of the form", param=name[:80], code="string_above_max_length")
        self._keep(data[start:end])

    def _part_end(self) -> None:
        name = self._options.get(b"name", b"").decode("utf-8", "replace")
        data = b"".join(self._data)
        if not name:
            raise InvalidInput("found a part without a name in the form, expected one", code="invalid_form")
        if b"filename" in self._options:
            if name in self._files:
                raise InvalidInput(f"found two files in the field {name[:80]!r}, expected one", param=name[:80])
            media = self._headers.get(b"content-type", b"").decode("latin-1")
            self._files[name] = UploadedFile(data, self._options[b"filename"].decode("utf-8", "replace"), media)
            return
        self._put(name, data.decode("utf-8", "replace"))

    def _put(self, name: str, text: str) -> None:
        self._repeated.setdefault(name, []).append(text)
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
