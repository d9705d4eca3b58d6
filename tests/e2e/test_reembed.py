"""Another embedding model in pipelines.yaml: stored chunks get its vectors without being read again."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import duckdb
import httpx2
import pytest

from tests.e2e.serving import fastembed, serving
from tests.e2e.test_kill import PLUGIN

PIPELINES = """
version: 1
plugins: [./reading.py]
models:
  mine: {from: "built-in:minilm", prompts: {document: "text: "}}
pipelines:
  papers:
    source: {folder: inbox, match: "**/*.txt", settle: 50ms, rescan: 1s}
    operators:
      - open_text
      - chunk: {tokens: 20, overlap: 0}
      - embed: {model: all-MiniLM-L6-v2}
    sink: {duckdb: lake.duckdb, table: chunks}
"""
CHUNKS = "SELECT model, count(*), count(DISTINCT embedding::VARCHAR) FROM chunks GROUP BY ALL ORDER BY ALL"


def rows(folder: Path, sql: str) -> list[tuple]:
    with duckdb.connect(str(folder / "lake.duckdb"), read_only=True) as con:
        return con.execute(sql).fetchall()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Some 300 chunks of the shipped model; then the pipeline names another one."""
    folder = tmp_path_factory.mktemp("reembed")
    (folder / "reading.py").write_text(PLUGIN)
    (folder / "pipelines.yaml").write_text(PIPELINES)
    (folder / "inbox").mkdir()
    for number in range(10):
        lines = (f"Paragraph {line} of text {number} speaks of ferries, tides and harbours." for line in range(30))
        (folder / "inbox" / f"{number}.txt").write_text("\n".join(lines))
    assert fastembed(folder, "run", "--once").returncode == 0
    (folder / "pipelines.yaml").write_text(
        PIPELINES.replace("embed: {model: all-MiniLM-L6-v2}", "embed: {model: mine}")
    )
    return folder


def test_a_killed_one_changes_nothing_and_a_server_goes_on_where_it_was(folder: Path) -> None:
    [(model, total, different)] = rows(folder, CHUNKS)
    assert (model, total, different) == ("all-MiniLM-L6-v2", total, total)
    killed = subprocess.Popen([sys.executable, "-m", "fastembed", "reembed"], cwd=folder)
    wal, until = folder / "lake.duckdb.wal", time.monotonic() + 60
    while not (wal.exists() and wal.stat().st_size > 100_000) and killed.poll() is None and time.monotonic() < until:
        time.sleep(0.002)
    os.kill(killed.pid, signal.SIGKILL)
    killed.wait()
    assert rows(folder, CHUNKS) == [("all-MiniLM-L6-v2", total, total)]
    [(stored,)] = rows(folder, "SELECT count(*) FROM chunks_reembedded")
    assert 0 < stored < total

    with serving(folder) as server:
        found = httpx2.get(f"{server.url}/v1/search?q=ferries", timeout=60).json()
        assert (found["data"][0]["similarity"] is not None, "waiting_for_reembed" in found) == (True, False)
        ended = fastembed(folder, "reembed", "papers", "--url", server.url)
        assert (ended.returncode, ended.stderr) == (0, "")
        assert ended.stdout == f"chunks in {folder}/lake.duckdb: {total} chunks embedded with mine\n"
        [status] = httpx2.get(f"{server.url}/v1/documents/reembed").json()["data"]
        assert (status["state"], status["done"], status["total"]) == ("done", total, total)
        found = httpx2.get(f"{server.url}/v1/search?q=ferries", timeout=60).json()
        assert (found["data"][0]["similarity"] is not None, "waiting_for_reembed" in found) == (True, False)
        refused = httpx2.post(f"{server.url}/v1/documents/reembed", json={"pipeline": "paper"})
        assert "found no pipeline 'paper', expected one of papers" in refused.text
        assert "the vectors of 10 files are of another model; `fastembed reembed papers` makes new" in server.errors()
        assert server.terminate() == 0
    assert rows(folder, CHUNKS) == [("mine", total, total)]

    again = fastembed(folder, "reembed")
    assert again.stdout == f"chunks in {folder}/lake.duckdb: all chunks are embedded with mine already\n"
    assert fastembed(folder, "reprocess", "papers").stdout == "0 files will be processed again by papers\n"
