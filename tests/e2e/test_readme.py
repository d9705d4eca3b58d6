"""The README's snippets, run as they stand against a real server (its address put in)."""

from __future__ import annotations

import http.client
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from fastembed.demo import ASSETS, QUESTIONS, word_recall
from fastembed.demo_server import DemoServer

ROOT = Path(__file__).parents[2]
ADDRESS = "http://127.0.0.1:8000"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DemoServer]:
    with DemoServer(tmp_path_factory.mktemp("readme"), 0) as running:
        yield running


def snippets(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", (ROOT / "README.md").read_text(), re.MULTILINE | re.DOTALL)


def run_python(code: str, server: DemoServer) -> str:
    """Run a snippet from the clone's root, as a reader would."""
    command = [sys.executable, "-c", code.replace(ADDRESS, server.url)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=100)
    assert done.returncode == 0, done.stderr
    return done.stdout


def curl(command: str, server: DemoServer) -> tuple[int, object]:
    """Do what a curl command of the README asks for; a bare machine has no curl."""
    words = shlex.split(command)
    address = urlsplit(next(word for word in words if word.startswith("http")))
    body = words[words.index("-d") + 1] if "-d" in words else None
    connection = http.client.HTTPConnection(urlsplit(server.url).netloc, timeout=60)
    target = f"{address.path}?{address.query}" if address.query else address.path
    connection.request("POST" if body else "GET", target, body, {"content-type": "application/json"} if body else {})
    response = connection.getresponse()
    answer = json.loads(response.read())
    connection.close()
    return response.status, answer


def test_the_embeddings_snippet_prints_two_vectors(server: DemoServer) -> None:
    assert "2 vectors of 384 numbers by all-MiniLM-L6-v2" in run_python(snippets("python")[0], server)


def test_the_chat_snippet_prints_the_sum(server: DemoServer) -> None:
    assert run_python(snippets("python")[1], server) == "3 + 4 = 7 says chat-pocket\n"


def test_the_realtime_snippet_prints_what_was_said(server: DemoServer) -> None:
    printed = run_python(snippets("python")[2], server)
    assert word_recall((ASSETS / "morning-call.txt").read_text(), printed) >= 0.8


def test_the_curl_commands_are_answered(server: DemoServer) -> None:
    commands = re.findall(r"^curl .*$", (ROOT / "README.md").read_text(), re.MULTILINE)
    assert len(commands) == 2
    for command in commands:
        status, answer = curl(command, server)
        assert status == 200, answer
        assert isinstance(answer, dict)
        assert answer["object"] == "list"


def test_the_query_is_answered_while_the_server_runs(server: DemoServer) -> None:
    connection = http.client.HTTPConnection(urlsplit(server.url).netloc, timeout=60)
    body = json.dumps({"query": snippets("sql")[0]})
    connection.request("POST", "/v1/sql", body, {"content-type": "application/json"})
    answer = json.loads(connection.getresponse().read())
    connection.close()
    assert [column["name"] for column in answer["columns"]] == ["file", "page", "heading", "text"]


def test_the_pipelines_file_checks(tmp_path: Path) -> None:
    (tmp_path / "pipelines.yaml").write_text(snippets("yaml")[0])
    command = [sys.executable, "-m", "fastembed", "check"]
    checked = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert "exactly once" in checked.stdout


def test_transcribe_prints_what_was_said(tmp_path: Path) -> None:
    shutil.copy(ASSETS / "morning-call.wav", tmp_path)
    command = [sys.executable, "-m", "fastembed", "transcribe", "morning-call.wav"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, env=os.environ)
    assert done.returncode == 0, done.stderr
    assert word_recall((ASSETS / "morning-call.txt").read_text(), done.stdout) >= 0.8


def test_once_reads_a_folder_and_search_finds_it(tmp_path: Path) -> None:
    (tmp_path / "inbox").mkdir()
    shutil.copy(ASSETS / "winter-report.docx", tmp_path / "inbox")
    fastembed = [sys.executable, "-m", "fastembed"]
    read = subprocess.run([*fastembed, "run", "--once"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert read.returncode == 0, read.stdout + read.stderr
    question = next(question for question in QUESTIONS if question.document == "winter-report.docx")
    found = subprocess.run(
        [*fastembed, "search", question.text], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert found.returncode == 0, found.stdout + found.stderr
    assert "winter-report.docx" in found.stdout
