"""Joins JSON Schemas that hold at once (`allOf`, or keywords beside `$ref` and `anyOf`) into one that says the same."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

Schema = Mapping[str, Any]
_GREATEST: Final = ("minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties")
_LEAST: Final = ("maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties")


class Uncovered(ValueError):
    """A keyword, or a value of one, to which no grammar holds answers; its text names it."""


class TooDeep(Uncovered):
    """A schema is too deep within itself here; what need not be there is left out."""


def merged(first: Any, second: Any) -> Any:
    """Return a schema whose instances are those of both. Uncovered: there is none to be written."""
    if first is False or second is False:
        return False
    if not isinstance(first, Mapping) or not first:
        return second
    if not isinstance(second, Mapping) or not second:
        return first
    found = {**first, **second}
    for key in first.keys() & second.keys():
        found[key] = _both(key, first[key], second[key])
    if "properties" in found:
        found["properties"] = _allowed(first, second, found["properties"])
    if "const" in found and "enum" in found:
        found["enum"] = _common("enum", [found.pop("const")], found["enum"])
    return found


def _both(key: str, one: Any, other: Any) -> Any:  # noqa: PLR0911 - one case a keyword
    if _same(one, other):
        return one
    match key:
        case "properties" | "$defs" | "definitions" | "patternProperties":
            shared = {name: merged(one[name], other[name]) for name in one.keys() & other.keys()}
            return {**one, **other, **shared}
        case "required":
            return list(dict.fromkeys([*one, *other]))
        case "type":
            return _types(one, other)
        case "enum":
            return _common(key, one, other)
        case "items" | "additionalProperties":
            return merged(one, other)
        case "allOf":
            return [*one, *other]
        case "title" | "description" | "default" | "examples" | "$id" | "$schema" | "$comment":
            return one
    if key in _GREATEST:
        return max(one, other)
    if key in _LEAST:
        return min(one, other)
    raise Uncovered(f"{key} in two parts of allOf")


def _types(one: Any, other: Any) -> list[str]:
    first, second = ([kind] if isinstance(kind, str) else list(kind) for kind in (one, other))
    found = [kind for kind in first if kind in second]
    if "integer" in (*first, *second) and "integer" not in found and ("number" in first or "number" in second):
        found.append("integer")
    if not found:
        raise Uncovered("type in two parts of allOf")
    return found


def _common(key: str, one: Sequence[Any], other: Sequence[Any]) -> list[Any]:
    found = [value for value in one if any(_same(value, known) for known in other)]
    if not found:
        raise Uncovered(f"{key} in two parts of allOf, with no value in common")
    return found


def _allowed(first: Schema, second: Schema, properties: Schema) -> dict[str, Any]:
    """Leave out the properties that one schema names and the other, which takes no further ones, does not."""
    closed = [one for one in (first, second) if one.get("additionalProperties") is False]
    return {
        name: schema
        for name, schema in properties.items()
        if all(name in (one.get("properties") or {}) for one in closed)
    }


def _same(one: Any, other: Any) -> bool:
    """Whether two JSON values are equal: unlike in Python, 1 and true are not."""
    return type(one) is type(other) and bool(one == other)
