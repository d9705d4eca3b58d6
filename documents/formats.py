"""Which format a file has, told by its content; its name must agree.

PDF            `%PDF-` within the first 1024 bytes (as PDF readers do)
DOCX PPTX XLSX a ZIP archive with `word/document.xml`, `ppt/presentation.xml`, `xl/workbook.xml`
EPUB           a ZIP archive with `META-INF/container.xml`
PNG JPG TIFF GIF WEBP BMP   their signatures; one named as another is accepted, since nothing depends on it
HTML           text with a tag, named .html, .htm or .xhtml, or text that starts as HTML does whatever its name
MD CSV TXT JSON JSONL VTT SRT EML   text; only the name tells
"""

from __future__ import annotations

import re
import zipfile
from enum import StrEnum
from pathlib import Path
from typing import Final

from fastembed.documents.encodings import utf_16_of
from fastembed.pipeline.errors import ItemError, Unprocessable, UnsupportedMedia


class Format(StrEnum):
    """The formats that `parse` reads."""

    PDF = "pdf"
    DOCX = "docx"
    PPTX = "pptx"
    XLSX = "xlsx"
    HTML = "html"
    MD = "md"
    CSV = "csv"
    TXT = "txt"
    JSON = "json"
    JSONL = "jsonl"
    VTT = "vtt"
    SRT = "srt"
    EML = "eml"
    EPUB = "epub"
    PNG = "png"
    JPG = "jpg"
    TIFF = "tiff"
    GIF = "gif"
    WEBP = "webp"
    BMP = "bmp"


IMAGES: Final = frozenset({Format.PNG, Format.JPG, Format.TIFF, Format.GIF, Format.WEBP, Format.BMP})
PLAIN: Final = frozenset({Format.TXT, Format.JSON, Format.JSONL, Format.VTT, Format.SRT})
"""Text that is read as it stands."""
OFFICE: Final = frozenset({Format.DOCX, Format.PPTX, Format.XLSX})
SUFFIXES: Final = {
    **{f".{format_}": format_ for format_ in Format},
    ".jpeg": Format.JPG,
    ".htm": Format.HTML,
    ".xhtml": Format.HTML,
    ".markdown": Format.MD,
    ".xlsm": Format.XLSX,
    ".tsv": Format.CSV,
    ".tif": Format.TIFF,
    ".text": Format.TXT,
    ".log": Format.TXT,
    ".ndjson": Format.JSONL,
}
EXPECTED: Final = (
    "PDF, DOCX, PPTX, XLSX, EPUB, HTML, MD, CSV, TXT, JSON, JSONL, VTT, SRT, EML, PNG, JPG, TIFF, GIF, WEBP or BMP"
)

_IMAGE_SIGNATURES: Final = (
    (re.compile(rb"\x89PNG\r\n\x1a\n"), Format.PNG),
    (re.compile(rb"\xff\xd8\xff"), Format.JPG),
    (re.compile(rb"II\*\x00|MM\x00\*|II\+\x00|MM\x00\+"), Format.TIFF),
    (re.compile(rb"GIF8[79]a"), Format.GIF),
    (re.compile(rb"RIFF....WEBP", re.DOTALL), Format.WEBP),
    (re.compile(rb"BM.{4}\x00{4}", re.DOTALL), Format.BMP),
)
_HEAD_BYTES: Final = 8192
_OLE: Final = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_ENCRYPTED_STREAM: Final = "EncryptedPackage".encode("utf-16-le")
_OLE_DIRECTORY_BYTES: Final = 1 << 20
_OFFICE_PARTS: Final = {
    "word/document.xml": Format.DOCX,
    "ppt/presentation.xml": Format.PPTX,
    "xl/workbook.xml": Format.XLSX,
    "META-INF/container.xml": Format.EPUB,
}
_OTHERS: Final = (
    (b"{\\rtf", "an RTF document"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"Rar!", "a RAR archive"),
    (b"7z\xbc\xaf'\x1c", "a 7z archive"),
    (b"\x7fELF", "a Linux program"),
    (b"MZ", "a Windows program"),
    (b"ID3", "an MP3 recording"),
    (b"OggS", "an Ogg recording"),
    (b"SQLite format 3", "an SQLite database"),
    (b"%!PS", "a PostScript document"),
)
_HTML_START: Final = re.compile(
    rb"\s*(?:<\?xml[^>]*\?>\s*)?(?:<!--.*?-->\s*)*<(?:!doctype\s+html|html)\b", re.IGNORECASE | re.DOTALL
)
_TAG: Final = re.compile(rb"<[a-z!/][^<>]{0,2000}>", re.IGNORECASE)
_CONTROL: Final = bytes(set(range(32)) - {7, 8, 9, 10, 11, 12, 13, 27})


