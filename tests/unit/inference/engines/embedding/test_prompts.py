"""What an embedding model wants before a text."""

import json

import pytest

from fastembed.inference.engines.embedding.prompts import Prompts, prompts_of, read_prompts

E5 = Prompts("query: ", "passage: ")


@pytest.mark.parametrize(
    ("named", "prompts"),
    [
        ({"query": "query: ", "document": "passage: "}, E5),
        ({"query": "query: ", "passage": "passage: "}, E5),
        ({"query": "Represent this sentence: ", "document": ""}, Prompts("Represent this sentence: ", "")),
        ({"STS": "x"}, Prompts()),
        ({"query": None}, Prompts()),
    ],
)
def test_sentence_transformers_names_are_understood(tmp_path, named, prompts):
    (tmp_path / "config_sentence_transformers.json").write_text(json.dumps({"prompts": named}))
    assert read_prompts(tmp_path) == prompts == prompts_of(named)


@pytest.mark.parametrize("content", ["{}", '{"prompts": null}', '{"prompts": []}'])
def test_a_model_without_prompts_takes_texts_as_they_are(tmp_path, content):
    assert read_prompts(tmp_path) == Prompts()
    (tmp_path / "config_sentence_transformers.json").write_text(content)
    assert read_prompts(tmp_path).before("Brot", "query") == "Brot"


def test_each_purpose_has_its_own_and_none_comes_twice():
    assert E5.before("Brot", "query") == "query: Brot"
    assert E5.before("Brot", "document") == "passage: Brot"
    assert E5.before("query: Brot", "query") == "query: Brot"
