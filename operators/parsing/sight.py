"""Documents read by a document model, page by page as pictures; a page that it fails on is read without it."""

from __future__ import annotations

import gc
import logging
import resource
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, Final

from docling_core.types.doc import Size
from docling_core.types.doc.document import DoclingDocument
from PIL import Image

from inference.docling.engine import DoclingEngine, Written
from operators.parsing.doctags import page_of, problem
from operators.parsing.raster import Sheet

log = logging.getLogger("fastembed.parse")

PAGES_AT_ONCE: Final = 4
_ROOM: Final = 3
"""Address space for a model, in times of its files: they are mapped, rearranged for the device, and computed with."""
_BLANK: Final = 24
"""Levels of grey between a blank page's lightest and darkest pixel, at most."""


@dataclass(frozen=True, slots=True)
class ModelChoice:
    """A document model: its name, its folder, and OpenVINO's devices to try, each [its name, compile properties]."""

    name: str
    folder: str
    devices: list[list[Any]]


@dataclass(slots=True)
class Seen:
    """A document read by a model. unread: the pages that were read without it, from 1, and why."""

    document: DoclingDocument
    page_count: int = 0
    unread: dict[int, str] = field(default_factory=dict)


class Onlooker:
    """Reads pages with the model of the choice that it was last given, which stays loaded until `rest`."""

    def __init__(self) -> None:
        """Load nothing yet."""
        self._choice: ModelChoice | None = None
        self._engine: DoclingEngine | None = None
        self._room_bytes = 0

    def rest(self) -> None:
        """Free the model."""
        self._choice = self._engine = None
        gc.collect()
        self._take_room(0)

    def read(
        self,
        sheets: Iterator[Sheet],
        choice: ModelChoice,
        name: str,
        otherwise: Callable[[int], DoclingDocument],
    ) -> Seen:
        """Return the document on these pages. otherwise: reads one page, by its number from 1, without the model."""
        engine = self._load(choice)
        pages: list[DoclingDocument] = []
        unread: dict[int, str] = {}
        while some := list(islice(sheets, PAGES_AT_ONCE)):
            for sheet, written in zip(some, _written(engine, some), strict=True):
                number = len(pages) + 1
                page, reason = _page(sheet, written, name)
                if page is None:
                    unread[number] = reason
                    page = otherwise(number)
                pages.append(page)
        return Seen(DoclingDocument.concatenate(pages), len(pages), unread)

    def _load(self, choice: ModelChoice) -> DoclingEngine:
        """Return the model, loaded on the first of its devices that takes it."""
        if self._engine is not None and self._choice == choice:
            return self._engine
        self.rest()
        self._take_room(_ROOM * sum(file.stat().st_size for file in Path(choice.folder).glob("*.bin")))
        *first, last = choice.devices
        for device, properties in first:
            try:
                self._engine = DoclingEngine(Path(choice.folder), device=device, properties=properties)
                break
            except RuntimeError as error:  # OpenVINO's: this device cannot compile the model
                log.warning("%s does not run on %s, trying the next device: %s", choice.name, device, error)
        else:
            self._engine = DoclingEngine(Path(choice.folder), device=last[0], properties=last[1])
        self._choice = choice
        return self._engine

    def _take_room(self, size_bytes: int) -> None:
        """Allow the process so much address space besides what its documents may have."""
        now, most = resource.getrlimit(resource.RLIMIT_AS)
        if now != resource.RLIM_INFINITY:
            resource.setrlimit(resource.RLIMIT_AS, (now - self._room_bytes + size_bytes, most))
        self._room_bytes = size_bytes


def _written(engine: DoclingEngine, sheets: list[Sheet]) -> list[Written | None]:
    """Return what the model writes for each page; None for a blank one, of which models tell tales."""
    blank = [_is_blank(sheet.image) for sheet in sheets]
    found = iter(engine.read([sheet.image for sheet, nothing in zip(sheets, blank, strict=True) if not nothing]))
    return [None if nothing else next(found) for nothing in blank]


def _page(sheet: Sheet, written: Written | None, name: str) -> tuple[DoclingDocument | None, str]:
    """Return the page, or why the model's words are not believed."""
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
