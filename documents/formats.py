"""Which format a file has, told by its content; its name must agree.

PDF            `%PDF-` within the first 1024 bytes (as PDF readers do)
DOCX PPTX XLSX a ZIP archive with `word/document.xml`, `ppt/presentation.xml`, `xl/workbook.xml`
EPUB           a ZIP archive with `META-INF/container.xml`
ODT ODS ODP ODG   a ZIP archive whose `mimetype` says so, or XML with the root `office:document`
DOC XLS PPT MSG   a compound file (OLE2) with their main stream; XLSB a ZIP archive with `xl/workbook.bin`
ZIP            any other ZIP archive of that name
PNG JPG TIFF GIF WEBP BMP AVIF HEIC   their signatures; one named as another is accepted, since nothing depends on it
HTML           text with a tag, named .html, .htm or .xhtml, or text that starts as HTML does whatever its name
RTF            its first word, also under the name of a DOC, as Word accepts it; likewise HTML, MHT, CSV as .doc or .xls
MD CSV TXT JSON JSONL VTT SRT EML MHT TEX ADOC XML   text; only the name tells
sound, video   the name tells, the decoder says whether it is true (`operators/parsing/recordings.py`)
"""

from __future__ import annotations

import re
import zipfile
from enum import StrEnum
from pathlib import Path
from typing import Final

from fastembed.documents.encodings import utf_16_of
from fastembed.pipeline.errors import Unprocessable, UnsupportedMedia


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
    ODT = "odt"
    ODS = "ods"
    ODP = "odp"
    ODG = "odg"
    RTF = "rtf"
    TEX = "tex"
    ADOC = "adoc"
    XML = "xml"
    MHT = "mht"
    MSG = "msg"
    MBOX = "mbox"
    ZIP = "zip"
    DOC = "doc"
    XLS = "xls"
    PPT = "ppt"
    XLSB = "xlsb"
    AVIF = "avif"
    HEIC = "heic"
    PNG = "png"
    JPG = "jpg"
    TIFF = "tiff"
    GIF = "gif"
    WEBP = "webp"
    BMP = "bmp"


IMAGES: Final = frozenset(
    {
        *(Format.PNG, Format.JPG, Format.TIFF, Format.GIF, Format.WEBP, Format.BMP, Format.AVIF, Format.HEIC),
    }
)
PLAIN: Final = frozenset({Format.TXT, Format.JSON, Format.JSONL, Format.VTT, Format.SRT})
"""Text that is read as it stands."""
MARKED_UP: Final = frozenset(
    {Format.MD, Format.CSV, Format.EML, Format.MBOX, Format.MHT, Format.TEX, Format.ADOC, Format.XML}
)
"""Text that only its name tells from other text."""
OFFICE: Final = frozenset({Format.DOCX, Format.PPTX, Format.XLSX})
OPEN_DOCUMENT: Final = frozenset({Format.ODT, Format.ODS, Format.ODP, Format.ODG})
ZIPPED: Final = OFFICE | OPEN_DOCUMENT | {Format.EPUB, Format.ZIP, Format.XLSB}
"""What is a ZIP archive."""
LEGACY: Final = frozenset({Format.DOC, Format.XLS, Format.PPT, Format.XLSB})
"""What only LibreOffice reads."""
_MAILS: Final = frozenset({Format.EML, Format.MBOX, Format.MHT})
CONTAINERS: Final = frozenset({Format.EML, Format.MSG, Format.MBOX, Format.ZIP})
"""What holds files that are documents of their own."""
SUFFIXES: Final = {
    **{f".{format_}": format_ for format_ in Format},
    ".jpeg": Format.JPG,
    ".jpe": Format.JPG,
    ".jfif": Format.JPG,
    ".htm": Format.HTML,
    ".xhtml": Format.HTML,
    ".markdown": Format.MD,
    **dict.fromkeys((".docm", ".dotx", ".dotm"), Format.DOCX),
    **dict.fromkeys((".xlsm", ".xltx", ".xltm"), Format.XLSX),
    **dict.fromkeys((".pptm", ".ppsx", ".ppsm", ".potx", ".potm"), Format.PPTX),
    **dict.fromkeys((".ott", ".fodt"), Format.ODT),
    **dict.fromkeys((".ots", ".fods"), Format.ODS),
    **dict.fromkeys((".otp", ".fodp"), Format.ODP),
    ".fodg": Format.ODG,
    ".dot": Format.DOC,
    ".xlt": Format.XLS,
    **dict.fromkeys((".pps", ".pot"), Format.PPT),
    ".tsv": Format.CSV,
    ".tif": Format.TIFF,
    ".heif": Format.HEIC,
    ".ndjson": Format.JSONL,
    ".mhtml": Format.MHT,
    ".latex": Format.TEX,
    ".asciidoc": Format.ADOC,
    ".nxml": Format.XML,
    **dict.fromkeys((".text", ".log", ".rst", ".org", ".yaml", ".yml", ".toml", ".ini", ".cfg", ".conf"), Format.TXT),
    **dict.fromkeys((".properties", ".ics", ".vcf"), Format.TXT),
}
SOUND: Final = frozenset(
    {".mp3", ".wav", ".m4a", ".m4b", ".mka", ".ogg", ".oga", ".opus", ".flac", ".aac", ".aif", ".aiff"}
)
VIDEO: Final = frozenset({".webm", ".mp4", ".m4v", ".mov", ".3gp", ".mkv"})
EXPECTED: Final = (
    "PDF, DOCX, PPTX, XLSX, ODT, ODS, ODP, RTF, EPUB, HTML, MHT, MD, ADOC, TEX, CSV, TXT, JSON, JSONL, XML, VTT, SRT, "
    "EML, MSG, MBOX, ZIP, PNG, JPG, TIFF, GIF, WEBP, BMP, AVIF, HEIC, sound or video"
)

