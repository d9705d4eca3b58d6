"""What a JSON Schema costs and whether it can be kept, told from its text, before anything compiles it.

A grammar is compiled inside a step of the engine, which holds up every other answer for so long, and some schemas of
a few hundred bytes take minutes: xgrammar's work grows with the square of an open object's optional properties, and
faster yet with the optional pieces of one regular expression. So there are limits, at which a grammar takes some 2 s
of a core; what is left of wrong schemas, `fastembed.inference.engines.chat.structure` finds by trying.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from math import isqrt
from typing import Any, Final

MAX_DEPTH: Final = 64
MAX_PROPERTIES: Final = 1_000
MAX_OPTIONAL: Final = 500
"""Properties that may be missing, of one object that takes others too; of several, the root of their squares' sum."""
MAX_VALUES: Final = 5_000
MAX_REPEATS: Final = 128
MAX_REPEATS_EACH: Final = 32
MAX_COUNTED: Final = 4_000

_NAMED: Final = ("properties", "patternProperties", "$defs", "definitions", "dependentSchemas")
_LISTED: Final = ("anyOf", "oneOf", "allOf", "prefixItems")
_SINGLE: Final = (
    "items",
    "additionalProperties",
    "unevaluatedItems",
    "unevaluatedProperties",
    "propertyNames",
    "contains",
    "not",
    "if",
    "then",
    "else",
)
_LOOSE: Final = ("not", "if", "then", "else", "contains", "dependentRequired", "dependentSchemas", "multipleOf")
_BOUNDS: Final = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum")
_VALUES: Final = frozenset({"enum", "const", "default", "examples"})
_CLASS_OR_ESCAPE: Final = re.compile(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]|\(\?", re.DOTALL)
_REPEAT: Final = re.compile(r"[?*+]|\{\d*,?\d*\}")


def too_much(schema: Mapping[str, Any]) -> str | None:
    """Return what there is too much of in a schema, or None. The schema is no deeper than `MAX_DEPTH`."""
    properties = values = optional = 0
    patterns: list[str] = []
    for one in _objects(schema):
        named = _mapping(one, "properties")
        properties += len(named)
        if one.get("additionalProperties") is not False:
            required = one.get("required")
            optional += max(0, len(named) - len(required if isinstance(required, list) else ())) ** 2
        values += len(found) if isinstance(found := one.get("enum"), list) else 0
        patterns += [pattern for pattern in (one.get("pattern"), *_mapping(one, "patternProperties")) if pattern]
    repeats = [_repeats(pattern) for pattern in patterns if isinstance(pattern, str)]
    return (
        _over(properties, MAX_PROPERTIES, "properties")
        or _over(isqrt(optional), MAX_OPTIONAL, "properties that may be missing from objects that take others too")
        or _over(values, MAX_VALUES, "values in enum")
        or _over(max(map(len, repeats), default=0), MAX_REPEATS_EACH, "repetitions in one pattern")
        or _over(sum(map(len, repeats)), MAX_REPEATS, "repetitions in all patterns")
        or _over(sum(map(sum, repeats)), MAX_COUNTED, "counted repetitions in all patterns")
    )


def dangling(schema: Mapping[str, Any]) -> str | None:
    """Return the reference in a schema that leads nowhere, out of it, or in a circle back to itself; or None."""
    for one in _objects(schema):
        seen: set[str] = set()
        at: Any = one
        while isinstance(at, Mapping) and isinstance(name := at.get("$ref"), str):
            at = _pointed(schema, name) if name not in seen else None
            if at is None:
                return name
            seen.add(name)
    return None


def loose(schema: Mapping[str, Any]) -> str | None:
    """Return a keyword of a schema that no grammar keeps, or None: answers may break what it says."""
    for one in _subschemas(schema):
        for keyword in _LOOSE:
            if keyword in one:
                return keyword
        if one.get("uniqueItems") is True:
            return "uniqueItems"
        if isinstance(one.get("allOf"), list) and len(one["allOf"]) > 1:
            return "allOf"
    return None


def compiled(value: Any, *, names: bool = False) -> Any:
    """Return a schema as xgrammar is given it: without bounds that are no whole numbers.

    It writes their decimal point as a pattern's dot (xgrammar of OpenVINO GenAI 2026.4): `0u5` for a number from 0.5.
    names: the keys of `value` are names of schemas, not keywords.
    """
    if isinstance(value, Mapping):
        broken = not names and any(type(value.get(key)) is float for key in _BOUNDS)
        return {
            key: one if not names and key in _VALUES else compiled(one, names=not names and key in _NAMED)
            for key, one in value.items()
            if not (broken and key in _BOUNDS)
        }
    return [compiled(one) for one in value] if isinstance(value, list | tuple) else value


def deeper(value: Any, most: int = MAX_DEPTH) -> bool:
    """Whether a JSON value is nested deeper than `most`."""
    if most < 0:
        return True
    if isinstance(value, Mapping):
        return any(deeper(one, most - 1) for one in value.values())
    return isinstance(value, list | tuple) and any(deeper(one, most - 1) for one in value)


def _objects(value: Any, *, names: bool = False) -> Iterator[Mapping[str, Any]]:
    """Yield every object in a schema, wherever a reference may point; not the values that answers may have.

    names: its keys are names of schemas, not keywords.
    """
    if isinstance(value, Mapping):
        yield value
        for key, one in value.items():
            if names or key not in _VALUES:
                yield from _objects(one, names=not names and key in _NAMED)
    elif isinstance(value, list):
        for one in value:
            yield from _objects(one)


def _subschemas(schema: Any) -> Iterator[Mapping[str, Any]]:
    """Yield a schema and every schema in it: unlike all its objects, these have keywords for keys."""
    if not isinstance(schema, Mapping):
        return
    yield schema
    for keyword in _NAMED:
        for one in _mapping(schema, keyword).values():
            yield from _subschemas(one)
    for keyword in (*_LISTED, *_SINGLE):
        found = schema.get(keyword)
        for one in found if isinstance(found, list) else (found,):
            yield from _subschemas(one)


def _mapping(schema: Mapping[str, Any], keyword: str) -> Mapping[str, Any]:
    found = schema.get(keyword)
    return found if isinstance(found, Mapping) else {}


def _over(found: int, most: int, what: str) -> str | None:
    return f"{found} {what}, expected at most {most}" if found > most else None


def _repeats(pattern: str) -> list[int]:
    """Return the count of each repetition in a regular expression: the larger number in its braces, else 0."""
    bare = _CLASS_OR_ESCAPE.sub("_", pattern)
    found = [re.findall(r"\d+", repeat) for repeat in _REPEAT.findall(bare)]
    return [max((int(number[:7]) for number in numbers), default=0) for numbers in found]


def _pointed(schema: Mapping[str, Any], name: str) -> Any:
    """Return what a reference such as `#/$defs/person` points to (RFC 6901), or None."""
    if not name.startswith("#"):
        return None
    at: Any = schema
    for step in name[1:].split("/")[1:]:
        key = step.replace("~1", "/").replace("~0", "~")
        if isinstance(at, Mapping):
            at = at.get(key)
        elif isinstance(at, list) and key.isdecimal() and int(key) < len(at):
            at = at[int(key)]
        else:
            return None
    return at
