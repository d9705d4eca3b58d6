"""XML: journal articles (JATS), which have a reader; of all else, the words of its elements."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from docling_core.types.doc.document import DoclingDocument
from docling_core.types.doc.labels import DocItemLabel
from lxml import etree

from fastembed.documents.outline import Outline
from fastembed.pipeline.errors import Unprocessable

_PARSER: Final = etree.XMLParser(
    resolve_entities=False, no_network=True, load_dtd=False, remove_comments=True, remove_pis=True, recover=True
)
_DOCTYPE: Final = (
    '<!DOCTYPE article PUBLIC "-//NLM//DTD JATS (Z39.96) Journal Archiving and Interchange DTD v1.2 20190208//EN" '
    '"JATS-archivearticle1.dtd">'
)
"""By which docling's reader knows articles; older ones (NLM), and many newer, have another or none."""
_FRONT: Final = {
    "journal": ".//front//journal-title",
    "doi": ".//front//article-id[@pub-id-type='doi']",
    "published": ".//front//pub-date/year",
}
_LONGEST_LEAF: Final = 100_000


def root_of(path: Path, name: str) -> Any:
    """Return the root element. Unprocessable: there is none."""
    try:
        root = etree.fromstring(path.read_bytes(), _PARSER)
    except (etree.XMLSyntaxError, ValueError) as error:
        root, reason = None, error
    else:
        reason = ValueError("no element")
    if root is None:
        raise Unprocessable(f"{name}: found damaged XML ({reason}), expected a root element", code="corrupt")
    return root


def article_of(root: Any) -> Any:
    """Return the journal article (Journal Article Tag Suite, NLM) that the root is, or is the first of; None: none."""
    article = root if _local(root) == "article" else root.find("article")
    return article if article is not None and article.find("front") is not None else None


def article_bytes(article: Any) -> bytes:
    """Return an article as docling's reader wants it."""
    content: bytes = etree.tostring(article, xml_declaration=True, encoding="UTF-8", doctype=_DOCTYPE, with_tail=False)
    return content


def article_metadata(root: Any) -> dict[str, str]:
    """Return what an article says about itself: title, authors, journal, keywords."""
    found = {"title": _words(root.find(".//front//article-title"))}
    names = root.findall(".//front//contrib[@contrib-type='author']/name")
    authors = [
        " ".join(filter(None, (_words(name.find("given-names")), _words(name.find("surname"))))) for name in names
    ]
    found["author"] = ", ".join(authors)
    found |= {key: _words(root.find(path)) for key, path in _FRONT.items()}
    found["keywords"] = ", ".join(_words(word) for word in root.findall(".//front//kwd"))
    return {key: text for key, text in found.items() if text}


def complete_article(document: DoclingDocument, metadata: dict[str, str]) -> None:
    """Give the document the whole title: docling takes only the part before the first emphasis."""
    for item in document.texts:
        if item.label == DocItemLabel.TITLE and "title" in metadata:
            item.text = item.orig = metadata["title"]
            return


def read_xml(root: Any, name: str) -> DoclingDocument:
    """Return the words of any XML: each element that holds text is a paragraph, named by its element and attributes."""
    outline = Outline(Path(name).stem)
    _write(root, outline)
    return outline.document


def _write(element: Any, outline: Outline) -> None:
    for node in element.iter():
        if not isinstance(node.tag, str):
            continue
        mixed = bool((node.text or "").strip())
        inside = node.getparent() is not None and _mixed(node.getparent())
        if inside:
            continue  # part of the words of what is around it
        said = _words(node) if mixed else ""
        attributes = ", ".join(f"{_name(key)}={value}" for key, value in node.attrib.items() if value.strip())
        label = f"{_local(node)} ({attributes})" if attributes else _local(node)
        if said or attributes:
            outline.paragraph(f"{label}: {said[:_LONGEST_LEAF]}" if said else label)


def _mixed(node: Any) -> bool:
    while node is not None:
        if (node.text or "").strip() or any((child.tail or "").strip() for child in node):
            return True
        node = None
    return False


def _words(element: Any) -> str:
    return "" if element is None else " ".join("".join(element.itertext()).split())


def _local(element: Any) -> str:
    return etree.QName(element).localname if isinstance(element.tag, str) else ""


def _name(key: str) -> str:
    return key.rpartition("}")[2]
