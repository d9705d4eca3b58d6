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

POCKET = Path(__file__).parents[2] / "models" / "chat-pocket"
PERSON = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "age": {"type": "integer"}},
    "required": ["name"],
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
UNCOVERED = (
    {"type": "string", "pattern": "a+"},
    {"type": "object", "minProperties": 1},
    {"type": "number", "minimum": 0},
    {"allOf": [PERSON, {"type": "object"}]},
    {"type": "string", "format": "date"},
)


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
    assert ended or name in ("anything", "any object", "open", "any array"), name


@pytest.mark.parametrize("schema", UNCOVERED, ids=str)
def test_what_is_not_covered_is_left_to_xgrammar(schema):
    assert grammar_of(schema) is None
    assert grammar_of({"type": "object", "properties": {"a": schema}}) is None


def test_blanks_and_digits_have_limits(engine):
    """Wild guesses that may write blanks for ever: every answer of bounded parts ends."""
    schema = {
        "type": "object",
        "properties": {"a": {"type": "number"}, "b": {"type": "integer"}},
        "required": ["a", "b"],
    }
    for text in texts(engine, grammar_of(schema), range(10, 20)):
        assert json.loads(text).keys() == {"a", "b"}
