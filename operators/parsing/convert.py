"""From a file to a parsed document, inside the parser process: `open_converter` is that process's target."""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Final, Literal

import pypdfium2
from docling_core.types.doc.document import DoclingDocument

from operators.parsing import limits as checks
from operators.parsing.blocks import Piece, markdown, pieces_of, title_of
from operators.parsing.formats import IMAGES, OFFICE, Format, detect
from operators.parsing.images import page_of
from operators.parsing.limits import Limits
from operators.parsing.ocr import PageReader
from operators.parsing.office import read_office
from operators.parsing.paged import read_pdf
from pipeline.errors import NotFound, Unprocessable

OcrMode = Literal["auto", "never", "always"]

_RECURSION: Final = 5000
"""Documents nested within `Limits.nesting` need a few frames of their readers a level; Python's default is 1000."""
_NOT_STORED: Final = {
    "pictures": {"__all__": {"image"}},
    "tables": {"__all__": {"image": True, "data": {"grid"}}},
    "pages": {"__all__": {"image"}},
}
"""Pixels, which would be most of the structure, and a table's grid, which its cells say already."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What does not change from file to file."""

    ocr: OcrMode = "auto"
    max_pages: int | None = None
    threads: int = 2
    limits: Limits = field(default_factory=Limits)


def open_converter(options: dict[str, Any]) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """Return what converts `{"path", "name"}`. Options: those of `Settings`, and of `Limits` beside them."""
    sys.setrecursionlimit(_RECURSION)
    known = {limit.name for limit in fields(Limits)}
    limits = Limits(**{name: value for name, value in options.items() if name in known})
    rest = {name: value for name, value in options.items() if name not in known}
    converter = Converter(Settings(**rest, limits=limits))
    return lambda request: converter.convert(Path(request["path"]), request["name"])


class Converter:
    """Reads files one after another; holds the OCR engine from the first scanned page on."""

    def __init__(self, settings: Settings) -> None:
        """Load nothing yet."""
        self._settings = settings
        self._reader = PageReader(settings.threads)

    def convert(self, path: Path, name: str) -> dict[str, Any]:
        """Return the document as the wire has it: `Document`'s fields, blocks as [kind, text, page, level].

        Raises an ItemError for every reason in the table of `operators.parse`.
        """
        began = time.perf_counter()
        ocr_before = self._reader.pages
        warnings: list[str] = []
        try:
            checks.check_file(path, name, self._settings.limits)
            format_ = detect(path, name)
            document = self._read(path, name, format_, warnings)
        except FileNotFoundError as error:
            raise NotFound(f"{name}: found no file at its path any more, expected one", code="missing_file") from error
        except PermissionError as error:
            raise Unprocessable(
                f"{name}: found a file that may not be read ({error.strerror}), expected a readable one",
                code="unreadable",
            ) from error
        document.name = Path(name).stem
        pieces = pieces_of(document)
        if not pieces:
            warnings.append("found no text")
        ocr_pages = self._reader.pages - ocr_before
        return {
            **_content(document, pieces),
            "parser": f"{format_}+ocr" if ocr_pages else str(format_),
            "ocr_pages": ocr_pages,
            "parse_seconds": time.perf_counter() - began,
            "warnings": warnings,
        }

    def _read(self, path: Path, name: str, format_: Format, warnings: list[str]) -> DoclingDocument:
        limits = self._settings.limits
        if format_ is Format.PDF:
            return self._read_pdf(path, name, warnings)
        if format_ in IMAGES:
            return self._read_image(path, name, warnings)
        if format_ in OFFICE:
            checks.check_archive(path, name, limits)
        check = _CHECKS.get(format_)
        if check is not None:
            check(path, name, limits)
        return read_office(path, name, format_)

    def _read_pdf(self, path: Path, name: str, warnings: list[str]) -> DoclingDocument:
        reader = None if self._settings.ocr == "never" else self._reader
        max_pages = self._settings.max_pages
        try:
            if max_pages is not None and (pages := _page_count(path)) > max_pages:
                warnings.append(f"read the first {max_pages} of {pages} pages (`max_pages`)")
            return read_pdf(path, ocr=reader, max_pages=max_pages)
        except pypdfium2.PdfiumError as error:
            raise Unprocessable(f"{name}: found {error}, expected a complete PDF", code="corrupt") from error

    def _read_image(self, path: Path, name: str, warnings: list[str]) -> DoclingDocument:
        if self._settings.ocr == "never":
            warnings.append("found an image and OCR is off (`ocr: never`): its words were not read")
        with tempfile.TemporaryDirectory(prefix="fastembed-") as folder:
            page = Path(folder) / "page.pdf"
            page.write_bytes(page_of(path, name, self._settings.limits))
            return self._read_pdf(page, name, warnings)


_CHECKS: Final = {
    Format.XLSX: checks.check_workbook,
    Format.CSV: checks.check_csv,
    Format.HTML: checks.check_html,
    Format.MD: checks.check_markdown,
}


def _page_count(path: Path) -> int:
    document = pypdfium2.PdfDocument(path)
    try:
        return len(document)
    finally:
        document.close()


def _content(document: DoclingDocument, pieces: list[Piece]) -> dict[str, Any]:
    blocks = [piece.block for piece in pieces]
    return {
        "title": title_of(pieces, document.name),
        "markdown": markdown(pieces),
        "structure": document.model_dump_json(by_alias=True, exclude_none=True, exclude=_NOT_STORED),  # type: ignore[arg-type] # pydantic's IncEx is narrower than what it takes
        "blocks": [[block.kind, block.text, block.page, block.level] for block in blocks],
        "page_count": len(document.pages),
    }
