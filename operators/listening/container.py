"""Which container's stream begins with some bytes: webm, ogg or mp4, which browsers record."""

from __future__ import annotations

from typing import Final

from fastembed.inference.engines.media.streams import Container

_MAGIC: Final[dict[bytes, Container]] = {b"\x1a\x45\xdf\xa3": "webm", b"OggS": "ogg"}
_FIRST_PAGE: Final = 0x02
_FLAGS_AT: Final = 5
SNIFF_BYTES: Final = 8


def sniff(data: bytes) -> Container | None:
    """Return which container's stream begins with these bytes (8 are enough), if one does."""
    if data[4:8] == b"ftyp":  # behind the size of the file type box (ISO/IEC 14496-12, section 4.3)
        return "mp4"
    container = _MAGIC.get(data[:4])
    if container == "ogg" and not (len(data) > _FLAGS_AT and data[_FLAGS_AT] & _FIRST_PAGE):
        return None  # every page of an ogg stream begins alike; only its first has this flag (RFC 3533)
    return container
