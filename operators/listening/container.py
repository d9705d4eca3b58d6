"""Which container's stream begins with some bytes: webm or ogg, the two that browsers record."""

from __future__ import annotations

from typing import Final

from fastembed.inference.engines.media.streams import Container

_MAGIC: Final[dict[bytes, Container]] = {b"\x1a\x45\xdf\xa3": "webm", b"OggS": "ogg"}
_FIRST_PAGE: Final = 0x02
SNIFF_BYTES: Final = 6


def sniff(data: bytes) -> Container | None:
    """Return which container's stream begins with these bytes (6 are enough), if one does."""
    container = _MAGIC.get(data[:4])
    if container == "ogg" and not (len(data) >= SNIFF_BYTES and data[5] & _FIRST_PAGE):
        return None  # every page of an ogg stream begins alike; only its first has this flag (RFC 3533)
    return container
