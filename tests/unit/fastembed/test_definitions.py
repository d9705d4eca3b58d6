"""A folder pipeline's definition says which reader and which models make its rows."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from fastembed import definitions
from fastembed.assembly import read_configuration
from fastembed.pipeline.ledger import differs_in_model_only

MINILM = Path(__file__).parents[3] / "models" / "minilm"
TEXT = """
version: 1
models:
  mine: {{from: {folder}, prompts: {{document: "{prompt}"}}}}
pipelines:
  papers:
    source: {{folder: inbox}}
    operators: [parse, chunk: {{tokens: {tokens}}}, embed: {{model: {model}}}]
    sink: {{duckdb: lake.duckdb}}
"""


@pytest.fixture
def definition(tmp_path):
    folder = tmp_path / "mine"
    shutil.copytree(MINILM, folder, copy_function=os.link)

    def of(*, model="mine", prompt="", tokens=256):
        text = TEXT.format(folder=folder, model=model, prompt=prompt, tokens=tokens)
        (tmp_path / "pipelines.yaml").write_text(text)
        return read_configuration(tmp_path / "pipelines.yaml").pipelines["papers"].definition

    return of


def test_another_name_that_stands_for_the_same_model_is_the_same_definition(definition):
    first, _, model = definition().partition(".")
    assert (len(first), len(model)) == (16, 12)
    assert definition(model="auto") == definition()
    assert differs_in_model_only(definition(), definition(model="all-MiniLM-L6-v2"))


def test_another_prompt_or_other_weights_change_the_part_of_the_model(definition, tmp_path):
    before = definition()
    assert differs_in_model_only(before, definition(prompt="passage: "))
    weights = tmp_path / "mine" / "openvino_model.bin"
    content = bytearray(weights.read_bytes())
    content[len(content) // 2 : len(content) // 2 + 200_000] = bytes(200_000)
    weights.unlink()
    weights.write_bytes(content)
    assert differs_in_model_only(before, definition())


def test_a_copy_of_a_model_is_the_same_model(definition, tmp_path):
    before = definition()
    shutil.rmtree(tmp_path / "mine")
    shutil.copytree(MINILM, tmp_path / "mine")
    assert definition() == before


def test_another_chunk_length_or_reader_changes_the_other_part(definition, monkeypatch):
    before = definition()
    assert definition(tokens=128).partition(".")[2] == before.partition(".")[2]
    assert not differs_in_model_only(before, definition(tokens=128))
    monkeypatch.setattr(definitions, "READER", "another")
    assert before != definition()
    assert not differs_in_model_only(before, definition())


def test_a_model_that_is_not_here_yet_stands_for_itself(definition):
    assert definition(model="multilingual-e5-small").endswith(".multilingual-e5-small")
