"""Office archives (OOXML): their parts as XML trees, and a copy with some parts changed.

XML comments and processing instructions may stand anywhere and mean nothing (XML 1.0, 2.5 and 2.6), but docling and
python-docx refuse files that hold them; documents of the Strict variant name the same elements in other namespaces.
"""

from __future__ import annotations

import posixpath
import re
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from lxml import etree

_PARSER: Final = etree.XMLParser(
    resolve_entities=False, no_network=True, load_dtd=False, remove_comments=True, remove_pis=True
)
_REMARK: Final = re.compile(rb"<!--|<\?(?!xml\s)")
_STRICT: Final = re.compile(
    rb"http://purl\.oclc\.org/ooxml/(wordprocessingml|spreadsheetml|presentationml|drawingml|officeDocument)/([a-zA-Z]+)"
)
_RELATIONS: Final = "{http://schemas.openxmlformats.org/package/2006/relationships}Relationship"


@dataclass(frozen=True, slots=True)
class Relation:
    """What a part refers to. kind: the last word of its type (`image`, `footnotes`). part: the name in the archive."""

    kind: str
    part: str


class Package:
    """The parts of an Office archive; what is changed is kept until `save`."""

    def __init__(self, path: Path) -> None:
        """Open the archive at `path`; it must be closed."""
        self._archive = zipfile.ZipFile(path)
        self._names = set(self._archive.namelist())
        self._changed: dict[str, bytes] = {}

    def close(self) -> None:
        """Close the archive."""
        self._archive.close()

    def parts(self, pattern: str) -> list[str]:
        """Return the names of the parts that match a regular expression, in the archive's order."""
        return [name for name in self._archive.namelist() if re.fullmatch(pattern, name)]

    def read(self, name: str) -> bytes:
        """Return a part's bytes as they are now; b"" where there is no such part."""
        if name in self._changed:
            return self._changed[name]
        return self._archive.read(name) if name in self._names else b""

    def root(self, name: str) -> Any:
        """Return a part's root element, without comments and processing instructions; None where there is none.

        lxml.etree.XMLSyntaxError: the part is no well-formed XML.
        """
        content = self.read(name)
        return etree.fromstring(_transitional(content), _PARSER) if content else None

    def put(self, name: str, root: Any) -> None:
        """Replace a part."""
        self._changed[name] = etree.tostring(root, xml_declaration=True, encoding="UTF-8", standalone=True)

    def relations(self, part: str) -> dict[str, Relation]:
        """Return what a part refers to within the archive, by the ids that it uses."""
        folder, name = posixpath.split(part)
        root = self.root(posixpath.join(folder, "_rels", f"{name}.rels"))
        if root is None:
            return {}
        return {
            relation.get("Id", ""): Relation(
                relation.get("Type", "").rpartition("/")[2],
                posixpath.normpath(posixpath.join("/", folder, relation.get("Target", ""))).lstrip("/"),
            )
            for relation in root.iter(_RELATIONS)
            if relation.get("TargetMode") != "External"
        }

    def drop_remarks(self) -> None:
        """Take comments and processing instructions out of every part that has some."""
        for name in self.parts(r".*\.(?:xml|rels)"):
            if _REMARK.search(self.read(name)) and (root := self._well_formed(name)) is not None:
                self.put(name, root)

    def save(self, path: Path) -> bool:
        """Write the archive with its changes to `path`; False, and nothing is written, if there are none."""
        if not self._changed:
            return False
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as made:
            for name in dict.fromkeys([*self._archive.namelist(), *self._changed]):
                made.writestr(name, self.read(name))
        return True

    def _well_formed(self, name: str) -> Any:
        """Return a part's root; None if it is broken, which its reader says better."""
        try:
            return self.root(name)
        except etree.XMLSyntaxError:
            return None


def local(element: Any) -> str:
    """Return an element's name without its namespace."""
    return str(element.tag).rpartition("}")[2]


def whole(text: str | None, default: int = 0, base: int = 10) -> int:
    """Return the number that an attribute says; the default where it says none."""
    try:
        return int(text or "", base)
    except ValueError:
        return default


def unwrap(element: Any, inner: Any = None) -> None:
    """Put the children of an element (or of `inner`, which stands in it) in the element's place."""
    parent, place = element.getparent(), element.getparent().index(element)
    for child in reversed(list(element if inner is None else inner)):
        parent.insert(place, child)
    parent.remove(element)


def ancestors(element: Any, *names: str) -> Iterator[Any]:
    """Yield the ancestors with one of these local names, the nearest first."""
    return (above for above in element.iterancestors() if local(above) in names)


def _transitional(content: bytes) -> bytes:
    """Return XML of the Strict variant with the namespaces of the usual one."""
    if b"purl.oclc.org/ooxml" not in content[:8192]:
        return content
    return _STRICT.sub(rb"http://schemas.openxmlformats.org/\1/2006/\2", content)
