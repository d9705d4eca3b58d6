"""A PDF file opened with PDFium: its pages as lines and drawings, its outline, its pages as pixels."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pypdfium2 as pdfium
from pypdfium2 import raw

from fastembed.documents.pdf.annotations import Annotation, page_annotations
from fastembed.documents.pdf.drawing import Drawing, page_drawing
from fastembed.documents.pdf.glyphs import View, page_lines
from fastembed.documents.pdf.text import Line

_MAX_SIDE = 14_400
"""The largest page side that PDF 1.7 knows, in points (annex C); larger ones are nonsense or an attack."""
_OUTLINE_DEPTH = 12
_MAX_OUTLINE = 20_000
_FORMAT_ERROR, _PASSWORD_ERROR = raw.FPDF_ERR_FORMAT, raw.FPDF_ERR_PASSWORD


class UnreadablePdf(ValueError):
    """The file is no PDF that can be read; the message says what was found and what was expected."""


class EncryptedPdf(UnreadablePdf):
    """The file opens only with a password."""


@dataclass(frozen=True, slots=True)
class Page:
    """One page as shown: size in points, lines top to bottom, drawings."""

    number: int
    """From 1."""
    width: float
    height: float
    lines: tuple[Line, ...]
    drawing: Drawing
    recognised: bool = False
    """Whether the text was read from pixels."""
    mirrored: bool = False
    """Whether the text reads from right to left: then all x count from the right edge."""
    annotations: tuple[Annotation, ...] = ()
    """The values of its form's fields, and notes."""

    @property
    def characters(self) -> int:
        """How many characters the page has."""
        return sum(len(w.text) for line in self.lines for w in line.words)


@dataclass(frozen=True, slots=True)
class Bookmark:
    """An entry of the file's outline: its level and page count from 1; page 0 is unknown."""

    title: str
    level: int
    page: int
    top: float | None = None
    """How far below the top of its page the target is, in points."""


class PdfFile:
    """A PDF opened for reading; use it in a `with` statement.

    Raises:
        UnreadablePdf: not a PDF, damaged beyond reading, or without pages.
        EncryptedPdf: a password is needed.
        FileNotFoundError: there is no such file.
    """

    def __init__(self, path: Path) -> None:
        if not path.is_file():
            raise FileNotFoundError(f"no file at {path}")
        _require_pdf(path)
        try:
            self._document = pdfium.PdfDocument(path)
        except pdfium.PdfiumError as error:
            raise _unreadable(path, error) from error
        # PDFium knows what is ticked only if it opens the form before the pages.
        self._document.init_forms()
        if len(self._document) == 0:
            self._document.close()
            raise UnreadablePdf(f"{path.name}: found a PDF without pages, expected at least one page")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._document.close()

    def __len__(self) -> int:
        return len(self._document)

    @property
    def title(self) -> str:
        """The title that the file states about itself, often empty."""
        return str(self._document.get_metadata_value("Title")).strip()

    def page(self, number: int) -> Page:
        """Return page `number` (from 1); a page that cannot be loaded is returned empty."""
        page = self._load(number)
        if page is None:
            return Page(number, 0.0, 0.0, (), Drawing())
        text_page = None
        try:
            view = _view(page)
            text_page = raw.FPDFText_LoadPage(page)
            lines, view, mirrored = page_lines(text_page, view, page) if text_page else ([], view, False)
            width, height = view.size
            drawing = page_drawing(page, view)
            return Page(
                number,
                width,
                height,
                tuple(lines),
                drawing.mirrored(width) if mirrored else drawing,
                mirrored=mirrored,
                annotations=self._annotations(page, view, width if mirrored else None),
            )
        finally:
            if text_page:
                raw.FPDFText_ClosePage(text_page)
            self._close(page)

    def pixels(self, number: int, scale: float) -> npt.NDArray[np.uint8]:
        """Return page `number` as RGB pixels, height x width x 3, `scale` pixels a point, without the form's fields."""
        page = self._document[number - 1]
        plain = self._document.formenv is None  # fields are annotations, and show passwords
        try:
            bitmap = page.render(scale=scale, rev_byteorder=True, may_draw_forms=False, draw_annots=plain)
            image = np.array(bitmap.to_numpy()[:, :, :3], dtype=np.uint8)
            bitmap.close()
            return image
        finally:
            page.close()

    def outline(self) -> Iterator[Bookmark]:
        """Yield the outline's entries in order; damaged ones are left out."""
        for count, item in enumerate(self._document.get_toc(max_depth=_OUTLINE_DEPTH)):
            if count >= _MAX_OUTLINE:
                return
            title = " ".join(item.get_title().split())
            target = item.get_dest()
            index = target.get_index() if target else None
            if title:
                yield Bookmark(title, item.level + 1, 0 if index is None else index + 1, self._top(target, index))

    def _top(self, target: Any, index: int | None) -> float | None:
        """Return where on its page a target is; None if only the page is said."""
        if index is None or not 0 <= index < len(self._document):
            return None
        mode, numbers = target.get_view()
        place = {raw.PDFDEST_VIEW_XYZ: 1, raw.PDFDEST_VIEW_FITH: 0, raw.PDFDEST_VIEW_FITBH: 0}.get(mode)
        if place is None or place >= len(numbers) or numbers[place] is None:
            return None
        return float(self._document.get_page_size(index)[1] - numbers[place])

    def _annotations(self, page: Any, view: View, mirrored: float | None) -> tuple[Annotation, ...]:
        form = self._document.formenv
        found = page_annotations(page, form.raw if form else None, view)
        if mirrored is None:
            return tuple(found)
        return tuple(replace(annotation, box=annotation.box.mirrored(mirrored)) for annotation in found)

    def _load(self, number: int) -> Any:
        page = raw.FPDF_LoadPage(self._document.raw, number - 1) or None
        if page is not None and self._document.formenv:
            raw.FORM_OnAfterLoadPage(page, self._document.formenv.raw)
        return page

    def _close(self, page: Any) -> None:
        if self._document.formenv:
            raw.FORM_OnBeforeClosePage(page, self._document.formenv.raw)
        raw.FPDF_ClosePage(page)


def _view(page: Any) -> View:
    rect = raw.FS_RECTF()
    raw.FPDF_GetPageBoundingBox(page, rect)
    left, bottom, right, top = rect.left, rect.bottom, rect.right, rect.top
    return View(
        (left, bottom, min(right, left + _MAX_SIDE), min(top, bottom + _MAX_SIDE)), raw.FPDFPage_GetRotation(page) % 4
    )


def _require_pdf(path: Path) -> None:
    with path.open("rb") as file:
        head = file.read(1024)
    if not head:
        raise UnreadablePdf(f"{path.name}: found an empty file, expected a PDF")
    # PDF 1.7, annex H.3.4.1: readers accept the header anywhere in the first 1024 bytes.
    if b"%PDF-" not in head:
        raise UnreadablePdf(f"{path.name}: found a file that starts with {head[:8]!r}, expected '%PDF-'")


def _unreadable(path: Path, error: pdfium.PdfiumError) -> UnreadablePdf:
    if error.err_code == _PASSWORD_ERROR:
        return EncryptedPdf(f"{path.name}: found an encrypted PDF, expected one that opens without a password")
    found = (
        "damaged or truncated content" if error.err_code == _FORMAT_ERROR else f"content that PDFium refuses ({error})"
    )
    return UnreadablePdf(f"{path.name}: found {found} ({path.stat().st_size} bytes), expected a complete PDF")
