"""The real process under way: it is stopped, a caller leaves, its file changes."""

from __future__ import annotations

import asyncio
import contextlib
import re
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx2
import pytest

from tests.e2e.serving import serving

SLOW = """
version: 1
plugins: [./slow.py]
defaults: {drain: 30s}
pipelines:
  slow: {source: {http: POST /slow, queue: 1, overflow: reject}, operators: [slow: {answer: old}], sink: reply}
"""
SLOW_PY = '''
import asyncio

from fastembed.pipeline.component import operator


@operator
class Slow:
    """Take a while.

    Args:
        answer: what to say.

    """

    workers = 1

    def __init__(self, *, answer: str) -> None:
        self._answer = answer

    async def __call__(self, value: dict) -> str:
        """Wait as long as asked."""
        await asyncio.sleep(value["seconds"])
        return self._answer
'''


def until(holds: Callable[[], bool]) -> None:
    give_up = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < give_up
        time.sleep(0.05)


async def under_way(client: httpx2.AsyncClient) -> None:
    while (await client.get("/v1/system/status")).json()["pipelines"][0]["in_flight"] == 0:
        pass


def slow_folder(folder: Path) -> Path:
    (folder / "pipelines.yaml").write_text(SLOW)
    (folder / "slow.py").write_text(SLOW_PY)
    return folder


@pytest.fixture
def hanging_up() -> Iterator[None]:
    """Under nohup a hangup is ignored, and the server, which inherits that, would rightly keep to it."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.mark.usefixtures("hanging_up")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
async def test_a_stop_ends_what_runs_refuses_what_is_new_and_exits_with_0(
    number: signal.Signals, tmp_path: Path
) -> None:
    with serving(slow_folder(tmp_path)) as server:
        async with httpx2.AsyncClient(base_url=server.url) as client:
            running = asyncio.create_task(client.post("/slow", json={"seconds": 4}, timeout=60))
            await under_way(client)
            server.process.send_signal(number)
            while (await client.get("/readyz")).status_code == 200:
                pass
            refused = await client.post("/slow", json={"seconds": 0})
            assert refused.status_code == 503
            assert refused.headers["retry-after"]
            answered = await running
        assert (answered.status_code, answered.json()) == (200, "old")
        assert server.process.wait(20) == 0


async def test_a_second_signal_stops_at_once(tmp_path: Path) -> None:
    with serving(slow_folder(tmp_path)) as server:
        async with httpx2.AsyncClient(base_url=server.url) as client:
            running = asyncio.create_task(client.post("/slow", json={"seconds": 60}))
            await under_way(client)
            server.process.send_signal(signal.SIGINT)
            while (await client.get("/readyz")).status_code == 200:
                pass
            server.process.send_signal(signal.SIGINT)
            assert await asyncio.to_thread(server.process.wait, 10) == 130
            with contextlib.suppress(httpx2.TransportError):
                assert (await running).status_code == 503


async def test_a_client_that_leaves_frees_its_place(tmp_path: Path) -> None:
    with serving(slow_folder(tmp_path)) as server:
        async with httpx2.AsyncClient(base_url=server.url) as client:
            leaving = asyncio.create_task(client.post("/slow", json={"seconds": 60}))
            await under_way(client)
            leaving.cancel()
            await asyncio.wait([leaving])
            async with asyncio.timeout(5):
                assert (await client.post("/slow", json={"seconds": 0})).json() == "old"
            outcomes = (await client.get("/v1/pipelines")).json()["data"][0]["outcomes"]
            assert outcomes == {"cancelled": 1, "delivered": 1}


async def test_a_reload_under_load_fails_no_request(tmp_path: Path) -> None:
    folder = slow_folder(tmp_path)
    file = folder / "pipelines.yaml"
    file.write_text(SLOW.replace("queue: 1", "queue: 64"))
    with serving(folder) as server:
        async with httpx2.AsyncClient(base_url=server.url) as client:
            answers: list[tuple[int, str]] = []

            async def load() -> None:
                while ("new" not in {said for _, said in answers}) or len(answers) < 200:
                    response = await client.post("/slow", json={"seconds": 0.002})
                    answers.append((response.status_code, response.text.strip('"')))

            async with asyncio.timeout(60), asyncio.TaskGroup() as group:
                for _ in range(8):
                    group.create_task(load())
                while len(answers) < 20:  # noqa: ASYNC110 - the answers are the event
                    await asyncio.sleep(0)
                file.write_text(file.read_text().replace("old", "new"))
            assert {status for status, _ in answers} == {200}
            assert {said for _, said in answers} == {"old", "new"}


async def test_a_bad_file_changes_nothing_and_says_why(tmp_path: Path) -> None:
    folder = slow_folder(tmp_path)
    with serving(folder, "--no-watch") as server:
        async with httpx2.AsyncClient(base_url=server.url) as client:
            (folder / "pipelines.yaml").write_text(SLOW.replace("answer", "answr"))
            refused = await client.post("/v1/pipelines/reload")
            assert refused.status_code == 422
            assert "pipelines.yaml:6:" in refused.json()["error"]["message"]
            assert (await client.post("/slow", json={"seconds": 0})).json() == "old"
            (folder / "pipelines.yaml").write_text(SLOW.replace("old", "new"))
            assert (await client.post("/v1/pipelines/reload")).json()["changed"] == ["slow"]
            assert (await client.post("/slow", json={"seconds": 0})).json() == "new"


def test_a_saved_plug_in_is_taken_over_and_a_broken_one_is_not(tmp_path: Path) -> None:
    folder = slow_folder(tmp_path)
    plugin = folder / "slow.py"
    with serving(folder) as server:
        with httpx2.Client(base_url=server.url) as client:

            def said() -> str:
                return str(client.post("/slow", json={"seconds": 0}).json())

            plugin.write_text(SLOW_PY.replace("@operator", "@operator("))
            until(lambda: "slow.py line 7, which fails: SyntaxError" in server.errors())
            assert said() == "old"
            plugin.write_text(SLOW_PY.replace("return self._answer", "return self._answer.upper()"))
            until(lambda: said() == "OLD")
        assert "reloaded: changed slow\n" in server.errors()


def test_a_server_that_has_ended_has_said_nothing_but_its_log(tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        assert server.terminate() == 0
        assert [line for line in server.errors().splitlines() if not re.match(r"\d\d:\d\d:\d\d \w+ ", line)] == []
