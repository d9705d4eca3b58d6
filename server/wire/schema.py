"""JSON Schema, as far as the descriptions of endpoints need it (OpenAPI 3.1 uses JSON Schema 2020-12 as it is)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

Schema = Mapping[str, Any]

ANY: Final[Schema] = {}
"""Any JSON value."""


def string(about: str = "", *, most: int | None = None) -> Schema:
    """Describe a string. most: characters."""
    return _with({"type": "string"}, about, maxLength=most)


def whole(least: int, most: int, about: str = "") -> Schema:
    """Describe a whole number."""
    return _with({"type": "integer", "minimum": least, "maximum": most}, about)


def number(least: float, most: float, about: str = "") -> Schema:
    """Describe a number."""
    return _with({"type": "number", "minimum": least, "maximum": most}, about)


def flag(about: str = "", *, default: bool = False) -> Schema:
    """Describe a boolean."""
    return _with({"type": "boolean", "default": default}, about)


def choice(*allowed: str, about: str = "") -> Schema:
    """Describe a string out of a few."""
    return _with({"type": "string", "enum": list(allowed)}, about)


def listed(items: Schema, about: str = "", *, most: int | None = None) -> Schema:
    """Describe a list."""
    return _with({"type": "array", "items": items}, about, maxItems=most)


def one_of(*schemas: Schema, about: str = "") -> Schema:
    """Describe a value of several kinds."""
    return _with({"anyOf": list(schemas)}, about)


def an_object(
    properties: Mapping[str, Schema] | None = None, *, required: tuple[str, ...] = (), about: str = ""
) -> Schema:
    """Describe an object; further fields are allowed."""
    known = {} if properties is None else {"properties": dict(properties)}
    return _with({"type": "object", **known}, about, required=list(required) or None)


def _with(schema: dict[str, Any], about: str, **more: object) -> Schema:
    found = {key: value for key, value in more.items() if value is not None}
    return {**schema, **found, **({"description": about} if about else {})}
