"""Reads documents with a document model, page by page as images; a page that the model fails on is read without it."""

from __future__ import annotations

import base64
import io
import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Final

from docling_core.types.doc import Size
from docling_core.types.doc.document import DoclingDocument
from PIL import Image

from fastembed.documents.doctags import page_of, problem
from fastembed.documents.raster import Sheet
from fastembed.inference.engines.docling.engine import Written
from fastembed.inference.engines.docling.model import PAGES_AT_ONCE

log = logging.getLogger("fastembed.parse")

_BLANK: Final = 24
"""Levels of grey between a blank page's lightest and darkest pixel, at most."""


RunModel = Callable[[dict[str, Any]], list[list[Any]]]
"""Has the server run a document model: a `model_request` in, [text, tokens, ending] a page out, or RuntimeError."""


@dataclass(slots=True)
class VisionReading:
    """A document read by a model. unread: the pages that were read without it, from 1, and why."""

    document: DoclingDocument
    page_count: int = 0
    unread: dict[int, str] = field(default_factory=dict)


def read_pages(
    sheets: Iterator[Sheet],
    model: str,
    name: str,
    *,
    run_model: RunModel,
    otherwise: Callable[[int], DoclingDocument],
) -> VisionReading:
    """Return the document on these pages. otherwise: reads one page, by its number from 1, without the model."""
    pages: list[DoclingDocument] = []
    unread: dict[int, str] = {}
    while some := list(islice(sheets, PAGES_AT_ONCE)):
        for sheet, written in zip(some, _written(some, model, run_model), strict=True):
            number = len(pages) + 1
            page, reason = _page(sheet, written, name)
            if page is None:
                unread[number] = reason
                page = otherwise(number)
            pages.append(page)
    return VisionReading(DoclingDocument.concatenate(pages), len(pages), unread)


def model_request(images: Sequence[Image.Image], model: str) -> dict[str, Any]:
    """Return the message that asks the server to run a document model on page images."""
    return {"model": model, "value": {str(place): _packed(image) for place, image in enumerate(images)}}


def _packed(image: Image.Image) -> str:
    packed = io.BytesIO()
    image.convert("RGB").save(packed, "PNG", compress_level=1)  # without loss; the model takes seconds over it
    return base64.b64encode(packed.getvalue()).decode()


def _written(sheets: list[Sheet], model: str, run_model: RunModel) -> list[Written | None]:
    """Return the model's output for each page; None for a blank page, for which models invent text."""
    blank = [_is_blank(sheet.image) for sheet in sheets]
    images = [sheet.image for sheet, nothing in zip(sheets, blank, strict=True) if not nothing]
    found = iter(run_model(model_request(images, model)) if images else ())
    return [None if nothing else Written(*next(found)) for nothing in blank]


def _page(sheet: Sheet, written: Written | None, name: str) -> tuple[DoclingDocument | None, str]:
    """Return the page, or why the model's output for it is not used."""
    if written is None:
        page = DoclingDocument(name=name)
        page.add_page(page_no=1, size=Size(width=sheet.width, height=sheet.height))
        return page, ""
    reason = problem(written)
    if reason:
        return None, reason
    try:
        return page_of(written.text, (max(1, round(sheet.width)), max(1, round(sheet.height))), name), ""
    except Exception as error:  # the boundary to docling's reader, fed with what a model made up
        log.info("a page's DocTags cannot be read", exc_info=True)
        return None, f"its DocTags cannot be read ({type(error).__name__}: {error})"


def _is_blank(image: Image.Image) -> bool:
    darkest, lightest = image.convert("L").getextrema()
    return bool(lightest - darkest <= _BLANK)  # type: ignore[operator] # one band: two numbers
