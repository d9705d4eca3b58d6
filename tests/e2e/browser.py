"""A headless browser with a recording for a microphone, driven by the DevTools protocol over a websocket.

https://chromedevtools.github.io/devtools-protocol/
"""

from __future__ import annotations

import asyncio
import base64
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
    """One page of the browser. requests: the URLs that it asked for; complaints: what its console has of errors."""

    def __init__(self, connection: ClientConnection) -> None:
        self._connection = connection
        self._session: dict[str, str] = {}
        self._asked = 0
        self.requests: list[str] = []
        self.complaints: list[str] = []

    async def open(self, url: str) -> None:
        """Return once the page has loaded."""
        if not self._session:
            target = await self.ask("Target.createTarget", url="about:blank")
            attached = await self.ask("Target.attachToTarget", targetId=target["targetId"], flatten=True)
            self._session = {"sessionId": attached["sessionId"]}
            for domain in ("Page", "Network", "Runtime", "Log"):
                await self.ask(f"{domain}.enable")
        await self.ask("Page.navigate", url=url)
        await self._until("method", "Page.loadEventFired")

    async def shape(self, width: int, height: int, *, dark: bool = False) -> None:
        """Give the page a size, in CSS pixels, and a colour scheme."""
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        await self.ask("Emulation.setDeviceMetricsOverride", **size)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        await self.ask("Emulation.setEmulatedMedia", features=[scheme])

    async def screenshot(self, file: Path) -> None:
        """Write what is seen as a PNG."""
        answer = await self.ask("Page.captureScreenshot")
        await asyncio.to_thread(file.write_bytes, base64.b64decode(answer["data"]))

    async def run(self, script: str) -> Any:
        """Return what the script's last expression, awaited, gives."""
        answer = await self.ask(
            "Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True, userGesture=True
        )
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    async def ask(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Return what the browser answers to a command of the protocol."""
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
            self._note(message.get("method", ""), message.get("params", {}))
            if message.get(key) == value:
                return message

    def _note(self, method: str, params: dict[str, Any]) -> None:
        if method == "Network.requestWillBeSent":
            self.requests.append(params["request"]["url"])
        elif method == "Runtime.exceptionThrown":
            details = params["exceptionDetails"]
            self.complaints.append(details.get("exception", {}).get("description", details["text"]))
        elif method == "Log.entryAdded" and params["entry"]["source"] in ("security", "javascript"):
            self.complaints.append(params["entry"]["text"])


@asynccontextmanager
async def browsing(program: str, home: Path, microphone: Path) -> AsyncIterator[Page]:
    """Start the browser. microphone: a WAV, 48 kHz mono, that is heard again and again from when the page opens it."""
    process = await asyncio.create_subprocess_exec(
        program,
        *("--headless", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu", "--no-first-run"),
        *("--disable-background-networking", f"--user-data-dir={home}", "--remote-debugging-port=0"),
        *("--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream"),
        *(f"--use-file-for-fake-audio-capture={microphone}", "--autoplay-policy=no-user-gesture-required"),
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
