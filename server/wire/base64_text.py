"""Decoding base64 as OpenAI's API does: blanks and missing padding are forgiven."""

from __future__ import annotations

import binascii
from base64 import b64decode
from typing import Final

from fastembed.server.wire.fields import refuse

_BLANKS: Final = b"\t\n\r "


def decode_base64(encoded: str | bytes, place: str) -> bytes:
    """Return the bytes of base64 text; bytes are what they are. InvalidInput names the field `place`."""
    if isinstance(encoded, bytes):
        return encoded
    try:
        plain = encoded.encode("ascii").translate(None, _BLANKS).rstrip(b"=")
        return b64decode(plain + b"=" * (-len(plain) % 4), validate=True)
    except (UnicodeEncodeError, binascii.Error) as error:
        refuse(f"not valid base64: {error}", place, "invalid_base64")
