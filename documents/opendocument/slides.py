"""Presentations and drawings of OpenDocument: slides in order, with notes and comments; hidden ones marked."""

from __future__ import annotations

from typing import Any, Final

from fastembed.documents.opendocument.package import OpenDocument, q, tag
from fastembed.documents.opendocument.text import TextWalk, comment_of
from fastembed.documents.outline import Outline
from fastembed.documents.slides import HIDDEN, NOTES

_REPEATED: Final = frozenset({"header", "footer", "date-time", "page-number"})


def write_slides(body: Any, source: OpenDocument, outline: Outline, name: str) -> None:
    """Write every slide: its title first, then its shapes in their order, its notes and its comments."""
    walk = TextWalk(source, outline, name)
    for page in body.findall(q("draw:page")):
        style = page.get(q("draw:style-name"), "")
        shown = source.property("drawing-page", style, "drawing-page-properties", "presentation:visibility")
        outline.start_page()
        _write(page, outline, walk, hidden=shown == "hidden")


def _write(page: Any, outline: Outline, walk: TextWalk, *, hidden: bool) -> None:
    shapes = [shape for shape in page if tag(shape).startswith("draw:")]
    titles = [shape for shape in shapes if _role(shape) == "title"]
    title = " ".join(text for shape in titles if (text := " ".join(walk.words(shape).split())))
    outline.title(f"{title} {HIDDEN}".strip() if hidden else title)
    for shape in shapes:
        if shape not in titles and _role(shape) not in _REPEATED:
            walk.frame(shape)
    for notes in page.findall(q("presentation:notes")):
        for shape in notes:
            if tag(shape) == "draw:frame" and _role(shape) == "notes" and (said := walk.words(shape)):
                outline.paragraph(f"{NOTES}{said}")
    for annotation in page.findall(q("office:annotation")):
        outline.footnote(comment_of(annotation))


def _role(shape: Any) -> str:
    return str(shape.get(q("presentation:class"), ""))
