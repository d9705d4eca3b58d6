"""The server's own paths, which pipelines must leave alone."""

from __future__ import annotations

from pathlib import Path

import pytest
from starlette.routing import WebSocketRoute

from fastembed.assembly import read_configuration
from fastembed.runtime import Process
from fastembed.server.endpoints.paths import OWN, own_path
from fastembed.server.settings import ServerSettings


def test_the_list_holds_every_endpoint_of_the_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FASTEMBED_HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    process = Process(ServerSettings(metrics_path="/meters"), read_configuration())
    routes = [route for route in process.endpoints() if not isinstance(route, WebSocketRoute)]
    assert {route.path for route in routes if hasattr(route, "path")} == {*OWN, "/meters"}


@pytest.mark.parametrize(
    ("path", "own"),
    [
        ("/metrics", "/metrics"),
        ("/metrics/", "/metrics"),
        ("/v1/models/a/b", "/v1/models/{name:path}"),
        ("/v1/files/x", "/v1/files/{id}"),
        ("//", "/"),
        ("/v1/embeddings", None),
        ("/metrics/more", None),
    ],
)
def test_a_path_of_the_servers_own_is_recognised(path: str, own: str | None) -> None:
    assert own_path(path, "/metrics") == own


def test_no_metrics_leave_their_path_free() -> None:
    assert own_path("/metrics", None) is None
