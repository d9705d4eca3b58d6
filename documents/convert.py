"""From a file to a parsed document, inside the parser process: `open_converter` is that process's target."""

from __future__ import annotations

import contextlib
import logging
import sys
import tempfile
import time
import warnings
import zipfile
from collections.abc import Generator, Iterator
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Final, Literal

from docling_core.types.doc.document import DoclingDocument
from PIL import Image

from fastembed.documents import limits as checks
from fastembed.documents.blocks import StyledBlock, markdown, pieces_of, title_of
from fastembed.documents.cleaning import clean_document
from fastembed.documents.containers.archive import read_archive
from fastembed.documents.containers.mail import parse_mail, read_mail, read_mailbox
from fastembed.documents.containers.outlook import mail_of
from fastembed.documents.containers.parts import PartFolder
from fastembed.documents.formats import CONTAINERS, IMAGES, LEGACY, PLAIN, ZIPPED, Format, detect
from fastembed.documents.images import opened, page_of, page_with
from fastembed.documents.libreoffice import converted
from fastembed.documents.limits import DocumentLimits
from fastembed.documents.ocr import PageReader
from fastembed.documents.office import read_office
from fastembed.documents.others import reader_of
from fastembed.documents.pdf.document import read_pdf
from fastembed.documents.pdf.page import EncryptedPdf, UnreadablePdf
from fastembed.documents.pictures import MOST, pictures_of, read_pictures
from fastembed.documents.plain import read_plain
from fastembed.documents.properties import properties_of
from fastembed.documents.raster import Sheet, page_count, pixels_only, sheets, single_page
from fastembed.documents.tables import clip_spans
from fastembed.documents.upright import UprightReader
from fastembed.documents.vision_reader import RunModel, VisionReading, read_pages
from fastembed.documents.wire import to_path
from fastembed.pipeline.errors import NotFound, Unprocessable

OcrMode = Literal["auto", "never", "always"]

_RECURSION: Final = 5000
"""Documents nested within `DocumentLimits.nesting` need a few frames of their readers a level; Python's own: 1000."""
_MOST_REMARKS: Final = 20
_LONGEST_REMARK: Final = 300
_NOT_STORED: Final = {
    "pictures": {"__all__": {"image"}},
    "tables": {"__all__": {"image": True, "data": {"grid"}}},
    "pages": {"__all__": {"image"}},
}
"""Pixels, which would be most of the structure, and a table's grid, which its cells say already."""


@dataclass(frozen=True, slots=True)
class ConversionSettings:
    """What does not change from file to file."""

    ocr: OcrMode = "auto"
    max_pages: int | None = None
    threads: int = 2
    limits: DocumentLimits = field(default_factory=DocumentLimits)


def open_converter(options: dict[str, Any]) -> Converter:
    """Return what converts requests `{"path", "name"}`. Options: those of `ConversionSettings` and `DocumentLimits`."""
    sys.setrecursionlimit(_RECURSION)
    known = {limit.name for limit in fields(DocumentLimits)}
    limits = DocumentLimits(**{name: value for name, value in options.items() if name in known})
    rest = {name: value for name, value in options.items() if name not in known}
    return Converter(ConversionSettings(**rest, limits=limits))


