from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from fastembed.pipeline.config.definition import canonical_json
from fastembed.pipeline.config.load import parse
from fastembed.pipeline.plan import Configuration
from fastembed.pipeline.registry import Registry

Read = Callable[..., Configuration]

TEXT = """
defaults: {retry: 1}
pipelines:
  p:
    source: {folder: in, settle: 2s}
    operators: [parse, {chunk: {tokens: 300, overlap: 40}, if: title}, {embed: {model: "${MODEL:-auto}"}}]
    sink: {duckdb: x, password: "${DB_PASSWORD:-none}"}
"""


def definition(read: Read, text: str, name: str = "p", **environ: str) -> str:
    return read(text, **environ).pipelines[name].definition


def test_a_definition_is_16_hex_characters(read: Read):
    found = definition(read, TEXT)
    assert len(found) == 16
    int(found, 16)


@pytest.mark.parametrize(
    "other",
    [
        TEXT.replace("folder: in, settle: 2s", "settle: 2s, folder: in"),
        TEXT.replace("tokens: 300, overlap: 40", "overlap: 40, tokens: 300  "),
        TEXT.replace("defaults:", "# a comment\ndefaults:"),
        TEXT + "  q: {source: {folder: other}, sink: {folder: out}}\n",
        TEXT.replace("  p:", "  renamed:"),
        TEXT.replace("overlap: 40", "overlap: 40 ").replace(", overlap: 40 ", ""),
        TEXT.replace(", settle: 2s", ""),
        TEXT.replace("settle: 2s", "settle: 2000ms"),
        TEXT.replace("{folder: in, settle: 2s}", "{folder: ./in}"),
        TEXT.replace("defaults: {retry: 1}", "")
        .replace("parse,", "{parse: , retry: 1},")
        .replace('auto}"}}', 'auto}"}, retry: 1}'),
    ],
)
def test_what_means_the_same_has_the_same_definition(read: Read, other: str) -> None:
    name = "renamed" if "renamed" in other else "p"
    assert definition(read, other, name) == definition(read, TEXT)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("tokens: 300", "tokens: 301"),
        ("if: title", "if: not title"),
        ("folder: in", "folder: inbox"),
        ("retry: 1", "retry: 2"),
        ("[parse, ", "[parse, analyze, "),
        ("settle: 2s", "settle: 3s"),
        ("-auto", "-bge"),
    ],
)
def test_what_means_something_else_has_another_definition(read: Read, old: str, new: str) -> None:
    assert definition(read, TEXT.replace(old, new)) != definition(read, TEXT)


def test_a_value_of_the_environment_counts_and_a_secret_does_not(read: Read):
    assert definition(read, TEXT, MODEL="bge") != definition(read, TEXT)
    assert definition(read, TEXT, DB_PASSWORD="one-one") == definition(read, TEXT, DB_PASSWORD="two-two")  # noqa: S106
    assert "one-one" not in canonical_json(read(TEXT, DB_PASSWORD="one-one").pipelines["p"])  # noqa: S106


def test_the_folder_of_the_file_does_not_count(registry: Registry, tmp_path: Path):
    here = parse(TEXT, registry=registry, base=tmp_path / "here").pipelines["p"]
    there = parse(TEXT, registry=registry, base=tmp_path / "there").pipelines["p"]
    assert here.definition == there.definition


def test_the_canonical_form_is_json_with_defaults(read: Read):
    found = json.loads(canonical_json(read(TEXT).pipelines["p"]))
    assert found["source"]["options"] == {"path": "in", "match": "*", "settle": 2.0}
    assert found["steps"][1]["condition"] == "title"
    assert found["steps"][0]["retry"] == {"attempts": 1, "base_s": 0.1, "max_s": 10.0}
    assert "name" not in found
    assert "place" not in found["sink"]
