"""What `models:` and `devices:` may say, and which folder a name means. No model is loaded here."""

import json

import pytest

from fastembed.inference.library.catalog import Catalog
from fastembed.inference.library.devices import Devices
from fastembed.inference.library.folders import models_home
from fastembed.inference.library.sections import read_sections
from fastembed.inference.library.shipped import DEFAULT_EMBEDDING
from fastembed.inference.library.tasks import TASKS
from fastembed.pipeline.errors import ConfigError, ModelNotFound, Unavailable


def folder(base, name, architecture="BertModel"):
    made = base / name
    made.mkdir(parents=True)
    (made / "openvino_model.xml").write_text("<net/>")
    (made / "config.json").write_text(json.dumps({"architectures": [architecture]}))
    return made


def models(base, **declared):
    specs, _ = read_sections({"models": {name.replace("_", "-"): spec for name, spec in declared.items()}})
    return Catalog(specs, base=base)


def test_without_a_section_the_shipped_model_is_there(tmp_path):
    [placed] = Catalog(base=tmp_path).placed("embedding")
    assert placed.name == DEFAULT_EMBEDDING
    assert (placed.folder / "openvino_model.xml").is_file()


def test_auto_is_the_first_declared_model_whose_files_are_there(tmp_path):
    folder(tmp_path, "second")
    found = models(
        tmp_path,
        first={"task": "embedding", "from": "missing"},
        second={"task": "embedding", "from": "second"},
    ).place("auto", "embedding")
    assert found.name == "second"


def test_paths_are_relative_to_the_configuration(tmp_path):
    made = folder(tmp_path, "models/bge")
    assert models(tmp_path, bge={"task": "embedding", "from": "models/bge"}).place("bge", "embedding").folder == made


def test_hub_ids_are_looked_up_where_pull_puts_them(tmp_path, monkeypatch):
    monkeypatch.setenv("FASTEMBED_HOME", str(tmp_path / "home"))
    made = folder(models_home(), "BAAI/bge-small")
    found = models(tmp_path, bge={"task": "embedding", "from": "BAAI/bge-small"}).place("bge", "embedding")
    assert found.folder == made


def test_aliases_name_the_same_model(tmp_path):
    folder(tmp_path, "bge")
    catalog = models(tmp_path, bge={"task": "embedding", "from": "bge", "aliases": ["text-embedding-3-small"]})
    assert catalog.place("text-embedding-3-small", "embedding").name == "bge"
    assert catalog.place("sentence-transformers/all-MiniLM-L6-v2", "embedding").name == DEFAULT_EMBEDDING


def test_an_unknown_name_gets_the_near_ones_and_a_command_that_helps(tmp_path):
    with pytest.raises(ModelNotFound) as missing:
        Catalog(base=tmp_path).place("all-minilm-l6", "embedding")
    assert "found no model 'all-minilm-l6', expected all-MiniLM-L6-v2" in str(missing.value)
    assert "fastembed models lists all" in str(missing.value)
    assert "fastembed pull" not in str(missing.value)  # only the hub's ids can be pulled
    with pytest.raises(ModelNotFound, match="fastembed pull acme/all-minilm and declared in `models:`"):
        Catalog(base=tmp_path).place("acme/all-minilm", "embedding")
    assert missing.value.param == "model"
    assert missing.value.status == 404


def test_missing_files_are_named_with_where_they_were_looked_for_and_the_command(tmp_path):
    catalog = models(tmp_path, bge_small={"task": "embedding", "from": "models/bge"})
    with pytest.raises(ModelNotFound) as missing:
        catalog.place("bge-small", "embedding")
    assert f"found no files of bge-small in {tmp_path / 'models/bge'}" in str(missing.value)
    assert str(missing.value).endswith("fastembed pull bge-small")


def test_missing_files_fall_back_to_what_is_declared(tmp_path, caplog):
    catalog = models(tmp_path, bge={"task": "embedding", "from": "missing", "fallback": DEFAULT_EMBEDDING})
    assert catalog.place("bge", "embedding").name == DEFAULT_EMBEDDING
    assert "falling back to all-MiniLM-L6-v2" in caplog.text


