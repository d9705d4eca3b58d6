"""FastEmbedServer's parameters `models` and `hardware`, laid over the built-in pipelines."""

from __future__ import annotations

import logging

import pytest

from fastembed.assembly import read_configuration
from fastembed.inference.library.sections import read_sections
from fastembed.pipeline.errors import ConfigError
from fastembed.tuning import Tuning


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FASTEMBED_HOME", str(tmp_path))


def over(models, hardware=None):
    return Tuning.of(models, hardware or {}).over(read_configuration())


def step(configuration, pipeline, name):
    return next(one for one in configuration.pipelines[pipeline].steps if one.component.name == name)


def test_named_models_are_declared_first_with_their_fallback_and_every_device():
    found = over({"text": "gemma-3n-4b", "embeddings": "bge-small-en-v1.5", "vision": "gemma-3n-4b"})
    models, _ = read_sections(found.sections)
    assert list(models) == ["gemma-3n-4b", "bge-small-en-v1.5"]
    assert (models["gemma-3n-4b"].fallback, models["gemma-3n-4b"].on) == ("gemma-3n-2b", ("npu", "gpu", "cpu"))


def test_without_falling_back_to_the_cpu_models_are_for_npu_and_gpu():
    models, devices = read_sections(
        over({"text": "phi-4-mini"}, {"npu_memory_limit": "12GB", "fallback_to_cpu": False}).sections
    )
    assert models["phi-4-mini"].on == ("npu", "gpu")
    assert devices["npu"].memory == 12 * 10**9


def test_so_many_chats_run_at_once_and_the_pipeline_is_another_one():
    found, before = over({}, {"max_concurrent_requests": 10}), read_configuration()
    assert step(found, "chat", "generate").workers == 10
    assert found.pipelines["chat"].definition != before.pipelines["chat"].definition
    assert found.pipelines["papers"].definition == before.pipelines["papers"].definition


def test_documents_are_read_by_the_named_model_as_soon_as_it_is_here(caplog):
    with caplog.at_level(logging.WARNING):
        found = over({"documents": "granite-docling-258m"})
    assert step(found, "documents", "parse").options["model"] == "auto"
    assert "until granite-docling-258m is here: fastembed convert granite-docling-258m" in caplog.text
    assert step(over({"documents": "docling-pocket"}), "documents", "parse").options["model"] == "docling-pocket"


@pytest.mark.parametrize(
    ("role", "name", "warning"),
    [
        ("text", "phi-4-mini", "other models answer for 'text' until phi-4-mini is here: fastembed pull phi-4-mini"),
        ("text", "phi4-mini", "pull phi4-mini; did you mean 'phi-4-mini'?"),
        ("speech", "whisper-bse", "did you mean 'whisper-base'?"),
        ("embeddings", "some/model", "until some/model is here: fastembed pull some/model"),
    ],
)
def test_a_model_that_is_not_here_is_told_with_the_command_that_gets_it(caplog, role, name, warning):
    with caplog.at_level(logging.WARNING):
        over({role: name})
    assert warning in caplog.text


@pytest.mark.parametrize("name", ["whisper-base", "whisper-pocket"])
def test_of_a_model_that_ships_nothing_is_told(caplog, name):
    with caplog.at_level(logging.WARNING):
        over({"speech": name})
    assert not caplog.text


def test_nothing_said_changes_nothing():
    before = read_configuration()
    assert Tuning.of({}, {"enable_model_quantization": True, "fallback_to_cpu": True}).over(before) is before


@pytest.mark.parametrize(
    ("models", "hardware", "problem"),
    [
        ({"txt": "a"}, {}, "models: found 'txt', expected one of embeddings, text, vision"),
        ({"text": 5}, {}, "models: found 5 for text, expected a model's name"),
        ({"embeddings": "gemma-3n-4b"}, {}, "found gemma-3n-4b, a model for chat, expected one for embeddings"),
        ({"rerank": "chat-pocket"}, {}, "found chat-pocket, a model for chat, expected one for rerank"),
        ({}, {"npu_memory": "1GB"}, "hardware: found 'npu_memory', expected one of npu_memory_limit"),
        ({}, {"npu_memory_limit": "much"}, "npu_memory_limit: found 'much', expected a size"),
        ({}, {"fallback_to_cpu": "yes"}, "found 'yes' for fallback_to_cpu, expected True or False"),
        ({}, {"max_concurrent_requests": 0}, "found 0 for max_concurrent_requests, expected a whole number from 1"),
    ],
)
def test_what_is_wrong_is_said(models, hardware, problem):
    with pytest.raises(ConfigError, match=problem):
        Tuning.of(models, hardware)
