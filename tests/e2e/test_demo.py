"""`fastembed demo` from outside: the whole product on real input, in one process tree."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest


def demo(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    offline = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": ""}  # nothing is downloaded: the tiny model answers
    environment = {**os.environ, **offline, "TMPDIR": str(folder), "COLUMNS": "120"}
    command = [sys.executable, "-m", "fastembed", "demo", *options]
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=170
    )


@pytest.mark.timeout(180)
def test_the_demo_shows_all_three_uses_and_ends_with_status_0(tmp_path: Path) -> None:
    shown = demo(tmp_path)
    assert shown.returncode == 0, shown.stdout + shown.stderr
    assert shown.stdout.count("right, ") == 6
    assert "All right." in shown.stdout
    for expected in ("handbook.pdf", "storm-log.pdf", "winter-report.docx", "readings.xlsx", "whisper-base", "curl"):
        assert expected in shown.stdout


def test_the_demo_says_why_its_server_did_not_start(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        shown = demo(tmp_path, "--port", str(taken.getsockname()[1]))
    assert shown.returncode == 1
    assert "The demo failed: the server ended" in shown.stdout
    assert "cannot listen" in shown.stdout
