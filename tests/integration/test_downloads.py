"""Models that are fetched when they are first asked for, from a hub on loopback."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx2
import pytest
from huggingface_hub import constants
from starlette.applications import Starlette

import fastembed.models as shipped
from fastembed.inference.library.sections import read_sections
from fastembed.inference.serving import downloads as module
from fastembed.inference.serving.downloads import Downloads
from fastembed.inference.serving.models import Models
from fastembed.pipeline.component import Resources
from fastembed.pipeline.errors import ModelNotFound, Unavailable
from fastembed.pipeline.payload.chat import ChatRequest
from fastembed.pipeline.payload.embedding import EmbeddingRequest
from fastembed.server.endpoints import catalog
from fastembed.server.endpoints.context import ServerContext
from fastembed.server.http.lifecycle import Lifecycle
from fastembed.server.observability.http_metrics import HttpMetrics
from fastembed.sources.http import HttpRoutes
from tests.integration.loopback_hub import LoopbackHub, Repository, hub_on_loopback
from tests.integration.onnx_file import SIZE, embedding_model

SHIPPED = Path(shipped.__file__).parent
BGE, GEMMA = "BAAI/bge-small-en-v1.5", "OpenVINO/gemma-3n-E4B-it-int4-ov"


def files_of(name: str) -> dict[str, bytes]:
    folder = SHIPPED / name
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def bge() -> Repository:
    """The repository as its authors keep it: no OpenVINO files, an ONNX one, PyTorch's beside it."""
    files = {name: content for name, content in files_of("minilm").items() if not name.startswith("openvino_model")}
    return Repository({**files, "onnx/model.onnx": embedding_model(), "pytorch_model.bin": b"pickle"})


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[LoopbackHub]:
    monkeypatch.setenv("FASTEMBED_MODELS", str(tmp_path / "models"))
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))  # no optimum-cli
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "token"))
    with hub_on_loopback() as found:
        monkeypatch.setenv("HF_ENDPOINT", found.url)
        found.repositories[BGE] = bge()
        yield found


@pytest.fixture
async def models(tmp_path: Path, hub: LoopbackHub) -> AsyncIterator[Models]:
    assert BGE in hub.repositories
    declared, _ = read_sections({"models": {"mine": {"from": "acme/chat", "task": "chat", "aliases": ["ours"]}}})
    found = Models(declared, base=tmp_path)
    yield found
    await found.close()


@pytest.fixture
async def downloads(models: Models) -> AsyncIterator[Downloads]:
    found = Downloads(models)
    yield found
    await found.close()


def lists(hub: LoopbackHub) -> list[str]:
    return [asked.path for asked in hub.asked if asked.path.startswith("/api/")]


async def test_requests_for_one_model_share_its_download_and_find_it_at_once(
    hub: LoopbackHub, models: Models, downloads: Downloads
) -> None:
    requests = [EmbeddingRequest(["a"], model=name) for name in ("bge-small-en-v1.5", BGE, "BGE-small-en-v1.5")]
    await asyncio.gather(*(downloads.prepare(request) for request in requests))
    assert lists(hub) == [f"/api/models/{BGE}"]
    assert not downloads.states()
    async with models.lend("bge-small-en-v1.5", "embedding") as model:
        vectors, _ = await model.embed(["snow", "rain"])
    assert vectors.shape == (2, SIZE)
    await downloads.prepare(requests[0])
    assert len(lists(hub)) == 1


async def test_what_lies_here_and_names_of_nobody_are_not_fetched(hub: LoopbackHub, downloads: Downloads) -> None:
    hub.repositories["acme/other"] = Repository(files_of("minilm"))
    for name in ("auto", "all-MiniLM-L6-v2", "chat-pocket", "nonsense", "acme/other"):
        await downloads.prepare(ChatRequest(model=name))
        await downloads.ready(name)
    assert not hub.asked


async def test_a_declared_model_is_fetched_under_its_alias(
    hub: LoopbackHub, models: Models, downloads: Downloads
) -> None:
    hub.repositories["acme/chat"] = Repository(files_of("chat-pocket"))
    await downloads.prepare(ChatRequest(model="ours"))
    assert models.catalog.place("mine", "chat").folder is not None