class Converter:
    """Reads files one after another; holds the OCR engine from the first scanned page on."""

    def __init__(self, settings: ConversionSettings) -> None:
        """Load nothing yet."""
        self._settings = settings
        self._reader = UprightReader(PageReader(settings.threads))
        self._run_model: RunModel | None = None

    def connect(self, run_model: RunModel) -> None:
        """Set the function that asks the server to run a document model."""
        self._run_model = run_model

    def __call__(self, request: dict[str, Any]) -> dict[str, Any]:
        """Return the answer to a request of the server."""
        path, html, folder = to_path(request["path"]), request.get("html", False), request.get("parts")
        parts = None if folder is None else PartFolder(to_path(folder), self._settings.limits)
        return self.convert(path, request["name"], model=request.get("model"), html=html, parts=parts)

    def rest(self) -> None:
        """Free memory that the next page can load again in a second or two."""
        self._reader.rest()

    def convert(
        self,
        path: Path,
        name: str,
        *,
        model: str | None = None,
        html: bool = False,
        parts: PartFolder | None = None,
    ) -> dict[str, Any]:
        """Return the document in its wire form: `Document`'s fields, blocks as [kind, text, page, level, seconds].

        parts: where the files go that it holds (attachments, files of an archive); None: they are only named.
        Raises an ItemError for every reason in the table of `fastembed.operators.parse`.
        """
        began = time.perf_counter()
        ocr_before = self._reader.pages
        remarks: list[str] = []
        metadata: dict[str, str] = {}
        try:
            checks.check_file(path, name, self._settings.limits)
            format_ = detect(path, name)
            with _remarks(remarks):
                reading = self._read_by_model(path, name, format_, remarks, model)
                if reading:
                    document = reading.document
                elif format_ in CONTAINERS:
                    document = self._read_container(path, name, format_, parts, remarks=remarks, metadata=metadata)
                else:
                    document = self._read(path, name, format_, remarks, metadata)
        except FileNotFoundError as error:
            raise NotFound(f"{name}: the file is no longer at its path", code="missing_file") from error
        except OSError as error:
            raise Unprocessable(
                f"{name}: found a file that cannot be opened ({error.strerror or error}), expected a readable one",
                code="unreadable",
            ) from error
        document.name = Path(name).stem
        if document.origin is not None:
            document.origin.filename = Path(name).name
        clean_document(document)
        for table in document.tables:
            clip_spans(table.data)
        pieces = pieces_of(document)
        title = _title(document.name, format_, pieces, metadata.get("title", ""))
        metadata = {**properties_of(path, format_), **metadata}
        if not pieces:
            remarks.append("found no text")
        ocr_pages = self._reader.pages - ocr_before
        used = model if reading and len(reading.unread) < reading.page_count else None
        return {
            **_content(document, pieces),
            "html": document.export_to_html() if html else "",
            "title": title,
            "parser": "+".join(filter(None, (format_, used, "ocr" if ocr_pages else None))),
            "model": used,
            "unread": list(reading.unread) if reading else [],
            "ocr_pages": ocr_pages,
            "parse_seconds": time.perf_counter() - began,
            "warnings": remarks,
            "metadata": metadata,
            "parts": [] if parts is None else parts.found,
        }

    def _read_by_model(
        self, path: Path, name: str, format_: Format, remarks: list[str], model: str | None
    ) -> VisionReading | None:
        """Read a PDF or an image with the document model; None without a model, or for a format that has no pages."""
        if model is None or self._run_model is None or not (format_ is Format.PDF or format_ in IMAGES):
            return None

        def otherwise(number: int) -> DoclingDocument:
            if format_ in IMAGES:
                return self._read_image(path, name, remarks)
            with _page_file() as page:
                page.write_bytes(single_page(path, number))
                return self._read_pdf(page, name, remarks)

        try:
            with contextlib.closing(self._sheets(path, name, format_, remarks)) as pages:
                reading = read_pages(pages, model, name, run_model=self._run_model, otherwise=otherwise)
        except RuntimeError as error:  # OpenVINO's: the model does not load or run
            remarks.append(f"read without {model}, which failed: {str(error)[:_LONGEST_REMARK]}")
            return None
        remarks += [f"page {number}: read without {model}: {why}" for number, why in reading.unread.items()]
        return reading

    def _sheets(self, path: Path, name: str, format_: Format, remarks: list[str]) -> Generator[Sheet]:
        if format_ is Format.PDF:
            self._pdf(path, name, ocr=None, max_pages=1)  # says what is wrong with the file, if anything
            self._note_rest(path, remarks)
            yield from sheets(path, self._settings.max_pages)
        else:
            for image, dpi in opened(path, name, self._settings.limits):
                yield Sheet(image, image.width * 72 / dpi, image.height * 72 / dpi)

    def _read(
        self, path: Path, name: str, format_: Format, remarks: list[str], metadata: dict[str, str]
    ) -> DoclingDocument:
        limits = self._settings.limits
        if format_ is Format.PDF:
            return self._read_pdf(path, name, remarks)
        if format_ in IMAGES:
            return self._read_image(path, name, remarks)
        if format_ in PLAIN:
            return read_plain(path, name, format_, remarks)
        if format_ in LEGACY:
            with converted(path, name, format_) as (newer, newer_format):
                return self._read(newer, name, newer_format, remarks, metadata)
        if format_ in ZIPPED and zipfile.is_zipfile(path):
            checks.check_archive(path, name, limits)
        check = _CHECKS.get(format_)
        if check is not None:
            check(path, name, limits)
        reader = reader_of(format_)
        found = (
            read_office(path, name, format_, limits, remarks) if reader is None else reader(path, name, limits, remarks)
        )
        metadata.update(found.metadata)
        self._read_pictures(found.document, name, remarks)
        return found.document

    def _read_container(
        self,
        path: Path,
        name: str,
        format_: Format,
        parts: PartFolder | None,
        *,
        remarks: list[str],
        metadata: dict[str, str],
    ) -> DoclingDocument:
        """Read what a mail or an archive says itself; what it holds goes to `parts`."""
        if parts is None:
            with tempfile.TemporaryDirectory(prefix="fastembed-") as folder:
                parts = PartFolder(Path(folder), self._settings.limits)
                return self._read_container(path, name, format_, parts, remarks=remarks, metadata=metadata)
        if format_ is Format.ZIP:
            checks.check_archive(path, name, self._settings.limits)
            document = read_archive(path, name, parts)
        elif format_ is Format.MBOX:
            document = read_mailbox(path, name, parts)
        else:
            message = mail_of(path, name) if format_ is Format.MSG else parse_mail(path.read_bytes())

            def read(body: Path, title: str) -> DoclingDocument:
                return self._read(body, title, detect(body, title), remarks, {})

            document, found = read_mail(message, name, read, parts, remarks)
            metadata.update(found)
        remarks += filter(None, [parts.remark()])
        return document

    def _read_pictures(self, document: DoclingDocument, name: str, remarks: list[str]) -> None:
        """Read the words of the pictures that an Office file holds, or say that they were not read."""
        if self._settings.ocr == "never":
            if count := sum(1 for _ in pictures_of(document)):
                remarks.append(f"found {count} pictures and OCR is off (`ocr: never`): their words were not read")
            return

        def read(image: Image.Image) -> DoclingDocument:
            with _page_file() as page:
                page.write_bytes(page_with(image, name, self._settings.limits))
                return self._pdf(page, name, ocr=self._reader)

        if unread := read_pictures(document, read):
            remarks.append(f"found {MOST + unread} different pictures, and read the words of the first {MOST}")

    def _read_pdf(self, path: Path, name: str, remarks: list[str]) -> DoclingDocument:
        max_pages = self._settings.max_pages
        if self._settings.ocr == "always":
            with _page_file() as page:
                self._pdf(path, name, ocr=None, max_pages=1)  # says what is wrong with the file, if anything
                page.write_bytes(pixels_only(path, max_pages))
                document = self._pdf(page, name, ocr=self._reader, remarks=remarks)
        else:
            ocr = None if self._settings.ocr == "never" else self._reader
            document = self._pdf(path, name, ocr=ocr, remarks=remarks)
        self._note_rest(path, remarks)
        return document

    def _note_rest(self, path: Path, remarks: list[str]) -> None:
        """Add a remark if pages are left out."""
        max_pages = self._settings.max_pages
        if max_pages is not None and (pages := page_count(path)) > max_pages:
            remarks.append(f"read the first {max_pages} of {pages} pages (`max_pages`)")

    def _read_image(self, path: Path, name: str, remarks: list[str]) -> DoclingDocument:
        if self._settings.ocr == "never":
            remarks.append("found an image and OCR is off (`ocr: never`): its words were not read")
        with _page_file() as page:
            page.write_bytes(page_of(path, name, self._settings.limits))
            ocr = None if self._settings.ocr == "never" else self._reader
            return self._pdf(page, name, ocr=ocr, remarks=remarks)

    def _pdf(
        self,
        path: Path,
        name: str,
        *,
        ocr: UprightReader | None,
        max_pages: int | None = None,
        remarks: list[str] | None = None,
    ) -> DoclingDocument:
        def remark(text: str) -> None:
            if remarks is not None and len(remarks) < _MOST_REMARKS:
                remarks.append(text)

        try:
            return read_pdf(path, ocr=ocr, max_pages=max_pages or self._settings.max_pages, remark=remark)
        except UnreadablePdf as error:
            code = "encrypted" if isinstance(error, EncryptedPdf) else "corrupt"
            raise Unprocessable(f"{name}: {str(error).removeprefix(f'{path.name}: ')}", code=code) from error


