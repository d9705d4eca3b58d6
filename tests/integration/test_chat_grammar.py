"""Grammars made of JSON Schemas, in xgrammar itself: it takes them, and what it lets pass are instances that end."""

from __future__ import annotations

import json
import re
from pathlib import Path

import jsonschema
import openvino_genai as genai
import pytest

from fastembed.inference.engines.chat.folder import open_batched
from fastembed.inference.engines.chat.grammar import grammar_of
from fastembed.inference.engines.chat.merging import Uncovered

POCKET = Path(__file__).parents[2] / "models" / "chat-pocket"
PERSON = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "age": {"type": "integer"}},
    "required": ["name"],
}
SHORT = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "maxLength": 8},
        "age": {"type": "integer", "minimum": 0, "maximum": 120},
    },
    "required": ["name", "age"],
}
COVERED = {
    "two fields": {**PERSON, "required": ["name", "age"]},
    "an optional field": PERSON,
    "all optional": {**PERSON, "required": []},
    "open": {**PERSON, "additionalProperties": True},
    "typed others": {"type": "object", "additionalProperties": {"type": "boolean"}},
    "required but not declared": {"type": "object", "properties": {"a": {"type": "null"}}, "required": ["b"]},
    "any object": {"type": "object"},
    "anything": {},
    "names with quotes": {"type": "object", "properties": {'a"b\\c': {"type": "null"}, "grüß": {"const": 1}}},
    "at least one": {"type": "array", "items": {"type": "boolean"}, "minItems": 1, "maxItems": 3},
    "any array": {"type": "array", "maxItems": 2},
    "no items": {"type": "array", "maxItems": 0},
    "words": {"enum": ["red", 'a "b"', "grün", 3, None, [1, {"a": 2}]]},
    "several types": {"type": ["integer", "null"]},
    "either": {"anyOf": [{"type": "boolean"}, {"type": "array", "items": {"type": "number"}, "maxItems": 2}]},
    "bounds": {"type": "integer", "minimum": -7, "exclusiveMaximum": 151},
    "lengths": {"type": "string", "minLength": 2, "maxLength": 5},
    "a tree": {
        "$defs": {
            "node": {
                "type": "object",
                "properties": {
                    "v": {"type": "integer"},
                    "next": {"anyOf": [{"$ref": "#/$defs/node"}, {"type": "null"}]},
                },
                "required": ["v", "next"],
            }
        },
        "$ref": "#/$defs/node",
    },
}
BOUNDED = {
    "a code": {"type": "string", "pattern": r"^[A-Z]{2}-\d{3,5}$"},
    "somewhere within": {"type": "string", "pattern": "a+b|^y$"},
    "words with a tail": {"type": "string", "pattern": "^(foo|ba[rz])(?:-x)*$"},
    "an address": {"type": "string", "pattern": r"^\S+@\S+\.\w+$"},
    "quotes and backslashes": {"type": "string", "pattern": '^[^"a-c]{3}["\'\\\\]$'},
    "a telephone number": {"type": "string", "pattern": r"^\+?[1-9]\d{1,14}$"},
    "a pattern and lengths": {"type": "string", "pattern": "^[a-z]+$", "minLength": 3, "maxLength": 6},
    "escapes": {"type": "string", "pattern": r"^[\u00e4-\u00fc\-]{2}\x41é$"},
    **{
        name: {"type": "string", "format": name}
        for name in ("date", "date-time", "duration", "email", "hostname", "ipv4", "ipv6", "uuid", "uri")
    },
    "an unknown format": {"type": "string", "format": "colour", "maxLength": 4},
    "no less than 0": {"type": "number", "minimum": 0},
    "a small range": {"type": "number", "minimum": 0.5, "maximum": 1.25},
    "a share": {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1},
    "below zero": {"type": "number", "minimum": -3.7, "maximum": -1},
    "around zero": {"type": "number", "minimum": -0.001, "maximum": 12.5},
    "far below": {"type": "number", "maximum": -1000},
    "around a hundred": {"type": "number", "minimum": 99.99, "maximum": 100.01},
    "one number": {"type": "number", "minimum": 3, "maximum": 3},
    "fractions as bounds": {"type": "integer", "minimum": 0.5, "maximum": 9.9},
    "draft 4's bounds": {
        "$schema": "http://json-schema.org/draft-04/schema#",
        "type": "integer",
        "minimum": 0,
        "exclusiveMinimum": True,
        "maximum": 2,
    },
    "multiples": {"type": "integer", "multipleOf": 5, "minimum": 1, "maximum": 20},
    "one of the optional": {**SHORT, "required": [], "minProperties": 1},
    "few others": {"type": "object", "maxProperties": 2, "propertyNames": {"maxLength": 3}}
    | {"additionalProperties": {"type": "boolean"}},
    "names of a pattern": {
        "type": "object",
        "patternProperties": {"^x-[a-z]{1,3}$": {"type": "integer", "maximum": 9, "minimum": 0}},
        "additionalProperties": False,
        "maxProperties": 3,
    },
    "a tuple": {"type": "array", "prefixItems": [{"type": "boolean"}, {"const": "x"}], "items": False},
    "a long tuple": {"prefixItems": [{"type": "null"}], "items": {"type": "boolean"}, "minItems": 2, "maxItems": 4},
    "all of": {"allOf": [SHORT, {"type": "object", "properties": {"x": {"type": "null"}}, "required": ["x"]}]},
    "beside a reference": {"$defs": {"p": SHORT}, "$ref": "#/$defs/p", "properties": {"y": {"type": "boolean"}}}
    | {"required": ["y"]},
    "beside anyOf": {**SHORT, "required": [], "anyOf": [{"required": ["name"]}, {"required": ["age"]}]},
    "tagged": {
        "oneOf": [
            {"properties": {"k": {"const": "a"}, "v": {"type": "integer"}}, "required": ["k", "v"]},
            {"properties": {"k": {"const": "b"}}, "required": ["k"]},
        ],
        "type": "object",
    },
    "words of one type": {"type": ["string", "null"], "enum": ["a", None, 3]},
    "no type": {"properties": {"a": {"type": "boolean"}}, "required": ["a"]},
    "a list of no type": {"items": {"type": "boolean"}, "maxItems": 3},
    "a forbidden property": {"type": "object", "properties": {"a": False, "b": {"type": "null"}}, "required": ["b"]},
    "unknown words": {"type": "integer", "minimum": 0, "maximum": 5, "nullable": True, "x-note": 1},
    "lists of lists": {
        "type": "array",
        "minItems": 1,
        "maxItems": 2,
        "items": {"type": "array", "maxItems": 2, "items": {"type": "object", "properties": {"q'\"": {"const": 1}}}},
    },
    "a tree that may end": {
        "$defs": {
            "t": {
                "type": "object",
                "properties": {
                    "v": {"const": 1},
                    "c": {"type": "array", "maxItems": 1, "items": {"$ref": "#/$defs/t"}},
                },
                "required": ["v", "c"],
            }
        },
        "$ref": "#/$defs/t",
    },
    "two that refer to each other": {
        "$defs": {
            "a": {"properties": {"b": {"$ref": "#/$defs/b"}}, "additionalProperties": False},
            "b": {"anyOf": [{"$ref": "#/$defs/a"}, {"type": "null"}], "description": "or nothing"},
        },
        "$ref": "#/$defs/a",
    },
    "typed and not declared": {
        "type": "object",
        "required": ["b"],
        "maxProperties": 3,
        "additionalProperties": {"type": "integer", "minimum": 1, "maximum": 9},
    },
}
"""Every answer to these ends within its tokens, however wildly the model guesses."""
UNCOVERED = {
    "pattern that looks around": {"type": "string", "pattern": "^(?=.*a).+$"},
    r"pattern with \b": {"type": "string", "pattern": r"\bword\b"},
    "pattern with minLength or maxLength": {"type": "string", "pattern": "^abc$", "maxLength": 2},
    "bounds between which there is no whole number": {"type": "integer", "minimum": 5, "maximum": 4},
    "bounds between which there is no number": {"type": "number", "exclusiveMinimum": 1, "maximum": 1},
    "required 'b', which additionalProperties: false forbids": {
        "type": "object",
        "properties": {"a": {"type": "null"}},
        "required": ["b"],
        "additionalProperties": False,
    },
    "maxProperties below what is required": {**PERSON, "maxProperties": 0},
    "enum without a value of its type": {"type": "string", "enum": [1, 2]},
    "maxItems below minItems": {"type": "array", "minItems": 3, "maxItems": 2},
    "a $ref to itself that never ends": {
        "$defs": {"n": {"type": "object", "properties": {"n": {"$ref": "#/$defs/n"}}, "required": ["n"]}},
        "$ref": "#/$defs/n",
    },
    "schemas that lead to each other without end": {
        "$defs": {"n": {"allOf": [{"$ref": "#/$defs/n"}]}},
        "allOf": [{"$ref": "#/$defs/n"}],
    },
    "type in two parts of allOf": {"allOf": [{"type": "string"}, {"type": "null"}]},
}


