"""What a server writes is its user's alone, and a home that cannot be written to does not keep it from starting."""

from __future__ import annotations

import os
import time
from pathlib import Path

import httpx2
import pytest

from tests.e2e.serving import serving

PIPELINES = """
version: 1
pipelines:
  chat: {source: {http: POST /v1/chat/completions}, operators: [generate: {model: chat-pocket}], sink: reply}
  papers:
    source: {folder: inbox, settle: 100ms}
    operators: [parse, chunk, embed]
    sink: {duckdb: data/lake.duckdb}
    on_error: {folder: bad}
"""
LONGEST_S = 60.0


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "pipelines.yaml").write_text(PIPELINES)
    (tmp_path / "inbox").mkdir()
    (tmp_path / "inbox" / "note.md").write_text("# Ferry\n\nThe ferry leaves at seven.\n")
    (tmp_path / "inbox" / "broken.pdf").write_bytes(b"%PDF-1.4 and no more")
    return tmp_path


def until_read(url: str) -> None:
    """Wait until both documents have ended."""
    give_up = time.monotonic() + LONGEST_S
    while time.monotonic() < give_up:
        found = httpx2.get(f"{url}/v1/documents").json()
        if len(found["data"]) == 2:
            return
        time.sleep(0.1)
    raise AssertionError(f"found {found}, expected two documents")


def test_texts_and_names_are_for_nobody_else(folder: Path) -> None:
    home = folder / "home"
    home.mkdir()
    made_by_us = {folder / name for name in ("pipelines.yaml", "server.log", "inbox", "inbox/note.md", "home")}
    before = os.umask(0o022)
    try:
        with serving(folder, environ={"HOME": str(home), "XDG_DATA_HOME": "", "FASTEMBED_HOME": ""}) as server:
            upload = {"file": ("secret plans.txt", b"text"), "purpose": (None, "user_data")}
            assert httpx2.post(f"{server.url}/v1/files", files=upload).status_code == 200
            until_read(server.url)
            written = {path for path in folder.rglob("*") if not path.is_symlink()} - made_by_us
            open_to_others = {
                str(path.relative_to(folder))
                for path in written
                if path.stat().st_mode & 0o077
                and path.name != "broken.pdf"  # moved as it was
                and path.suffix != ".blob"  # of a model, as OpenVINO makes it, in a folder that nobody else can open
            }
    finally:
        os.umask(before)
    names = {path.name for path in written}
    assert {"lake.duckdb", "lake.duckdb.wal", "broken.pdf.error.json"} <= names
    assert any(name.startswith("file-") for name in names)
    assert open_to_others == set()


def test_a_home_that_cannot_be_written_to_keeps_nothing_from_starting(folder: Path) -> None:
    environ = {"HOME": "/proc/none", "XDG_DATA_HOME": "", "FASTEMBED_HOME": ""}
    with serving(folder, environ=environ) as server:
        body = {"model": "auto", "messages": [{"role": "user", "content": "hello"}], "max_tokens": 4}
        assert httpx2.post(f"{server.url}/v1/chat/completions", json=body, timeout=60).status_code == 200
        until_read(server.url)
        upload = {"file": ("a.txt", b"text"), "purpose": (None, "user_data")}
        refused = httpx2.post(f"{server.url}/v1/files", files=upload)
        assert (refused.status_code, refused.json()["error"]["type"]) == (503, "server_error")
        assert httpx2.get(f"{server.url}/v1/files").json()["data"] == []
        warned = server.errors()
    assert "nothing is kept in /proc/none" in warned
    assert "Traceback" not in warned
