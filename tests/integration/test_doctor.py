"""`fastembed doctor` as typed."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from fastembed.cli import _guarded, app

MODELS = Path(__file__).parents[2] / "models"


@pytest.fixture
def doctor(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)

    def typed(models: str = "") -> tuple[int, dict[str, str], str]:
        """Its status, each task's line, and all that it printed."""
        (tmp_path / "pipelines.yaml").write_text(
            f"version: 1\nmodels: {{{models}}}\npipelines:\n  a:\n    source: {{http: POST /v1/embeddings}}\n"
            "    operators: [embed]\n    sink: reply\n"
        )
        status = _guarded(lambda: app(["doctor"]))
        said = capsys.readouterr().out
        return status, {line.split()[0]: line for line in said.splitlines() if line[:1].islower()}, said

    return typed


def test_what_ships_answers_rightly_and_the_machine_is_described(doctor):
    status, lines, said = doctor()
    assert status == 0, said
    assert "openvino 20" in said
    assert "\nCPU: " in said
    assert said.endswith("all answers are right\n")
    for task, pace in (("embedding", "texts/s"), ("rerank", "pairs/s"), ("transcription", "times as fast as speech")):
        assert " CPU    right " in lines[task]
        assert pace in lines[task]
        assert "loaded in" in lines[task]
    assert "tokens/s" in lines["chat"]
    assert "a tiny model" in lines["chat"]
    assert "tokens/s" in lines["code"]
    assert "tokens/s" in lines["document"]
    assert "a tiny model" in lines["document"]


def test_a_model_that_answers_wrongly_or_does_not_load_is_named(doctor, tmp_path):
    """Weights that a bad copy has mixed up."""
    folder = shutil.copytree(MODELS / "minilm", tmp_path / "mixed")
    (folder / "openvino_model.xml").write_text("<net/>")
    status, lines, said = doctor("mixed: {from: mixed}")
    assert status == 1
    assert "mixed" in lines["embedding"]
    assert "WRONG" in lines["embedding"]
    assert "right" in lines["rerank"]
    assert "1 of " in said
