"""The endpoints of /v1/files on a real folder: the official client, and what it would never send."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import openai
import pytest

from fastembed.pipeline.component import Resources
from fastembed.server.app import create_app
from fastembed.server.endpoints import files
from fastembed.server.endpoints.context import ServerContext
from fastembed.server.files import expiry
from fastembed.server.files.store import FileStore
from fastembed.server.http.lifecycle import Lifecycle
from fastembed.server.observability.http_metrics import HttpMetrics
from fastembed.server.settings import ServerSettings
from fastembed.sources.http import HttpRoutes
from tests.unit.server.asgi import Reply, call, scope_of

HOUR_S = 3600


def app_on(store: FileStore, *, keys: tuple[str, ...] = ()) -> Any:
    routes, lifecycle, stats = HttpRoutes(), Lifecycle(), HttpMetrics()
    lifecycle.serve()
    site = ServerContext(None, Resources(), routes, lifecycle, stats, lambda: b"", "0", files=store)
    return create_app(
        ServerSettings(api_keys=keys),
        routes=routes,
        lifecycle=lifecycle,
        stats=stats,
        files=store,
        endpoints=files.routes(site),
    )


def client_of(app: Any, key: str = "-") -> openai.AsyncOpenAI:
    http = httpx2.AsyncClient(transport=httpx2.ASGITransport(app))
    return openai.AsyncOpenAI(base_url="http://127.0.0.1:8000/v1", api_key=key, max_retries=0, http_client=http)


@pytest.fixture
def store(tmp_path: Path) -> FileStore:
    return FileStore(tmp_path / "files")


@pytest.fixture
def app(store: FileStore) -> Any:
    return app_on(store)


@pytest.fixture
async def client(app: Any) -> AsyncIterator[openai.AsyncOpenAI]:
    async with client_of(app) as client:
        yield client


def form(*parts: tuple[str, str | None, bytes]) -> tuple[bytes, dict[str, str]]:
    """Return a form's body and headers; parts: name, file name, content."""
    body = b""
    for name, file, content in parts:
        shown = f'; filename="{file}"' if file is not None else ""
        body += f'--x\r\ncontent-disposition: form-data; name="{name}"{shown}\r\n\r\n'.encode() + content + b"\r\n"
    return body + b"--x--\r\n", {"content-type": "multipart/form-data; boundary=x"}


