"""Batches as OpenAI's client sends them, to one real process, which is killed in the middle."""

from __future__ import annotations

import json
import os
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import openai
import pytest

from tests.e2e.serving import Serving, fastembed

PIPELINES = """
version: 1
pipelines:
  chat:
    source: {http: POST /v1/chat/completions, queue: 64, overflow: reject}
    operators: [generate]
    sink: reply
  embeddings:
    source: {http: POST /v1/embeddings, queue: 64, overflow: reject}
    operators: [embed]
    sink: reply
  rerank:
    source: {http: POST /v1/rerank, queue: 64, overflow: reject}
    operators: [rerank]
    sink: reply
  batches:
    source: {batches: {}, queue: 8}
    operators: [{request: {patience: 2s}, workers: 2}]
    sink: reply
"""
BODIES = {
    "/v1/chat/completions": {"model": "auto", "max_tokens": 4, "messages": [{"role": "user", "content": "hello"}]},
    "/v1/embeddings": {"model": "auto", "input": "ferry"},
    "/v1/responses": {"model": "auto", "input": "hello", "max_output_tokens": 4, "store": False},
    "/v1/rerank": {"query": "when", "documents": ["at seven", "a cat"]},
}


class World:
    """A server that can be killed and started again on the same home."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "pipelines.yaml").write_text(PIPELINES)
        self.start()

    def start(self) -> None:
        self.server = Serving(self.folder, environ={"FASTEMBED_HOME": str(self.folder / "home")})
        self.client = openai.OpenAI(base_url=f"{self.server.url}/v1", api_key="-", max_retries=0)

    def kill(self) -> None:
        self.client.close()
        self.server.close()

    def upload(self, lines: list[dict]) -> str:
        text = "\n".join(json.dumps(line) for line in lines).encode()
        return self.client.files.create(file=("input.jsonl", text), purpose="batch").id

    def begin(self, lines: list[dict], endpoint: str, **more):
        return self.client.batches.create(
            input_file_id=self.upload(lines), endpoint=endpoint, completion_window="24h", **more
        )

    def until(self, id_: str, *states: str):
        end = time.monotonic() + 60
        while (batch := self.client.batches.retrieve(id_)).status not in states:
            assert time.monotonic() < end, batch
            time.sleep(0.05)
        return batch

    def lines_of(self, file: str | None) -> list[dict]:
        if file is None:
            return []
        return [json.loads(line) for line in self.client.files.content(file).text.splitlines()]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    running = World(tmp_path_factory.mktemp("batches"))
    yield running
    running.kill()


def requests(count: int, endpoint: str = "/v1/embeddings", **body) -> list[dict]:
    filled = {**BODIES[endpoint], **body}
    return [{"custom_id": f"r{n}", "method": "POST", "url": endpoint, "body": filled} for n in range(count)]


@pytest.mark.parametrize("endpoint", BODIES)
def test_an_endpoint_answers_the_lines_of_a_batch(world: World, endpoint: str) -> None:
    lines = requests(3, endpoint)
    lines[1]["body"] = {**lines[1]["body"], "model": "no-such-model"}
    batch = world.until(world.begin(lines, endpoint, metadata={"night": "1"}).id, "completed")
    assert batch.request_counts is not None
    assert batch.request_counts.model_dump() == {"total": 3, "completed": 2, "failed": 1}
    assert batch.metadata == {"night": "1"}
    good, bad = world.lines_of(batch.output_file_id), world.lines_of(batch.error_file_id)
    assert [line["custom_id"] for line in good] == ["r0", "r2"]
    assert all(line["response"]["status_code"] == 200 and line["error"] is None for line in good)
    assert bad[0]["response"]["body"]["error"]["code"] == "model_not_found"
    assert bad[0]["custom_id"] == "r1"


def test_a_killed_server_goes_on_and_answers_each_line_once(world: World) -> None:
    batch = world.begin(requests(120), "/v1/embeddings")
    end = time.monotonic() + 60
    while (world.client.batches.retrieve(batch.id).request_counts or batch.request_counts).completed < 20:
        assert time.monotonic() < end
    world.kill()
    world.start()
    done = world.until(batch.id, "completed")
    names = Counter(line["custom_id"] for line in world.lines_of(done.output_file_id))
    assert names == Counter(f"r{n}" for n in range(120))
    assert done.error_file_id is None
    kept = [file for file in world.client.files.list() if file.filename.startswith(batch.id)]
    assert len(kept) == 1


def test_a_live_request_overtakes_a_batch(world: World) -> None:
    long = requests(12, "/v1/chat/completions", max_tokens=64, ignore_eos=True)
    batch = world.begin(long, "/v1/chat/completions")
    world.until(batch.id, "in_progress")
    for _ in range(3):
        world.client.chat.completions.create(**BODIES["/v1/chat/completions"])
    assert world.client.batches.retrieve(batch.id).status == "in_progress"
    cancelled = world.client.batches.cancel(batch.id)
    assert cancelled.status in ("cancelling", "cancelled")
    done = world.until(batch.id, "cancelled")
    lines = world.lines_of(done.output_file_id) + world.lines_of(done.error_file_id)
    assert Counter(line["custom_id"] for line in lines) == Counter(f"r{n}" for n in range(12))
    assert {line["error"]["code"] for line in lines if line["response"] is None} == {"batch_cancelled"}


@pytest.mark.parametrize(
    ("text", "message", "line"),
    [
        (b"{", "not valid JSON", 1),
        (b"\n\n", "found no line", None),
        (b'{"custom_id": "a", "url": "/v1/chat/completions", "body": {}}', "found the url '/v1/chat", 1),
        (b'{"url": "/v1/embeddings", "body": {}}', "expected a custom_id", 1),
        (b'\n{"custom_id": "a", "url": "/v1/embeddings", "body": 5}', "expected the field body", 2),
        (b'{"custom_id": "a", "url": "/v1/embeddings", "body": {}}\n' * 2, "found 'a', as in line 1", 2),
        (b'{"custom_id": "a", "method": "GET", "url": "/v1/embeddings", "body": {}}', "found the method 'GET'", 1),
    ],
)
def test_what_is_wrong_with_a_file_is_said_with_its_line(world: World, text: bytes, message: str, line: int) -> None:
    file = world.client.files.create(file=("input.jsonl", text), purpose="batch")
    batch = world.client.batches.create(input_file_id=file.id, endpoint="/v1/embeddings", completion_window="24h")
    failed = world.until(batch.id, "failed")
    assert failed.errors is not None
    assert failed.errors.data is not None
    assert message in str(failed.errors.data[0].message)
    assert failed.errors.data[0].line == line
    with pytest.raises(openai.ConflictError, match="found the batch failed"):
        world.client.batches.cancel(batch.id)


def test_batches_are_listed_the_newest_first_page_by_page(world: World) -> None:
    ids = [world.begin(requests(1), "/v1/embeddings").id for _ in range(3)]
    assert [batch.id for batch in world.client.batches.list(limit=2)][:3] == ids[::-1]


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"endpoint": "/v1/models"}, "endpoint"),
        ({"completion_window": "a while"}, "completion_window"),
        ({"completion_window": "900d"}, "completion_window"),
        ({"input_file_id": "file-" + "0" * 32}, "input_file_id"),
        ({"metadata": {"a": 1}}, "metadata.a"),
    ],
)
def test_a_wrong_field_is_named(world: World, change: dict, param: str) -> None:
    file = world.upload(requests(1))
    asked = {"input_file_id": file, "endpoint": "/v1/embeddings", "completion_window": "24h", **change}
    with pytest.raises(openai.APIStatusError) as caught:
        world.client.batches.create(**asked)
    assert caught.value.param == param
    with pytest.raises(openai.NotFoundError, match="found no batch 'batch_1'"):
        world.client.batches.retrieve("batch_1")


def test_a_file_comes_in_parts(world: World) -> None:
    text = os.urandom(300_000)
    upload = world.client.uploads.create(filename="a.bin", purpose="user_data", bytes=len(text), mime_type="a/b")
    parts = [world.client.uploads.parts.create(upload.id, data=text[at : at + 100_001]) for at in (0, 100_001, 200_002)]
    with pytest.raises(openai.BadRequestError, match="expected the 300,000 that the upload began with"):
        world.client.uploads.complete(upload.id, part_ids=[part.id for part in parts[:2]])
    done = world.client.uploads.complete(upload.id, part_ids=[part.id for part in parts])
    assert done.status == "completed"
    assert done.file is not None
    assert world.client.files.content(done.file.id).content == text
    with pytest.raises(openai.ConflictError, match="found the upload completed"):
        world.client.uploads.parts.create(upload.id, data=b"more")


def test_an_upload_is_given_up(world: World) -> None:
    upload = world.client.uploads.create(filename="a.txt", purpose="user_data", bytes=5, mime_type="text/plain")
    world.client.uploads.parts.create(upload.id, data=b"12345")
    assert world.client.uploads.cancel(upload.id).status == "cancelled"
    assert not list((world.folder / "home" / "uploads").rglob("part_*"))
    with pytest.raises(openai.ConflictError, match="found the upload cancelled"):
        world.client.uploads.complete(upload.id, part_ids=["part_1"])
    with pytest.raises(openai.NotFoundError, match="found no upload"):
        world.client.uploads.cancel("upload_1")


def test_the_command_writes_answers_and_errors_beside_the_file(world: World) -> None:
    lines = requests(3)
    lines[2]["body"] = {"input": 5, "model": "auto"}
    path = world.folder / "night.jsonl"
    path.write_text("\n".join(map(json.dumps, lines)))
    done = fastembed(world.folder, "batch", str(path))
    assert (done.returncode, done.stdout.splitlines()) == (
        1,
        [str(world.folder / "night.output.jsonl"), str(world.folder / "night.errors.jsonl")],
    )
    assert "completed: 2 of 3 answered, 1 not" in done.stderr
    assert len((world.folder / "night.output.jsonl").read_text().splitlines()) == 2
    path.write_text("{}")
    refused = fastembed(world.folder, "batch", str(path))
    assert refused.returncode == 1
    assert "expected lines such as" in refused.stderr
