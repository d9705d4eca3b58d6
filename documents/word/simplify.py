"""DOCX files as docling's reader takes them: a copy in which every text stands where a plain document has it.

docling 2.142 loses what stands in wrappers or in parts of their own (rows in content controls, moved text, notes,
headers, SmartArt), shows hidden text, and refuses XML comments. The copy says the same with plain paragraphs.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from docling_core.types.doc.document import DoclingDocument
from docling_core.types.doc.labels import DocItemLabel
from lxml import etree

from fastembed.documents.ooxml import Package
from fastembed.documents.word import boxes, margins, notes
from fastembed.documents.word.controls import take_off
from fastembed.documents.word.headings import add_styles, promote
from fastembed.documents.word.markup import find
from fastembed.documents.word.revisions import accept, hide
from fastembed.documents.word.styles import Styles

_MAIN: Final = "word/document.xml"


def simplified(path: Path, folder: Path) -> Path:
    """Return a copy of the document in `folder`; the document itself where its XML is broken, as its reader says."""
    package = Package(path)
    try:
        package.drop_remarks()
        root = package.root(_MAIN)
        body = find(root, "body")
        if body is None:
            return path
        _simplify(package, root, body)
        copy = folder / "document.docx"
        return copy if package.save(copy) else path
    except etree.XMLSyntaxError:
        return path
    finally:
        package.close()


def mark_notes(document: DoclingDocument) -> None:
    """Label the texts of notes, which the simplified document has as paragraphs."""
    for item in document.texts:
        if item.label == DocItemLabel.TEXT and notes.NOTE.match(item.text):
            item.label = DocItemLabel.FOOTNOTE


def _simplify(package: Package, root: Any, body: Any) -> None:
    relations = package.relations(_MAIN)
    name = next((relation.part for relation in relations.values() if relation.kind == "styles"), "word/styles.xml")
    style_root = package.root(name)
    styles = Styles(style_root)

    def plain(part: str, tree: Any) -> None:
        accept(tree)
        take_off(tree)
        hide(tree, styles)
        boxes.write_out(package, part, tree)

    plain(_MAIN, root)
    if style_root is not None:
        promote(body, styles)
        add_styles(style_root)
        package.put(name, style_root)
    boxes.lift(root)
    notes.write_out(package, _MAIN, body, lambda tree: plain(_MAIN, tree))

    def of_margin(part: str, tree: Any) -> None:
        plain(part, tree)
        boxes.lift(tree)

    margins.write_out(package, _MAIN, body, of_margin)
    package.put(_MAIN, root)
