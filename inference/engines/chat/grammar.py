"""A JSON Schema as a grammar (EBNF) whose answers end: white space, digits and depth have limits.

The grammar that xgrammar makes of a schema allows any white space between two tokens, and any number of digits; small
models go on writing those until their limit. So schemas are turned into a grammar here: one space, or a line break and
an indentation, between tokens; 15 digits before and behind the point; objects have the declared properties in their
order, further ones only where the schema says so. Every text of the grammar is an instance; some instances, as those
in another order, are no text of it. `grammar_of` raises `Uncovered`, with the keyword, for what no grammar holds to.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from itertools import count
from typing import Any, Final
from urllib.parse import unquote

from fastembed.inference.engines.chat.keywords import (
    KEYWORDS,
    counts,
    decimal_number,
    guessed_type,
    held_keywords,
    listed,
    listed_values,
    whole_number,
    without,
)
from fastembed.inference.engines.chat.merging import TooDeep, Uncovered, merged
from fastembed.inference.engines.chat.patterns import ANY_CHARACTER, FORMATS, UnreadablePattern, pattern_text

_MAX_DEPTH: Final = 8
"""Levels of objects and arrays in a value about which the schema says nothing."""
_MOST_RECURSION: Final = 6
"""Levels of a schema that refers to itself: small models go down for ever."""
_MOST_LEVELS: Final = 200
_MOST_OTHERS: Final = 128
"""Properties that are not declared, where nothing says how many."""
_UNDECLARED: Final[Mapping[str, Any]] = {"type": ["string", "number", "boolean", "null"]}
"""What is required and not described: small models would make an object of it that does not end."""
_COMMON: Final = r"""
ws ::= "" | " " | "\n" [ ]{0,40}
sp ::= "" | " "
char ::= ANY | "\\" (["\\/bfnrt] | "u" [0-9a-fA-F]{4})
string ::= "\"" char* "\""
integer ::= "-"? ("0" | [1-9] [0-9]{0,14})
number ::= integer ("." [0-9]{1,15})? ([eE] [+-]? [0-9]{1,2})?
boolean ::= "true" | "false"
null ::= "null"
"""


def grammar_of(schema: Mapping[str, Any]) -> str:
    """Return the grammar of a schema's instances. Uncovered: answers cannot be held to it; its text says why.

    The schema is no deeper than `schema.MAX_DEPTH`, and its references lead somewhere.
    """
    return _GrammarWriter(schema).text()


class _GrammarWriter:
    """Collects the rules of one grammar."""

    def __init__(self, schema: Mapping[str, Any]) -> None:
        self._schema = schema
        self._rules: dict[str, str] = {}
        self._references: dict[tuple[str, int], str] = {}
        self._entered: list[str] = []
        self._levels = 0
        self._numbers = count()

    def text(self) -> str:
        """Return the whole grammar."""
        root = self._value(self._schema)
        rules = "".join(f"{name} ::= {body}\n" for name, body in self._rules.items())
        return f"root ::= {root}\n{rules}{_COMMON.replace('ANY', ANY_CHARACTER)}"

    def _value(self, schema: Any) -> str:
        """Return the expression of one value."""
        self._levels += 1
        try:
            if self._levels > _MOST_LEVELS:
                raise Uncovered("schemas that lead to each other without end")
            return self._described(schema)
        finally:
            self._levels -= 1

    def _described(self, schema: Any) -> str:
        if schema is True or schema == {}:
            return self._anything(_MAX_DEPTH)
        if not isinstance(schema, Mapping):
            raise Uncovered("false for a value that must be there")
        if "$ref" in schema or "allOf" in schema:
            return self._joined(schema)
        for keyword in ("anyOf", "oneOf"):
            if keyword in schema:
                return self._alternatives(schema[keyword], without(schema, keyword), keyword)
        if "const" in schema or "enum" in schema:
            return f"({' | '.join(map(_literal, listed_values(schema)))})"
        return self._typed(schema)

    def _joined(self, schema: Mapping[str, Any]) -> str:
        """Return the expression of a value that several schemas describe."""
        if "$ref" not in schema:
            return self._value(self._all_of(schema))
        pointer = schema["$ref"]
        if isinstance(pointer, str) and not held_keywords(schema, "$ref"):
            return self._reference(pointer)
        return self._inside(pointer, lambda _: self._value(merged(self._pointed(pointer), without(schema, "$ref"))))

    def _typed(self, schema: Mapping[str, Any]) -> str:
        types = schema["type"] if "type" in schema else guessed_type(schema)
        if types is None:
            return self._anything(_MAX_DEPTH)
        if isinstance(types, str):
            types = [types]
        if not isinstance(types, Sequence) or not types or not all(kind in KEYWORDS for kind in types):
            raise Uncovered(f"type {types!r:.40}")
        return self._either([self._of_type(kind, schema) for kind in types])

    def _of_type(self, kind: str, schema: Mapping[str, Any]) -> str:
        match kind:
            case "object":
                return self._object(schema)
            case "array":
                return self._array(schema)
            case "string":
                return self._string(schema)
            case "integer":
                return whole_number(schema)
            case "number":
                return decimal_number(schema)
        return kind

    def _string(self, schema: Mapping[str, Any]) -> str:
        least, most = counts(schema, "minLength", "maxLength")
        pattern, form = schema.get("pattern"), FORMATS.get(str(schema.get("format")))
        if pattern is None and form is None:
            return "string" if (least, most) == (0, None) else rf'"\"" char{_times(least, most)} "\""'
        if not isinstance(pattern or form, str):
            raise Uncovered(f"pattern {pattern!r:.40}")
        try:
            text = pattern_text(pattern or form or "", self._rule, least=least, most=most)
        except UnreadablePattern as error:
            raise Uncovered(str(error)) from error
        return rf'"\"" {text} "\""'

    def _reference(self, pointer: str) -> str:
        """Return the rule of what a reference points to: one for each level that it is within itself."""

        def rule(level: int) -> str:
            key = (pointer, level)
            if key not in self._references:
                name = self._references[key] = f"ref{next(self._numbers)}"
                try:
                    self._rules[name] = self._value(self._pointed(pointer))
                except Uncovered:
                    del self._references[key]
                    raise
            return self._references[key]

        return self._inside(pointer, rule)

    def _inside(self, pointer: Any, make: Callable[[int], str]) -> str:
        """Return what is made of a reference; `make` gets how often references are within themselves. TooDeep."""
        level = len(self._entered) + 1 - len({*self._entered, str(pointer)})
        if level > _MOST_RECURSION:
            raise TooDeep("a $ref to itself that never ends")
        self._entered.append(str(pointer))
        try:
            return make(level)
        finally:
            self._entered.pop()

    def _pointed(self, pointer: Any) -> Any:
        """Return what a reference within the schema points to (RFC 6901)."""
        at: Any = self._schema
        if not isinstance(pointer, str) or not pointer.startswith("#"):
            raise Uncovered(f"$ref {pointer!r:.40}")
        for part in pointer[1:].split("/")[1:]:
            key = unquote(part).replace("~1", "/").replace("~0", "~")
            if isinstance(at, Mapping) and key in at:
                at = at[key]
            elif isinstance(at, Sequence) and key.isdecimal() and int(key) < len(at):
                at = at[int(key)]
            else:
                raise Uncovered(f"$ref {pointer!r:.40}")
        return at

    def _all_of(self, schema: Mapping[str, Any]) -> Any:
        """Return the schema with the parts of its `allOf` in it."""
        found: Any = without(schema, "allOf")
        for part in listed(schema["allOf"], "allOf"):
            while isinstance(part, Mapping) and "$ref" in part:
                part = merged(self._pointed(part["$ref"]), without(part, "$ref"))  # noqa: PLW2901 - resolved in place
            found = merged(found, part)
        return found

    def _alternatives(self, schemas: Any, beside: Mapping[str, Any], keyword: str) -> str:
        """Return a choice of schemas, each with what stands beside the choice."""
        found, refused = [], None
        for schema in listed(schemas, keyword):
            try:
                found.append(self._value(self._beside(schema, beside)))
            except Uncovered as error:
                refused = error
        if refused and not found:
            raise refused
        return self._either(found)

    def _beside(self, schema: Any, beside: Mapping[str, Any]) -> Any:
        if not held_keywords(beside):
            return schema
        while isinstance(schema, Mapping) and "$ref" in schema:
            schema = merged(self._pointed(schema["$ref"]), without(schema, "$ref"))
        return merged(beside, schema)

    def _object(self, schema: Mapping[str, Any]) -> str:
        """Return an object: the properties in their order, those that may be missing or not, then others if any."""
        properties = schema.get("properties", {})
        required = schema.get("required", ())
        if not isinstance(properties, Mapping) or not isinstance(required, Sequence) or isinstance(required, str):
            raise Uncovered("properties or required of a wrong type")
        if not all(isinstance(name, str) for name in required):
            raise Uncovered("required with what is no name")
        undeclared = [name for name in required if name not in properties]
        if undeclared and self._other(schema) is False and not schema.get("patternProperties"):
            raise Uncovered(f"required {undeclared[0]!r:.40}, which additionalProperties: false forbids")
        named = {
            **properties,
            **dict.fromkeys(undeclared, _UNDECLARED if self._other(schema) in (True, False) else self._other(schema)),
        }
        named = {name: one for name, one in named.items() if one is not False or name in required}
        least, most = counts(schema, "minProperties", "maxProperties")
        needed, kept = _chosen(list(named), required, least, most)
        pairs = [
            (f'{_literal(name)} sp ":" sp {value}', name in needed)
            for name in kept
            if (value := self._within(named[name], needed=name in needed)) is not None
        ]
        others = (max(0, least - len(needed)), None if most is None else most - len(kept))
        return f'"{{" ws {self._members(pairs, self._other_pair(schema, others), others)} ws "}}"'

    def _within(self, schema: Any, *, needed: bool) -> str | None:
        """Return the expression of a value within another, None: references are too deep here to go on with it."""
        try:
            return self._value(schema)
        except TooDeep:
            if needed:
                raise
            return None

    @staticmethod
    def _other(schema: Mapping[str, Any]) -> Any:
        """Return the schema of properties that are not declared."""
        return schema.get("additionalProperties", schema.get("unevaluatedProperties", True))

    def _other_pair(self, schema: Mapping[str, Any], count: tuple[int, int | None]) -> str | None:
        """Return the expression of a property that is not declared; None: there is none."""
        patterns = schema.get("patternProperties") or {}
        closed = self._other(schema) is False or (
            "additionalProperties" not in schema and bool(schema.get("properties")) and not count[0]
        )
        if count[1] == 0 or (closed and not patterns):
            if count[0]:
                raise Uncovered("minProperties above the declared properties")
            return None
        if not isinstance(patterns, Mapping):
            raise Uncovered("patternProperties of a wrong type")
        if patterns:
            named = [(self._string({"pattern": pattern}), one) for pattern, one in patterns.items() if one is not False]
            return self._either([f'{name} sp ":" sp {self._value(one)}' for name, one in named])
        names = schema.get("propertyNames")
        name = self._value({"type": "string", **names}) if isinstance(names, Mapping) else "string"
        return f'{name} sp ":" sp {self._value(self._other(schema))}'

    def _members(self, pairs: Sequence[tuple[str, bool]], other: str | None, count: tuple[int, int | None]) -> str:
        """Return the pairs with commas between them: a rule for each with a pair before it, and one without.

        other, count: a further pair, and how many of them.
        """
        least, most = count
        if other:
            further = self._rule(f'ws "," ws {other}')
            most = _MOST_OTHERS if most is None else most
            after = self._rule(further + _times(least, most))
            some = f"{other} {further}{_times(max(0, least - 1), most - 1)}"
            start = self._rule(some if least else f"({some})?")
        else:
            after = start = self._rule('""')
        for pair, needed in reversed(pairs):
            body = self._rule(pair)
            rest = after
            after = self._rule(f'ws "," ws {body} {rest}' + ("" if needed else f" | {rest}"))
            start = self._rule(f"{body} {rest}" + ("" if needed else f" | {start}"))
        return start

    def _array(self, schema: Mapping[str, Any]) -> str:
        least, most = counts(schema, "minItems", "maxItems")
        items, further = schema.get("items", True), schema.get("unevaluatedItems", True)
        first = schema.get("prefixItems", ())
        if isinstance(items, list):  # as drafts before 2020-12 have it
            first, items, further = items, True, schema.get("additionalItems", True)
        if first:
            return self._tuple(list(first)[:most], further if items is True else items, (least, most), items is True)
        if items is False or most == 0:
            if least:
                raise Uncovered("minItems of an array without items")
            return '"[" ws "]"'
        value = self._within(items, needed=least > 0)
        if value is None:
            return '"[" ws "]"'
        item = self._rule(value)
        another = self._rule(f'ws "," ws {item}')
        rest = _times(max(0, least - 1), None if most is None else most - 1)
        full = f"{item} {another}{rest} ws"
        return f'"[" ws {full} "]"' if least else f'"[" ws ({full})? "]"'

    def _tuple(self, first: list[Any], further: Any, count: tuple[int, int | None], implied: bool) -> str:  # noqa: FBT001
        """Return an array with schemas for its first items. implied: further ones only where they must be."""
        least, most = count[0] - len(first), None if count[1] is None else count[1] - len(first)
        body = ' ws "," ws '.join(self._rule(self._value(one)) for one in first)
        if further is False or (implied and least <= 0) or most == 0:
            if least > 0:
                raise Uncovered("minItems above the items that there may be")
            return f'"[" ws {body} ws "]"'
        item = self._rule(self._value(further))
        another = self._rule(f'ws "," ws {item}')
        return f'"[" ws {body} {another}{_times(max(0, least), max(0, least) if implied else most)} ws "]"'

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

    def _either(self, expressions: Sequence[str]) -> str:
        """Return a choice of rules: xgrammar (OpenVINO GenAI 2026.4) loses commas where bare sequences begin alike."""
        if len(expressions) == 1:
            return expressions[0]
        return f"({' | '.join(self._rule(one) if ' ' in one else one for one in expressions)})"

    def _rule(self, body: str) -> str:
        name = f"r{next(self._numbers)}"
        self._rules[name] = body
        return name


def _chosen(names: Sequence[str], required: Sequence[str], least: int, most: int | None) -> tuple[set[str], list[str]]:
    """Return the properties that are always there, and all that may be: the first ones, as many as there may be."""
    optional = [name for name in names if name not in required]
    needed = {*required, *optional[: max(0, least - len(set(required)))]}
    if most is None:
        return needed, list(names)
    if len(needed) > most:
        raise Uncovered("maxProperties below what is required")
    spare = [name for name in names if name not in needed][: most - len(needed)]
    return needed, [name for name in names if name in needed or name in spare]


def _times(least: int, most: int | None) -> str:
    if most is None:
        return "*" if not least else f"{{{least},}}"
    return f"{{{least},{most}}}"


def _literal(value: Any) -> str:
    """Return a JSON value as EBNF has it."""
    return _quoted(json.dumps(value, ensure_ascii=False))


def _quoted(text: str) -> str:
    """Return a text as EBNF has it."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
