"""OpenDocument files (OASIS OpenDocument 1.3): their parts, their styles, what they say about themselves."""

from __future__ import annotations

import io
import posixpath
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from lxml import etree
from PIL import Image, UnidentifiedImageError

from fastembed.documents.limits import DocumentLimits
from fastembed.pipeline.errors import TooLarge, Unprocessable

NAMESPACES: Final = {
    **{
        name: f"urn:oasis:names:tc:opendocument:xmlns:{name}:1.0"
        for name in ("office", "style", "text", "table", "meta", "presentation", "chart", "number")
    },
    "draw": "urn:oasis:names:tc:opendocument:xmlns:drawing:1.0",
    "svg": "urn:oasis:names:tc:opendocument:xmlns:svg-compatible:1.0",
    "fo": "urn:oasis:names:tc:opendocument:xmlns:xsl-fo-compatible:1.0",
    "dc": "http://purl.org/dc/elements/1.1/",
    "xlink": "http://www.w3.org/1999/xlink",
    "math": "http://www.w3.org/1998/Math/MathML",
}
_PARSER: Final = etree.XMLParser(
    resolve_entities=False, no_network=True, load_dtd=False, remove_comments=True, remove_pis=True, huge_tree=True
)
_PREFIXES: Final = {uri: prefix for prefix, uri in NAMESPACES.items()}
_METADATA: Final = {
    "dc:title": "title",
    "dc:creator": "author",
    "meta:initial-creator": "author",
    "dc:subject": "subject",
    "dc:description": "description",
    "meta:keyword": "keywords",
    "meta:creation-date": "created",
    "dc:date": "modified",
    "dc:language": "language",
}
_LARGEST_PICTURE: Final = 50_000_000
_MOST_STYLES: Final = 50


def q(name: str) -> str:
    """Return a name with its namespace as lxml has it: `text:p` -> `{urn...}p`."""
    prefix, _, local = name.partition(":")
    return f"{{{NAMESPACES[prefix]}}}{local}"


def tag(element: Any) -> str:
    """Return an element's name with the usual prefix: `text:p`; without one where the namespace is another."""
    namespace, _, local = str(element.tag).rpartition("}")
    prefix = _PREFIXES.get(namespace[1:])
    return f"{prefix}:{local}" if prefix else local


def number(element: Any, name: str, default: int = 1) -> int:
    """Return an attribute that is a whole number; the default where it is none."""
    try:
        return int(element.get(q(name), default))
    except ValueError:
        return default


class OpenDocument:
    """An OpenDocument file, packed (ODT ...) or in one piece of XML (FODT ...)."""

    def __init__(self, path: Path, name: str, limits: DocumentLimits) -> None:
        """Read content and styles. Unprocessable: it is damaged, or encrypted."""
        self.limits = limits
        self._archive: zipfile.ZipFile | None = None
        self._names: set[str] = set()
        try:
            if zipfile.is_zipfile(path):
                self._archive = zipfile.ZipFile(path)
                self._names = set(self._archive.namelist())
                self._check_open(name)
                content = self._archive.read("content.xml")
                roots = [etree.fromstring(self.part(part), _PARSER) for part in _PARTS if part in self._names]
                roots.append(etree.fromstring(content, _PARSER))
            else:
                roots = [etree.fromstring(path.read_bytes(), _PARSER)]
        except (etree.XMLSyntaxError, KeyError, zipfile.BadZipFile, EOFError) as error:
            raise Unprocessable(
                f"{name}: found a damaged OpenDocument file ({error}), expected a complete one", code="corrupt"
            ) from error
        self._roots = roots
        self.styles = {
            (style.get(q("style:family"), ""), style.get(q("style:name"), "")): style
            for root in roots
            for style in root.iter(q("style:style"))
        }
        self.list_styles = {
            style.get(q("style:name"), ""): style for root in roots for style in root.iter(q("text:list-style"))
        }

    def close(self) -> None:
        """Close the archive."""
        if self._archive is not None:
            self._archive.close()

    @property
    def body(self) -> Any:
        """The element below `office:body`: office:text, office:spreadsheet ...; None if there is none."""
        body = self._roots[-1].find(q("office:body"))
        return None if body is None or not len(body) else body[0]

    def metadata(self) -> dict[str, str]:
        """Return what the file says about itself."""
        found: dict[str, str] = {}
        for root in self._roots:
            for part in root.iter(q("office:meta")):
                for entry in part:
                    key, text = _METADATA.get(tag(entry)), " ".join("".join(entry.itertext()).split())
                    if key == "keywords" and key in found:
                        found[key] += f", {text}"
                    elif key and text:
                        found.setdefault(key, text)
        return found

    def masters(self) -> Iterator[Any]:
        """Yield the master pages: headers and footers stand there."""
        for root in self._roots:
            yield from root.iter(q("style:master-page"))

    def ancestry(self, family: str, name: str) -> Iterator[Any]:
        """Yield a style and those that it is derived from."""
        for _ in range(_MOST_STYLES):
            style = self.styles.get((family, name))
            if style is None:
                return
            yield style
            name = style.get(q("style:parent-style-name"), "")

    def property(self, family: str, name: str, group: str, attribute: str) -> str | None:
        """Return what a style, or the nearest that it is derived from, sets: (text-properties, text:display)."""
        for style in self.ancestry(family, name):
            properties = style.find(q(f"style:{group}"))
            value = None if properties is None else properties.get(q(attribute))
            if value is not None:
                return str(value)
        return None

    def object_root(self, link: str) -> Any:
        """Return the content of an object (chart, formula) that a frame shows; None if it is none of ours."""
        part = posixpath.normpath(posixpath.join(link, "content.xml")).lstrip("./")
        if self._archive is None or part not in self._names:
            return None
        try:
            return etree.fromstring(self.part(part), _PARSER)
        except etree.XMLSyntaxError:
            return None

    def picture(self, link: str) -> Image.Image | None:
        """Return a picture that a frame shows; None if it cannot be read, or is a drawing."""
        part = posixpath.normpath(link).lstrip("./")
        if self._archive is None or part not in self._names:
            return None
        try:
            if self._archive.getinfo(part).file_size > _LARGEST_PICTURE:
                return None
            image = Image.open(io.BytesIO(self.part(part)))
            if image.width * image.height > self.limits.pixels:
                return None
            image.load()
        except (UnidentifiedImageError, OSError, SyntaxError, ValueError):  # Pillow raises each for damaged files
            return None
        return image

    def part(self, name: str) -> bytes:
        """Return a part of the archive."""
        return b"" if self._archive is None else self._archive.read(name)

    def _check_open(self, name: str) -> None:
        if "META-INF/manifest.xml" in self._names and b"encryption-data" in self.part("META-INF/manifest.xml"):
            raise Unprocessable(
                f"{name}: found an encrypted OpenDocument file, expected one that opens without a password",
                code="encrypted",
            )


def check_expanded(name: str, count: int, limits: DocumentLimits) -> None:
    """TooLarge if there are more cells, repeated ones counted, than allowed."""
    if count > limits.cells:
        raise TooLarge(
            f"{name}: found more than {limits.cells:,} cells, expected at most that many (`max_cells`)",
            code="too_large",
        )


_PARTS: Final = ("meta.xml", "styles.xml")
