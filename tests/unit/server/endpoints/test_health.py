"""What /readyz and /v1/system/status say of models that fail."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from fastembed.inference.serving.models import Models
from fastembed.inference.serving.resilience.breakers import Breakers
from fastembed.inference.serving.warmup.history import History
from fastembed.inference.serving.warmup.warmup import Warmup
from fastembed.pipeline.component import Resources
from fastembed.server.endpoints import health, system
from fastembed.server.endpoints.context import ServerContext
from fastembed.server.http.lifecycle import Lifecycle
from fastembed.server.observability.http_metrics import HttpMetrics
from fastembed.sources.http import HttpRoutes

NOW = datetime(2026, 7, 1, 12, 2, 40, tzinfo=UTC)


class Running:
    """No pipelines."""

    def __init__(self):
        self.opening = []

    def views(self):
        return []

    def waiting_for(self):
        return self.opening


@pytest.fixture
async def site(tmp_path: Path):
    models = Models(base=tmp_path)
    await models.warm()
    lifecycle = Lifecycle()
    lifecycle.serve()
    resources = Resources(models, Breakers(clock=lambda: 0.0, wall=lambda: NOW), Warmup(models, History(None)))
    yield ServerContext(Running(), resources, HttpRoutes(), lifecycle, HttpMetrics(), lambda: b"", "0")
    await models.close()


def asked(site, path):
    client = TestClient(Starlette(routes=[*health.routes(site), *system.routes(site)]))
    response = client.get(path)
    return response.status_code, response.json()


def fail(site, model, device):
    breaker = site.resources.get(Breakers).of(model, device)
    for _ in range(5):
        breaker.failed(breaker.enter(0), 0)


async def test_with_all_well_it_is_ready(site):
    assert asked(site, "/readyz") == (200, {"status": "ready", "waiting_for": [], "degraded": []})


async def test_until_the_pipelines_are_open_it_is_not(site):
    site.running.opening = ["pipeline chat"]
    status, body = asked(site, "/readyz")
    assert (status, body["status"], body["waiting_for"]) == (503, "starting", ["pipeline chat"])


async def test_a_model_that_fails_is_listed_and_the_others_go_on(site):
    fail(site, "gemma-3n-4b", "NPU")
    status, body = asked(site, "/readyz")
    assert (status, body["status"]) == (200, "degraded")
    told = {"model": "gemma-3n-4b", "device": "NPU", "state": "open", "failures": 0, "opened": 1, "retry_after_s": 30}
    told["why"] = "breaker open until 12:03:10 (in 30 s)"
    assert body["degraded"] == [told]
    assert asked(site, "/v1/system/status")[1]["breakers"] == [told]


async def test_a_model_that_fails_on_one_device_is_there_on_the_other(site):
    fail(site, "all-MiniLM-L6-v2", "NPU")
    site.resources.get(Breakers).of("all-MiniLM-L6-v2", "CPU")
    assert asked(site, "/readyz")[0] == 200


async def test_it_is_not_ready_when_nothing_that_is_loaded_answers(site):
    fail(site, "all-MiniLM-L6-v2", "CPU")
    status, body = asked(site, "/readyz")
    assert (status, body["status"]) == (503, "degraded")
