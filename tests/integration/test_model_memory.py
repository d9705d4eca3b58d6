"""Models loaded and unloaded by requests, and the catalogue."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

import fastembed.models as shipped
from fastembed.inference.library.specs import ModelSpec
from fastembed.inference.serving.models import Models
from fastembed.pipeline.component import Resources
from fastembed.pipeline.errors import Conflict
from fastembed.server.app import create_app
from fastembed.server.endpoints import catalog, model_memory
from fastembed.server.endpoints.context import ServerContext
from fastembed.server.http.lifecycle import Lifecycle
from fastembed.server.observability.http_metrics import HttpMetrics
from fastembed.server.settings import ServerSettings
from fastembed.sources.http import HttpRoutes

EMBEDDING = "all-MiniLM-L6-v2"


@pytest.fixture
async def models(tmp_path: Path) -> AsyncIterator[Models]:
    models = Models(base=tmp_path)
    yield models
    await models.close()


@pytest.fixture
async def client(models: Models) -> AsyncIterator[httpx2.AsyncClient]:
    routes, lifecycle, stats = HttpRoutes(), Lifecycle(), HttpMetrics()
    lifecycle.serve()
    site = ServerContext(None, Resources(models), routes, lifecycle, stats, lambda: b"", "0")
    endpoints = [*model_memory.routes(site), *catalog.routes(site)]
    app = create_app(ServerSettings(), routes=routes, lifecycle=lifecycle, stats=stats, endpoints=endpoints)
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://127.0.0.1:8000") as client:
        yield client


async def post(client: httpx2.AsyncClient, what: str, model: str) -> tuple[int, Any]:
    answer = await client.post(f"/v1/models/{what}", json={"model": model})
    return answer.status_code, answer.json()


def states(models: Models) -> dict[str, str]:
    return {card.name: card.state for card in models.cards()}


async def test_a_model_is_loaded_and_unloaded(client: httpx2.AsyncClient, models: Models) -> None:
    assert (await post(client, "load", EMBEDDING))[0] == 200
    assert states(models)[EMBEDDING] == "ready"
    assert await post(client, "unload", EMBEDDING) == (
        200,
        {"object": "model.unload", "model": EMBEDDING, "count": 1},
    )
    assert states(models)[EMBEDDING] != "ready"
    assert (await post(client, "unload", EMBEDDING))[1]["count"] == 0
    async with models.lend(EMBEDDING, "embedding"):
        assert states(models)[EMBEDDING] == "ready"


async def test_a_model_in_use_stays(client: httpx2.AsyncClient, models: Models) -> None:
    async with models.lend(EMBEDDING, "embedding"):
        status, answer = await post(client, "unload", EMBEDDING)
        assert status == 409
        assert answer["error"]["message"] == f"{EMBEDDING} cannot be unloaded: it answers 1 requests now"
        assert states(models)[EMBEDDING] == "ready"


async def test_a_pinned_model_stays(tmp_path: Path) -> None:
    folder = Path(shipped.__file__).parent / "minilm"
    models = Models({"mine": ModelSpec(origin=str(folder), pin=True)}, base=tmp_path)
    try:
        async with models.lend("mine", "embedding"):
            pass
        with pytest.raises(Conflict, match="mine cannot be unloaded: the configuration pins it"):
            await models.unload("mine")
        assert states(models)["mine"] == "ready"
    finally:
        await models.close()


@pytest.mark.parametrize("what", ["load", "unload", "pull"])
async def test_an_unknown_model_is_a_404(client: httpx2.AsyncClient, what: str) -> None:
    status, answer = await post(client, what, "nobody/knows-this")
    assert (status, answer["error"]["param"]) == (404, "model")


async def test_a_server_that_may_not_pull_names_the_command(client: httpx2.AsyncClient) -> None:
    status, answer = await post(client, "pull", "bge-reranker-base")
    assert (status, answer["error"]["code"]) == (403, "pulling_not_allowed")
    assert "`fastembed pull bge-reranker-base`" in answer["error"]["message"]


async def test_the_catalogue_says_how_each_model_is_got(client: httpx2.AsyncClient) -> None:
    answer = (await client.get("/v1/catalog")).json()
    rows = {row["name"]: row for row in answer["data"]}
    assert rows["bge-reranker-base"]["command"] == "fastembed pull bge-reranker-base"
    assert not any(row["pullable"] for row in rows.values())
    assert EMBEDDING in answer["loadable"]
