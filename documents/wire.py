"""Messages between the server and a parser process: JSON, nothing executable.

A parser reads files that strangers wrote, so its answers are treated as such: JSON (never pickle), bounded in size.
A message's body (`fastembed.pipeline.processes.framing`) is the length of a JSON object, the object, and the long
texts of its `value`, whose names and sizes are in its `texts` (as JSON strings they would keep the reader's interpreter
busy for tenths of a second). The process first says `{"ready": true}`, then answers each request with `{"value":
{...}}` or `{"error": {"type", "message", "code"}}`, where a parser broke with its `trace`, and tells how much memory it
has as `memory` in each. Before its answer it may have pictures shown to a model, as often as it likes: `{"model": name,
"value": {place: PNG in base64}}`, which is answered with `{"written": [[text, tokens, ending], ...]}`, `{"failed":
why}` or, where the request is given up, `{"refused": why}`.
"""

from __future__ import annotations

import base64
import os
import struct
from pathlib import Path
from typing import Any, Final

import orjson

from fastembed.documents.faults import EngineFailed, OutOfMemory
from fastembed.pipeline.errors import (
    Expired,
    InvalidInput,
    ItemError,
    NotFound,
    TooLarge,
    Unprocessable,
    UnsupportedMedia,
)
from fastembed.pipeline.processes.framing import MAX_BODY_BYTES, BadFrame, frame

_HEAD: Final = struct.Struct(">I")
_LONG_CHARS: Final = 1 << 16

_ERRORS: Final[dict[str, type[ItemError]]] = {
    cls.__name__: cls
    for cls in (
        InvalidInput,
        TooLarge,
        UnsupportedMedia,
        Unprocessable,
        NotFound,
        Expired,
        EngineFailed,
        OutOfMemory,
    )
}


def from_path(path: Path) -> str:
    """Return the wire form of a path, whose bytes need not be UTF-8: each byte as a character."""
    return os.fsencode(path).decode("latin-1")


def to_path(text: str) -> Path:
    """Return the path that a wire form stands for."""
    return Path(os.fsdecode(text.encode("latin-1")))


def printable(name: str) -> str:
    """Return a file name as it can be shown: bytes that are not UTF-8 become U+FFFD."""
    return os.fsencode(name).decode("utf-8", "replace")


def encode(message: dict[str, Any]) -> bytes:
    """Return the bytes of a message. TooLarge if it is longer than one may be."""
    value = message.get("value", {})
    long = {name: text for name, text in value.items() if isinstance(text, str) and len(text) > _LONG_CHARS}
    texts = [text.encode() for text in long.values()]
    if texts:
        value = {name: part for name, part in value.items() if name not in long}
        message = {**message, "value": value, "texts": dict(zip(long, map(len, texts), strict=True))}
    head = orjson.dumps(message)
    length = _HEAD.size + len(head) + sum(map(len, texts))
    if length > MAX_BODY_BYTES:
        raise TooLarge(
            f"found {length:,} bytes of parsed document, expected at most {MAX_BODY_BYTES:,}", code="too_large"
        )
    return frame(_HEAD.pack(len(head)), head, *texts)


def pictures_of(message: dict[str, Any]) -> list[bytes]:
    """Return the picture files that a message wants to be shown to a model."""
    return [base64.b64decode(text) for text in message["value"].values()]


def decode(body: bytes | bytearray) -> dict[str, Any]:
    """Return the message that a body is. BadFrame: it is none."""
    if len(body) < _HEAD.size:
        raise BadFrame(f"found a message of {len(body)} bytes, expected {_HEAD.size} at least")
    start = _HEAD.size + _HEAD.unpack_from(body)[0]
    try:
        message = orjson.loads(memoryview(body)[_HEAD.size : start])
    except orjson.JSONDecodeError as error:
        raise BadFrame(f"found {body[:40]!r}, expected JSON") from error
    if not isinstance(message, dict):
        raise BadFrame(f"found a JSON {type(message).__name__}, expected an object")
    for name, size in message.pop("texts", {}).items():
        message["value"][name] = str(memoryview(body)[start : start + size], "utf-8")
        start += size
    if start != len(body):
        raise BadFrame(f"found {len(body):,} bytes, expected {start:,}")
    return message


def error_message(error: ItemError) -> dict[str, Any]:
    """Return the wire form of an error."""
    known = next((cls for cls in type(error).__mro__ if cls.__name__ in _ERRORS), Unprocessable)
    return {"type": known.__name__, "message": error.message, "code": error.code}


def to_error(message: dict[str, Any]) -> ItemError:
    """Return the error that a wire form stands for."""
    cls = _ERRORS.get(str(message.get("type")), Unprocessable)
    return cls(str(message.get("message")), code=message.get("code"))
