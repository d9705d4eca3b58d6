"""What the endpoints ask of the running pipelines."""

from __future__ import annotations

import pytest

from fastembed.assembly import read_configuration
from fastembed.running import RunningPipelines

PIPELINES = """
version: 1
pipelines:
  chat:
    source: {http: POST /v1/chat/completions}
    operators: [hear: {model: whisper-pocket}, generate: {model: code-pocket}]
    sink: reply
  embeddings: {source: {http: POST /v1/embeddings}, operators: [embed], sink: reply}
"""


@pytest.mark.parametrize(
    ("path", "model"),
    [("/v1/chat/completions", "code-pocket"), ("/v1/embeddings", "auto"), ("/v1/rerank", "auto")],
)
def test_auto_means_to_a_pipeline_what_its_answering_step_says(tmp_path, path, model):
    (tmp_path / "pipelines.yaml").write_text(PIPELINES)
    read = read_configuration(tmp_path / "pipelines.yaml")
    assert RunningPipelines(None, read, lambda: read, None).default_model(path) == model