def test_fallbacks_in_a_circle_end(tmp_path):
    catalog = models(
        tmp_path,
        one={"task": "embedding", "from": "missing", "fallback": "two"},
        two={"task": "embedding", "from": "missing", "fallback": "one"},
    )
    with pytest.raises(ModelNotFound, match="found no files of one"):
        catalog.place("one", "embedding")


def test_a_model_for_another_task_is_refused(tmp_path):
    folder(tmp_path, "phi", "PhiForCausalLM")
    with pytest.raises(ModelNotFound, match="found 'phi', a model for chat, expected one for embedding"):
        models(tmp_path, phi={"from": "phi"}).place("phi", "embedding")


def test_models_of_a_task_are_listed_with_their_folders_and_devices(tmp_path):
    made = folder(tmp_path, "whisper")
    catalog = models(tmp_path, whisper={"task": "transcription", "from": "whisper", "on": ["gpu", "cpu"]})
    whisper, *shipped = catalog.placed("transcription")
    assert [model.name for model in shipped] == ["whisper-base", "whisper-pocket"]
    assert (whisper.name, whisper.folder, whisper.spec.on) == ("whisper", made, ("gpu", "cpu"))


def test_a_list_of_models_says_what_is_missing(tmp_path):
    cards = models(tmp_path, bge={"task": "embedding", "from": "missing"}).cards()
    assert [(card.name, card.state) for card in cards] == [
        ("bge", "missing"),
        (DEFAULT_EMBEDDING, "available"),
        ("chat-pocket", "available"),
        ("vision-pocket", "available"),
        ("code-pocket", "available"),
        ("rerank-pocket", "available"),
        ("docling-pocket", "available"),
        ("whisper-base", "available"),
        ("whisper-pocket", "available"),
    ]


def test_every_problem_of_the_sections_is_told_at_once():
    sections = {
        "models": {
            "a": {"task": "poetry", "from": "x"},
            "b": {"from": "x", "on": []},
            "c": {"from": "x", "fallback": "nobody"},
            "d": {},
        },
        "devices": {"tpu": {}, "cpu": {"memory": "lots"}},
    }
    with pytest.raises(ConfigError) as refused:
        read_sections(sections)
    text = str(refused.value)
    for part in (
        "models.a.task: found 'poetry'",
        "models.b.on",
        "models.c.fallback: found 'nobody', expected one of",
        "models.d.from",
        "devices.tpu",
        "devices.cpu.memory",
        "expected a size such as 500kB or 64MiB",
    ):
        assert part in text


def test_sections_in_the_short_form_are_read():
    declared, limits = read_sections(
        {
            "models": {"a": {"from": "x", "on": "npu", "aliases": "y"}},
            "devices": {"npu": {"memory": "12GiB", "inflight": 1}},
        }
    )
    assert declared["a"].on == ("npu",)
    assert declared["a"].aliases == ("y",)
    assert limits["npu"].memory == 12 * 2**30


@pytest.mark.parametrize(
    ("files", "config", "task"),
    [
        (["openvino_encoder_model.xml", "openvino_decoder_model.xml"], {}, "transcription"),
        (["openvino_language_model.xml", "openvino_vision_embeddings_model.xml"], {}, "chat"),
        (["openvino_model.xml"], {"architectures": ["LlamaForCausalLM"]}, "chat"),
        (["openvino_model.xml"], {"architectures": ["BertForSequenceClassification"]}, "rerank"),
        (["openvino_model.xml"], {"architectures": ["XLMRobertaModel"]}, "embedding"),
        (["openvino_model.xml", "modules.json"], {}, "embedding"),
        (["silero_vad.onnx"], {}, "voice_activity"),
        (["notes.txt"], {}, None),
    ],
)
def test_the_task_is_recognised_from_the_files(tmp_path, files, config, task):
    for name in files:
        (tmp_path / name).write_text("")
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert TASKS.recognise(tmp_path) == task


def test_the_first_device_that_is_there_is_chosen():
    assert Devices().choose(["npu", "cpu"]) == "CPU"


def test_no_wanted_device_is_an_error_that_lists_what_is_there():
    devices = Devices()
    devices.available = ("CPU",)
    with pytest.raises(Unavailable, match="found the devices CPU, expected one of npu, gpu"):
        devices.choose(["npu", "gpu"])