_IMAGE_SIGNATURES: Final = (
    (re.compile(rb"\x89PNG\r\n\x1a\n"), Format.PNG),
    (re.compile(rb"\xff\xd8\xff"), Format.JPG),
    (re.compile(rb"II\*\x00|MM\x00\*|II\+\x00|MM\x00\+"), Format.TIFF),
    (re.compile(rb"GIF8[79]a"), Format.GIF),
    (re.compile(rb"RIFF....WEBP", re.DOTALL), Format.WEBP),
    (re.compile(rb"BM.{4}\x00{4}", re.DOTALL), Format.BMP),
    (re.compile(rb"....ftyp(?:avi[fs]|(?:mif1|msf1).{4}(?:.{4}){0,8}?avi[fs])", re.DOTALL), Format.AVIF),
    (re.compile(rb"....ftyp(?:heic|heix|heim|heis|hevc|hevx|mif1|msf1)", re.DOTALL), Format.HEIC),
)
_HEAD_BYTES: Final = 8192
_OLE: Final = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_STREAMS: Final = {
    "worddocument": Format.DOC,
    "workbook": Format.XLS,
    "book": Format.XLS,
    "powerpoint document": Format.PPT,
    "__properties_version1.0": Format.MSG,
}
_MIME: Final = "application/vnd.oasis.opendocument."
_OPEN_KINDS: Final = {
    "text": Format.ODT,
    "spreadsheet": Format.ODS,
    "presentation": Format.ODP,
    "graphics": Format.ODG,
}
_STANDS_IN: Final = {
    Format.DOC: frozenset({Format.RTF, Format.TXT, Format.HTML, Format.MHT, Format.DOCX, Format.XML}),
    Format.XLS: frozenset({Format.HTML, Format.MHT, Format.CSV, Format.XLSX, Format.XLSB, Format.XML}),
    Format.PPT: frozenset({Format.PPTX}),
    Format.RTF: frozenset({Format.DOC, Format.DOCX}),
    Format.XML: OPEN_DOCUMENT | {Format.HTML},
    Format.MHT: frozenset({Format.HTML}),
    Format.MBOX: frozenset({Format.EML}),
    Format.ZIP: OFFICE | OPEN_DOCUMENT | {Format.EPUB, Format.XLSB},
    Format.XLSX: frozenset({Format.XLSB}),
    Format.XLSB: frozenset({Format.XLSX}),
}
"""What is read under the name of another format, since programs write it and open it so."""
_OFFICE_PARTS: Final = {
    "word/document.xml": Format.DOCX,
    "ppt/presentation.xml": Format.PPTX,
    "xl/workbook.xml": Format.XLSX,
    "xl/workbook.bin": Format.XLSB,
    "META-INF/container.xml": Format.EPUB,
}
_OTHERS: Final = (
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
_FLAT_OPEN: Final = re.compile(rb"<office:document\b")
_MIME_HEAD: Final = re.compile(rb"(?:[\w-]+:[^\n]*\r?\n(?:[ \t][^\n]*\r?\n)*)*?mime-version:", re.IGNORECASE)
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
    if found in _STANDS_IN.get(promised, ()) or {found, promised} <= OPEN_DOCUMENT:
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
        return _compound(path, name)
    if head.lstrip().startswith(b"{\\rtf"):
        return Format.RTF
    return None


def _archive(path: Path, name: str, promised: Format | None) -> Format:
    """Return which Office format a ZIP archive holds, or that it is one of files."""
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            mime = archive.read("mimetype")[:200] if "mimetype" in archive.NameToInfo else b""
    except (zipfile.BadZipFile, NotImplementedError, ValueError, EOFError, RuntimeError, OSError) as error:
        expected_kind = promised.upper() if promised in ZIPPED else "ZIP"
        raise Unprocessable(
            f"{name}: found a damaged or truncated archive ({error}), expected a complete {expected_kind} file",
            code="corrupt",
        ) from error
    if any(member.flag_bits & 1 for member in members) and promised is not Format.ZIP:
        raise Unprocessable(
            f"{name}: found a ZIP archive with encrypted members, expected one without a password", code="encrypted"
        )
    parts = {member.filename for member in members}
    for part, format_ in _OFFICE_PARTS.items():
        if part in parts:
            return format_
    if (kind := _open_kind(mime, parts, promised)) is not None:
        return kind
    if promised is Format.ZIP:
        return Format.ZIP
    raise UnsupportedMedia(
        f"{name}: found a ZIP archive of {len(parts)} files, expected {EXPECTED}", code="unknown_format"
    )


def _open_kind(mime: bytes, parts: set[str], promised: Format | None) -> Format | None:
    """Return which OpenDocument format an archive is; None if it is none."""
    text = mime.decode("ascii", "replace").strip()
    if text.startswith(_MIME):
        return _OPEN_KINDS.get(text.removeprefix(_MIME).partition("-")[0])  # text-template, text-web, text-master
    if "content.xml" in parts and "META-INF/manifest.xml" in parts:
        return promised if promised in OPEN_DOCUMENT else Format.ODT
    return None


def _compound(path: Path, name: str) -> Format:
    """Return which format an OLE2 file has. Unprocessable: an encrypted DOCX, PPTX or XLSX."""
    import olefile

    try:
        with olefile.OleFileIO(path) as file:
            streams = {entry[0].lower() for entry in file.listdir()}
    except (OSError, ValueError, IndexError, AttributeError, TypeError) as error:  # olefile raises each for damage
        raise Unprocessable(
            f"{name}: found a damaged compound file ({error}), expected a complete one", code="corrupt"
        ) from error
    if "encryptedpackage" in streams:
        raise Unprocessable(
            f"{name}: found an encrypted Office file, expected one that opens without a password", code="encrypted"
        )
    for stream, format_ in _STREAMS.items():
        if stream in streams:
            return format_
    raise UnsupportedMedia(
        f"{name}: found a compound file (OLE2) of an unknown program, expected {EXPECTED}", code="unknown_format"
    )


def _text(head: bytes, name: str, promised: Format | None) -> Format:
    """Return which text format it is: its name tells, if the content can be text at all."""
    if not is_text(_mail_head(head) if promised in _MAILS else head):
        kind = next((kind for magic, kind in _OTHERS if head.startswith(magic)), None)
        if kind is None:
            kind = f"binary content (it starts with {head[:8].hex(' ')})"
        expected = f"{promised.upper()} as its name says" if promised else EXPECTED
        raise UnsupportedMedia(f"{name}: found {kind}, expected {expected}", code="unknown_format")
    if is_html(head, promised):
        return Format.HTML
    if promised in PLAIN | MARKED_UP:
        return promised
    if _FLAT_OPEN.search(_as_ascii(head)):
        return promised if promised in OPEN_DOCUMENT else Format.ODT
    if promised in (Format.DOC, Format.XLS):
        return _exported(head, promised)
    expected = f"{promised.upper()} as its name says" if promised else EXPECTED
    raise UnsupportedMedia(f"{name}: found plain text, expected {expected}", code="unknown_format")


def _mail_head(head: bytes) -> bytes:
    """Return the head of a mail; what follows may be any bytes (RFC 3030)."""
    return re.split(rb"\r?\n\r?\n", head, maxsplit=1)[0]


def _exported(head: bytes, promised: Format) -> Format:
    """Return what a program wrote that calls its export a DOC or an XLS: a web archive, XML, or separated values."""
    start = _as_ascii(head).lstrip()
    if _MIME_HEAD.match(start):
        return Format.MHT
    if start.startswith(b"<?xml"):
        return Format.XML
    return Format.CSV if promised is Format.XLS else Format.TXT


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