def _title(name: str, format_: Format, pieces: list[StyledBlock], declared: str) -> str:
    """Return a document's title. declared: what the file says; only some kinds of files say it with care."""
    if declared and (format_ in _WELL_TITLED or not any(piece.block.kind == "title" for piece in pieces)):
        return declared
    if format_ in (Format.XLSX, Format.ODS, Format.XLS, Format.XLSB):  # their headings are sheets
        return name
    return title_of(pieces, name)


_WELL_TITLED: Final = frozenset({Format.MD, Format.XML, Format.ADOC, Format.MHT})
_CHECKS: Final = {
    Format.DOCX: checks.check_paragraphs,
    Format.ODT: checks.check_paragraphs,
    Format.XLSX: checks.check_workbook,
    Format.CSV: checks.check_csv,
    Format.HTML: checks.check_html,
    Format.MD: checks.check_markdown,
}


class _Remarks(logging.Handler):
    """Collects the warnings of docling's readers (a guessed encoding, a truncated sheet)."""

    def __init__(self, remarks: list[str]) -> None:
        super().__init__(logging.WARNING)
        self._remarks = remarks

    def emit(self, record: logging.LogRecord) -> None:
        """Keep the message, up to so many of them."""
        if len(self._remarks) < _MOST_REMARKS:
            self._remarks.append(record.getMessage()[:_LONGEST_REMARK])


