"""The demo's server: the real command in a process of its own, and the few HTTP calls that the demo makes to it."""

from __future__ import annotations

import http.client
import json
import re
import shutil
import subprocess
import sys
import threading
import time
import urllib.parse
from collections import deque
from importlib.resources import files
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

READY_WITHIN_S: Final = 60.0
STOPPED_WITHIN_S: Final = 30.0
_ADDRESS: Final = re.compile(r"http://(?P<host>[\w.]+):(?P<port>\d+)")


class DemoFailed(Exception):
    """A part of the demo did not give the right result; the message says what was found and what was expected."""


class DemoServer:
    """`fastembed serve` with the built-in pipelines in `folder`, from entering to leaving the context."""

    def __init__(self, folder: Path, port: int) -> None:
        """Prepare; `port` 0 takes a free one."""
        self.folder = folder
        self.inbox = folder / "inbox"
        self.ready_s = 0.0
        self.greeting: list[str] = []
        self._port = port
        self._lines: deque[str] = deque(maxlen=40)
        self._address = threading.Event()
        self._reader: threading.Thread | None = None
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        """Start the process and wait until it is ready to serve; DemoFailed if it ends or takes too long."""
        config = self.folder / "pipelines.yaml"
        shutil.copy(str(files("fastembed") / "pipelines.yaml"), config)
        self.inbox.mkdir(exist_ok=True)
        start = time.perf_counter()
        command = [sys.executable, "-m", "fastembed", "serve", "--config", str(config), "--port", str(self._port)]
        self._process = subprocess.Popen(  # noqa: S603 (our own command)
            command, cwd=self.folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        self._reader = threading.Thread(target=self._read, name="demo-server-output", daemon=True)
        self._reader.start()
        try:
            self._wait_until_ready(start + READY_WITHIN_S)
        except BaseException:  # raised again, Ctrl+C too: no server may stay behind
            self._stop()
            raise
        self.ready_s = time.perf_counter() - start
        self.greeting = [line for line in self._lines if " -> " in line]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop the process as an operator would, with a terminate signal; kill it if it does not end."""
        self._stop()

    @property
    def url(self) -> str:
        """The server's address, without a slash at the end."""
        return f"http://127.0.0.1:{self._port}"

    @property
    def websocket_url(self) -> str:
        """The address of the realtime transcription."""
        return f"ws://127.0.0.1:{self._port}/v1/realtime?intent=transcription"

    @property
    def pid(self) -> int:
        """The process's id."""
        return self._running().pid

    def get(self, path: str, **query: str) -> dict[str, Any]:
        """GET a JSON object; DemoFailed on any status but 200."""
        return self._ask("GET", f"{path}?{urllib.parse.urlencode(query)}" if query else path, None)

    def post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """POST a JSON object; DemoFailed on any status but 200."""
        return self._ask("POST", path, json.dumps(body))

    def wait(self) -> None:
        """Wait until the process ends by itself."""
        self._running().wait()

    def _ask(self, method: str, path: str, body: str | None) -> dict[str, Any]:
        status, text = self._exchange(method, path, body)
        if status != http.client.OK:
            raise DemoFailed(f"{method} {path} answered {status}: {text[:300]}")
        answer: dict[str, Any] = json.loads(text)
        return answer

    def _exchange(self, method: str, path: str, body: str | None) -> tuple[int, str]:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=60)
        try:
            connection.request(method, path, body, {"content-type": "application/json"} if body else {})
            response = connection.getresponse()
            return response.status, response.read().decode()
        finally:
            connection.close()

    def _wait_until_ready(self, deadline: float) -> None:
        while not self._address.wait(0.02):
            self._check_alive(deadline)
        while not self._is_ready():
            self._check_alive(deadline)
            time.sleep(0.02)

    def _is_ready(self) -> bool:
        try:
            return self._exchange("GET", "/readyz", None)[0] == http.client.OK
        except OSError:  # not listening yet
            return False

    def _check_alive(self, deadline: float) -> None:
        ended = self._running().poll()
        if ended is not None or time.perf_counter() > deadline:
            what = f"ended with status {ended}" if ended is not None else f"was not ready after {READY_WITHIN_S:.0f} s"
            raise DemoFailed(f"the server {what}; it said:\n" + "\n".join(self._lines))

    def _read(self) -> None:
        stdout = self._running().stdout
        if stdout is None:  # cannot happen: it was started with a pipe
            raise AssertionError("the server has no output to read")
        for line in stdout:
            self._lines.append(line.rstrip())
            found = _ADDRESS.search(line)
            if found and not self._address.is_set():
                self._port = int(found["port"])
                self._address.set()

    def _running(self) -> subprocess.Popen[str]:
        if self._process is None:
            raise AssertionError("the server is used outside its context")
        return self._process

    def _stop(self) -> None:
        process = self._running()
        process.terminate()
        try:
            process.wait(STOPPED_WITHIN_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if self._reader is not None:
            self._reader.join(STOPPED_WITHIN_S)
        if process.stdout is not None:
            process.stdout.close()
