"""The files of the page at `/`: as they are packaged, with no build. Like the page itself they need no API key."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from importlib.resources import files
from typing import Final

INDEX: Final = "index.html"
PREFIX: Final = "/page/"
_MEDIA: Final = {"html": "text/html", "css": "text/css", "js": "text/javascript"}


@dataclass(frozen=True, slots=True)
class PageFile:
    """One file, whole. media: its content type. etag: as HTTP writes it; it changes with the bytes."""

    content: bytes
    media: str
    etag: str


def read_page() -> dict[str, PageFile]:
    """Return the page's files by name: `index.html` and what it is made of."""
    found = {}
    for entry in files("fastembed.server").joinpath("web").iterdir():
        media = _MEDIA.get(entry.name.rpartition(".")[2])
        if media and (media != "text/html" or entry.name == INDEX):
            content = entry.read_bytes()
            found[entry.name] = PageFile(content, media, f'"{sha256(content).hexdigest()[:32]}"')
    return found


PAGE_FILES: Final = read_page()
PAGE_PATHS: Final = frozenset(f"{PREFIX}{name}" for name in PAGE_FILES if name != INDEX)
