"""OpenDocument, RTF, TeX, AsciiDoc, XML and MHT: readers of our own, or docling's behind some preparation."""

from __future__ import annotations

import contextlib
import email
import email.policy
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, cast

from docling_core.types.doc.document import DoclingDocument

from fastembed.documents.asciidoc import asciidoc_of
from fastembed.documents.encodings import decode
from fastembed.documents.formats import OPEN_DOCUMENT, Format
from fastembed.documents.limits import DocumentLimits
from fastembed.documents.office import OfficeDocument, read_by_docling, read_office
from fastembed.documents.opendocument.reader import read_opendocument
from fastembed.documents.plain import add_text
from fastembed.documents.rtf.reader import read_rtf
from fastembed.documents.tex import LONGEST, tex_of, words_of
from fastembed.documents.xml_files import (
    article_bytes,
    article_metadata,
    article_of,
    complete_article,
    read_xml,
    root_of,
)
from fastembed.pipeline.errors import Unprocessable

Reader = Callable[[Path, str, DocumentLimits, list[str]], OfficeDocument]


def reader_of(format_: Format) -> Reader | None:
    """Return what reads a format; None if nothing here does."""
    return _READERS.get(format_)


def _open_document(path: Path, name: str, limits: DocumentLimits, remarks: list[str]) -> OfficeDocument:
    return OfficeDocument(*read_opendocument(path, name, limits, remarks))


def _rtf(path: Path, name: str, limits: DocumentLimits, remarks: list[str]) -> OfficeDocument:
    del limits, remarks
    return OfficeDocument(*read_rtf(path, name))


def _tex(path: Path, name: str, limits: DocumentLimits, remarks: list[str]) -> OfficeDocument:
    del limits
    text = _text(path, remarks)
    tex = tex_of(text)
    _note_included(tex.included, remarks)
    if len(text) > LONGEST:
        remarks.append(
            f"found {len(text):,} characters of LaTeX: read as text, since more than {LONGEST:,} take too long"
        )
        document = DoclingDocument(name=Path(name).stem)
        add_text(document, words_of(text))
        return OfficeDocument(document)
    return OfficeDocument(_by_docling(tex.text.encode(), name, Format.TEX))


def _asciidoc(path: Path, name: str, limits: DocumentLimits, remarks: list[str]) -> OfficeDocument:
    del limits
    text = asciidoc_of(_text(path, remarks))
    _note_included(text.included, remarks)
    return OfficeDocument(_by_docling(text.text.encode(), name, Format.ADOC), text.metadata)


def _xml(path: Path, name: str, limits: DocumentLimits, remarks: list[str]) -> OfficeDocument:
    del limits, remarks
    root = root_of(path, name)
    article = article_of(root)
    if article is None:
        return OfficeDocument(read_xml(root, name))
    document, metadata = _by_docling(article_bytes(article), name, Format.XML), article_metadata(article)
    complete_article(document, metadata)
    return OfficeDocument(document, metadata)


def _mht(path: Path, name: str, limits: DocumentLimits, remarks: list[str]) -> OfficeDocument:
    """Read a web archive (RFC 2557): the first page in it."""
    message = email.message_from_bytes(path.read_bytes(), policy=email.policy.default)
    pages = [part for part in message.walk() if part.get_content_type() in ("text/html", "application/xhtml+xml")]
    if not pages:
        raise Unprocessable(f"{name}: found a web archive without a page, expected one", code="corrupt")
    content, charset = cast("bytes", pages[0].get_payload(decode=True) or b""), pages[0].get_content_charset()
    with contextlib.suppress(LookupError, UnicodeDecodeError):  # the page itself may say it rightly
        content = b"\xef\xbb\xbf" + content.decode(charset).encode("utf-8", "replace") if charset else content
    with tempfile.TemporaryDirectory(prefix="fastembed-") as folder:
        copy = Path(folder) / "page.html"
        copy.write_bytes(content)
        found = read_office(copy, name, Format.HTML, limits, remarks)
    fields = {"title": "Subject", "source": "Snapshot-Content-Location", "date": "Date"}
    found.metadata.update({key: str(message[field]) for key, field in fields.items() if message[field]})
    return found


def _text(path: Path, remarks: list[str]) -> str:
    found = decode(path.read_bytes())
    remarks += filter(None, [found.remark])
    return found.text.removeprefix("\ufeff")


def _by_docling(content: bytes, name: str, format_: Format) -> DoclingDocument:
    with tempfile.TemporaryDirectory(prefix="fastembed-") as folder:  # where nothing lies that it could include
        copy = Path(folder) / f"document.{format_}"
        copy.write_bytes(content)
        return read_by_docling(copy, name, format_)


def _note_included(names: tuple[str, ...], remarks: list[str]) -> None:
    if names:
        some = ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")  # noqa: PLR2004 - enough to know them by
        remarks.append(f"includes other files ({some}), which are read by themselves only")


_READERS: Final[dict[Format, Any]] = {
    **dict.fromkeys(OPEN_DOCUMENT, _open_document),
    Format.RTF: _rtf,
    Format.TEX: _tex,
    Format.ADOC: _asciidoc,
    Format.XML: _xml,
    Format.MHT: _mht,
}
