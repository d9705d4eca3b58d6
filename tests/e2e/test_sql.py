"""`fastembed sql`, `export`, POST /v1/sql and /v1/export of the real process, with a server and without one."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import duckdb
import httpx2
import nanoarrow
import pytest

from tests.e2e.serving import Serving, fastembed, serving

PIPELINES = """
version: 1
pipelines:
  papers:
    source: {folder: inbox, settle: 100ms}
    operators: [parse, chunk]
    sink: {duckdb: lake.duckdb}
    on_error: {folder: bad}
"""
ENDLESS = "SELECT count(*) FROM range(100000) a, range(100000) b, range(10000) c WHERE a.range + b.range = c.range + 3"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sql")
    (folder / "pipelines.yaml").write_text(PIPELINES)
    (folder / "inbox").mkdir()
    (folder / "inbox" / "snow.md").write_text("# Snow\n\nAn avalanche closed the track.\n")
    assert fastembed(folder, "run", "--once").returncode == 0
    return folder


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[Serving]:
    with serving(folder) as server:
        yield server


def asked(server: Serving, **body: object) -> httpx2.Response:
    return httpx2.post(f"{server.url}/v1/sql", json=body, timeout=60)


def test_without_a_server_the_file_is_read(folder: Path) -> None:
    ended = fastembed(folder, "sql", "SELECT file, heading, text FROM passages")
    assert ended.stdout.splitlines() == [
        "file     heading  text",
        "-------  -------  ------------------------------",
        "snow.md  Snow     An avalanche closed the track.",
        "(1 row)",
    ]
    refused = fastembed(folder, "sql", "DROP TABLE documents")
    assert (refused.returncode, refused.stdout) == (1, "")
    assert refused.stderr.startswith("fastembed: found a statement of type DROP, expected SELECT")


def test_with_a_server_the_same_command_asks_it(folder: Path, server: Serving, monkeypatch) -> None:
    monkeypatch.setenv("FASTEMBED_URL", server.url)
    query = "SELECT file FROM passages WHERE text ILIKE $words"
    ended = fastembed(folder, "sql", query, "-p", "words=%avalanche%", "--format", "json")
    assert json.loads(ended.stdout)["data"] == [{"file": "snow.md"}]
    wrong = fastembed(folder, "sql", "SELECT nope FROM files")
    assert wrong.returncode == 1
    assert wrong.stderr.startswith('fastembed: Binder Error: Referenced column "nope" not found')
    assert fastembed(folder, "sql", "FROM files", "-o", "files.parquet").returncode == 0
    with duckdb.connect() as con:
        con.execute("SELECT file FROM read_parquet(?)", [str(folder / "files.parquet")])
        assert con.fetchall() == [("snow.md",)]


def test_the_endpoint_answers_in_the_asked_format(server: Serving) -> None:
    answer = asked(server, query="SELECT file, state FROM files WHERE state = ?", params=["done"])
    assert answer.headers["content-type"] == "application/json"
    assert answer.json() == {
        "object": "sql.result",
        "columns": [{"name": "file", "type": "VARCHAR"}, {"name": "state", "type": "VARCHAR"}],
        "row_count": 1,
        "truncated": False,
        "data": [{"file": "snow.md", "state": "done"}],
    }
    arrow = asked(server, query="SELECT file FROM files", format="arrow")
    assert arrow.headers["content-type"] == "application/vnd.apache.arrow.stream"
    assert nanoarrow.ArrayStream.from_readable(arrow.content).read_all().to_pylist() == [{"file": "snow.md"}]


def test_errors_are_objects_with_duckdbs_message(server: Serving) -> None:
    for body, param, message in (
        ({"query": "SELECT nope FROM files"}, "query", "Binder Error: Referenced column"),
        ({"query": "SELECT * FROM ledger"}, "query", "found the table 'ledger', expected one of"),
        ({"query": "SELECT 1", "params": 3}, "params", "expected a list for ? and $1"),
        ({"query": "SELECT 1", "format": "xml"}, "format", "expected one of json, csv, arrow, parquet"),
        ({"query": "SELECT 1", "max_row": 3}, "max_row", "did you mean max_rows"),
        ({"query": "SELECT 1", "database": "x"}, "database", "which does not exist"),
        ({"query": ENDLESS, "timeout": 0.1}, "query", "it took longer than 0.1 s"),
        ({}, "query", "found no query"),
    ):
        answer = asked(server, **body)
        error = answer.json()["error"]
        assert (answer.status_code, error["param"]) == (400, param)
        assert message in error["message"]


def test_a_client_that_leaves_ends_its_query(server: Serving) -> None:
    for _ in range(4):  # more than run at once
        with pytest.raises(httpx2.ReadTimeout):
            httpx2.post(f"{server.url}/v1/sql", json={"query": ENDLESS, "timeout": 600}, timeout=0.3)
    before = time.monotonic()
    assert asked(server, query="SELECT 1 AS x").json()["data"] == [{"x": 1}]
    assert time.monotonic() - before < 30


def test_a_copy_is_taken_while_the_server_runs(folder: Path, server: Serving, monkeypatch) -> None:
    monkeypatch.setenv("FASTEMBED_URL", server.url)
    ended = fastembed(folder, "export", "copy.duckdb")
    assert (ended.returncode, ended.stdout) == (0, "copy.duckdb is written\n")
    with duckdb.connect(str(folder / "copy.duckdb"), read_only=True) as con:
        assert con.execute("SELECT file, state FROM files").fetchall() == [("snow.md", "done")]
    assert fastembed(folder, "export", "parquet").returncode == 0
    with duckdb.connect() as con:
        con.execute("SELECT file FROM read_parquet(?)", [str(folder / "parquet" / "passages.parquet")])
        assert con.fetchall() == [("snow.md",)]


def test_what_names_a_model_is_still_converted(folder: Path) -> None:
    ended = fastembed(folder, "export", "gemma-3n-4b", "--print")
    assert ended.stdout.startswith("optimum-cli export openvino --model google/gemma-3n-E4B-it")
    assert ended.stderr == "models are converted by `fastembed convert` now\n"
