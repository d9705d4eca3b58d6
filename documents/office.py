"""DOCX, PPTX, XLSX, HTML, Markdown and CSV through docling's own readers, which need no model.

They are called directly, without docling's `DocumentConverter`: it imports every format and pipeline that docling knows
(5 s instead of 3), and turns errors into statuses.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from docling.backend.asciidoc_backend import AsciiDocBackend
from docling.backend.epub_backend import EpubDocumentBackend
from docling.backend.html_backend import HTMLDocumentBackend
from docling.backend.latex_backend import LatexDocumentBackend
from docling.backend.md_backend import MarkdownDocumentBackend
from docling.backend.mspowerpoint_backend import MsPowerpointDocumentBackend
from docling.backend.msword_backend import MsWordDocumentBackend
from docling.backend.xml.jats_backend import JatsDocumentBackend
from docling.datamodel.backend_options import HTMLBackendOptions
from docling.datamodel.base_models import InputFormat
from docling.datamodel.document import InputDocument
from docling_core.types.doc.common.content_layer import ContentLayer
from docling_core.types.doc.document import DoclingDocument
from docling_core.types.doc.labels import DocItemLabel

from fastembed.documents.delimited import read_delimited
from fastembed.documents.encodings import decode
from fastembed.documents.formats import Format
from fastembed.documents.limits import DocumentLimits
from fastembed.documents.markup import html_of, markdown_of, with_ticks
from fastembed.documents.ooxml import Package
from fastembed.documents.sheets.drawings import without_lost_drawings
from fastembed.documents.sheets.reader import SheetBackend, bring_back, uncounted
from fastembed.documents.sheets.reader import options as sheet_options
from fastembed.documents.slides import complete, plain_deck
from fastembed.documents.word.simplify import mark_notes, simplified
from fastembed.pipeline.errors import Unprocessable

_READERS: Final[dict[Format, tuple[InputFormat, Any]]] = {
    Format.DOCX: (InputFormat.DOCX, MsWordDocumentBackend),
    Format.PPTX: (InputFormat.PPTX, MsPowerpointDocumentBackend),
    Format.XLSX: (InputFormat.XLSX, SheetBackend),
    Format.EPUB: (InputFormat.EPUB, EpubDocumentBackend),
    Format.HTML: (InputFormat.HTML, HTMLDocumentBackend),
    Format.MD: (InputFormat.MD, MarkdownDocumentBackend),
    Format.ADOC: (InputFormat.ASCIIDOC, AsciiDocBackend),
    Format.TEX: (InputFormat.LATEX, LatexDocumentBackend),
    Format.XML: (InputFormat.XML_JATS, JatsDocumentBackend),
}


@dataclass(frozen=True, slots=True)
class OfficeDocument:
    """A document, and what it says about itself: a Markdown file's front matter, an Office file's properties."""

    document: DoclingDocument
    metadata: dict[str, str] = field(default_factory=dict)


def read_office(path: Path, name: str, format_: Format, limits: DocumentLimits, remarks: list[str]) -> OfficeDocument:
    """Return the document at `path`; what a reader should know goes to `remarks`.

    Unprocessable says what its reader could not make of it, TooLarge what there is too much of.
    """
    with tempfile.TemporaryDirectory(prefix="fastembed-") as folder:
        if format_ is Format.DOCX:
            document = read_by_docling(simplified(path, Path(folder)), name, format_)
            mark_notes(document)
            return OfficeDocument(document)
        if format_ is Format.PPTX:
            deck = plain_deck(path, Path(folder))
            document = read_by_docling(deck, name, format_)
            complete(document, deck)
            return OfficeDocument(document)
        if format_ is Format.XLSX:
            return OfficeDocument(_read_workbook(path, name, Path(folder), limits, remarks))
        if format_ is Format.CSV:
            return OfficeDocument(read_delimited(path, name, remarks))
        if format_ is Format.EPUB:
            return OfficeDocument(read_by_docling(path, name, format_))
        return _read_markup(path, name, format_, Path(folder), remarks)


def _read_workbook(path: Path, name: str, folder: Path, limits: DocumentLimits, remarks: list[str]) -> DoclingDocument:
    plain = folder / "plain.xlsx"
    package = Package(path)
    try:
        package.drop_remarks()
        path = plain if package.save(plain) else path
    finally:
        package.close()
    SheetBackend.limits = limits
    document = read_by_docling(without_lost_drawings(path, folder), name, Format.XLSX)
    bring_back(document)
    remarks += uncounted(path)
    return document


def _read_markup(path: Path, name: str, format_: Format, folder: Path, remarks: list[str]) -> OfficeDocument:
    copy = folder / f"document.{format_}"
    if format_ is Format.HTML:
        content, remark = html_of(path.read_bytes())
        copy.write_bytes(content)
        remarks += filter(None, [remark])
        return OfficeDocument(read_by_docling(copy, name, format_))
    found = decode(path.read_bytes())
    remarks += filter(None, [found.remark])
    text = markdown_of(found.text)
    copy.write_text(text.text, encoding="utf-8")
    document = read_by_docling(copy, name, format_)
    for item in document.texts:
        item.text, item.orig = with_ticks(item.text), with_ticks(item.orig)
    for entry, said in text.metadata.items():
        document.add_text(label=DocItemLabel.TEXT, text=f"{entry}: {said}", content_layer=ContentLayer.FURNITURE)
    return OfficeDocument(document, text.metadata)


def _options(format_: Format) -> Any:
    if format_ is Format.HTML:  # docling otherwise takes all that stands before the first heading for furniture
        return HTMLBackendOptions.model_validate({"infer_furniture": False})
    return sheet_options() if format_ is Format.XLSX else None


def read_by_docling(path: Path, name: str, format_: Format) -> DoclingDocument:
    """Return the document as docling's reader of the format has it. Unprocessable: it is damaged."""
    input_format, reader = _READERS[format_]
    options = _options(format_)
    source = InputDocument(path, format=input_format, backend=reader, backend_options=options)
    # What DocumentConverter itself does. An opened file may still be "invalid": a deck without slides is no error here.
    backend: Any = getattr(source, "_backend", None)
    if backend is None or not backend.is_valid():
        reason = _reason(source)
        raise Unprocessable(f"{name}: found {reason}, expected a well-formed {format_.upper()} file", code="corrupt")
    try:
        document: DoclingDocument = backend.convert()
    finally:
        backend.unload()
    return document


def _reason(source: InputDocument) -> str:
    """Return why a file was refused: what its reader stumbled over, if docling knows."""
    rejection = source._rejection  # noqa: SLF001 - no accessor
    if rejection is None:
        return "its reader refuses it"
    cause = rejection.original_error.__cause__ if rejection.original_error is not None else None
    return f"{type(cause).__name__}: {cause}" if cause is not None else str(rejection.message)
