"""A PDF's pages as pixels, for `ocr: always`: what the file says about its text is not believed."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pypdfium2

_DPI: Final = 200
_MAX_PIXELS: Final = 40_000_000
_QUALITY: Final = 90


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
    """Yield the pages as images, at 200 dpi (a page too large for that in memory at fewer pixels)."""
    for index in range(count):
        page = document[index]
        scale = _DPI / 72
        largest = (_MAX_PIXELS / max(1.0, page.get_width() * page.get_height())) ** 0.5
        yield page.render(scale=min(scale, largest)).to_pil().convert("RGB")
        page.close()
