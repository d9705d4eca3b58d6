from __future__ import annotations

import pytest

from fastembed.inference.engines.chat.schema import compiled, dangling, deeper, loose, too_much

TEXT = {"type": "string"}
OPEN = {"type": "object", "properties": {f"p{i}": TEXT for i in range(501)}}


@pytest.mark.parametrize(
    ("schema", "what"),
    [
        (OPEN, "501 properties that may be missing"),
        ({"properties": {f"p{i}": TEXT for i in range(1001)}, "additionalProperties": False}, "1001 properties"),
        (
            {"anyOf": [{"properties": {f"p{i}": TEXT for i in range(501)}, "additionalProperties": False}] * 2},
            "1002 pro",
        ),
        ({"items": {"enum": list(range(5001))}}, "5001 values in enum"),
        ({"type": "string", "pattern": "[a-z]?" * 33}, "33 repetitions in one pattern"),
        ({"anyOf": [{"pattern": "a+" * 20}] * 7}, "140 repetitions in all patterns"),
        ({"patternProperties": {"^a{1,3000}b{3000}$": TEXT}}, "6000 counted repetitions"),
        ({"pattern": "a{1," + "9" * 5000 + "}"}, "9999999 counted repetitions"),
        ({"$ref": "#/x", "x": OPEN}, "501 properties that may be missing"),
    ],
)
def test_what_a_grammar_would_take_long_for_is_too_much(schema, what):
    assert too_much(schema).startswith(what)


@pytest.mark.parametrize(
    "schema",
    [
        {"properties": {f"p{i}": TEXT for i in range(1000)}, "required": [f"p{i}" for i in range(1000)]},
        {"properties": dict.fromkeys(("enum", "pattern", "properties", "required"), TEXT)},
        {"type": "string", "pattern": r"[?*+]{2}\?\*\+(?:a|b)" * 20},
        {"const": {"properties": dict.fromkeys(map(str, range(2000)))}, "default": [OPEN]},
        {"enum": [OPEN]},
    ],
)
def test_what_is_no_trouble_is_not(schema):
    assert too_much(schema) is None


@pytest.mark.parametrize(
    ("schema", "name"),
    [
        ({"$ref": "#"}, "#"),
        ({"$ref": "http://elsewhere/a"}, "http://elsewhere/a"),
        ({"properties": {"a": {"$ref": "#/$defs/b"}}}, "#/$defs/b"),
        ({"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}}, "#/$defs/a"),
    ],
)
def test_a_reference_to_nothing_else_dangles(schema, name):
    assert dangling(schema) == name


@pytest.mark.parametrize(
    "schema",
    [
        {"properties": {"next": {"anyOf": [{"$ref": "#"}, {"type": "null"}]}}},
        {"$ref": "#/$defs/a~1b/anyOf/1", "$defs": {"a/b": {"anyOf": [TEXT, {"type": "integer"}]}}},
        {"properties": {"$ref": TEXT}, "const": {"$ref": "#/none"}},
    ],
)
def test_a_reference_to_another_part_does_not(schema):
    assert dangling(schema) is None


@pytest.mark.parametrize(
    ("schema", "keyword"),
    [
        ({"properties": {"a": {"not": TEXT}}}, "not"),
        ({"items": {"multipleOf": 5}}, "multipleOf"),
        ({"uniqueItems": True}, "uniqueItems"),
        ({"allOf": [TEXT, TEXT]}, "allOf"),
        ({"allOf": [TEXT], "uniqueItems": False, "properties": {"not": TEXT, "if": TEXT}, "const": {"not": 1}}, None),
    ],
)
def test_keywords_that_no_grammar_keeps_are_found(schema, keyword):
    assert loose(schema) == keyword


def test_depth_is_counted():
    nested = TEXT
    for _ in range(64):
        nested = {"items": nested}
    assert deeper(nested)
    assert not deeper(nested, 65)


def test_bounds_that_a_grammar_breaks_on_are_left_out():
    half = {"type": "number", "minimum": 0.5, "maximum": 2}
    schema = {"properties": {"a": half, "minimum": half}, "enum": [{"minimum": 0.5}], "items": [{"minimum": 1}]}
    free = {"type": "number"}
    assert compiled(schema) == {
        "properties": {"a": free, "minimum": free},
        "enum": [{"minimum": 0.5}],
        "items": [{"minimum": 1}],
    }
