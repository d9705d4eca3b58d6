"""Components that cannot be cancelled: they keep nobody from stopping the process."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import httpx2
import pytest

from tests.e2e.serving import serving

PLUGIN = """
import asyncio
import time
from collections.abc import AsyncIterator

from fastembed.pipeline.component import operator, sink, source


@source
async def one() -> AsyncIterator[int]:
    yield 1
    await asyncio.sleep(3600)


@source
async def blocking() -> AsyncIterator[int]:
    yield 1
    await asyncio.sleep(0.1)
    print("blocked", flush=True)
    time.sleep(3600)


@operator
async def stubborn(value: object) -> object:
    print("blocked", flush=True)
    while True:
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            pass


@sink
async def shown(value: object) -> None:
    print(value, flush=True)
"""


def write(folder: Path, pipeline: str) -> None:
    (folder / "plug.py").write_text(PLUGIN)
    (folder / "pipelines.yaml").write_text(
        f"version: 1\nplugins: [./plug.py]\ndefaults: {{drain: 1s}}\npipelines:\n  p: {pipeline}\n"
    )


@pytest.mark.parametrize(
    "pipeline",
    ["{source: one, operators: [stubborn], sink: shown}", "{source: blocking, operators: [], sink: shown}"],
)
def test_a_second_signal_ends_a_run_that_cannot_be_cancelled(tmp_path: Path, pipeline: str) -> None:
    write(tmp_path, pipeline)
    command = [sys.executable, "-m", "fastembed", "run"]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        assert next(line for line in running.stdout if "blocked" in line)
        running.send_signal(signal.SIGTERM)
        time.sleep(0.5)  # two signals at once are one
        running.send_signal(signal.SIGTERM)
        _, errors = running.communicate(timeout=20)
    assert running.returncode == 128 + signal.SIGTERM
    assert "a component ignores its cancellation, or blocks the event loop" in errors
    assert "Traceback" not in errors


def test_a_second_signal_ends_a_server_whose_operator_cannot_be_cancelled(tmp_path: Path) -> None:
    write(tmp_path, "{source: {http: POST /ask}, operators: [stubborn], sink: reply}")
    with serving(tmp_path) as server:
        asking = threading.Thread(target=_ask, args=(f"{server.url}/ask",), daemon=True)
        asking.start()
        while httpx2.get(f"{server.url}/v1/pipelines").json()["data"][0]["in_flight"] == 0:
            time.sleep(0.05)
        server.process.send_signal(signal.SIGINT)
        time.sleep(0.5)
        server.process.send_signal(signal.SIGINT)
        assert server.process.wait(30) == 128 + signal.SIGINT
        asking.join(10)


def _ask(url: str) -> None:
    try:
        httpx2.post(url, json={}, timeout=60)
    except httpx2.TransportError:  # the server ended
        return
