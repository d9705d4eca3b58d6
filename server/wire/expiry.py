"""The field that says when a file goes: `{"anchor": "created_at", "seconds": 3600}`."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final

from fastembed.server.wire.fields import Fields
from fastembed.server.wire.schema import Schema, choice, whole

_LEAST_S: Final = 3_600
_MOST_S: Final = 30 * 86_400

EXPIRY: Final[Mapping[str, Schema]] = {"anchor": choice("created_at"), "seconds": whole(_LEAST_S, _MOST_S)}


def read_expiry(fields: Fields, name: str = "expires_after") -> int | None:
    """Return after how many seconds the file goes, None: nothing is said. InvalidInput names what is wrong."""
    expires = fields.object(name)
    if expires is None:
        return None
    expires.known(EXPIRY.keys())
    if expires.choice("anchor", ("created_at",)) is None:
        expires.refuse("anchor", "created_at")
    seconds = expires.whole("seconds", _LEAST_S, _MOST_S)
    return expires.refuse("seconds", f"{_LEAST_S} to {_MOST_S}") if seconds is None else seconds


def typed_expiry(typed: dict[str, Any], name: str = "expires_after") -> None:
    """Make a number of what a form, which knows texts only, has as its seconds."""
    expiry = typed.get(name)
    if isinstance(expiry, dict) and isinstance(expiry.get("seconds"), str):
        with suppress(ValueError):
            expiry["seconds"] = int(expiry["seconds"][:20])
