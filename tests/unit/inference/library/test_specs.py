"""The sections `models:`, `devices:` and `aliases:` together, as a file says them."""

import pytest

from fastembed.assembly import read_configuration
from fastembed.inference.library.catalog import Catalog
from fastembed.inference.library.devices import Devices
from fastembed.inference.library.sections import read_sections, section_problems
from fastembed.inference.serving.models import Models
from fastembed.pipeline.errors import ConfigError, ModelNotFound, Unavailable

PIPELINE = "pipelines: {p: {source: {http: POST /x}, operators: [], sink: reply}}\n"


@pytest.fixture
def read(tmp_path):
    """Return a function that reads a file with these sections."""

    def read(text):
        file = tmp_path / "pipelines.yaml"
        file.write_text(f"version: 1\n{text}\n{PIPELINE}")
        return read_configuration(file)

    return read


def problems_of(read, text):
    with pytest.raises(ConfigError) as refused:
        read(text)
    return [problem.rpartition("/")[2] for problem in refused.value.problems]


def test_an_alias_of_nothing_is_an_error_with_its_place(read):
    (problem,) = problems_of(read, "aliases:\n  gpt-4o: gpt-5")
    assert problem.startswith("pipelines.yaml:3:11: found 'gpt-5', expected one of all-MiniLM-L6-v2, auto, ")


def test_a_fallback_to_nothing_is_an_error_with_its_place(read):
    (problem,) = problems_of(read, "models:\n  a:\n    from: x\n    fallback: b")
    assert problem.startswith("pipelines.yaml:5:15: found 'b', expected one of ")


def test_an_alias_may_not_hide_a_model(read):
    problems = problems_of(read, "models: {a: {from: x}}\naliases: {a: auto, phi-4-mini: a, auto: a, ok: a}")
    assert [problem.split(": ", 1)[1] for problem in problems] == [
        f"found the alias {name!r}, which is a model, expected another name" for name in ("a", "phi-4-mini", "auto")
    ]


def test_an_alias_is_a_name(read):
    (problem,) = problems_of(read, "aliases: {a: [auto]}")
    assert problem.startswith("pipelines.yaml:2:14: found a list")


def test_abilities_that_are_none_are_refused(read):
    (problem,) = problems_of(read, "models: {a: {from: x, good_at: [poetry]}}")
    assert "'vision', 'audio', 'video', 'document', 'code' or 'tools'" in problem


def test_aliases_reach_every_lookup_of_a_model(tmp_path):
    sections = {"aliases": {"gpt-4o": "auto", "text-embedding-3-small": "all-MiniLM-L6-v2", "ada": "auto"}}
    catalog = Models.from_sections(sections, tmp_path).catalog
    assert catalog.place("gpt-4o", "chat").name == "chat-pocket"
    assert catalog.place("text-embedding-3-small", "embedding").name == "all-MiniLM-L6-v2"
    assert catalog.place("ada", "embedding").name == "all-MiniLM-L6-v2"


def test_a_services_name_is_answered_with_how_to_have_it(tmp_path):
    with pytest.raises(ModelNotFound, match=r"aliases: \{text-embedding-3-small: all-MiniLM-L6-v2\}") as refused:
        Catalog(base=tmp_path).place("text-embedding-3-small", "embedding")
    assert "expected one that is here: all-MiniLM-L6-v2" in str(refused.value)
    assert "pull" not in str(refused.value)


def test_all_problems_of_raw_sections_are_told_at_once():
    with pytest.raises(ConfigError) as refused:
        read_sections({"models": {"a": {"from": "x", "fallback": "b"}}, "aliases": {"c": "d"}})
    assert [problem.split(":")[0] for problem in refused.value.problems] == ["models.a.fallback", "aliases.c"]


@pytest.mark.parametrize("value", ["u8", "I8"])
def test_a_cache_precision_with_which_an_npu_answers_wrongly_is_refused(value):
    """OpenVINO 2026.4.1 takes it and answers as if the prompt were not there."""
    sections = {"devices": {"npu": {"properties": {"KV_CACHE_PRECISION": value}}}}
    [(keys, text)] = section_problems(sections)
    assert keys == ("devices", "npu", "properties", "KV_CACHE_PRECISION")
    assert text == f"found {value!r}, with which an NPU answers wrongly, expected another value"


@pytest.mark.parametrize("device", ["npu", "cpu"])
def test_other_cache_precisions_are_taken(device):
    value = "f16" if device == "npu" else "u8"
    assert section_problems({"devices": {device: {"properties": {"KV_CACHE_PRECISION": value}}}}) == []


def test_a_device_that_is_not_there_is_told_with_its_driver():
    with pytest.raises(Unavailable) as told:
        Devices().choices(["npu"])
    assert "an NPU needs Intel's NPU driver" in told.value.message
    assert told.value.message.endswith("fastembed doctor says what is here")
