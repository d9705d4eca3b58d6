"""Which container's stream begins with some bytes; and what is plainly no sound at all.

Raw PCM has no mark, so whatever looks like nothing else is taken for it. A frame of MP3 or AAC begins with few fixed
bits, which PCM has too: only two in a row count, the second where the first one ends (ISO/IEC 11172-3, 2.4.2.3).
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Callable
from typing import Final

from fastembed.inference.engines.media.streams import Container

SNIFF_BYTES: Final = 12
"""Fewer tell nothing."""
FRAMES_BYTES: Final = 9_000
"""Of what may be frames of MP3 or AAC, so many are looked at: the longest has 8191."""
_MAGIC: Final[dict[bytes, Container]] = {b"\x1a\x45\xdf\xa3": "webm", b"OggS": "ogg", b"fLaC": "flac"}
_FIRST_PAGE: Final = 0x02
_FLAGS_AT: Final = 5
_UNKNOWN: Final = re.compile(
    rb"FORM....AIF|caff\x00|#!AMR|MThd|%PDF|PK\x03\x04|\x89PNG|\xff\xd8\xff|GIF8|\x1f\x8b\x08[\x00-\x1f]|"
    rb"\x30\x26\xb2\x75\x8e\x66\xcf\x11",
    re.DOTALL,
)
"""AIFF, CAF, AMR, MIDI, WMA; documents, pictures, archives."""
_TEXT: Final = re.compile(rb"\s*(?:<!?[A-Za-z?]|\{\s*\"|data:[a-z]+/)")
"""HTML, XML, JSON, data URLs. A loud sample may begin so, too: what follows must be text as well."""
_NO_TEXT: Final = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_KBIT: Final = {
    True: (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),  # MPEG 1, layer III
    False: (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),  # MPEG 2 and 2.5
}
_RATES_HZ: Final = (44_100, 48_000, 32_000)


def sniff(data: bytes) -> Container | None:
    """Return which container's stream begins with these bytes (12 are enough, of frames 9000), if one does."""
    if data[4:8] == b"ftyp":  # behind the size of the file type box (ISO/IEC 14496-12, section 4.3)
        return "mp4"
    if data[:4] == b"RIFF" and data[8:12] == b"WAVE":
        size = int.from_bytes(data[4:8], "little")
        return "wav" if 0 < size < 0xFFFF_FF00 else "endless_wav"  # noqa: PLR2004 - as streams have it
    if data[:3] == b"ID3" or _repeats(data, _mp3_bytes):
        return "mp3"
    if _repeats(data, _adts_bytes):
        return "aac"
    container = _MAGIC.get(data[:4])
    if container == "ogg" and not (len(data) > _FLAGS_AT and data[_FLAGS_AT] & _FIRST_PAGE):
        return None  # every page of an ogg stream begins alike; only its first has this flag (RFC 3533)
    return container


def undecided(data: bytes) -> bool:
    """Whether more bytes are needed to tell what begins with these."""
    if len(data) < SNIFF_BYTES:
        return True
    return len(data) < FRAMES_BYTES and any(_first(data, size) and not _repeats(data, size) for size in _FRAMES)


def is_no_sound(data: bytes) -> bool:
    """Whether these bytes begin what is certainly neither PCM nor read here."""
    head = data[:SNIFF_BYTES]
    return _UNKNOWN.match(data) is not None or (_TEXT.match(head) is not None and _is_text(head))


def _is_text(head: bytes) -> bool:
    """Whether bytes are UTF-8 without control characters, but for a character that is cut at their end."""
    if len(head) < SNIFF_BYTES or _NO_TEXT.search(head):
        return False
    try:
        codecs.getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError:
        return False
    return True


def _first(data: bytes, frame_bytes: Callable[[bytes], int | None]) -> bool:
    return frame_bytes(data) is not None


def _repeats(data: bytes, frame_bytes: Callable[[bytes], int | None]) -> bool:
    """Whether a frame begins here, and where it ends another."""
    size = frame_bytes(data)
    return size is not None and frame_bytes(data[size : size + 8]) is not None


def _adts_bytes(data: bytes) -> int | None:
    """Return how long the frame of AAC is that begins here, if one does (ISO/IEC 13818-7, 6.2)."""
    if len(data) < 7 or data[0] != 0xFF or data[1] & 0xF6 != 0xF0 or data[2] >> 2 & 0x0F > 12:  # noqa: PLR2004 - sync, rates
        return None
    size = (data[3] & 3) << 11 | data[4] << 3 | data[5] >> 5
    return size if size > 7 else None  # noqa: PLR2004 - its header alone


def _mp3_bytes(data: bytes) -> int | None:
    """Return how long the frame of layer III is that begins here, if one does."""
    if len(data) < 4 or data[0] != 0xFF or data[1] & 0xE6 != 0xE2:  # noqa: PLR2004 - sync, layer III
        return None
    version, rate, bits = data[1] >> 3 & 3, data[2] >> 2 & 3, data[2] >> 4
    if version == 1 or rate == 3 or bits in (0, 15):  # noqa: PLR2004 - reserved
        return None
    first = version == 3  # noqa: PLR2004 - MPEG 1
    rate_hz = _RATES_HZ[rate] >> {3: 0, 2: 1, 0: 2}[version]
    return (144 if first else 72) * _KBIT[first][bits] * 1000 // rate_hz + (data[2] >> 1 & 1)


_FRAMES: Final = (_mp3_bytes, _adts_bytes)
