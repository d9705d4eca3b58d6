"""Files dropped into a watched folder over HTTP: whole, under a safe name, never over another file."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from fastembed.pipeline.component import Context, Resources
from fastembed.server.app import create_app
from fastembed.server.endpoints import folders
from fastembed.server.endpoints.context import PipelineView, ServerContext
from fastembed.server.files import dropped
from fastembed.server.http.lifecycle import Lifecycle
from fastembed.server.observability.http_metrics import HttpMetrics
from fastembed.server.settings import ServerSettings
from fastembed.sources.folder import Folder
from fastembed.sources.http import HttpRoutes


class Running:
    """One pipeline, `papers`, on a real folder."""

    def __init__(self, folder: Folder) -> None:
        self.folder = folder

    def folders(self) -> dict[str, Folder]:
        return {"papers": self.folder}

    def views(self) -> list[PipelineView]:
        return [PipelineView("papers", "folder inbox", "reply", "exactly once", (), "1", "running")]


@pytest.fixture
def inbox(tmp_path: Path) -> Path:
    return tmp_path / "inbox"


@pytest.fixture
async def client(inbox: Path) -> AsyncIterator[TestClient]:
    folder = Folder(inbox, match="**/*.{md,pdf}")
    await folder.open(Context("papers", "source", "1", inbox.parent, Resources()))
    routes, lifecycle, stats = HttpRoutes(), Lifecycle(), HttpMetrics()
    lifecycle.serve()
    site = ServerContext(Running(folder), Resources(), routes, lifecycle, stats, lambda: b"", "0")
    app = create_app(ServerSettings(), routes=routes, lifecycle=lifecycle, stats=stats, endpoints=folders.routes(site))
    with TestClient(app, base_url="http://127.0.0.1:8000") as client:
        yield client


def drop(client: TestClient, name: str, content: bytes = b"# Snow\n", pipeline: str = "papers") -> tuple[int, Any]:
    answer = client.post(f"/v1/folders/{pipeline}/files", files={"file": (name, content)})
    return answer.status_code, answer.json()


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_dropped_file_is_there_whole_and_nothing_else(client: TestClient, inbox: Path) -> None:
    content = os.urandom(3_000_000)
    assert drop(client, "Große Übersicht 2024.pdf", content) == (
        201,
        {
            "object": "folder.file",
            "pipeline": "papers",
            "name": "Große Übersicht 2024.pdf",
            "bytes": 3_000_000,
            "state": "written",
        },
    )
    assert names(inbox) == ["Große Übersicht 2024.pdf"]
    assert (inbox / "Große Übersicht 2024.pdf").read_bytes() == content


def test_the_same_file_again_changes_nothing_and_other_content_is_a_conflict(client: TestClient, inbox: Path) -> None:
    drop(client, "a.md")
    before = (inbox / "a.md").stat()
    status, answer = drop(client, "a.md")
    assert (status, answer["state"]) == (200, "unchanged")
    status, answer = drop(client, "a.md", b"other")
    assert status == 409
    assert (
        answer["error"]["message"] == "found another file a.md in the folder, expected a new name, or the same content"
    )
    assert (inbox / "a.md").stat() == before
    assert names(inbox) == ["a.md"]


@pytest.mark.parametrize(
    ("sent", "stored"),
    [
        ("../../escape.md", "escape.md"),
        ("C:\\Users\\me\\notes.md", "notes.md"),
        ("/etc/cron.d/job.md", "job.md"),
        (".hidden.md", "hidden.md"),
        ("a\u202ecod.md", "a_cod.md"),
        ("x" * 400 + ".md", "x" * 197 + ".md"),
        ("ü" * 300 + ".md", "ü" * 118 + ".md"),
        ("雪" * 150 + ".pdf", "雪" * 78 + ".pdf"),
    ],
)
def test_a_name_is_a_name_in_the_folder_whatever_was_sent(
    client: TestClient, inbox: Path, sent: str, stored: str
) -> None:
    status, answer = drop(client, sent)
    assert (status, answer["name"]) == (201, stored)
    assert names(inbox) == [stored]
    assert names(inbox.parent) == ["inbox"]


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("song.rar", ".rar files are not read: unpack it, or pack it as ZIP"),
        ("plain", "a name without a suffix is not taken by the pipeline's `match`"),
        ("~$lease.md", "files of this name are ignored"),
        ("draft.md.part", "files of this name are ignored"),
    ],
)
def test_what_the_pipeline_would_not_read_is_refused(client: TestClient, inbox: Path, name: str, why: str) -> None:
    status, answer = drop(client, name)
    assert (status, answer["error"]["code"]) == (400, "ignored_file")
    assert answer["error"]["message"] == f"{name} would not be read: {why}"
    assert names(inbox) == []


def test_a_link_with_the_name_is_not_followed(client: TestClient, inbox: Path) -> None:
    (inbox.parent / "outside.md").write_bytes(b"# Snow\n")
    (inbox / "a.md").symlink_to(inbox.parent / "outside.md")
    assert drop(client, "a.md", b"new")[0] == 409
    assert (inbox.parent / "outside.md").read_bytes() == b"# Snow\n"


def test_a_file_that_is_too_large_leaves_nothing(
    client: TestClient, inbox: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dropped, "MAX_FILE_BYTES", 1_000)
    status, answer = drop(client, "a.md", bytes(1_001))
    assert (status, answer["error"]["param"]) == (413, "file")
    assert names(inbox) == []


def test_a_form_without_a_file_is_refused(client: TestClient, inbox: Path) -> None:
    answer = client.post("/v1/folders/papers/files", files={"document": ("a.md", b"x")})
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "file")
    assert names(inbox) == []


def test_an_unknown_pipeline_is_named(client: TestClient) -> None:
    status, answer = drop(client, "a.md", pipeline="paper")
    assert status == 404
    assert "found no pipeline 'paper' with a folder as source, expected one of papers" in answer["error"]["message"]


def test_a_folder_that_is_gone_is_said(client: TestClient, inbox: Path) -> None:
    inbox.rmdir()
    status, answer = drop(client, "a.md")
    assert status == 503
    assert "the folder inbox cannot be written to: No such file or directory" in answer["error"]["message"]


def test_what_a_crash_left_is_swept_by_the_next_upload(client: TestClient, inbox: Path) -> None:
    left = inbox / ".fastembed-0123456789abcdef.part"
    left.write_bytes(b"half")
    os.utime(left, (1, 1))
    drop(client, "a.md")
    assert names(inbox) == ["a.md"]


def test_the_folders_are_listed(client: TestClient) -> None:
    assert client.get("/v1/folders").json()["data"] == [{"pipeline": "papers", "folder": "inbox"}]
