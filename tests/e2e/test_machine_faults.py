"""Parser processes killed from outside while files go through: no file pays for it, in a folder or over HTTP."""

from __future__ import annotations

import base64
import os
import random
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Self

import httpx2
import pytest

from tests.e2e.serving import Serving, serving

PIPELINES = """
version: 1
pipelines:
  papers:
    source: {folder: inbox, settle: 50ms}
    operators:
      - parse
      - chunk: {tokens: 60, overlap: 0}
    sink: {duckdb: lake.duckdb, table: chunks}
    on_error: {folder: inbox/failed}
  process:
    source: {http: POST /v1/documents/process}
    operators: [parse: {ahead: false}]
    sink: reply
"""
PATIENCE_S = 120.0


def parsers(server: int) -> list[int]:
    """Return the parser processes of a server."""
    found = []
    for task in Path(f"/proc/{server}/task").glob("*/children"):
        for child in task.read_text().split():
            try:
                command = Path(f"/proc/{child}/cmdline").read_bytes()
            except OSError:
                continue
            if b"fastembed.documents.child" in command:
                found.append(int(child))
    return found


class Killer:
    """Kills every parser of a server, again and again, `pause_s` apart."""

    def __init__(self, server: Serving) -> None:
        self.kills = 0
        self.pause_s = 0.05
        self._server = server.process.pid
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._kill)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _kill(self) -> None:
        rng = random.Random(7)
        while not self._stop.wait(self.pause_s * rng.uniform(0.5, 1.5) or 1.0):
            for pid in parsers(self._server) if self.pause_s else ():
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
                    self.kills += 1


def states(server: Serving) -> dict[str, tuple[str, str]]:
    rows: list[dict[str, Any]] = httpx2.get(f"{server.url}/v1/documents").json()["data"]
    return {row["name"]: (row["state"], row["detail"]) for row in rows}


def done(server: Serving) -> int:
    return sum(state == "done" for state, _ in states(server).values())


def until(found: Any, what: str) -> Any:
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        if value := found():
            return value
        time.sleep(0.2)
    raise AssertionError(what)


@contextmanager
def inbox(folder: Path, count: int) -> Iterator[Serving]:
    (folder / "pipelines.yaml").write_text(PIPELINES)
    (folder / "inbox").mkdir()
    for number in range(count):
        (folder / "inbox" / f"{number}.md").write_text(f"# Paper {number}\n\nThe storm gauge read {number}.\n" * 20)
    with serving(folder) as server:
        yield server


def storm(folder: Path, count: int, pause_s: float) -> int:
    """Have `count` files read while their parsers are killed; return how many were killed.

    pause_s: how often until half of the files are done, once the first file waits; 0: no more.
    """
    with inbox(folder, count) as server:
        with Killer(server) as killer:
            until(lambda: "waiting" in {state for state, _ in states(server).values()}, "no file waits")
            detail = next(detail for state, detail in states(server).values() if state == "waiting")
            assert "ended by SIGKILL" in detail or "did not start" in detail
            refused = httpx2.post(
                f"{server.url}/v1/documents/process",
                json={"document": {"type": "md", "source": "base64", "content": base64.b64encode(b"# Title").decode()}},
                timeout=60,
            )
            assert (refused.status_code, refused.headers["retry-after"]) == (503, "5")
            assert "not the document's fault" in refused.json()["error"]["message"]
            killer.pause_s = pause_s
            if pause_s:
                until(lambda: 2 * done(server) >= count, "half of the files are not done")
        until(lambda: done(server) == count, "not all files are done")
        assert [path.name for path in (folder / "inbox/failed").iterdir()] == [".no-input"]
        assert httpx2.get(f"{server.url}/v1/documents/failed").json()["data"] == []
        return killer.kills


@pytest.mark.timeout(300)
def test_no_file_fails_because_its_parsers_are_killed_and_http_says_to_come_back(tmp_path: Path) -> None:
    assert storm(tmp_path, 4, pause_s=0.0) >= 3
