"""Pictures in Office files: their words become part of the document, as those of a scanned page do."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from typing import Any, Final

from docling_core.types.doc.common.content_layer import ContentLayer
from docling_core.types.doc.document import DoclingDocument
from docling_core.types.doc.items.picture.picture import PictureItem
from docling_core.types.doc.labels import DocItemLabel
from PIL import Image

from fastembed.documents.blocks import pieces_of

_SHORTEST_SIDE: Final = 20
_LONGEST_SIDE: Final = 100
"""Pixels; what is smaller (bullets, lines, icons) has no words."""
MOST: Final = 60
"""Different pictures of a document that are read: each takes a second or more."""


def pictures_of(document: DoclingDocument) -> Iterator[tuple[PictureItem, Image.Image]]:
    """Yield the pictures that may hold words."""
    for picture in document.pictures:
        image = picture.image.pil_image if picture.image is not None else None
        if image is None or picture.content_layer is ContentLayer.FURNITURE:
            continue
        if min(image.size) >= _SHORTEST_SIDE and max(image.size) >= _LONGEST_SIDE:
            yield picture, image


def read_pictures(document: DoclingDocument, read: Callable[[Image.Image], DoclingDocument]) -> int:
    """Put the words that `read` finds in each picture below it; return how many pictures were too many to read."""
    known: dict[bytes, list[str]] = {}
    unread = 0
    for picture, image in list(pictures_of(document)):
        key = hashlib.sha256(f"{image.mode}{image.size}".encode() + image.tobytes()).digest()
        if key not in known:
            if len(known) == MOST:
                unread += 1
                continue
            known[key] = [piece.block.text for piece in pieces_of(read(image))]
        for text in known[key]:
            _add(document, picture, text)
    return unread


def _add(document: DoclingDocument, picture: Any, text: str) -> None:
    document.add_text(label=DocItemLabel.TEXT, text=text, parent=picture, content_layer=picture.content_layer)
