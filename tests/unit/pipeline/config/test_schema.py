from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from fastembed.pipeline.config.nodes import plain
from fastembed.pipeline.config.nodes import read as read_nodes
from fastembed.pipeline.config.problems import Problems
from fastembed.pipeline.config.schema import arguments, schema
from fastembed.pipeline.registry import Registry

Check = Callable[[str], list[str]]


@pytest.fixture
def made(registry: Registry) -> dict[str, Any]:
    return schema(registry, {"limits": dict[str, int]})


@pytest.fixture
def check(made: dict[str, Any]) -> Check:
    validator = Draft202012Validator(made)

    def errors(text: str) -> list[str]:
        node = read_nodes(text, "f", str, Problems())
        assert node is not None
        return [error.json_path for error in validator.iter_errors(plain(node))]

    return errors


def test_the_schema_is_a_json_schema_of_2020_12(made: dict[str, Any]):
    Draft202012Validator.check_schema(made)
    assert made["$schema"] == "https://json-schema.org/draft/2020-12/schema"


GOOD = """
version: 1
plugins: [./x.py]
defaults: {queue: 64, timeout: 30s, drain: 20s, retry: {attempts: 2}}
limits: {a: 3, b: "${B}"}
pipelines:
  p:
    source: {folder: in, match: "*.md", settle: 2s, queue: 5s, overflow: drop_oldest, key: session}
    operators:
      - parse: {ocr: auto}
        workers: 1
        timeout: 10m
        retry: 1
      - chunk: 400
      - embed
      - embed: {model: auto}
        batch: {max: 32, tokens: 8192, wait: 4ms}
        latest: not item.final
      - route:
          - if: value.x
            operators: [analyze]
            sink: reply
          - else: {operators: [vad: {silence: "${S}"}]}
      - fork: {a: [analyze], b: [transcribe], join: all}
    sink: {duckdb: x, table: y}
    on_error: {folder: failed}
    drain: 3s
tests: [{pipeline: p, give: 1, expect: [2], fake: {embed: 1}}]
"""


def test_a_good_file_is_valid(check: Check):
    assert check(GOOD) == []


@pytest.mark.parametrize(
    ("old", "new", "path"),
    [
        ("version: 1", "version: 2", "$.version"),
        ("drain: 20s", "drian: 20s", "$.defaults"),
        ("settle: 2s", "setle: 2s", "$.pipelines.p.source"),
        ("settle: 2s", "settle: 2", "$.pipelines.p.source"),
        ("ocr: auto", "ocr: atuo", "$.pipelines.p.operators"),
        ("workers: 1", "wrokers: 1", "$.pipelines.p.operators"),
        ("table: y", "tabel: y", "$.pipelines.p.sink"),
        ("drain: 3s", "dran: 3s", "$.pipelines.p"),
        ("a: 3", "a: x", "$.limits.a"),
        ("- embed\n", "- embde\n", "$.pipelines.p.operators"),
    ],
)
def test_a_bad_file_is_not(check: Check, old: str, new: str, path: str) -> None:
    assert old in GOOD
    assert check(GOOD.replace(old, new)) == [path]


def test_docstrings_and_defaults_reach_the_editor(made: dict[str, Any]):
    (folder,) = [entry for entry in made["$defs"]["source"]["anyOf"] if "folder" in entry.get("required", ())]
    assert folder["description"] == "Yields the files of a folder."
    assert folder["properties"]["match"]["description"] == "which files, as a glob."
    assert folder["properties"]["match"]["default"] == "*"


def test_arguments_of_a_docstring_are_read():
    doc = (
        "Does it.\n\nArgs:\n    one: the first,\n        and more.\n    two: the second: yes.\n\nRaises:\n    X: never."
    )
    expected = {"one": "the first, and more.", "two": "the second: yes."}
    assert arguments(doc, ["one", "two"]) == expected
    assert arguments("Args: one: the first,\nand more. two: the second: yes.\n\nMore.", ["one", "two"]) == expected
    assert arguments("Nothing.", ["one"]) == {}
    assert arguments(doc, []) == {}
