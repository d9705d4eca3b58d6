"""A JSON Schema as a grammar (EBNF) whose answers end: white space, digits and depth have limits.

The grammar that xgrammar makes of a schema allows any white space between two tokens, and any number of digits; small
models go on writing those until their limit. So the usual keywords are turned into a grammar here: one space, or a line
break and an indentation, between tokens; 15 digits before and behind the point; objects have the declared properties
in their order, further ones only where the schema says so. `grammar_of` returns None for a schema with any other
keyword, which xgrammar then compiles by itself.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from fastembed.inference.engines.chat.digits import whole_numbers

_MAX_DEPTH: Final = 8
"""Levels of objects and arrays in a value about which the schema says nothing."""
_MAX_REPEATS: Final = 256
_COMMON: Final = r"""
ws ::= "" | " " | "\n" [ ]{0,40}
sp ::= "" | " "
char ::= [^"\\\x00-\x1f] | "\\" (["\\/bfnrt] | "u" [0-9a-fA-F]{4})
string ::= "\"" char* "\""
integer ::= "-"? ("0" | [1-9] [0-9]{0,14})
number ::= integer ("." [0-9]{1,15})? ([eE] [+-]? [0-9]{1,2})?
boolean ::= "true" | "false"
null ::= "null"
"""
_SCALARS: Final = ("string", "integer", "number", "boolean", "null")
_NOTES: Final = frozenset(
    {"title", "description", "default", "examples", "$schema", "$id", "$comment", "$defs", "definitions", "deprecated"}
    | {"readOnly", "writeOnly"}
)
_OF_TYPE: Final[Mapping[str, frozenset[str]]] = {
    "object": frozenset({"properties", "required", "additionalProperties"}),
    "array": frozenset({"items", "minItems", "maxItems"}),
    "string": frozenset({"minLength", "maxLength"}),
    "integer": frozenset({"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"}),
    "number": frozenset(),
    "boolean": frozenset(),
    "null": frozenset(),
}


class _Uncovered(ValueError):
    """A keyword, or a value of one, that is not turned into a grammar here."""


def grammar_of(schema: Mapping[str, Any]) -> str | None:
    """Return the grammar of a schema's instances; None: it has a keyword that is not covered here.

    The schema is no deeper than `schema.MAX_DEPTH`, and its references lead somewhere.
    """
    try:
        return _GrammarWriter(schema).text()
    except _Uncovered:
        return None


class _GrammarWriter:
    """Collects the rules of one grammar."""

    def __init__(self, schema: Mapping[str, Any]) -> None:
        self._schema = schema
        self._rules: dict[str, str] = {}
        self._references: dict[str, str] = {}

    def text(self) -> str:
        """Return the whole grammar."""
        root = self._value(self._schema)
        rules = "".join(f"{name} ::= {body}\n" for name, body in self._rules.items())
        return f"root ::= {root}\n{rules}{_COMMON}"

    def _value(self, schema: Any) -> str:
        """Return the expression of one value."""
        if schema is True or schema == {}:
            return self._anything(_MAX_DEPTH)
        if not isinstance(schema, Mapping):
            raise _Uncovered(schema)
        keys = schema.keys() - _NOTES
        if "$ref" in keys:
            return self._reference(schema, keys)
        for listed in ("anyOf", "oneOf", "allOf"):
            if listed in keys:
                return self._alternatives(schema[listed], keys, listed)
        if "const" in keys:
            return _literals([schema["const"]])
        if "enum" in keys:
            return _literals(schema["enum"])
        return self._typed(schema, keys)

    def _typed(self, schema: Mapping[str, Any], keys: set[str]) -> str:
        types = schema["type"] if "type" in keys else _guess(keys)
        if isinstance(types, str):
            types = [types]
        if not isinstance(types, Sequence) or not types or not all(kind in _OF_TYPE for kind in types):
            raise _Uncovered(types)
        allowed = frozenset({"type"}).union(*(_OF_TYPE[kind] for kind in types))
        if keys - allowed:
            raise _Uncovered(keys - allowed)
        return _either([self._of_type(kind, schema) for kind in types])

    def _of_type(self, kind: str, schema: Mapping[str, Any]) -> str:
        match kind:
            case "object":
                return self._object(schema)
            case "array":
                return self._array(schema)
            case "string":
                least, most = _counts(schema, "minLength", "maxLength")
                return "string" if (least, most) == (0, None) else rf'"\"" char{_times(least, most)} "\""'
            case "integer":
                return whole_numbers(*_bounds(schema)) or "integer"
            case _:
                return kind

    def _reference(self, schema: Mapping[str, Any], keys: set[str]) -> str:
        """Return the rule of what a reference points to; it may refer to itself."""
        pointer = schema["$ref"]
        if keys != {"$ref"} or not isinstance(pointer, str):
            raise _Uncovered(keys)
        if pointer not in self._references:
            name = self._references[pointer] = f"ref{len(self._references)}"
            self._rules[name] = self._value(_pointed(self._schema, pointer))
        return self._references[pointer]

    def _alternatives(self, schemas: Any, keys: set[str], keyword: str) -> str:
        if keys != {keyword} or not isinstance(schemas, Sequence) or not schemas:
            raise _Uncovered(keyword)
        if keyword == "allOf" and len(schemas) > 1:
            raise _Uncovered(keyword)
        return _either([self._value(schema) for schema in schemas])

    def _object(self, schema: Mapping[str, Any]) -> str:
        """Return an object: the properties in their order, those that may be missing or not, then others if any."""
        properties = schema.get("properties", {})
        required = schema.get("required", ())
        others = schema.get("additionalProperties", not properties)
        if not isinstance(properties, Mapping) or not isinstance(required, Sequence) or isinstance(required, str):
            raise _Uncovered("properties")
        if not all(isinstance(name, str) for name in required):
            raise _Uncovered("required")
        named = {**properties, **{name: True for name in required if name not in properties}}
        pairs = [(f'{_literal(name)} sp ":" sp {self._value(one)}', name in required) for name, one in named.items()]
        pair = None if others is False else f'string sp ":" sp {self._value(others)}'
        return f'"{{" ws {self._members(pairs, pair)} ws "}}"'

    def _members(self, pairs: Sequence[tuple[str, bool]], other: str | None) -> str:
        """Return the pairs with commas between them: a rule for each with a pair before it, and one without."""
        after = self._rule(f'(ws "," ws {other})*' if other else '""')
        start = self._rule(f'({other} (ws "," ws {other})*)?' if other else '""')
        for pair, needed in reversed(pairs):
            body = self._rule(pair)
            rest = after
            after = self._rule(f'ws "," ws {body} {rest}' + ("" if needed else f" | {rest}"))
            start = self._rule(f"{body} {rest}" + ("" if needed else f" | {start}"))
        return start

    def _array(self, schema: Mapping[str, Any]) -> str:
        least, most = _counts(schema, "minItems", "maxItems")
        if most == 0:
            return '"[" ws "]"'
        item = self._rule(self._value(schema.get("items", True)))
        rest = _times(max(0, least - 1), None if most is None else most - 1)
        full = f'"[" ws {item} (ws "," ws {item}){rest} ws "]"'
        return full if least else f'({full} | "[" ws "]")'

    def _anything(self, depth: int) -> str:
        """Return any JSON value, so many levels deep at most."""
        name = f"any{depth}"
        if name not in self._rules:
            self._rules[name] = ""
            scalars = "string | number | boolean | null"
            if depth:
                inner = self._anything(depth - 1)
                pair = f'string sp ":" sp {inner}'
                scalars += f' | "{{" ws ({pair} (ws "," ws {pair})*)? ws "}}"'
                scalars += f' | "[" ws ({inner} (ws "," ws {inner})*)? ws "]"'
            self._rules[name] = scalars
        return name

    def _rule(self, body: str) -> str:
        name = f"r{len(self._rules)}"
        self._rules[name] = body
        return name


def _guess(keys: set[str]) -> Any:
    """Return the type that a schema without one means by its keywords."""
    fits = [kind for kind, words in _OF_TYPE.items() if keys & words]
    if len(fits) != 1:
        raise _Uncovered(keys)
    return fits[0]


def _counts(schema: Mapping[str, Any], least: str, most: str) -> tuple[int, int | None]:
    low, high = schema.get(least, 0), schema.get(most)
    for value in (low, high):
        if value is not None and (type(value) is not int or not 0 <= value <= _MAX_REPEATS):
            raise _Uncovered(least)
    if high is not None and high < low:
        raise _Uncovered(most)
    return low, high


def _bounds(schema: Mapping[str, Any]) -> tuple[int | None, int | None]:
    """Return the least and the greatest whole number."""
    for key in _OF_TYPE["integer"]:
        if key in schema and type(schema[key]) is not int:
            raise _Uncovered(key)
    lows = [schema[key] + more for key, more in (("minimum", 0), ("exclusiveMinimum", 1)) if key in schema]
    highs = [schema[key] - less for key, less in (("maximum", 0), ("exclusiveMaximum", 1)) if key in schema]
    low, high = max(lows, default=None), min(highs, default=None)
    if low is not None and high is not None and low > high:
        raise _Uncovered("maximum")
    return low, high


def _times(least: int, most: int | None) -> str:
    if most is None:
        return "*" if not least else f"{{{least},}}"
    return f"{{{least},{most}}}"


def _either(expressions: Sequence[str]) -> str:
    return expressions[0] if len(expressions) == 1 else f"({' | '.join(expressions)})"


def _literals(values: Any) -> str:
    if not isinstance(values, Sequence) or isinstance(values, str) or not values:
        raise _Uncovered("enum")
    return _either([_quoted(json.dumps(value, ensure_ascii=False)) for value in values])


def _literal(name: str) -> str:
    return _quoted(json.dumps(name, ensure_ascii=False))


def _quoted(text: str) -> str:
    """Return a text as EBNF has it."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _pointed(schema: Any, pointer: str) -> Any:
    """Return what a reference within the schema points to (RFC 6901)."""
    if not pointer.startswith("#"):
        raise _Uncovered(pointer)
    for part in pointer[1:].split("/")[1:]:
        key = part.replace("~1", "/").replace("~0", "~")
        if not isinstance(schema, Mapping) or key not in schema:
            raise _Uncovered(pointer)
        schema = schema[key]
    return schema
