"""What keeps a sound file from starting on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import duckdb
import pytest

from fastembed.assembly import make_resources, read_configuration
from fastembed.describing import stand_ins
from fastembed.lint.machine import obstacles
from tests.integration.chat_pocket_gguf import write_gguf

POCKET = Path(__file__).parents[4] / "models" / "chat-pocket"


def found(folder: Path, *, source: str = "in", sink: str = "x.duckdb", failures: str = "bad") -> str:
    (folder / "pipelines.yaml").write_text(
        "version: 1\npipelines:\n  a:\n"
        f"    source: {{folder: {source}}}\n"
        "    operators: [parse, chunk, embed]\n"
        f"    sink: {{duckdb: {sink}}}\n"
        f"    on_error: {{folder: {failures}}}\n"
    )
    configuration = read_configuration(folder / "pipelines.yaml")
    return "\n".join(obstacles(configuration, make_resources(configuration)))


def test_nothing_is_in_the_way_and_nothing_is_made(tmp_path: Path) -> None:
    assert found(tmp_path, source="deep/in", sink="other/x.duckdb") == ""
    assert [path.name for path in tmp_path.iterdir()] == ["pipelines.yaml"]


def test_a_database_that_is_there_is_taken(tmp_path: Path) -> None:
    duckdb.connect(str(tmp_path / "x.duckdb")).close()
    assert found(tmp_path) == ""


def test_a_database_that_is_a_folder(tmp_path: Path) -> None:
    (tmp_path / "x.duckdb").mkdir()
    assert f"pipelines.yaml:6:11: {tmp_path / 'x.duckdb'} is a folder" in found(tmp_path)


@pytest.mark.parametrize("content", [b"", b"SQLite format 3"])
def test_a_database_that_is_none(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.duckdb").write_bytes(content)
    assert "is not a DuckDB database" in found(tmp_path)


def test_a_database_below_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert "file is not a folder: expected one" in found(tmp_path, sink="file/x.duckdb")


def test_places_where_nothing_can_be_written(tmp_path: Path) -> None:
    problems = found(tmp_path, source="/proc/in", sink="/proc/x.duckdb", failures="/proc/bad").splitlines()
    assert all(": /proc is not writable" in line for line in problems)
    assert [line.partition(": /proc")[0].partition("yaml")[2] for line in problems] == [":4:13", ":7:15", ":6:11"]


def test_folders_that_are_files(tmp_path: Path) -> None:
    (tmp_path / "in").touch()
    (tmp_path / "bad").touch()
    problems = found(tmp_path)
    assert f"yaml:4:13: {tmp_path / 'in'} is not a folder" in problems
    assert f"yaml:7:15: {tmp_path / 'bad'} is not a folder" in problems


@pytest.mark.parametrize(
    ("path", "step"),
    [
        ("chat/completions", "generate: {model: code-pocket}"),
        ("documents/process", "parse: {model: docling-pocket}"),
        ("rerank", "rerank: {model: rerank-pocket}"),
        ("chat/completions", "generate: {model: vision-pocket}"),
    ],
)
def test_every_model_that_stands_in_names_the_way_to_a_real_one(path: str, step: str, tmp_path: Path) -> None:
    (tmp_path / "pipelines.yaml").write_text(
        f"version: 1\npipelines:\n  a: {{source: {{http: POST /v1/{path}}}, operators: [{step}], sink: reply}}\n"
    )
    configuration = read_configuration(tmp_path / "pipelines.yaml")
    resources = make_resources(configuration)
    assert obstacles(configuration, resources) == []
    (line,) = stand_ins(configuration.pipelines.values(), resources)
    assert "is here: fastembed " in line


@pytest.mark.parametrize(
    ("path", "step", "problem"),
    [
        ("chat/completions", "generate: {model: whisper-pocket}", "a model for transcription, expected one for chat"),
        ("audio/transcriptions", "{listen: }, {transcribe: {model: chat-pocket}}", "found model 'chat-pocket'"),
        ("embeddings", "embed: {model: code-pocket}", "a model for code, expected one for embedding"),
        ("rerank", "rerank: {model: chat-pocket}", "a model for chat, expected one for rerank"),
        ("documents/process", "parse: {model: chat-pocket}", "a model for chat, expected one for document"),
        ("chat/completions", "{hear: {model: chat-pocket}}, generate", "found model 'chat-pocket'"),
    ],
)
def test_a_model_of_another_kind_is_named_at_its_step(path: str, step: str, problem: str, tmp_path: Path) -> None:
    (tmp_path / "pipelines.yaml").write_text(
        f"version: 1\npipelines:\n  a:\n    source: {{http: POST /v1/{path}}}\n    operators: [{step}]\n"
        "    sink: reply\n"
    )
    configuration = read_configuration(tmp_path / "pipelines.yaml")
    (line,) = obstacles(configuration, make_resources(configuration))
    assert "pipelines.yaml:5:" in line
    assert problem in line


def test_what_a_plugin_calls_a_model_is_its_own_affair(tmp_path: Path) -> None:
    (tmp_path / "ops.py").write_text(
        "from fastembed.pipeline.component import operator\n\n\n"
        "@operator\ndef drive(value: dict, *, model: str) -> dict:\n    return value\n"
    )
    (tmp_path / "pipelines.yaml").write_text(
        "version: 1\nplugins: [ops.py]\n"
        "pipelines:\n  a: {source: {http: POST /x}, operators: [drive: {model: T}], sink: reply}\n"
    )
    configuration = read_configuration(tmp_path / "pipelines.yaml")
    assert obstacles(configuration, make_resources(configuration)) == []


def gguf_models(folder: Path, devices: str = "cpu", **options: Any) -> str:
    (folder / "chat").mkdir()
    write_gguf(POCKET, folder / "chat" / "chat.gguf", **options)
    (folder / "pipelines.yaml").write_text(
        f"version: 1\nmodels:\n  mine: {{from: chat, on: {devices}}}\npipelines:\n  a:\n"
        "    source: {http: POST /v1/chat/completions}\n    operators: [{generate: {model: mine}}]\n    sink: reply\n"
    )
    configuration = read_configuration(folder / "pipelines.yaml")
    return "\n".join(obstacles(configuration, make_resources(configuration)))


def test_a_gguf_file_that_openvino_reads_is_taken(tmp_path: Path) -> None:
    assert gguf_models(tmp_path) == ""


def test_a_gguf_file_without_its_file_type(tmp_path: Path) -> None:
    assert "models.mine: found no general.file_type in chat.gguf" in gguf_models(tmp_path, says_its_type=False)


def test_a_gguf_file_of_an_architecture_that_openvino_lacks(tmp_path: Path) -> None:
    assert "models.mine: found the architecture gemma3 in chat.gguf" in gguf_models(tmp_path, architecture="gemma3")
