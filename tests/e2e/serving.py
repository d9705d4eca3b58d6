"""Starts the real server process and finds out where it listens."""

from __future__ import annotations

import os
import queue
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

READY = re.compile(r"FastEmbed is ready at (http://\S+)")
START_S = 90


class Serving:
    def __init__(
        self, folder: Path, *arguments: str, environ: Mapping[str, str] | None = None, prefix: Sequence[str] = ()
    ) -> None:
        self.log = (folder / "server.log").open("w+")
        self.process = subprocess.Popen(
            [*prefix, sys.executable, "-m", "fastembed", "serve", "--port", "0", *arguments],
            cwd=folder,
            stdout=subprocess.PIPE,
            stderr=self.log,
            text=True,
            env={**os.environ, **(environ or {})},
        )
        self.lines: list[str] = []
        self._said: queue.Queue[str | None] = queue.Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self.url = self._until_ready()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._said.put(line.rstrip())
        self._said.put(None)

    def _until_ready(self) -> str:
        while (line := self._said.get(timeout=START_S)) is not None:
            self.lines.append(line)
            if found := READY.search(line):
                return found[1]
        raise AssertionError(f"it ended with {self.process.wait()}:\n{self.errors()}")

    def errors(self) -> str:
        self.log.flush()
        return Path(self.log.name).read_text()

    def terminate(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(30)

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self._reader.join()
        assert self.process.stdout is not None
        self.process.stdout.close()
        self.log.close()


@contextmanager
def serving(
    folder: Path, *arguments: str, environ: Mapping[str, str] | None = None, prefix: Sequence[str] = ()
) -> Iterator[Serving]:
    server = Serving(folder, *arguments, environ=environ, prefix=prefix)
    try:
        yield server
    finally:
        server.close()


def fastembed(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command: Sequence[str] = [sys.executable, "-m", "fastembed", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=START_S, check=False)
