"""The command line as a user types it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import wave
from pathlib import Path

import httpx2
import openai
import pytest

import fastembed as package
from fastembed import FastEmbedClient, FastEmbedServer
from tests.e2e.serving import fastembed, serving

ASSETS = Path(package.__file__).parent / "demo_assets"
PAPERS = """
version: 1
pipelines:
  papers:
    source: {folder: inbox, match: "**/*.{docx,md}", settle: 100ms}
    operators: [{parse: {}}, {chunk: {tokens: 200}}, {embed: {model: auto}}]
    sink: {duckdb: data/lake.duckdb, table: chunks}
    on_error: {folder: inbox/failed}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "pipelines.yaml").write_text(PAPERS)
    (tmp_path / "inbox").mkdir()
    return tmp_path


def test_help_lists_every_command_without_loading_the_engines(tmp_path: Path) -> None:
    ended = fastembed(tmp_path, "--help")
    assert ended.returncode == 0
    commands = [
        "serve",
        "run",
        "check",
        "graph",
        "schema",
        "test",
        "chat",
        "embed",
        "process",
        "status",
        "search",
        "ls",
        "failed",
        "replay",
        "reprocess",
        "transcribe",
        "models",
        "doctor",
        "demo",
    ]
    assert all(command in ended.stdout for command in commands)


def test_run_once_processes_what_is_there_and_the_database_answers(folder: Path) -> None:
    shutil.copy(next(ASSETS.glob("*.docx")), folder / "inbox" / "report.docx")
    (folder / "inbox" / "note.md").write_text("# Ferry\n\nThe ferry leaves at seven from the eastern quay.\n")
    ended = fastembed(folder, "run", "--once")
    assert (ended.returncode, ended.stdout) == (0, "papers: 2 delivered\n")
    found = json.loads(fastembed(folder, "search", "when does the ferry leave", "-n", "1", "--json").stdout)
    assert found[0]["document"] == "note.md"
    listed = json.loads(fastembed(folder, "ls", "--json").stdout)
    assert [(row["name"], row["state"]) for row in listed] == [("note.md", "done"), ("report.docx", "done")]
    assert fastembed(folder, "ls").stdout.splitlines()[0].split() == ["done", "1", "chunks", "note.md", "Ferry"]
    again = fastembed(folder, "run", "--once")
    assert (again.returncode, again.stdout) == (0, "papers: nothing to do\n")
    assert json.loads(fastembed(folder, "reprocess", "papers", "--all", "--json").stdout) == {
        "pipeline": "papers",
        "count": 2,
    }
    assert fastembed(folder, "run", "--once").stdout == "papers: 2 delivered\n"


def test_run_once_says_which_files_are_copies_and_which_are_ignored(folder: Path) -> None:
    for name in ("note.md", "same.md", "letter.pages", "~$note.docx", "Thumbs.db", "new.md.crdownload"):
        (folder / "inbox" / name).write_text("# Ferry\n\nThe ferry leaves at seven.\n")
    ended = fastembed(folder, "run", "--once")
    said = "1 delivered, 1 ignored (1 file holds the bytes of another); `fastembed ls` says why files are ignored"
    assert (ended.returncode, ended.stdout) == (0, f"papers: {said}\n")
    assert ended.stderr.count("letter.pages is ignored: .pages files are not read") == 1
    listed = {row["name"]: row for row in json.loads(fastembed(folder, "ls", "--json").stdout)}
    assert {name: row["state"] for name, row in listed.items()} == {
        "note.md": "done",
        "same.md": "duplicate",
        "letter.pages": "ignored",
    }
    assert listed["letter.pages"]["detail"] == ".pages files are not read: save it as DOCX, ODT or PDF"


def test_a_file_that_fails_is_told_and_can_be_replayed(folder: Path) -> None:
    (folder / "inbox" / "broken.docx").write_bytes(b"PK\x03\x04 this is no document")
    ended = fastembed(folder, "run", "--once")
    assert ended.returncode == 1
    assert (folder / "inbox" / "failed" / "broken.docx.error.json").is_file()
    told = fastembed(folder, "failed")
    assert told.stdout.startswith("broken.docx: ")
    replayed = fastembed(folder, "replay")
    assert (replayed.returncode, replayed.stdout) == (0, "broken.docx: is tried again\n")
    assert (folder / "inbox" / "broken.docx").is_file()
    assert fastembed(folder, "replay", "other.docx").returncode == 1