async def test_a_model_that_the_hub_has_by_now_is_fetched_and_one_that_it_has_not_is_left_to_the_request(
    hub: LoopbackHub, models: Models, downloads: Downloads
) -> None:
    await downloads.prepare(ChatRequest(model="gemma-3n-2b"))
    with pytest.raises(ModelNotFound, match="fastembed convert gemma-3n-2b"):
        models.catalog.place("gemma-3n-2b", "chat")
    hub.repositories[GEMMA] = Repository(files_of("vision-pocket"))
    await downloads.prepare(ChatRequest(model="gemma-3n"))
    assert models.catalog.place("gemma-3n-4b", "chat").folder is not None


class Held:
    """Holds a download up after its first bytes, until it is opened."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._gate = threading.Event()
        has = module.Download.has

        def held(download: module.Download, file: object, size: int) -> None:
            has(download, file, size)  # type: ignore[arg-type]
            while download.have and not self._gate.wait(0.01):
                has(download, file, size)  # type: ignore[arg-type]

        monkeypatch.setattr(module.Download, "has", held)

    def open(self) -> None:
        self._gate.set()


async def test_who_waits_too_long_is_told_how_far_it_is_and_the_download_goes_on(
    hub: LoopbackHub, downloads: Downloads, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = Held(monkeypatch)
    with pytest.raises(Unavailable, match=r"bge-small-en-v1\.5 is being fetched: .* ask again") as caught:
        await downloads.ready(BGE, patience_s=0.2)
    assert caught.value.code == "model_loading"
    assert 1 <= (caught.value.retry_after_s or 0) <= 60
    (state,) = downloads.states().values()
    assert (state.state, state.name) == ("fetching", "bge-small-en-v1.5")
    assert 0 <= state.have < state.total
    await downloads.prepare(EmbeddingRequest(["a"], model="nonsense"))
    await downloads.prepare(ChatRequest(model="bge-small-en-v1.5", model_fallback=True))  # another one answers
    held.open()
    await downloads.ready(BGE)
    assert len(lists(hub)) == 1


async def test_a_download_that_fails_is_told_to_all_and_not_repeated_at_once(
    hub: LoopbackHub, downloads: Downloads, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.repositories[BGE].token, hub.repositories[BGE].gated = "hf_secret", True
    for _ in range(3):
        with pytest.raises(Unavailable, match=r"could not be fetched: .* which is gated: accept its terms") as caught:
            await downloads.ready(BGE)
        assert str(caught.value).endswith("; by hand: fastembed pull bge-small-en-v1.5")
        assert caught.value.retry_after_s is None
    assert len(lists(hub)) == 1
    (state,) = downloads.states().values()
    assert (state.state, "gated" in state.error) == ("failed", True)
    hub.repositories[BGE].gated, hub.repositories[BGE].token = False, None
    monkeypatch.setattr(module, "_RETRY_S", 0.0)
    await downloads.ready(BGE)
    assert not downloads.states()


async def test_the_end_of_the_process_leaves_a_download_where_it_is_and_the_next_goes_on(
    hub: LoopbackHub, models: Models, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    first = Downloads(models)
    held = Held(monkeypatch)
    assert first.begin(BGE)
    while not any(state.have for state in first.states().values()):  # noqa: ASYNC110 - a thread's progress
        await asyncio.sleep(0.01)
    await first.close()
    assert not first.states()
    assert not first.begin(BGE)
    assert not (tmp_path / "models" / BGE).exists()
    held.open()
    second = Downloads(models)
    await second.ready(BGE)
    assert len(lists(hub)) == 2
    assert (tmp_path / "models" / BGE / "openvino_model.xml").is_file()
    assert not (tmp_path / "models" / BGE / "pytorch_model.bin").exists()
    await second.close()


async def test_a_request_fetches_a_model_of_the_catalogue(
    hub: LoopbackHub, models: Models, downloads: Downloads
) -> None:
    name, resources = "bge-small-en-v1.5", Resources(models, downloads)
    site = ServerContext(None, resources, HttpRoutes(), Lifecycle(), HttpMetrics(), lambda: b"", "0")
    app = Starlette(routes=catalog.routes(site))
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://127.0.0.1") as client:

        async def entry() -> dict[str, object]:
            rows = (await client.get("/v1/catalog")).json()["data"]
            return next(row for row in rows if row["name"] == name)

        before = await entry()
        answer = await client.post("/v1/models/pull", json={"model": name})
        await downloads.ready(name)
        after = await entry()
    assert (before["here"], before["pullable"]) == (False, True)
    assert (answer.status_code, answer.json()["fetching"]) == (202, True)
    assert (after["here"], after["pullable"]) == (True, False)
    assert lists(hub) == [f"/api/models/{BGE}"]
