"""Tracked changes as if accepted, and hidden text left out: what was deleted or moved away leaves the tree, too."""

from __future__ import annotations

from typing import Any, Final

from fastembed.documents.ooxml import local, unwrap
from fastembed.documents.word.markup import find, is_on, w
from fastembed.documents.word.styles import Styles

_GONE: Final = ("del", "moveFrom")
_KEPT: Final = ("ins", "moveTo")
_CONTENT: Final = frozenset({w("r"), w("hyperlink"), w("fldSimple"), w("sdt"), w("smartTag"), w("drawing"), w("pict")})


def accept(root: Any) -> None:
    """Keep what was inserted or moved here, drop what was deleted or moved away, rows and paragraph ends included."""
    for element in list(root.iter(*(w(name) for name in _GONE))):
        if local(element.getparent()) not in ("rPr", "trPr"):  # there they say: this mark, this row is gone
            element.getparent().remove(element)
    for element in list(root.iter(*(w(name) for name in _KEPT))):
        if local(element.getparent()) not in ("rPr", "trPr"):
            unwrap(element)
    for row in list(root.iter(w("tr"))):
        if find(row, "trPr/del") is not None:
            row.getparent().remove(row)
    _drop_empty_tables(root)
    for cell in list(root.iter(w("tc"))):
        if find(cell, "tcPr/cellDel") is not None:
            _empty(cell)
    for paragraph in list(root.iter(w("p"))):
        if any(find(paragraph, f"pPr/rPr/{name}") is not None for name in _GONE):
            _join_with_next(paragraph)


def hide(root: Any, styles: Styles) -> None:
    """Drop hidden runs, and paragraphs and rows of which nothing is left."""
    for row in list(root.iter(w("tr"))):
        if is_on(row, "trPr/hidden"):
            row.getparent().remove(row)
    _drop_empty_tables(root)
    for paragraph in list(root.iter(w("p"))):
        chain = styles.chain(paragraph)
        hidden = [run for run in paragraph.iter(w("r")) if styles.is_on(run, chain, "vanish")]
        for run in hidden:
            if run.getparent() is not None:
                run.getparent().remove(run)
        if hidden and not _has_content(paragraph):
            _remove(paragraph)


def _drop_empty_tables(root: Any) -> None:
    for table in list(root.iter(w("tbl"))):
        if find(table, "tr") is None:
            table.getparent().remove(table)


def _join_with_next(paragraph: Any) -> None:
    """Join a paragraph whose end was deleted with the one that follows it."""
    after = paragraph.getnext()
    if _has_content(paragraph):
        if after is None or after.tag != w("p"):
            return
        place = 0 if find(after, "pPr") is None else 1
        for child in reversed([child for child in paragraph if child.tag != w("pPr")]):
            after.insert(place, child)
    _remove(paragraph)


def _has_content(paragraph: Any) -> bool:
    return any(child.tag in _CONTENT for child in paragraph.iter() if child is not paragraph)


def _remove(paragraph: Any) -> None:
    """Remove a paragraph, but never the only one of a cell, which must have one, or one that ends a section."""
    parent = paragraph.getparent()
    only = local(parent) == "tc" and len(parent.findall(w("p"))) == 1
    if not only and find(paragraph, "pPr/sectPr") is None:
        parent.remove(paragraph)


def _empty(cell: Any) -> None:
    for node in list(cell.iter(w("r"))):
        node.getparent().remove(node)