def test_names_of_files_stay_on_their_line_and_do_not_command_the_terminal(folder: Path) -> None:
    (folder / "inbox" / "new\nline \x1b[31mé.md").write_text("# Ferry\n\nThe ferry leaves at seven.\n")
    assert fastembed(folder, "run", "--once").returncode == 0
    for command in (["ls"], ["search", "ferry"]):
        said = fastembed(folder, *command).stdout
        assert "new\\nline \\x1b[31mé.md" in said
        assert "\x1b" not in said
    assert fastembed(folder, "failed").stderr == "nothing has failed\n"


def test_a_server_that_holds_the_database_is_asked(folder: Path) -> None:
    (folder / "inbox" / "note.md").write_text("# Ferry\n\nThe ferry leaves at seven from the eastern quay.\n")
    assert fastembed(folder, "run", "--once").returncode == 0
    with serving(folder) as server:
        assert "note.md" in fastembed(folder, "search", "ferry", "--url", server.url).stdout
        assert "note.md" in fastembed(folder, "search", "ferry").stdout  # its address is beside the configuration
        lost = fastembed(folder, "ls", "--url", "http://127.0.0.1:1")
        for path in ("/v1/documents", "/v1/documents/failed"):
            refused = httpx2.get(f"{server.url}{path}?pipeline=paper").json()["error"]
            assert refused["message"] == "found no pipeline 'paper', expected one of papers; did you mean 'papers'?"
        for body in ({"pipeline": "paper"}, {"pipeline": "papers", "all": "yes"}, {}):
            assert httpx2.post(f"{server.url}/v1/documents/reprocess", json=body).status_code == 400
        assert server.terminate() == 0
    assert lost.returncode == 1
    assert "DuckDB lets one process at a time hold a database" in lost.stderr
    assert (
        "no server answers at http://127.0.0.1:1 (Connection refused); start one with: fastembed serve" in lost.stderr
    )
    assert "named with --url or FASTEMBED_URL" in lost.stderr
    assert not list(folder.glob(".*.server.json*"))


def test_searching_before_anything_was_processed_is_said_plainly(folder: Path) -> None:
    ended = fastembed(folder, "search", "ferry")
    assert ended.returncode == 1
    assert ended.stderr == f"fastembed: found no database {folder / 'data/lake.duckdb'}: nothing was processed yet\n"


def test_the_tests_of_a_file_are_run(tmp_path: Path) -> None:
    (tmp_path / "shout.py").write_text(
        "from fastembed.pipeline.component import operator\n\n\n"
        '@operator\ndef shout(value: str) -> str:\n    """Return the text in upper case."""\n    return value.upper()\n'
    )
    text = (
        "version: 1\nplugins: [shout.py]\n"
        "pipelines:\n  shout: {source: {http: POST /shout}, operators: [shout], sink: reply}\n"
        "tests:\n  - {name: it is loud, pipeline: shout, give: [hello], expect: [HELLO]}\n"
    )
    (tmp_path / "pipelines.yaml").write_text(text)
    assert fastembed(tmp_path, "test").stdout == "ok     it is loud\n1 passed, 0 failed\n"
    (tmp_path / "pipelines.yaml").write_text(text.replace("HELLO", "HALLO"))
    failed = fastembed(tmp_path, "test")
    assert failed.returncode == 1
    assert "FAILED it is loud" in failed.stdout
    (tmp_path / "pipelines.yaml").write_text(text[: text.index("tests:")])
    none = fastembed(tmp_path, "test")
    assert (none.returncode, none.stdout) == (0, "")
    assert none.stderr.startswith("found no tests in the configuration")


def test_check_names_models_without_which_serve_does_not_start(tmp_path: Path) -> None:
    (tmp_path / "ops.py").write_text(
        "from fastembed.pipeline.component import operator\n\n\n@operator\ndef asked(value):\n    return value\n"
    )
    chat = "{{source: {{http: POST /{0}}}, operators: [asked, generate: {{model: {0}}}], sink: reply}}"
    names = ("nope", "phi-4-mini", "all-MiniLM-L6-v2", "code-pocket", "typo")
    pipelines = "".join(f"  {name}: {chat.format(name)}\n" for name in names)
    models = "models: {typo: {from: ./nothere, task: chat}}\n"
    (tmp_path / "pipelines.yaml").write_text(f"version: 1\nplugins: [ops.py]\n{models}pipelines:\n{pipelines}")
    checked = fastembed(tmp_path, "check")
    assert checked.returncode == 1
    assert "all right" not in checked.stdout
    lines = [line.partition(": found ")[2] for line in checked.stderr.splitlines()]
    assert [line[:40] for line in lines] == [
        "no model 'nope', expected chat-pocket, v",
        "no files of phi-4-mini, expected a model",
        "'all-MiniLM-L6-v2', a model for embeddin",
        "no files of typo, expected a model folde",
    ]
    assert "expected a model folder at ./nothere" in lines[3]
    assert all(line.endswith(" (serve does not start)") for line in lines)


