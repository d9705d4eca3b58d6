"""What is stored of conversations: responses, conversations, and the items of both."""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

Json = dict[str, Any]
ItemRole = Literal["input", "output"]

MAX_ID: Final = 128
_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,128}")


@dataclass(frozen=True, slots=True)
class StoredRecord:
    """A response or a conversation of one owner. body: JSON. Times are Unix seconds; expires_at None: it stays."""

    id: str
    owner: str
    kind: Literal["response", "conversation"]
    created_at: float
    body: Mapping[str, Any]
    expires_at: float | None = None


@dataclass(frozen=True, slots=True)
class StoredItem:
    """An item of a response or a conversation, as the API shows it. position: its place among the holder's items."""

    body: Json
    role: ItemRole = "input"
    position: int = -1


def random_id(prefix: str) -> str:
    """Return a fresh id that nobody guesses."""
    return f"{prefix}_{secrets.token_hex(24)}"


def is_id(text: str) -> bool:
    """Whether a text may be an id."""
    return _ID.fullmatch(text) is not None