@pytest.fixture(scope="module")
def engine():
    return open_batched(POCKET, "CPU", {}, 256)


def texts(engine, grammar: str, seeds=range(4)) -> list[str]:
    """What chat-pocket writes under the grammar when it guesses wildly, as text."""
    tokenizer = engine.get_tokenizer()
    configs = []
    for seed in seeds:
        config = engine.get_config()
        config.apply_chat_template = False
        config.max_new_tokens = 400
        config.do_sample, config.temperature, config.rng_seed = True, 1.6, seed
        config.structured_output_config = genai.StructuredOutputConfig(grammar=grammar)
        configs.append(config)
    prompt = tokenizer.encode("<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n", add_special_tokens=False)
    answers = engine.generate([prompt.input_ids] * len(configs), configs)
    return [tokenizer.decode(answer.m_generation_ids[0]) for answer in answers]


@pytest.mark.parametrize("name", COVERED)
def test_what_a_grammar_lets_pass_is_an_instance_of_the_schema(engine, name):
    schema = COVERED[name]
    ended = 0
    for text in texts(engine, grammar_of(schema)):
        assert not re.search(r"\s{43}", text)
        try:
            value = json.loads(text)
        except ValueError:
            continue  # a text, or a list without end, up to the limit of tokens
        ended += 1
        jsonschema.validate(value, schema)
    assert ended or name in ("anything", "any object", "open"), name


@pytest.mark.parametrize("name", BOUNDED)
def test_what_bounded_keywords_let_pass_is_an_instance_and_ends(engine, name):
    schema = BOUNDED[name]
    for text in texts(engine, grammar_of(schema)):
        jsonschema.validate(json.loads(text), schema, format_checker=jsonschema.FormatChecker())


@pytest.mark.parametrize("reason", UNCOVERED)
def test_what_no_grammar_holds_to_is_refused_with_the_keyword(reason):
    schema = UNCOVERED[reason]
    inside = {"type": "object", "properties": {"a": schema}, "required": ["a"]}
    for whole in (schema, {**inside, **({"$defs": schema["$defs"]} if "$defs" in schema else {})}):
        with pytest.raises(Uncovered, match=re.escape(reason)):
            grammar_of(whole)


def test_blanks_and_digits_have_limits(engine):
    """Wild guesses that may write blanks for ever: every answer of bounded parts ends."""
    schema = {
        "type": "object",
        "properties": {"a": {"type": "number"}, "b": {"type": "integer"}},
        "required": ["a", "b"],
    }
    for text in texts(engine, grammar_of(schema), range(10, 20)):
        assert json.loads(text).keys() == {"a", "b"}
