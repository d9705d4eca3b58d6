"""What a model can do and needs, told by its declaration, its name and its files."""

import json

import pytest

from fastembed.inference.library.capabilities import capabilities_of
from fastembed.inference.library.catalog import Catalog, capabilities
from fastembed.inference.library.hub.hardware import HARDWARE
from fastembed.inference.library.hub.known import KNOWN
from fastembed.inference.library.sections import read_sections


@pytest.fixture
def folder(tmp_path):
    """Return a function that makes a model's folder of these files."""

    def folder(**files):
        made = tmp_path / "model"
        made.mkdir()
        for name, content in files.items():
            text = content if isinstance(content, str) else json.dumps(content)
            (made / name.replace("__", ".")).write_text(text)
        return made

    return folder


def test_vision_is_told_by_its_graph_and_tools_by_the_chat_template(folder):
    made = folder(openvino_vision_embeddings_model__xml="", chat_template__jinja="{% if tools %}")
    assert capabilities_of("m", "m", "chat", made).good_at == {"vision", "tools"}


@pytest.mark.parametrize(
    ("kind", "good_at"), [("qwen3_omni_moe", {"vision", "audio"}), ("gemma3n", {"vision"}), ("gemma4", {"vision"})]
)
def test_hearing_is_told_by_the_architecture_as_well_as_its_graph(folder, kind, good_at):
    thinker = {"text_config": {"max_position_embeddings": 32768}}
    made = folder(
        openvino_vision_embeddings_model__xml="",
        openvino_audio_encoder_model__xml="",
        config__json={"model_type": kind, "thinker_config": thinker},
    )
    found = capabilities_of("m", "m", "chat", made)
    assert (found.good_at, found.window) == (good_at, 32768)


def test_no_declaration_makes_a_model_hear(folder):
    made = folder(openvino_vision_embeddings_model__xml="", config__json={"model_type": "gemma3n"})
    assert capabilities_of("m", "m", "chat", made, ["vision", "audio"]).good_at == {"vision"}
    assert capabilities_of("m", "m", "chat", None, ["vision", "audio"]).good_at == {"vision", "audio"}


def test_what_a_picture_takes_is_what_the_configuration_says(folder):
    made = folder(openvino_vision_embeddings_model__xml="", config__json={"mm_tokens_per_image": 16})
    assert capabilities_of("m", "m", "chat", made).picture_tokens == 18


def test_a_template_within_the_tokenizers_configuration_counts_too(folder):
    made = folder(tokenizer_config__json={"chat_template": "{{ tools }}"})
    assert capabilities_of("m", "m", "chat", made).good_at == {"tools"}


@pytest.mark.parametrize("origin", ["OpenVINO/Qwen2.5-Coder-7B-int4-ov", "codellama-7b", "models/my-code-model"])
def test_a_model_for_code_is_told_by_its_name(origin):
    assert capabilities_of("m", origin, "chat", None).good_at == {"code"}


@pytest.mark.parametrize("origin", ["OpenVINO/Qwen3-8B-int4-ov", "encoder-decoder", "barcodes"])
def test_a_name_that_only_resembles_code_says_nothing(origin):
    assert capabilities_of("m", origin, "chat", None).good_at == frozenset()


@pytest.mark.parametrize(
    ("files", "window"),
    [
        ({"config__json": {"max_position_embeddings": 4096}}, 4096),
        ({"config__json": {"text_config": {"max_position_embeddings": 32768}}}, 32768),
        (
            {"config__json": {"max_position_embeddings": 512}, "sentence_bert_config__json": {"max_seq_length": 256}},
            256,
        ),
        ({"config__json": {}}, None),
    ],
)
def test_the_context_is_what_the_files_say(folder, files, window):
    assert capabilities_of("m", "m", "chat", folder(**files)).window == window


@pytest.mark.parametrize(("origin", "size"), [("x-int4-ov", 5.0), ("x-fp16-ov", 1.5), ("x", 3.0)])
def test_a_size_is_guessed_from_the_bytes_and_the_precision_in_the_name(folder, origin, size, monkeypatch):
    made = folder(openvino_model__bin="0" * 3000)
    assert capabilities_of("m", origin, "chat", made).least == 3000
    monkeypatch.setattr("fastembed.inference.library.capabilities.BILLION", 1e3)
    assert capabilities_of("m", origin, "chat", made).size == size


def test_a_declaration_has_the_last_word(tmp_path):
    declared, _ = read_sections(
        {"models": {"mine": {"from": "phi-4-mini", "good_at": ["tools"], "window": 99, "size": 1.5}}}
    )
    (mine, *_) = Catalog(declared, base=tmp_path).placed()
    found = capabilities(mine)
    assert (found.good_at, found.window, found.size) == ({"tools"}, 99, 1.5)


def test_what_is_known_of_a_name_is_used():
    found = capabilities_of("phi-4-mini", "OpenVINO/Phi-4-mini-instruct-int4-ov", "chat", None)
    assert (found.good_at, found.size, found.window, found.licence) == ({"code"}, 3.8, 131072, "MIT")
    assert found.least <= found.optimal


def test_every_known_model_has_its_figures():
    assert HARDWARE.keys() == {model.name for model in KNOWN}
    for needs in HARDWARE.values():
        assert 0 < needs.least <= needs.optimal


def test_what_is_not_known_is_none():
    found = capabilities_of("x", "y", None, None)
    assert (found.size, found.least, found.window, found.npu, found.licence) == (0, None, None, None, None)
