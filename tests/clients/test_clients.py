"""The clients that people point at a local server, unchanged, against one real process.

They live in an environment of their own (`.ci/clients`), so each language's run there as one process: `suite/` with
pytest, `node/clients.cjs` with node. Every check of theirs is a test here.
"""

from __future__ import annotations

import ast
import json
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from tests.clients.environment import CLIENTS, has_node
from tests.e2e.serving import Serving, serving
from tests.voices import make_voice

pytestmark = pytest.mark.timeout(400)  # the fixtures run all checks of a language; imports take most of the time

HERE = Path(__file__).parent
SUITE = sorted((HERE / "suite").glob("client_*.py"))
PIPELINES = """
version: 1
pipelines:
  chat:
    source: {http: POST /v1/chat/completions, queue: 64, overflow: reject}
    operators: [read, generate]
    sink: reply
  embeddings:
    source: {http: POST /v1/embeddings, queue: 64, overflow: reject}
    operators: [embed]
    sink: reply
  rerank:
    source: {http: POST /v1/rerank, queue: 64, overflow: reject}
    operators: [rerank]
    sink: reply
  speech:
    source: {http: POST /v1/audio/speech, queue: 64, overflow: reject}
    operators: [speak]
    sink: reply
  transcription:
    source: {websocket: /v1/realtime, queue: 30s, overflow: drop_oldest}
    operators:
      - decode
      - vad: {silence: 300ms}
      - transcribe: {model: whisper-pocket}
        order: none
        latest: not item.final
    sink: reply
"""
LEAST_STANDARD_TESTS = 15
"""LangChain's that pass, for chats, responses and embeddings together."""


def checks() -> Iterator[str]:
    """Yield `file::function` of the suite."""
    for path in SUITE:
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                yield f"{path.stem}::{node.name}"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    folder = tmp_path_factory.mktemp("clients")
    (folder / "pipelines.yaml").write_text(PIPELINES)
    make_voice(folder / "models" / "kokoro")
    environ = {"FASTEMBED_MODELS": str(folder / "models")}
    with serving(folder, "--wyoming-port", "0", environ=environ) as running:
        yield running


@pytest.fixture(scope="module")
def outcomes(server: Serving, tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, list[str]]:
    """Return what the checks for Python said, by `file::function`: "" passed, else why not."""
    report = tmp_path_factory.mktemp("report") / "report.xml"
    options = ["-q", "--noconftest", "-W", "ignore", "-o", "asyncio_mode=auto", "-p", "no:cacheprovider"]
    options += ["-o", "asyncio_default_test_loop_scope=session", "-o", "asyncio_default_fixture_loop_scope=session"]
    options += ["-c", os.devnull, f"--rootdir={HERE}", f"--junitxml={report}"]
    command = [CLIENTS / "bin" / "python", "-m", "pytest", *options, *SUITE]
    wyoming = next(line for line in server.lines if line.startswith("Wyoming")).rpartition(":")[2]
    environ = {**os.environ, "FASTEMBED_URL": server.url, "NO_PROXY": "*", "FASTEMBED_WYOMING": wyoming}
    environ["FASTEMBED_RECORDING"] = str(HERE.parent / "assets" / "audio" / "red-light.wav")
    done = subprocess.run(command, cwd=report.parent, capture_output=True, text=True, env=environ, check=False)
    assert report.is_file(), done.stdout + done.stderr
    found: dict[str, list[str]] = {}
    for case in ET.parse(report).iter("testcase"):  # noqa: S314 - written by pytest just now
        name = f"{case.get('classname', '').rpartition('suite.')[2]}::{case.get('name', '').partition('[')[0]}"
        wrong = next((part for part in case if part.tag in ("failure", "error")), None)
        skipped = case.find("skipped") is not None
        found.setdefault(name, []).append("skipped" if skipped else "" if wrong is None else str(wrong.text))
    return found


@pytest.mark.parametrize("check", list(checks()))
def test_a_client_for_python_works_unchanged(check: str, outcomes: Mapping[str, list[str]]) -> None:
    assert check in outcomes, f"expected one of {', '.join(outcomes)}"
    assert set(outcomes[check]) == {""}, "\n".join(outcomes[check])


@pytest.mark.parametrize("wire", ["TestChatCompletions", "TestResponses", "TestEmbeddings"])
def test_langchains_standard_tests_pass(wire: str, outcomes: Mapping[str, list[str]]) -> None:
    of_wire = {name: said for name, said in outcomes.items() if f".{wire}::" in name}
    assert [text for said in of_wire.values() for text in said if text not in ("", "skipped")] == []
    assert sum("" in said for said in of_wire.values()) >= (4 if wire == "TestEmbeddings" else LEAST_STANDARD_TESTS)


if has_node():  # else left out: the report of the tests says so

    def test_the_clients_for_node_work_unchanged(server: Serving) -> None:
        node = shutil.which("node")
        environ = {**os.environ, "FASTEMBED_URL": server.url, "NODE_PATH": str(CLIENTS / "node_modules")}
        command = [str(node), str(HERE / "node" / "clients.cjs")]
        done = subprocess.run(command, capture_output=True, text=True, env=environ, timeout=300, check=False)
        said = [json.loads(line) for line in done.stdout.splitlines()]
        assert [found for found in said if found["error"]] == []
        assert len(said) == 15, done.stderr