def detect(path: Path, name: str) -> Format:
    """Return the format of the file at `path`, whose name (only its suffix matters) is `name`.

    Raises: UnsupportedMedia: a format that nothing here reads, or content that its name does not promise.
    Unprocessable: empty, encrypted, or an archive that cannot be opened.
    """
    with path.open("rb") as file:
        head = file.read(_HEAD_BYTES)
    if not head:
        raise Unprocessable(f"{name}: found an empty file (0 bytes), expected {EXPECTED}", code="empty_file")
    suffix = Path(name).suffix.lower()
    promised = SUFFIXES.get(suffix)
    found = _binary(path, head, name, promised) or _text(head, name, promised)
    if promised is None or found == promised or {found, promised} <= IMAGES:
        return found
    raise UnsupportedMedia(
        f"{name}: found {found.upper()} content, expected {promised.upper()} as its name says", code="format_mismatch"
    )


def _binary(path: Path, head: bytes, name: str, promised: Format | None) -> Format | None:
    """Return the format that a signature tells; None if it may be text."""
    if b"%PDF-" in head[:1024]:
        return Format.PDF
    for signature, format_ in _IMAGE_SIGNATURES:
        if signature.match(head):
            return format_
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return _archive(path, name, promised)
    if head.startswith(_OLE):
        raise _compound(path, name)
    return None


def _archive(path: Path, name: str, promised: Format | None) -> Format:
    """Return which Office format a ZIP archive holds."""
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
    except (zipfile.BadZipFile, NotImplementedError, ValueError, EOFError) as error:
        expected_kind = promised.upper() if promised in OFFICE | {Format.EPUB} else "ZIP"
        raise Unprocessable(
            f"{name}: found a damaged or truncated archive ({error}), expected a complete {expected_kind} file",
            code="corrupt",
        ) from error
    if any(member.flag_bits & 1 for member in members):
        raise Unprocessable(
            f"{name}: found a ZIP archive with encrypted members, expected one without a password", code="encrypted"
        )
    parts = {member.filename for member in members}
    for part, format_ in _OFFICE_PARTS.items():
        if part in parts:
            return format_
    raise UnsupportedMedia(f"{name}: found {_archive_kind(parts)}, expected {EXPECTED}", code="unknown_format")


def _archive_kind(parts: set[str]) -> str:
    if "content.xml" in parts and "META-INF/manifest.xml" in parts:
        return "an OpenDocument file"
    if "xl/workbook.bin" in parts:
        return "a binary workbook (XLSB)"
    return f"a ZIP archive of {len(parts)} files"


def _compound(path: Path, name: str) -> ItemError:
    """Return the error for an OLE2 file: an encrypted DOCX, PPTX or XLSX, or a format older than they are."""
    with path.open("rb") as file:
        start = file.read(_OLE_DIRECTORY_BYTES)
        file.seek(0, 2)
        file.seek(max(0, file.tell() - _OLE_DIRECTORY_BYTES))
        start += file.read(_OLE_DIRECTORY_BYTES)
    if _ENCRYPTED_STREAM in start:
        return Unprocessable(
            f"{name}: found an encrypted Office file, expected one that opens without a password", code="encrypted"
        )
    return UnsupportedMedia(
        f"{name}: found an Office file of the format before 2007 (DOC, XLS, PPT, MSG), expected {EXPECTED}",
        code="unknown_format",
    )


def _text(head: bytes, name: str, promised: Format | None) -> Format:
    """Return which text format it is: its name tells, if the content can be text at all."""
    if not is_text(head):
        kind = next((kind for magic, kind in _OTHERS if head.startswith(magic)), None)
        if kind is None:
            kind = f"binary content (it starts with {head[:8].hex(' ')})"
        expected = f"{promised.upper()} as its name says" if promised else EXPECTED
        raise UnsupportedMedia(f"{name}: found {kind}, expected {expected}", code="unknown_format")
    if is_html(head, promised):
        return Format.HTML
    if promised in PLAIN | {Format.MD, Format.CSV, Format.EML}:
        return promised
    expected = f"{promised.upper()} as its name says" if promised else EXPECTED
    raise UnsupportedMedia(f"{name}: found plain text, expected {expected}", code="unknown_format")


def is_html(head: bytes, promised: Format | None) -> bool:
    """Whether text is HTML: it starts as HTML does, or has a tag and the name of HTML."""
    ascii_ = _as_ascii(head)
    return bool(_HTML_START.match(ascii_) or (promised is Format.HTML and _TAG.search(ascii_)))


def is_text(head: bytes) -> bool:
    """Whether it can be text: UTF-16, with a byte order mark or without, or bytes without control characters."""
    if head.startswith((b"\xff\xfe", b"\xfe\xff")) or utf_16_of(head):
        return True
    return len(head.translate(None, _CONTROL)) == len(head)


def _as_ascii(head: bytes) -> bytes:
    """Return the bytes in which tags can be looked for: UTF-16 without its zeros, the mark taken off."""
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        return head[2:].replace(b"\x00", b"")
    if utf_16_of(head):
        return head.replace(b"\x00", b"")
    return head.removeprefix(b"\xef\xbb\xbf")
