"""What `check` accepts behind paths of one's own, a server answers."""

from __future__ import annotations

from collections.abc import Iterator

import httpx2
import pytest

from tests.e2e.serving import Serving, fastembed, serving

PLUGIN = """
from typing import Any, NamedTuple

from pydantic import BaseModel

from fastembed.pipeline.component import operator
from fastembed.pipeline.payload.chat import ChatRequest, Message, TextPart


class Reading(BaseModel):
    degrees: float


class Pair(NamedTuple):
    first: int
    second: int


@operator
def reading(value: Any) -> Reading:
    return Reading(degrees=1.5)


@operator
def pair(value: list) -> Pair:
    return Pair(*value)


@operator
def question(value: dict) -> ChatRequest:
    return ChatRequest(messages=[Message("user", [TextPart(value["question"])])])
"""
PIPELINES = """
version: 1
plugins: [./ops.py]
pipelines:
  reading: {source: {http: POST /reading}, operators: [reading], sink: reply}
  pair: {source: {http: POST /pair}, operators: [pair], sink: reply}
  vector: {source: {http: POST /vector}, operators: [embed], sink: reply}
  same: {source: {http: GET /größe}, operators: [], sink: reply}
  ask: {source: {http: POST /ask}, operators: [question, generate: {model: code-pocket}], sink: reply}
  page: {source: {http: POST /v1/documents/process}, operators: [parse: {model: docling-pocket}], sink: reply}
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    folder = tmp_path_factory.mktemp("own")
    (folder / "ops.py").write_text(PLUGIN)
    (folder / "pipelines.yaml").write_text(PIPELINES)
    checked = fastembed(folder, "check")
    assert (checked.returncode, checked.stderr) == (0, "")
    with serving(folder) as running:
        yield running


def test_every_path_answers_in_json(server: Serving) -> None:
    def post(path: str, value: object) -> object:
        answer = httpx2.post(f"{server.url}{path}", json=value, timeout=60)
        assert answer.status_code == 200, answer.text
        return answer.json()

    assert post("/reading", {}) == {"degrees": 1.5}
    assert post("/pair", [1, 2]) == {"first": 1, "second": 2}
    assert len(post("/vector", "a text")["vectors"][0]) == 384
    assert isinstance(post("/ask", {"question": "def add(a, b):"}), list)
    assert httpx2.get(f"{server.url}/größe?a=1").json() == {"a": "1"}


def test_tiny_models_are_told_of_with_the_way_to_real_ones(server: Serving) -> None:
    told = [line for line in server.lines if "answers until a real model" in line]
    assert any(line.startswith("code-pocket answers") and "fastembed pull phi-4-mini" in line for line in told)
    assert any(line.startswith("docling-pocket answers") and "convert granite-docling" in line for line in told)
