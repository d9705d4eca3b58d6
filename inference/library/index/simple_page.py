"""A project's page of a simple repository: the links to its files, from HTML (PEP 503) or JSON (PEP 691)."""

from __future__ import annotations

from dataclasses import dataclass
from html.parser import HTMLParser
from typing import Any, Final
from urllib.parse import unquote, urldefrag, urljoin, urlsplit

import orjson

ACCEPT: Final = "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html; q=0.2, text/html; q=0.01"


class NoSimplePage(ValueError):
    """It is neither of the two forms."""


@dataclass(frozen=True, slots=True)
class Link:
    """A file that the page offers. sha256: what the page says of its content, None where it says nothing."""

    filename: str
    url: str
    sha256: str | None = None


def read_page(content: bytes, content_type: str, url: str) -> list[Link]:
    """Return the links of a page that came from `url`. NoSimplePage says what is wrong with it."""
    if "json" in content_type.partition(";")[0]:
        return _from_json(content, url)
    return _from_html(content.decode("utf-8", "replace"), url)


def _from_json(content: bytes, url: str) -> list[Link]:
    try:
        found: Any = orjson.loads(content)
        return [
            Link(file["filename"], urljoin(url, file["url"]), (file.get("hashes") or {}).get("sha256"))
            for file in found["files"]
        ]
    except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError) as error:
        raise NoSimplePage(f"the JSON is no project page (PEP 691): {error!r}") from error


def _from_html(text: str, url: str) -> list[Link]:
    reader = _Anchors()
    reader.feed(text)
    base = urljoin(url, reader.base)
    return [_link(urljoin(base, href)) for href in reader.hrefs]


def _link(target: str) -> Link:
    address, fragment = urldefrag(target)
    kind, _, value = fragment.partition("=")
    name = unquote(urlsplit(address).path.rsplit("/", 1)[-1])
    return Link(name, address, value.lower() if kind == "sha256" and value else None)


class _Anchors(HTMLParser):
    """Collects the targets of links, and the page's base."""

    def __init__(self) -> None:
        super().__init__()
        self.hrefs: list[str] = []
        self.base = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note what an opening tag points to."""
        href = dict(attrs).get("href") or ""
        if tag == "a" and href:
            self.hrefs.append(href)
        elif tag == "base" and href:
            self.base = self.base or href
