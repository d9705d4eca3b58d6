"""Footnotes, endnotes and comments: a mark where they are referred to, and their text behind that paragraph.

The marks are those of Markdown: `the deposit[^1]`, `[^1]: in cash`. Footnotes count 1, 2, 3, endnotes i, ii, iii as
Word numbers them, comments c1, c2, c3.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from fastembed.documents.ooxml import Package, ancestors
from fastembed.documents.word.markup import find, paragraph, text_node, text_of, w

_ROMAN: Final = ((100, "c"), (90, "xc"), (50, "l"), (40, "xl"), (10, "x"), (9, "ix"), (5, "v"), (4, "iv"), (1, "i"))
NOTE: Final = re.compile(r"\[\^(?:c?\d+|[ivxlc]+)\]: ")
"""How a note's text starts."""


@dataclass(frozen=True, slots=True)
class _Kind:
    """One kind of note: the relation to its part, its element, what refers to it, the mark of the n-th."""

    relation: str
    element: str
    reference: str
    mark: Callable[[int], str]


def _roman(number: int) -> str:
    text = ""
    for amount, letters in _ROMAN:
        text, number = text + letters * (number // amount), number % amount
    return text


_KINDS: Final = (
    _Kind("footnotes", "footnote", "footnoteReference", str),
    _Kind("endnotes", "endnote", "endnoteReference", _roman),
    _Kind("comments", "comment", "commentReference", lambda number: f"c{number}"),
)


def write_out(package: Package, part: str, body: Any, prepare: Callable[[Any], None]) -> None:
    """Put marks and texts of notes into the body, and empty the parts that they come from.

    prepare: what is done to a part's tree before its text is read.
    """
    relations = package.relations(part)
    texts: dict[str, list[Any]] = {}
    for kind in _KINDS:
        name = next((relation.part for relation in relations.values() if relation.kind == kind.relation), None)
        root = package.root(name) if name is not None else None
        if name is None or root is None:
            continue
        prepare(root)
        _place(kind, {note.get(w("id"), ""): note for note in root.findall(w(kind.element))}, body, texts)
        for note in list(root):
            root.remove(note)
        package.put(name, root)
    for mark, (block, note) in reversed(texts.items()):
        block.addnext(paragraph(f"[^{mark}]: {note}"))


def _place(kind: _Kind, notes: dict[str, Any], body: Any, texts: dict[str, list[Any]]) -> None:
    """Write the marks of one kind of notes; remember each note's text and the block that it goes behind."""
    marks: dict[str, str] = {}
    for reference in list(body.iter(w(kind.reference))):
        name = reference.get(w("id"), "")
        note = notes.get(name)
        text = "" if note is None else " ".join(text_of(note).split())
        if not text:
            continue
        if name not in marks:
            marks[name] = kind.mark(len(marks) + 1)
            texts[marks[name]] = [_block_of(reference, body), _signed(note, text)]
        reference.getparent().replace(reference, text_node(f"[^{marks[name]}]"))


def _signed(note: Any, text: str) -> str:
    """Return a comment's text with its author, a note's as it is."""
    author = note.get(w("author"), "")
    return f"{author}: {text}" if author else text


def _block_of(reference: Any, body: Any) -> Any:
    """Return the block of the body that a reference stands in: of a list, its last item, so that it stays one list."""
    block = reference
    for above in ancestors(reference, "p", "tbl"):
        block = above
        if above.getparent() is body:
            break
    while _is_list_item(block) and _is_list_item(block.getnext()):
        block = block.getnext()
    return block


def _is_list_item(block: Any) -> bool:
    return block is not None and find(block, "pPr/numPr") is not None
