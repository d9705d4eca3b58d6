"""What the keywords of one JSON Schema ask of a value, read for a grammar."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from math import ceil, floor
from typing import Any, Final

from fastembed.inference.engines.chat.digits import decimals, whole_numbers
from fastembed.inference.engines.chat.merging import Uncovered

_MAX_REPEATS: Final = 256
_MOST_MULTIPLES: Final = 1_000
_BOUNDS: Final = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum")
KEYWORDS: Final[Mapping[str, frozenset[str]]] = {
    "object": frozenset(
        {"properties", "required", "additionalProperties", "unevaluatedProperties", "patternProperties"}
    )
    | {"propertyNames", "minProperties", "maxProperties"},
    "array": frozenset({"items", "prefixItems", "additionalItems", "unevaluatedItems", "minItems", "maxItems"}),
    "string": frozenset({"minLength", "maxLength", "pattern", "format"}),
    "integer": frozenset(_BOUNDS),
    "number": frozenset(_BOUNDS),
    "boolean": frozenset(),
    "null": frozenset(),
}
"""By type, the keywords that are held to. Others are notes, or such as no grammar keeps (`schema.loose`)."""
_PYTHON_TYPES: Final[Mapping[str, tuple[type, ...]]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "null": (type(None),),
}


def guessed_type(schema: Mapping[str, Any]) -> str | None:
    """Return the type that a schema without one means by its keywords; None: any."""
    return next((kind for kind, words in KEYWORDS.items() if schema.keys() & words and kind != "integer"), None)


def held_keywords(schema: Mapping[str, Any], *without: str) -> set[str]:
    """Return the keywords of a schema that say something of its instances, but some."""
    words = {"type", "const", "enum", "$ref", "anyOf", "oneOf", "allOf"}.union(*KEYWORDS.values())
    return (schema.keys() & words) - set(without)


def without(schema: Mapping[str, Any], key: str) -> dict[str, Any]:
    """Return a schema without a keyword."""
    return {name: value for name, value in schema.items() if name != key}


def listed(schemas: Any, keyword: str) -> Sequence[Any]:
    """Return the schemas of a keyword that takes a list of them."""
    if not isinstance(schemas, Sequence) or isinstance(schemas, str) or not schemas:
        raise Uncovered(f"{keyword} without schemas")
    return schemas


def counts(schema: Mapping[str, Any], least: str, most: str) -> tuple[int, int | None]:
    """Return the least and the greatest count that two keywords say."""
    low, high = _count(schema, least) or 0, _count(schema, most)
    if low > _MAX_REPEATS:
        raise Uncovered(f"{least} above {_MAX_REPEATS}")
    if high is not None and high < low:
        raise Uncovered(f"{most} below {least}")
    return low, None if high is None else min(high, _MAX_REPEATS)


def _count(schema: Mapping[str, Any], key: str) -> int | None:
    value = schema.get(key)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or value != int(value) or value < 0:
        raise Uncovered(f"{key} {value!r:.40}")
    return int(value)


Bound = tuple[Decimal, bool]
"""A number, and whether it is left out itself."""


def _bounds(schema: Mapping[str, Any]) -> tuple[Bound | None, Bound | None]:
    """Return the bound below and the bound above."""
    low, high = _given(schema, "minimum", "exclusiveMinimum"), _given(schema, "maximum", "exclusiveMaximum")
    return max(low, default=None), min(high, key=lambda bound: (bound[0], not bound[1]), default=None)


def _given(schema: Mapping[str, Any], closed: str, opened: str) -> list[Bound]:
    """Return what two keywords say; draft 4 has true for the second where the first one's number is left out."""
    found = [(_number(schema, closed), schema.get(opened) is True)] if schema.get(closed) is not None else []
    if not isinstance(schema.get(opened), bool | None):
        found.append((_number(schema, opened), True))
    return found


def _number(schema: Mapping[str, Any], key: str) -> Decimal:
    value = schema[key]
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Uncovered(f"{key} {value!r:.40}")
    return Decimal(str(value))


def whole_number(schema: Mapping[str, Any]) -> str:
    """Return the expression of the whole numbers within a schema's bounds."""
    low, high = _bounds(schema)
    if low is None and high is None:
        return "integer"
    first = None if low is None else floor(low[0]) + 1 if low[1] else ceil(low[0])
    last = None if high is None else ceil(high[0]) - 1 if high[1] else floor(high[0])
    if "multipleOf" in schema and first is not None and last is not None:
        found = _multiples(first, last, _number(schema, "multipleOf"))
    else:
        found = whole_numbers(first, last)
    if found is None:
        raise Uncovered("bounds between which there is no whole number")
    return found


def _multiples(first: int, last: int, step: Decimal) -> str | None:
    """Return the expression of the whole multiples of a number between two, None: there are none."""
    if step <= 0 or step != int(step) or (last - first) / step > _MOST_MULTIPLES:
        return whole_numbers(first, last)  # no grammar keeps to it
    found = range(first + -first % int(step), last + 1, int(step))
    return "(" + " | ".join(f'"{number}"' for number in found) + ")" if found else None


def decimal_number(schema: Mapping[str, Any]) -> str:
    """Return the expression of the numbers within a schema's bounds."""
    low, high = _bounds(schema)
    if low is None and high is None:
        return "number"
    found = decimals(low and low[0], high and high[0], above=bool(low and low[1]), below=bool(high and high[1]))
    if found is None:
        raise Uncovered("bounds between which there is no number")
    return found


def listed_values(schema: Mapping[str, Any]) -> list[Any]:
    """Return the values that a schema lists, those of its type only."""
    values = [schema["const"]] if "const" in schema else schema["enum"]
    if not isinstance(values, Sequence) or isinstance(values, str) or not values:
        raise Uncovered("enum without values")
    types = schema.get("type")
    kinds = [types] if isinstance(types, str) else types
    fitting = [value for value in values if not kinds or any(_is_of(value, kind) for kind in kinds)]
    if not fitting:
        raise Uncovered("enum without a value of its type")
    return fitting


def _is_of(value: Any, kind: str) -> bool:
    if isinstance(value, bool):
        return kind == "boolean"
    if kind == "integer" and isinstance(value, float):
        return value.is_integer()
    expected = _PYTHON_TYPES.get(kind, ())
    return isinstance(value, expected)
