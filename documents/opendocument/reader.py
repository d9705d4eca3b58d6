"""Reads OpenDocument files: texts, spreadsheets, presentations and drawings."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from docling_core.types.doc.document import DoclingDocument

from fastembed.documents.limits import DocumentLimits
from fastembed.documents.opendocument.package import OpenDocument, q, tag
from fastembed.documents.opendocument.sheets import write_sheets
from fastembed.documents.opendocument.slides import write_slides
from fastembed.documents.opendocument.text import TextWalk
from fastembed.documents.outline import Outline
from fastembed.pipeline.errors import Unprocessable

_HEADERS: Final = ("style:header", "style:header-first", "style:header-left")
_FOOTERS: Final = ("style:footer", "style:footer-first", "style:footer-left")
_PAGE_WORDS: Final = 3


def read_opendocument(
    path: Path, name: str, limits: DocumentLimits, remarks: list[str]
) -> tuple[DoclingDocument, dict[str, str]]:
    """Return the document and what it says about itself. Unprocessable: damaged or encrypted; TooLarge: its cells."""
    source = OpenDocument(path, name, limits)
    try:
        outline = Outline(Path(name).stem)
        body = source.body
        kind = "" if body is None else tag(body)
        if kind == "office:text":
            _write_text(body, source, outline, name)
        elif kind == "office:spreadsheet":
            write_sheets(body, source, outline, name, remarks)
        elif kind in ("office:presentation", "office:drawing"):
            write_slides(body, source, outline, name)
        else:
            raise Unprocessable(
                f"{name}: found an OpenDocument file without text, sheets or slides ({kind or 'no body'})",
                code="corrupt",
            )
        return outline.document, source.metadata()
    finally:
        source.close()


def _write_text(body: Any, source: OpenDocument, outline: Outline, name: str) -> None:
    walk = TextWalk(source, outline, name)
    seen: set[str] = set()
    for text in _margins(source, walk, _HEADERS):
        _once(text, seen, outline)
    walk.blocks(body)
    for text in _margins(source, walk, _FOOTERS):
        _once(text, seen, outline)


def _margins(source: OpenDocument, walk: TextWalk, names: tuple[str, ...]) -> Iterator[str]:
    """Yield the paragraphs of headers or footers that say more than a page number."""
    used = {master for master in source.masters() if any(master.find(q(name)) is not None for name in names)}
    for master in source.masters():
        for name in names if master in used else ():
            margin = master.find(q(name))
            for part in () if margin is None or margin.get(q("style:display")) == "false" else margin.iter(q("text:p")):
                line = walk.line(part)
                if not line.counted or len([word for word in line.text.split() if word.isalpha()]) > _PAGE_WORDS:
                    yield line.text


def _once(text: str, seen: set[str], outline: Outline) -> None:
    if text and text not in seen:
        seen.add(text)
        outline.paragraph(text)
