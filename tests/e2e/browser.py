"""A headless browser with a recording for a microphone, driven by the DevTools protocol over a websocket.

https://chromedevtools.github.io/devtools-protocol/
"""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from websockets.asyncio.client import ClientConnection, connect

NAMES = ("chromium", "chromium-browser", "google-chrome")
START_S = 60


def find_browser() -> str | None:
    """Return the path of a browser that speaks the protocol, or None."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


class Page:
    """One page of the browser."""

    def __init__(self, connection: ClientConnection) -> None:
        self._connection = connection
        self._session: dict[str, str] = {}
        self._asked = 0

    async def open(self, url: str) -> None:
        """Return once the page has loaded."""
        target = await self._ask("Target.createTarget", url="about:blank")
        attached = await self._ask("Target.attachToTarget", targetId=target["targetId"], flatten=True)
        self._session = {"sessionId": attached["sessionId"]}
        await self._ask("Page.enable")
        await self._ask("Page.navigate", url=url)
        await self._until("method", "Page.loadEventFired")

    async def run(self, script: str) -> Any:
        """Return what the script's last expression, awaited, gives."""
        answer = await self._ask(
            "Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True, userGesture=True
        )
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    async def _ask(self, method: str, **parameters: Any) -> dict[str, Any]:
        self._asked += 1
        await self._connection.send(
            json.dumps({"id": self._asked, "method": method, "params": parameters} | self._session)
        )
        answer = await self._until("id", self._asked)
        assert "result" in answer, answer
        return answer["result"]

    async def _until(self, key: str, value: object) -> dict[str, Any]:
        while True:
            message: dict[str, Any] = json.loads(await self._connection.recv())
            if message.get(key) == value:
                return message


@asynccontextmanager
async def browsing(program: str, home: Path, microphone: Path) -> AsyncIterator[Page]:
    """Start the browser. microphone: a WAV, 48 kHz mono, that is heard once from when the page opens it."""
    process = await asyncio.create_subprocess_exec(
        program,
        *("--headless", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu", "--no-first-run"),
        *("--disable-background-networking", f"--user-data-dir={home}", "--remote-debugging-port=0"),
        *("--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream"),
        *(f"--use-file-for-fake-audio-capture={microphone}%noloop", "--autoplay-policy=no-user-gesture-required"),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stderr is not None
    reading: asyncio.Task[bytes] | None = None
    try:
        async with asyncio.timeout(START_S):
            said = []
            while b"DevTools listening on " not in (line := await process.stderr.readline()):
                said.append(line)
                assert line, b"".join(said).decode()
        reading = asyncio.create_task(process.stderr.read())  # what it says from now on must not fill the pipe
        async with connect(line.split()[-1].decode(), max_size=None, proxy=None) as connection:
            yield Page(connection)
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()
        if reading is not None:
            await reading
