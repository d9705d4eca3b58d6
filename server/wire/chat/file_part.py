"""Files inside a chat: `{"type": "file", "file": {"file_id"}}`, or `{"file_data", "filename"}`.

What a file is, its bytes tell, whatever its name: a picture is seen, sound heard, a video shown as if it had come as
such a part; text is given to the model as text, with the file's name; documents are read by the step `read`.
"""

from __future__ import annotations

import asyncio
from pathlib import PurePath
from typing import Final

from fastembed.documents.formats import SUFFIXES, is_html, is_text
from fastembed.inference.engines.media.files import recognise
from fastembed.inference.engines.media.pictures import MAX_IMAGE_BYTES
from fastembed.pipeline.errors import InvalidInput, UnsupportedMedia
from fastembed.pipeline.payload.chat import DocumentPart, Part, TextPart
from fastembed.server.fetching.references import References
from fastembed.server.files.record import NAMELESS, clean_name
from fastembed.server.wire.base64_text import decode_base64
from fastembed.server.wire.chat.media import DATA_URL, film, picture, recording
from fastembed.server.wire.fields import Fields, refuse

MAX_DOCUMENT_BYTES: Final = 50 * 2**20
"""OpenAI's limit for a file, and for those of one request together."""

_HEAD_BYTES: Final = 8192
_PDF_WITHIN: Final = 1024
_PICTURES: Final = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF8")
_ARCHIVES: Final = (b"PK\x03\x04", b"PK\x05\x06", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1")
"""Office files: ZIP archives, and, where they are old or encrypted, OLE2 (`read` says so)."""
_WITH_FRAMES: Final = frozenset({"mp4", "matroska"})
_EXPECTED: Final = "a picture (PNG, JPEG, WebP, GIF), a document (PDF, DOCX, PPTX, XLSX, HTML), text, sound or a video"


async def file_part(fields: Fields, references: References) -> Part:
    """Read a part of the type `file`. InvalidInput, NotFound, TooLarge name the field."""
    file = fields.required("file", 'an object {"file_id"} or {"file_data", "filename"}')
    file.known({"file_id", "file_data", "filename"})
    name = file.text("filename", most=4096)
    if file.has("file_id") == file.has("file_data"):
        found = "file_id and file_data" if file.has("file_id") else "neither file_id nor file_data"
        refuse(f"found {found}, expected one of them", file.place, "missing_required_parameter")
    if file.has("file_id"):
        id_ = file.needed("file_id", "the id of an uploaded file")
        stored, data = await references.file(id_, most_bytes=MAX_DOCUMENT_BYTES, place=file.at("file_id"))
        return await part_of(data, stored.name, file.at("file_id"))
    place = file.at("file_data")
    encoded = file.needed("file_data", "base64 of a file, or data:...;base64,...")
    match = DATA_URL.match(encoded)
    data = await asyncio.to_thread(decode_base64, encoded[match.end() :] if match else encoded, place)
    return await part_of(data, clean_name(name) if name else NAMELESS, place)


async def part_of(data: bytes, name: str, place: str) -> Part:
    """Return what a file's bytes are to a model. name: as it can be shown. InvalidInput names the field `place`."""
    head = data[:_HEAD_BYTES]
    if not data:
        refuse(f"found the empty file {name}, expected {_EXPECTED}", place, "empty_file")
    if head.startswith(_PICTURES) or (head[:4], head[8:12]) == (b"RIFF", b"WEBP"):
        if len(data) > MAX_IMAGE_BYTES:
            refuse(f"found a picture of {len(data):,} bytes, expected at most {MAX_IMAGE_BYTES:,}", place)
        return await picture(data, place)
    if b"%PDF-" in head[:_PDF_WITHIN] or head.startswith(_ARCHIVES):
        return DocumentPart(data, name)
    if is_text(head):
        if is_html(head, SUFFIXES.get(PurePath(name).suffix.lower())):
            return DocumentPart(data, name)
        return TextPart.of_file(name, await asyncio.to_thread(_text, data))
    return await _media(data, name, place)


async def _media(data: bytes, name: str, place: str) -> Part:
    """Return a video, or sound; what a container holds is seen when it is opened."""
    try:
        demuxer = recognise(data[:16])
    except UnsupportedMedia:
        begins = data[:8].hex(" ")
        refuse(f"found {name}, whose format is not supported (it begins with {begins}), expected {_EXPECTED}", place)
    if demuxer not in _WITH_FRAMES:
        return await recording(data, place)
    try:
        return await film(data, place)
    except InvalidInput as refusal:
        try:
            return await recording(data, place)
        except InvalidInput:
            raise refusal from None


def _text(data: bytes) -> str:
    """Return a text file's text: UTF-16 with its mark, UTF-8, else Windows-1252, as browsers do."""
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return data.decode("utf-16", "replace")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("cp1252", "replace")
