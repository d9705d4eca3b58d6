"""Every shipped source x operator x sink: what `check` accepts delivers three items, what it refuses has its line.

Files are real files, requests real requests, the models those that ship.
"""

from __future__ import annotations

import asyncio
from itertools import product
from pathlib import Path

import httpx2
import pytest

from fastembed.assembly import close_resources, lint_configuration, make_registry, make_resources
from fastembed.pipeline.engine import Engine
from fastembed.pipeline.item import Outcome
from tests.e2e.serving import serving

REGISTRY = make_registry()
SOURCES = {
    "folder": "{folder: inbox, settle: 10ms}",
    "http": "{http: POST /mine}",
    "websocket": "{websocket: /mine}",
    "embeddings": "{http: POST /v1/embeddings}",
    "chat": "{http: POST /v1/chat/completions}",
    "rerank": "{http: POST /v1/rerank}",
    "documents": "{http: POST /v1/documents/process}",
    "transcriptions": "{http: POST /v1/audio/transcriptions}",
    "speech": "{http: POST /v1/audio/speech}",
    "realtime": "{websocket: /v1/realtime}",
}
SINKS = {"duckdb": "lake.duckdb", "folder": "failed", "reply": ""}
OPTIONS = {
    "classify": "{labels: [refund, praise]}",
    "extract": "{schema: {type: object}}",
    "dedupe": "item.id",
    "filter": "'True'",
    "map": "item.value",
    "sample": "1",
    "throttle": "100",
    "window": "1",
}
"""The options of operators that need some."""
OF_ANY_VALUE = ("dedupe", "filter", "map", "merge_fields", "sample", "split", "throttle", "window")
"""Operators of values that a path of one's own takes and gives."""
OF_TEXTS = ("classify", "converse", "describe", "extract", "language", "to_chat", "to_embedding")
"""Operators of texts, of fields that are texts, or of pictures in base64."""
OPERATORS = tuple(spec.name for spec in REGISTRY.all("operator"))


def written(folder: Path, source: str, operators: str, sink: str) -> Path:
    (folder / "inbox").mkdir(exist_ok=True)
    for number in range(3):
        (folder / "inbox" / f"{number}.md").write_text(f"# Ferry {number}\n\nThe ferry leaves at {number} o'clock.\n")
    end = f"{{{sink}: {SINKS[sink]}}}" if SINKS[sink] else sink
    names = filter(None, operators.split(", "))
    steps = [f"{name}: {OPTIONS[name]}" if name in OPTIONS else name for name in names]
    path = folder / "pipelines.yaml"
    path.write_text(
        f"version: 1\npipelines:\n  p:\n    source: {SOURCES[source]}\n"
        f"    operators: [{', '.join(steps)}]\n    sink: {end}\n"
    )
    return path


def accepted(folder: Path, source: str, operators: str, sink: str) -> bool:
    """Whether `check` accepts the pipeline; a refusal names a line."""
    path = written(folder, source, operators, sink)
    report = lint_configuration(path)
    if report.configuration is None:
        assert report.errors
        assert all(error.startswith(f"{path}:") for error in report.errors)
    return report.configuration is not None


FOLDER_CHAINS = (*OPERATORS, "", *(", ".join(pair) for pair in product(("parse", "parse, chunk"), OPERATORS)))


@pytest.mark.parametrize("operators", FOLDER_CHAINS, ids=lambda chain: chain or "none")
async def test_three_files_through_what_check_accepts_are_delivered(tmp_path: Path, operators: str) -> None:
    if not accepted(tmp_path, "folder", operators, "duckdb"):
        return
    configuration = lint_configuration(tmp_path / "pipelines.yaml").configuration
    assert configuration is not None
    resources = make_resources(configuration)
    engine = Engine(resources, once=True)
    try:
        await engine.start(configuration)
        async with asyncio.timeout(60):
            await engine.join()
        outcomes = engine.pipelines["p"].stats.outcomes
    finally:
        await engine.stop()
        await close_resources(resources)
    assert outcomes == {Outcome.DELIVERED: 3}


def test_what_check_accepts_of_all_combinations_is_this(tmp_path: Path) -> None:
    found = {
        " ".join(filter(None, (source, operator, sink)))
        for source, operator, sink in product(SOURCES, ("", *OPERATORS), SINKS)
        if accepted(tmp_path, source, operator, sink)
    }
    assert found == {
        "folder parse duckdb",
        "http reply",
        *(f"http {name} reply" for name in OF_ANY_VALUE),
        *(f"http {name} reply" for name in OF_TEXTS),
        "http json reply",
        "http embed reply",
        "http speak reply",
        "embeddings embed reply",
        "chat generate reply",
        "rerank rerank reply",
        "documents parse reply",
        "transcriptions listen reply",
        "speech speak reply",
    }


def test_three_requests_through_what_check_accepts_are_answered(tmp_path: Path) -> None:
    (tmp_path / "pipelines.yaml").write_text(
        "version: 1\npipelines:\n"
        "  same: {source: {http: POST /same}, operators: [], sink: reply}\n"
        "  vectors: {source: {http: POST /vectors}, operators: [embed], sink: reply}\n"
    )
    with serving(tmp_path) as server:
        for value in ({"a": 1}, [1, 2], "text"):
            answer = httpx2.post(f"{server.url}/same", json=value)
            assert (answer.status_code, answer.json()) == (200, value)
        for value in ("ferry", "quay", "snow"):
            answer = httpx2.post(f"{server.url}/vectors", json=value, timeout=60)
            assert answer.status_code == 200, answer.text
            assert answer.json()
