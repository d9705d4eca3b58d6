"""PPTX: what stands in parts of their own (SmartArt), what docling sets aside (notes, hidden slides), what stops it."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from docling_core.types.doc.common.content_layer import ContentLayer
from docling_core.types.doc.document import DoclingDocument
from docling_core.types.doc.items.group import GroupItem
from docling_core.types.doc.labels import DocItemLabel, GroupLabel
from lxml import etree

from fastembed.documents.diagrams import lines_of
from fastembed.documents.ooxml import Package, unwrap

_MAIN: Final = "ppt/presentation.xml"
_LINK: Final = "{http://schemas.openxmlformats.org/officeDocument/2006/relationships}id"
_SLIDE: Final = "{http://schemas.openxmlformats.org/presentationml/2006/main}sldId"
_CHOICE: Final = "{http://schemas.openxmlformats.org/markup-compatibility/2006}AlternateContent"
_TREES: Final = ("spTree", "grpSp")
HIDDEN: Final = "(hidden slide)"
NOTES: Final = "Speaker notes: "


def plain_deck(path: Path, folder: Path) -> Path:
    """Return a copy of the deck in `folder` that python-pptx reads whole; the deck itself if it is so already.

    Shapes in two versions (`mc:AlternateContent`), which python-pptx passes over, are there in the older one.
    """
    package = Package(path)
    try:
        package.drop_remarks()
        for name in package.parts(r"ppt/slides/[^/]+\.xml"):
            if b"AlternateContent" in package.read(name):
                _choose(package, name)
        copy = folder / "deck.pptx"
        return copy if package.save(copy) else path
    except etree.XMLSyntaxError:
        return path
    finally:
        package.close()


def complete(document: DoclingDocument, path: Path) -> None:
    """Add the words of diagrams, and bring notes and hidden slides, marked as such, back into the body."""
    package = Package(path)
    try:
        slides = _slides(package)
        groups = [group for group in document.groups if group.name.startswith("slide-")]
        for name, group in zip(slides, groups, strict=False):
            _complete_slide(document, group, package, name)
        for group in document.groups:
            if group.label == GroupLabel.COMMENT_SECTION:
                _show(group, document)
    finally:
        package.close()


def _slides(package: Package) -> list[str]:
    """Return the parts of the slides, in the order in which they are shown."""
    root, relations = package.root(_MAIN), package.relations(_MAIN)
    links = [] if root is None else [slide.get(_LINK, "") for slide in root.iter(_SLIDE)]
    return [relations[link].part for link in links if link in relations]


def _choose(package: Package, name: str) -> None:
    root = package.root(name)
    for choice in list(root.iter(_CHOICE)):
        if choice.getparent().tag.rpartition("}")[2] in _TREES:
            branches = [branch for branch in reversed(choice) if len(branch)]
            unwrap(choice, branches[0] if branches else ())
    package.put(name, root)


def _complete_slide(document: DoclingDocument, group: GroupItem, package: Package, name: str) -> None:
    root = package.root(name)
    if root is not None and root.get("show") in ("0", "false"):
        _show(group, document)
        texts = [item for item in _items(document, group) if getattr(item, "text", "").strip()]
        title = next((item for item in texts if item.label == DocItemLabel.TITLE), None)
        if title is not None:
            title.text = f"{title.text} {HIDDEN}"
        else:
            _add_first(document, group, HIDDEN)
    for relation in package.relations(name).values():
        if relation.kind == "diagramData":
            for line in lines_of(package.root(relation.part)):
                document.add_text(label=DocItemLabel.TEXT, text=line, parent=group, prov=_place(document, group))
    for item in _items(document, group):
        if item.content_layer is ContentLayer.NOTES:
            item.content_layer = ContentLayer.BODY
            item.text = f"{NOTES}{item.text}"


def _show(group: GroupItem, document: DoclingDocument) -> None:
    """Put a slide that is not shown, or comments, into the body, with all that they hold."""
    for item in [group, *_items(document, group)]:
        if item.content_layer in (ContentLayer.INVISIBLE, ContentLayer.NOTES) and not _is_note(item, group):
            item.content_layer = ContentLayer.BODY


def _is_note(item: Any, group: GroupItem) -> bool:
    """Whether an item is the speaker notes of a slide, which docling puts directly below it."""
    return item.content_layer is ContentLayer.NOTES and group.label == GroupLabel.CHAPTER


def _items(document: DoclingDocument, group: GroupItem) -> list[Any]:
    """Return what stands below a slide, whatever its layer."""
    layers = set(ContentLayer)
    return [
        item
        for item, _ in document.iterate_items(
            root=group, with_groups=True, traverse_pictures=True, included_content_layers=layers
        )
        if item is not group
    ]


def _add_first(document: DoclingDocument, group: GroupItem, text: str) -> None:
    document.add_text(label=DocItemLabel.TEXT, text=text, parent=group, prov=_place(document, group))
    group.children.insert(0, group.children.pop())


def _place(document: DoclingDocument, group: GroupItem) -> Any:
    """Return where a slide's first item stands: its page."""
    return next((item.prov[0] for item in _items(document, group) if getattr(item, "prov", None)), None)
