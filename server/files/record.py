"""One stored file as it is listed, and the rules for ids and names.

An id is `file-`, the time of the upload and chance: ids sort as their files came, and nobody guesses one. A name is
what the client calls its file: it is shown, and is never a place on this disk.
"""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass
from typing import Final

PURPOSES: Final = ("assistants", "batch", "evals", "fine-tune", "user_data", "vision")
"""What a client may upload a file for."""
MAX_NAME_CHARS: Final = 200
NAMELESS: Final = "file"

_ID: Final = re.compile(r"file-[0-9a-f]{32}")
_UNSHOWN: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufeff\"<>|?*:]")


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A file that is complete. name: what its owner calls it. Times are Unix seconds; expires_at None: it stays."""

    id: str
    name: str
    purpose: str
    size_bytes: int
    created_at: int
    expires_at: int | None = None


def new_id(now_s: float) -> str:
    """Return a fresh id. now_s: Unix seconds."""
    return f"file-{int(now_s * 1e9):016x}{secrets.token_hex(8)}"


def is_id(text: str) -> bool:
    """Whether a text has the form of an id: then, and only then, it may become part of a path."""
    return _ID.fullmatch(text) is not None


def clean_name(found: str) -> str:
    """Return a client's file name as it can be shown: its last part, without what steers terminals or confuses eyes."""
    last = re.split(r"[/\\]", found)[-1]
    shown = _UNSHOWN.sub("_", last).strip(" .") or NAMELESS
    stem, dot, suffix = shown.rpartition(".")
    if len(shown) <= MAX_NAME_CHARS or not dot or len(suffix) > MAX_NAME_CHARS // 4:
        return shown[:MAX_NAME_CHARS]
    return f"{stem[: MAX_NAME_CHARS - len(suffix) - 1]}.{suffix}"