def on_disk(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


async def post(app: Any, *parts: tuple[str, str | None, bytes], **more: str) -> Reply:
    body, headers = form(*parts)
    return await call(app, "POST", "/v1/files", body=body, headers={**headers, **more})


async def test_a_file_goes_through_its_life(client: openai.AsyncOpenAI) -> None:
    sent = await client.files.create(file=("Grüße ☀.txt", b"hello \xff"), purpose="user_data")
    assert (sent.object, sent.filename, sent.purpose, sent.bytes) == ("file", "Grüße ☀.txt", "user_data", 7)
    assert (sent.status, sent.expires_at) == ("processed", None)
    assert await client.files.retrieve(sent.id) == sent
    assert (await client.files.content(sent.id)).content == b"hello \xff"
    assert (await client.files.list()).data == [sent]
    gone = await client.files.delete(sent.id)
    assert (gone.id, gone.object, gone.deleted) == (sent.id, "file", True)
    for use in (client.files.retrieve, client.files.content, client.files.delete):
        with pytest.raises(openai.NotFoundError) as caught:
            await use(sent.id)
        assert (caught.value.code, caught.value.param) == ("file_not_found", "id")


async def test_an_unknown_field_of_a_form_is_ignored_and_named(app: Any) -> None:
    reply = await post(app, PURPOSE, FILE, ("colour", None, b"red"))
    assert reply.status == 200
    assert reply.headers["x-fastembed-warning"] == "ignored unknown fields: colour"


async def test_a_file_may_expire_and_those_of_batches_do(client: openai.AsyncOpenAI) -> None:
    sent = await client.files.create(
        file=("a", b"1"), purpose="vision", expires_after={"anchor": "created_at", "seconds": HOUR_S}
    )
    assert sent.expires_at == sent.created_at + HOUR_S
    batch = await client.files.create(file=("a.jsonl", b"{}"), purpose="batch")
    assert batch.expires_at == batch.created_at + 30 * 24 * HOUR_S


async def test_the_client_goes_through_all_pages(client: openai.AsyncOpenAI) -> None:
    sent = [(await client.files.create(file=("a", b"1"), purpose="user_data")).id for _ in range(5)]
    other = await client.files.create(file=("a", b"1"), purpose="vision")
    newest = [file.id async for file in client.files.list(limit=2, purpose="user_data")]
    assert newest == sent[::-1]
    assert [file.id async for file in client.files.list(limit=2, order="asc")] == [*sent, other.id]
    page = await client.files.list(limit=2, after=sent[3])
    assert ([file.id for file in page.data], page.has_more) == ([sent[2], sent[1]], True)


async def test_a_large_file_comes_back_as_it_went(client: openai.AsyncOpenAI) -> None:
    data = bytes(range(256)) * 20_000
    sent = await client.files.create(file=("large.bin", data), purpose="user_data")
    assert sent.bytes == len(data)
    assert (await client.files.content(sent.id)).content == data


async def test_one_keys_files_are_not_anothers(store: FileStore) -> None:
    app = app_on(store, keys=("first", "second"))
    async with client_of(app, "first") as first, client_of(app, "second") as second:
        sent = await first.files.create(file=("a", b"1"), purpose="user_data")
        assert (await second.files.list()).data == []
        for use in (second.files.retrieve, second.files.content, second.files.delete):
            with pytest.raises(openai.NotFoundError):
                await use(sent.id)
        assert (await first.files.list()).data == [sent]
    async with client_of(app_on(store, keys=("first",)), "first") as again:
        assert (await again.files.retrieve(sent.id)) == sent
    async with client_of(app, "third") as stranger:
        with pytest.raises(openai.AuthenticationError):
            await stranger.files.list()
    assert not any("first" in str(path) for path in store.folder.rglob("*"))


async def test_a_browser_saves_what_it_gets_and_never_shows_it(app: Any) -> None:
    name = '../été".html'
    sent = (await post(app, ("file", name.replace('"', "%22"), b"<script>"), ("purpose", None, b"user_data"))).json
    reply = await call(app, "GET", f"/v1/files/{sent['id']}/content")
    assert reply.headers["content-type"] == "application/octet-stream"
    assert reply.headers["x-content-type-options"] == "nosniff"
    assert reply.headers["content-disposition"].startswith('attachment; filename="_t_')
    assert "filename*=UTF-8''%C3%A9t%C3%A9" in reply.headers["content-disposition"]
    assert reply.headers["content-length"] == "8"
    head = await call(app, "HEAD", f"/v1/files/{sent['id']}/content")
    assert (head.status, head.headers["content-length"], head.body) == (200, "8", b"")


PURPOSE = ("purpose", None, b"user_data")
FILE = ("file", "a.txt", b"1")


def expires(**fields: str) -> list[tuple[str, None, bytes]]:
    return [(f"expires_after[{name}]", None, value.encode()) for name, value in fields.items()]


@pytest.mark.parametrize(
    ("parts", "param", "message"),
    [
        ([FILE], "purpose", "found no purpose, expected one of assistants, batch, evals, fine-tune, user_data, vision"),
        ([FILE, ("purpose", None, b"fun")], "purpose", "found 'fun', expected one of assistants"),
        ([PURPOSE], "file", "found the files none, expected one, in the field file"),
        ([PURPOSE, ("data", "a", b"1")], "file", "found the files data, expected one, in the field file"),
        ([PURPOSE, FILE, FILE], "file", "found two files, expected one"),
        ([PURPOSE, ("file", None, b"1")], "file", "found a field without a filename, expected a file"),
        ([PURPOSE, ("file", "a.txt", b"")], "file", "found an empty file, expected at least one byte"),
        ([FILE, ("purpos", None, b"user_data")], "purpos", "did you mean purpose?"),
        ([PURPOSE, FILE, ("expires_after", None, b"x")], "expires_after", "found a string, expected an object"),
        ([PURPOSE, FILE, *expires(seconds="3600")], "expires_after.anchor", "found no anchor, expected created_at"),
        (
            [PURPOSE, FILE, *expires(anchor="created_at", seconds="60")],
            "expires_after.seconds",
            "found 60, expected at least 3600",
        ),
        (
            [PURPOSE, FILE, *expires(anchor="created_at", seconds="1 h")],
            "expires_after.seconds",
            "found '1 h', expected a whole number from 3600 to 2592000",
        ),
    ],
)
async def test_a_bad_upload_is_named_and_leaves_nothing(
    app: Any, store: FileStore, parts: list[Any], param: str, message: str
) -> None:
    reply = await post(app, *parts)
    assert (reply.status, reply.error["param"]) == (400, param)
    assert message in reply.error["message"]
    assert on_disk(store.folder) == []


@pytest.mark.parametrize(("query", "param"), [("limit=0", "limit"), ("limit=10001", "limit"), ("order=up", "order")])
async def test_a_bad_list_is_named(app: Any, query: str, param: str) -> None:
    reply = await call(app, "GET", f"/v1/files?{query}")
    assert (reply.status, reply.error["param"]) == (400, param)


async def test_json_is_no_upload_and_other_methods_are_told(app: Any) -> None:
    assert (await call(app, "POST", "/v1/files", body={"purpose": "vision"})).status == 415
    reply = await call(app, "PUT", "/v1/files", body={})
    assert (reply.status, set(reply.headers["allow"].split(", "))) == (405, {"GET", "HEAD", "POST"})


async def test_what_there_is_no_room_for_is_refused_before_it_is_read(tmp_path: Path) -> None:
    app = app_on(FileStore(tmp_path, most_bytes=1000))
    reply = await post(app, PURPOSE, FILE, **{"content-length": "2000"})
    assert (reply.status, reply.error["code"]) == (413, "storage_limit_exceeded")
    assert "expected at most 1,000 in all (`serve --files-size`)" in reply.error["message"]
    body, headers = form(PURPOSE, ("file", "a", b"x" * 2_000_000))
    pieces = [body[at : at + 2**16] for at in range(0, len(body), 2**16)]
    reply = await call(app, "POST", "/v1/files", chunks=pieces, headers=headers)
    assert (reply.status, reply.headers["connection"]) == (413, "close")
    assert on_disk(tmp_path) == []
    assert (await post(app, PURPOSE, FILE)).status == 200


async def test_a_client_that_leaves_in_the_middle_leaves_nothing(app: Any, store: FileStore) -> None:
    body, headers = form(PURPOSE, ("file", "a", b"x" * 3_000_000))
    half = {"type": "http.request", "body": body[:2_000_000], "more_body": True}
    messages: list[dict[str, Any]] = [half, {"type": "http.disconnect"}]

    async def receive() -> dict[str, Any]:
        return messages.pop(0)

    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    await app(scope_of("POST", "/v1/files", headers), receive, send)
    assert sent == []
    assert store.folder.exists()
    assert on_disk(store.folder) == []
    assert (await post(app, PURPOSE, FILE)).status == 200


async def test_expired_files_leave_the_disk_while_the_server_runs(tmp_path: Path) -> None:
    now_s = [1_800_000_000.0]
    store = FileStore(tmp_path, clock=lambda: now_s[0])
    async with client_of(app_on(store)) as client:
        await client.files.create(
            file=("a", b"1"), purpose="vision", expires_after={"anchor": "created_at", "seconds": HOUR_S}
        )
    left: list[int] = []

    async def sleep(_: float) -> None:
        left.append(len(on_disk(tmp_path)))
        if len(left) == 2:
            raise asyncio.CancelledError
        now_s[0] += HOUR_S

    with pytest.raises(asyncio.CancelledError):
        await expiry.keep_clean(store, sleep=sleep)
    assert left == [2, 0]
