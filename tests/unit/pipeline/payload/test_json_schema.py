"""Schemas of one's own routes: what fits, what a refusal names, what `check` knows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from fastembed.assembly import lint_configuration
from fastembed.pipeline.errors import InvalidInput
from fastembed.pipeline.payload.json_schema import DeclaredSchema

SCHEMA = {
    "type": "object",
    "properties": {
        "question": {"type": "string", "minLength": 1},
        "lines": {"type": "array", "items": {"type": "object", "properties": {"count": {"type": "integer"}}}},
    },
    "required": ["question"],
    "additionalProperties": False,
}


def test_what_fits_passes() -> None:
    DeclaredSchema(SCHEMA).check({"question": "x", "lines": [{"count": 1}]})


@pytest.mark.parametrize(
    ("value", "param"),
    [
        ({}, "question"),
        ({"question": ""}, "question"),
        ({"question": "x", "lines": [{"count": 1}, {"count": "two"}]}, "lines[1].count"),
        ({"question": "x", "qestion": 1}, "qestion"),
        ([], None),
    ],
)
def test_what_does_not_fit_is_refused_with_its_field(value: Any, param: str | None) -> None:
    with pytest.raises(InvalidInput) as refused:
        DeclaredSchema(SCHEMA).check(value)
    assert (refused.value.param, refused.value.code) == (param, "schema_mismatch")


def test_what_is_no_schema_is_refused_when_it_is_read(tmp_path: Path) -> None:
    (tmp_path / "list.json").write_text("[]")
    for wrong in ({"type": "text"}, {"properties": []}, tmp_path / "missing.json", tmp_path / "list.json"):
        with pytest.raises(ValueError, match="found"):
            DeclaredSchema(wrong)


def test_references_lead_to_parts_of_the_schema_only() -> None:
    inside = DeclaredSchema({"$defs": {"n": {"type": "integer"}}, "properties": {"a": {"$ref": "#/$defs/n"}}})
    inside.check({"a": 1})
    with pytest.raises(InvalidInput, match="a: 'x'"):
        inside.check({"a": "x"})
    with pytest.raises(ValueError, match="within the schema"):
        DeclaredSchema({"properties": {"a": {"$ref": "http://127.0.0.1:9/schema.json"}}})


ROUTES = {
    ("http: POST /ask", "map: value.question"): "",
    ("http: POST /ask", "map: value.get('question')"): "",
    ("http: POST /ask", "map: question"): "",
    ("http: POST /ask", "map: value.qestion"): "question",
    ("http: POST /ask", "parse"): "dict",
    ("websocket: /ask, messages: json", "map: value.qestion"): "question",
    ("websocket: /ask, messages: text", "map: value"): "messages: json",
    ("http: POST /v1/embeddings", "embed"): "schema",
}


@pytest.mark.parametrize(("source", "step"), ROUTES)
def test_check_knows_the_fields(tmp_path: Path, source: str, step: str) -> None:
    path = tmp_path / "pipelines.yaml"
    schema = "{type: object, properties: {question: {type: string}}}"
    text = f"version: 1\npipelines:\n  p:\n    source: {{{source}, schema: {schema}}}\n    operators: [{step}]\n"
    path.write_text(f"{text}    sink: reply\n")
    errors = lint_configuration(path).errors
    assert bool(errors) == bool(ROUTES[source, step]), errors
    assert all(ROUTES[source, step] in error for error in errors)
