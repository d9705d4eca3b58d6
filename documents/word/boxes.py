"""Text that stands in drawings: text boxes and SmartArt. It goes behind the paragraph that anchors the drawing."""

from __future__ import annotations

from typing import Any, Final

from lxml import etree

from fastembed.documents.diagrams import lines_of
from fastembed.documents.ooxml import Package, ancestors
from fastembed.documents.word.markup import RELATIONS, paragraph, w

_DIAGRAM: Final = "{http://schemas.openxmlformats.org/drawingml/2006/diagram}relIds"


def lift(root: Any) -> None:
    """Move the content of text boxes, nested ones too, behind the paragraphs that they are anchored in."""
    ends: dict[Any, Any] = {}
    for box in list(root.iter(w("txbxContent"))):
        anchor = next(ancestors(box, "p"), None)
        if anchor is None:
            continue
        for block in list(box):
            _after(ends, anchor, block)
        box.getparent().remove(box)


def write_out(package: Package, part: str, root: Any) -> None:
    """Add the words of SmartArt, which the file keeps in parts of their own, as paragraphs."""
    diagrams = list(root.iter(_DIAGRAM))
    relations = package.relations(part) if diagrams else {}
    ends: dict[Any, Any] = {}
    for diagram in diagrams:
        anchor = next(ancestors(diagram, "p"), None)
        relation = relations.get(diagram.get(f"{{{RELATIONS}}}dm", ""))
        if anchor is None or relation is None:
            continue
        try:
            data = package.root(relation.part)
        except etree.XMLSyntaxError:
            continue
        for line in lines_of(data):
            _after(ends, anchor, paragraph(line))
        drawing = next(ancestors(diagram, "drawing"))
        drawing.getparent().remove(drawing)


def _after(ends: dict[Any, Any], anchor: Any, block: Any) -> None:
    """Put a block behind the anchor's paragraph and those that went there before."""
    ends.get(anchor, anchor).addnext(block)
    ends[anchor] = block
