"""A PDF's pages as pixels: for models that look, and for `ocr: always`, which does not believe a file's own text."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pypdfium2
from PIL import Image

_DPI: Final = 200
_LOOKED_AT_DPI: Final = 144
"""What docling renders pages at for document models."""
_MAX_PIXELS: Final = 40_000_000
_QUALITY: Final = 90


@dataclass(frozen=True, slots=True, eq=False)
class Sheet:
    """A page as an image (RGB), and its width and height in points."""

    image: Image.Image
    width: float
    height: float


def sheets(path: Path, max_pages: int | None = None) -> Iterator[Sheet]:
    """Yield the pages of the PDF at `path`, rendered one after the other as they are asked for."""
    document = pypdfium2.PdfDocument(path)
    try:
        for index in range(min(len(document), max_pages or len(document))):
            page = document[index]
            yield Sheet(_image(page, _LOOKED_AT_DPI), page.get_width(), page.get_height())
            page.close()
    finally:
        document.close()


def single_page(path: Path, number: int) -> bytes:
    """Return a PDF of one page of the PDF at `path`, by its number from 1."""
    document, made = pypdfium2.PdfDocument(path), pypdfium2.PdfDocument.new()
    try:
        made.import_pages(document, [number - 1])
        out = io.BytesIO()
        made.save(out)
        return out.getvalue()
    finally:
        made.close()
        document.close()


def pixels_only(path: Path, max_pages: int | None = None) -> bytes:
    """Return a PDF whose pages are images of the pages of the one at `path`, of the same sizes."""
    document = pypdfium2.PdfDocument(path)
    try:
        count = min(len(document), max_pages or len(document))
        pages = _rendered(document, count)
        out = io.BytesIO()
        first = next(pages)
        first.save(out, "PDF", resolution=_DPI, quality=_QUALITY, save_all=True, append_images=pages)
        return out.getvalue()
    finally:
        document.close()


def page_count(path: Path) -> int:
    """Return how many pages the PDF at `path` has."""
    document = pypdfium2.PdfDocument(path)
    try:
        return len(document)
    finally:
        document.close()


def _rendered(document: Any, count: int) -> Iterator[Any]:
    for index in range(count):
        page = document[index]
        yield _image(page, _DPI)
        page.close()


def _image(page: Any, dpi: float) -> Any:
    """Return a page as an image, with fewer dots per inch if it would be too large for memory."""
    largest = (_MAX_PIXELS / max(1.0, page.get_width() * page.get_height())) ** 0.5
    return page.render(scale=min(dpi / 72, largest)).to_pil().convert("RGB")
