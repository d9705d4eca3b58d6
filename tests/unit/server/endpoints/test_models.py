"""What /v1/models says of models that are being fetched."""

from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from fastembed.inference.library.hub.listing import RemoteFile
from fastembed.inference.serving.downloads import Download, Downloads
from fastembed.inference.serving.models import Models
from fastembed.pipeline.component import Resources
from fastembed.server.endpoints import models as endpoint
from fastembed.server.endpoints.context import ServerContext
from fastembed.server.http.lifecycle import Lifecycle
from fastembed.server.observability.http_metrics import HttpMetrics
from fastembed.sources.http import HttpRoutes


class Coming(Downloads):
    """Downloads that stand still."""

    def __init__(self, models: Models, *found: Download) -> None:
        super().__init__(models)
        self._known = {download.name: download for download in found}


@pytest.fixture
def asked(tmp_path: Path, monkeypatch):
    monkeypatch.setenv("FASTEMBED_MODELS", str(tmp_path))

    def ask(path, *found):
        models = Models(base=tmp_path)
        resources = Resources(models)
        resources._by_type[Downloads] = Coming(models, *found)
        site = ServerContext(None, resources, HttpRoutes(), Lifecycle(), HttpMetrics(), lambda: b"", "0")
        return TestClient(Starlette(routes=endpoint.routes(site))).get(path).json()

    return ask


def half_of(name: str) -> Download:
    download, file = Download(name), RemoteFile("openvino_model.bin", 200)
    download.planned(name, [file], 0)
    download.has(file, 50)
    return download


def test_a_model_on_its_way_is_listed_with_its_progress(asked):
    listed = {entry["id"]: entry for entry in asked("/v1/models", half_of("phi-4-mini"))["data"]}
    entry = listed["phi-4-mini"]
    assert (entry["state"], entry["task"], entry["owned_by"]) == ("fetching", "chat", "microsoft")
    progress = entry["download"]
    assert (progress["bytes"], progress["total_bytes"], progress["percent"]) == (50, 200, 25)
    assert progress["eta_seconds"] >= 0
    assert asked("/v1/models/microsoft/Phi-4-mini-instruct", half_of("phi-4-mini"))["state"] == "fetching"


def test_what_could_not_be_fetched_says_why_and_what_nobody_has_is_not_listed(asked):
    failed = Download("phi-4-mini", state="failed", error="disk full", ended_s=float("inf"))
    absent = Download("gemma-3n-4b", state="absent", error="to export", ended_s=float("inf"))
    listed = {entry["id"]: entry for entry in asked("/v1/models", failed, absent)["data"]}
    assert (listed["phi-4-mini"]["state"], listed["phi-4-mini"]["download"]["error"]) == ("missing", "disk full")
    assert "gemma-3n-4b" not in listed
