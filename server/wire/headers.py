"""Response headers that say which model answered, in bytes that a header may hold."""

from __future__ import annotations

from typing import Final

_MODEL: Final = b"x-fastembed-model"
_STATE: Final = b"x-fastembed-model-state"
_ROUTE: Final = b"x-fastembed-route"
_MAX_BYTES: Final = 1024

Headers = list[tuple[bytes, bytes]]


def model_headers(model: str, state: str = "", route: str = "") -> Headers:
    """Return the headers that name the model, its state ("pocket"), and why it was chosen; none for what is empty."""
    found = ((_MODEL, model), (_STATE, state), (_ROUTE, route))
    return [(name, header_text(value)) for name, value in found if value]


def header_text(text: str) -> bytes:
    """Return text as a header may hold it (RFC 9110, section 5.5): visible ASCII, one line, at most 1024 bytes."""
    if text.isascii() and text.isprintable():  # nearly always
        return text.encode("ascii")[:_MAX_BYTES]
    visible = "".join(char if char.isprintable() else " " for char in text)
    return visible.encode("ascii", "backslashreplace")[:_MAX_BYTES]
