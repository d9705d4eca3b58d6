"""`kill -9` at any moment, then a restart: every file is in DuckDB once, none lost, none twice."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import duckdb
import pytest

PLUGIN = '''
"""Reads plain text without a parser's start-up, so that a kill can hit every moment of a file's way."""

import time
from fastembed.pipeline.component import operator
from fastembed.pipeline.payload.document import Block, Document, File


@operator
def open_text(file: File) -> Document:
    text = file.path.read_text()
    time.sleep(0.005)
    blocks = tuple(Block("paragraph", line) for line in text.splitlines() if line)
    return Document(file, file.name, text, "{}", blocks, 0, "text")
'''

PIPELINES = """
version: 1
plugins: [./reading.py]
pipelines:
  papers:
    source: {folder: inbox, match: "**/*.txt", settle: 50ms, rescan: 1s}
    operators:
      - open_text
      - chunk: {tokens: 60, overlap: 0}
      - embed: {model: auto}
    sink: {duckdb: lake.duckdb, table: chunks}
    on_error: {folder: inbox/failed}
"""

REAL = """
version: 1
pipelines:
  papers:
    source: {folder: inbox, settle: 50ms}
    operators:
      - parse
      - chunk: {tokens: 60, overlap: 0}
      - embed: {model: auto}
    sink: {duckdb: lake.duckdb, table: chunks}
    on_error: {folder: inbox/failed}
"""


def sentences(rng: random.Random, count: int) -> str:
    words = [
        "hail",
        "storm",
        "wind",
        "gauge",
        "ridge",
        "snow",
        "observer",
        "morning",
        "needle",
        "record",
        "cloud",
        "summit",
    ]
    return "\n\n".join(" ".join(rng.choices(words, k=30)).capitalize() + "." for _ in range(count))


def run(home: Path, *options: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "fastembed", "run", "papers", "--config", "pipelines.yaml", *options]
    with (home / "log.txt").open("ab") as log:
        return subprocess.Popen(command, cwd=home, stdin=subprocess.DEVNULL, stdout=log, stderr=log)


def wait_for_a_commit(home: Path, process: subprocess.Popen[bytes]) -> bool:
    """Wait until the database's log grows: something is written at this moment."""
    log = home / "lake.duckdb.wal"
    before = log.stat().st_mtime_ns if log.exists() else None
    deadline = time.monotonic() + 30
    while process.poll() is None and time.monotonic() < deadline:
        if log.exists() and log.stat().st_mtime_ns != before:
            return True
        time.sleep(0.005)
    return False


def check(home: Path, files: dict[str, int]) -> None:
    """Each file is in documents and in the ledger once, with all its chunks."""
    with duckdb.connect(home / "lake.duckdb", read_only=True) as connection:
        documents = connection.sql("select name from documents order by name").fetchall()
        ledger = connection.sql("select name, state from ledger order by name").fetchall()
        chunks = dict(
            connection.sql(
                "select name, count(distinct index) from documents"
                " join chunks on document_id = documents.id group by name"
            ).fetchall()
        )
        twice = connection.sql("select document_id, index from chunks group by 1, 2 having count(*) > 1").fetchall()
    assert documents == [(name,) for name in sorted(files)]
    assert ledger == [(name, "done") for name in sorted(files)]
    assert twice == []
    assert all(chunks[name] >= 1 for name in files)


@pytest.mark.timeout(600)
def test_thirty_kills_over_a_hundred_files_lose_nothing_and_repeat_nothing(tmp_path):
    homes = [tmp_path / "one", tmp_path / "two"]  # side by side: a start keeps one core busy
    with ThreadPoolExecutor(len(homes)) as pool:
        at_work = sum(pool.map(killed_again_and_again, homes, (20, 21), (15, 15), (50, 50)))
    assert at_work >= 15, "too many kills hit nothing but starts"


def killed_again_and_again(home: Path, seed: int, kills: int, count: int) -> int:
    """Kill a process so often over `count` files, let the last one finish, check; return how many kills hit a write."""
    rng = random.Random(seed)
    (home / "inbox").mkdir(parents=True)
    (home / "reading.py").write_text(PLUGIN)
    (home / "pipelines.yaml").write_text(PIPELINES)
    files = {f"{index:03}.txt": rng.randint(1, 12) for index in range(count)}
    waiting = list(files)
    at_work = 0
    for _ in range(kills):
        for name in waiting[:4]:  # files arrive while it runs, stops and starts
            (home / "inbox" / name).write_text(f"{name}\n\n{sentences(rng, files[name])}")
        waiting = waiting[4:]
        process = run(home)
        if rng.random() < 0.8:
            at_work += wait_for_a_commit(home, process)
            time.sleep(rng.random() * 0.1)
        else:
            time.sleep(rng.random() * 2)  # while it starts
        assert process.poll() is None, (home / "log.txt").read_text()[-2000:]
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    for name in waiting:
        (home / "inbox" / name).write_text(f"{name}\n\n{sentences(rng, files[name])}")
    assert run(home, "--once").wait(120) == 0, (home / "log.txt").read_text()[-2000:]
    check(home, files)
    return at_work


@pytest.mark.timeout(180)
def test_a_kill_leaves_no_parser_behind_and_the_file_is_read_after_the_restart(tmp_path):
    (tmp_path / "inbox").mkdir()
    (tmp_path / "pipelines.yaml").write_text(REAL)
    for index in range(6):
        (tmp_path / "inbox" / f"{index}.md").write_text(f"# Page {index}\n\n{sentences(random.Random(index), 3)}")
    process = run(tmp_path)
    deadline = time.monotonic() + 60
    while not (children := children_of(process.pid)) and time.monotonic() < deadline:
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    while any(Path(f"/proc/{child}").exists() for child in children) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not [child for child in children if Path(f"/proc/{child}").exists()]
    assert run(tmp_path, "--once").wait(120) == 0, (tmp_path / "log.txt").read_text()[-2000:]
    check(tmp_path, dict.fromkeys((f"{index}.md" for index in range(6)), 1))


def children_of(pid: int) -> list[int]:
    listed = (path.read_text() for path in Path(f"/proc/{pid}/task").glob("*/children"))
    return [int(child) for children in listed for child in children.split()]
