"""What files say about themselves: properties of Office files and PDFs, the package of an EPUB, the head of a page."""

from __future__ import annotations

import posixpath
import re
import zipfile
from pathlib import Path
from typing import Any, Final

import pypdfium2
from lxml import etree, html

from fastembed.documents.formats import OFFICE, Format

_PARSER: Final = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, recover=True)
_CORE: Final = "docProps/core.xml"
_CONTAINER: Final = "META-INF/container.xml"
_NAMES: Final = {
    "title": "title",
    "creator": "author",
    "subject": "subject",
    "keywords": "keywords",
    "description": "description",
    "category": "category",
    "language": "language",
    "publisher": "publisher",
    "created": "created",
    "modified": "modified",
    "date": "date",
}
_PDF: Final = {
    "Title": "title",
    "Author": "author",
    "Subject": "subject",
    "Keywords": "keywords",
    "CreationDate": "created",
}
_META: Final = frozenset({"author", "description", "keywords", "date", "language"})
_PDF_DATE: Final = re.compile(r"D:(\d{4})(\d\d)?(\d\d)?(\d\d)?(\d\d)?(\d\d)?")
_LONGEST: Final = 2000
_HEAD_BYTES: Final = 1 << 16


def properties_of(path: Path, format_: Format) -> dict[str, str]:
    """Return what a file says about itself; nothing where it says nothing, or what cannot be read."""
    try:
        if format_ in OFFICE:
            found = _office(path)
        elif format_ is Format.EPUB:
            found = _book(path)
        elif format_ is Format.PDF:
            found = _pdf(path)
        elif format_ is Format.HTML:
            found = _page(path)
        else:
            found = {}
    except (KeyError, OSError, ValueError, zipfile.BadZipFile, etree.LxmlError, pypdfium2.PdfiumError):
        return {}  # its reader says what is wrong with it
    return {name: text[:_LONGEST] for name, value in found.items() if (text := " ".join(value.split()))}


def _office(path: Path) -> dict[str, str]:
    with zipfile.ZipFile(path) as archive:
        return _named(etree.fromstring(archive.read(_CORE), _PARSER))


def _book(path: Path) -> dict[str, str]:
    with zipfile.ZipFile(path) as archive:
        container = etree.fromstring(archive.read(_CONTAINER), _PARSER)
        package = next(node.get("full-path") for node in container.iter() if node.get("full-path"))
        root = etree.fromstring(archive.read(posixpath.normpath(package)), _PARSER)
    metadata = next((node for node in root if _local(node) == "metadata"), None)
    return {} if metadata is None else _named(metadata)


def _named(root: Any) -> dict[str, str]:
    found: dict[str, str] = {}
    for node in root:
        key, text = _NAMES.get(_local(node)), "".join(node.itertext()).strip()
        if key and text:
            found[key] = (
                f"{found[key]}, {text}" if key in ("author", "subject") and key in found else found.get(key, text)
            )
    return found


def _pdf(path: Path) -> dict[str, str]:
    document = pypdfium2.PdfDocument(path)
    try:
        found = {name: document.get_metadata_value(key) for key, name in _PDF.items()}
    finally:
        document.close()
    match = _PDF_DATE.match(found["created"])
    found["created"] = "-".join(part for part in match.groups()[:3] if part) if match else ""
    return found


def _page(path: Path) -> dict[str, str]:
    with path.open("rb") as file:
        head = file.read(_HEAD_BYTES)
    if not head.strip():
        return {}
    root = html.fromstring(head)
    found = {str(node.get("name", "")).lower(): str(node.get("content", "")) for node in root.iter("meta")}
    return {"title": root.findtext(".//title") or "", **{name: found[name] for name in _META & found.keys()}}


def _local(node: Any) -> str:
    return etree.QName(node).localname if isinstance(node.tag, str) else ""
