"""`fastembed serve` in a process of its own, for measuring it from outside."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


@asynccontextmanager
async def served(configuration: str = "") -> AsyncIterator[str]:
    """Start the server in an empty folder, yield its address once it is ready, stop it.

    configuration: the text of its pipelines.yaml; by default the built-in one.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with tempfile.TemporaryDirectory() as folder, (Path(folder) / "serve.log").open("wb") as log:
        if configuration:
            (Path(folder) / "pipelines.yaml").write_text(configuration, encoding="utf-8")
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "fastembed", "serve", "--port", str(port)),
            cwd=folder,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            stdout=subprocess.DEVNULL,
            stderr=log,
        )
        try:
            await asyncio.wait_for(_ready(port, process), 120)
            yield f"http://127.0.0.1:{port}"
        finally:
            if process.returncode is None:
                process.terminate()
            await process.wait()


async def _ready(port: int, process: asyncio.subprocess.Process) -> None:
    while process.returncode is None:
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            await asyncio.sleep(0.1)
            continue
        writer.write(b"GET /readyz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")
        status = await reader.readline()
        writer.close()
        if b" 200 " in status:
            return
        await asyncio.sleep(0.1)
    raise RuntimeError(f"fastembed serve ended with {process.returncode}, expected it to run")