@contextlib.contextmanager
def _remarks(remarks: list[str]) -> Iterator[None]:
    """Add what docling warns of, in its log or by Python's warnings, to `remarks`."""
    log = logging.getLogger("docling")
    kept = _Remarks(remarks)
    log.addHandler(kept)
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("ignore")
            warnings.simplefilter("always", UserWarning)
            yield
    finally:
        log.removeHandler(kept)
    messages = [str(warning.message) for warning in caught[:_MOST_REMARKS]]
    remarks += [text[:_LONGEST_REMARK] for text in messages if "\n" not in text]  # several lines: advice to programmers


@contextlib.contextmanager
def _page_file() -> Iterator[Path]:
    """Give the path of a PDF file to be written; it is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="fastembed-") as folder:
        yield Path(folder) / "page.pdf"


def _content(document: DoclingDocument, pieces: list[StyledBlock]) -> dict[str, Any]:
    blocks = [piece.block for piece in pieces]
    return {
        "markdown": markdown(pieces),
        "structure": document.model_dump_json(by_alias=True, exclude_none=True, exclude=_NOT_STORED),  # type: ignore[arg-type] # pydantic's IncEx is narrower than what it takes
        "blocks": [[block.kind, block.text, block.page, block.level, block.seconds] for block in blocks],
        "page_count": len(document.pages),
    }