def test_a_wrong_name_ends_with_the_right_ones(folder: Path) -> None:
    assert fastembed(folder, "run", "letters").stderr == (
        "fastembed: found no pipeline 'letters', expected one of papers\n"
    )
    for command in (["ls", "-p"], ["failed", "-p"], ["replay", "-p"], ["reprocess"], ["graph"], ["run"]):
        ended = fastembed(folder, *command, "paper")
        assert (ended.returncode, ended.stderr) == (
            2,
            "fastembed: found no pipeline 'paper', expected one of papers; did you mean 'papers'?\n",
        )
    assert fastembed(folder, "graph", "papers").stdout.startswith("flowchart LR")
    assert json.loads(fastembed(folder, "schema").stdout)["title"] == "pipelines.yaml"


async def test_a_server_in_a_thread_serves_until_its_block_ends(tmp_path: Path) -> None:
    config = tmp_path / "pipelines.yaml"
    config.write_text(
        "version: 1\npipelines:\n  embeddings: {source: {http: POST /v1/embeddings}, operators: [embed], sink: reply}\n"
    )
    with FastEmbedServer(config=config, port=0, caching={"enable_response_cache": True}) as server:
        async with FastEmbedClient(server.url) as client:
            found, again = [await client.embeddings.create(input="a", model="auto") for _ in range(2)]
            status = await client.system.status()
    assert len(found.data[0].embedding) == 384
    assert again.data[0].embedding == found.data[0].embedding
    assert status.performance_metrics.cache_hit_rate == 0.5


async def test_the_server_takes_the_architecture_documents_parameters(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FASTEMBED_HOME", str(tmp_path))
    server = FastEmbedServer(
        port=0,
        models={
            "text": "gemma-3n-4b",
            "vision": "gemma-3n-4b",
            "documents": "granite-docling-258m",
            "embeddings": "bge-small-en-v1.5",
        },
        hardware={
            "npu_memory_limit": "12GB",
            "enable_model_quantization": True,
            "fallback_to_cpu": True,
            "max_concurrent_requests": 10,
        },
        caching={"enable_response_cache": True, "cache_ttl": 3600, "cache_size_limit": "2GB"},
        monitoring={"enable_metrics": True, "metrics_endpoint": "/numbers"},
    )
    with server:
        async with FastEmbedClient(server.url) as client:
            models = {model.id: model.to_dict()["state"] async for model in client.models.list()}
            answer = await client.chat.completions.create(model="auto", messages=[{"role": "user", "content": "hello"}])
            with pytest.raises(openai.NotFoundError, match="is not served here"):
                await client.call("GET", "/metrics")
        assert "fastembed_items_admitted_total" in httpx2.get(f"{server.url}/numbers").text
    assert (models["gemma-3n-4b"], models["granite-docling-258m"]) == ("missing", "missing")
    assert (answer.model, answer.choices[0].message.content) == ("chat-pocket", "Hello! How can I help you?")


def test_ctrl_c_ends_a_transcription_in_the_middle(tmp_path: Path) -> None:
    (tmp_path / "pipelines.yaml").write_text(
        "version: 1\npipelines:\n"
        "  speech:\n    source: {websocket: /speech}\n    operators: [decode, vad, transcribe]\n"
        "    sink: reply\n"
    )
    with wave.open(str(ASSETS / "morning-call.wav")) as call, wave.open(str(tmp_path / "long.wav"), "wb") as recording:
        recording.setparams(call.getparams())
        recording.writeframes(8 * call.readframes(call.getnframes()))  # far from its end when the first word is there
    command = [sys.executable, "-m", "fastembed", "transcribe", "--follow", "long.wav"]
    running = subprocess.Popen(
        command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
    )
    assert running.stdout is not None
    try:
        assert running.stdout.read(1)  # the first word: its decoder has decoded far ahead
        os.killpg(running.pid, signal.SIGINT)  # as a terminal does: to everything that the command has started
        _, errors = running.communicate(timeout=15)
    finally:
        running.kill()
        running.wait()
    assert running.returncode == 130
    assert b"Traceback" not in errors
