"""The pipelines of `examples/`, each with real input, as a user runs it."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import duckdb
import httpx2
import pytest
from PIL import Image
from websockets.asyncio.client import connect

from tests.e2e.serving import Serving, fastembed, serving

EXAMPLES = Path(__file__).parents[2] / "examples"
FILES = sorted(EXAMPLES.glob("*.yaml"))


def laid_out(folder: Path, name: str) -> Path:
    """Return a folder of its own with the example as its pipelines.yaml."""
    shutil.copy(EXAMPLES / name, folder / "pipelines.yaml")
    return folder


def asked(path: Path, sql: str) -> list[tuple[Any, ...]]:
    with duckdb.connect(str(path), read_only=True) as con:
        return con.execute(sql).fetchall()


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_an_example_is_short(path: Path) -> None:
    lines = [line for line in path.read_text().splitlines() if line.strip() and not line.startswith("#")]
    assert len(lines) <= 20


def test_rows_get_vectors_and_a_table(tmp_path: Path) -> None:
    folder = laid_out(tmp_path, "rows.yaml")
    (folder / "tickets").mkdir()
    (folder / "tickets" / "may.csv").write_text(
        "id,subject,text\n1,Ferry,It did not leave.\n2,,No subject\n3,Quay,Where is it?\n"
    )
    (folder / "tickets" / "june.jsonl").write_text('{"id": 4, "subject": "Snow", "text": "It snows."}\n')
    ran = fastembed(folder, "run", "--once")
    assert ran.returncode == 0, ran.stderr
    found = asked(folder / "tickets.duckdb", "SELECT id, subject, len(vector) FROM tickets ORDER BY id")
    assert found == [(1, "Ferry", 384), (3, "Quay", 384), (4, "Snow", 384)]


def test_recordings_are_written_down_and_found(tmp_path: Path) -> None:
    folder = laid_out(tmp_path, "recordings.yaml")
    (folder / "recordings").mkdir()
    shutil.copy(EXAMPLES.parent / "tests" / "assets" / "audio" / "red-light.wav", folder / "recordings")
    ran = fastembed(folder, "run", "--once")
    assert ran.returncode == 0, ran.stderr
    ((file, text, vector),) = asked(
        folder / "recordings.duckdb",
        "SELECT d.name, c.text, len(c.embedding) FROM chunks c JOIN documents d ON d.id = c.document_id",
    )
    assert (file, vector) == ("red-light.wav", 384)
    assert "turn on the" in text.lower()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    """One server with the pipelines of all examples that wait for clients."""
    folder = tmp_path_factory.mktemp("served")
    texts = [(EXAMPLES / name).read_text() for name in ("webcam.yaml", "router.yaml", "chat.yaml")]
    pipelines = "".join(text.split("pipelines:\n", 1)[1] for text in texts)
    (folder / "pipelines.yaml").write_text(f"version: 1\npipelines:\n{pipelines}")
    with serving(folder) as running:
        yield running


@pytest.mark.parametrize(("question", "language"), [("Wann kommt der Zug?", "de"), ("When does it leave?", "en")])
def test_a_question_is_answered_by_the_model_for_its_language(server: Serving, question: str, language: str) -> None:
    answer = httpx2.post(f"{server.url}/ask", json={"question": question}, timeout=60)
    assert answer.status_code == 200, answer.text
    assert answer.json()["language"] == language
    assert answer.json()["answer"].strip()


def test_a_question_that_is_none_is_refused_with_the_reason(server: Serving) -> None:
    for body, words in [
        ({"question": " "}, "empty"),
        ({"query": "x"}, "question"),
        ({"question": 3}, "question: 3 is not of type"),
    ]:
        answer = httpx2.post(f"{server.url}/ask", json=body, timeout=60)
        assert answer.status_code == 400, answer.text
        assert words in answer.json()["error"]["message"]


def test_a_chat_over_a_websocket_answers_each_text(server: Serving) -> None:
    async def chat() -> list[str]:
        async with connect(f"{server.url.replace('http', 'ws')}/chat") as client:
            answers = []
            for text in ("Hello!", "What did I just say?"):
                await client.send(text)
                answers.append(str(await asyncio.wait_for(client.recv(), 60)))
            return answers

    answers = asyncio.run(chat())
    assert all(answer.strip() and "error" not in answer for answer in answers)


def test_pictures_over_a_websocket_are_described(server: Serving) -> None:
    async def watch() -> list[dict[str, Any]]:
        async with connect(f"{server.url.replace('http', 'ws')}/camera") as client:
            told = []
            for message in (picture((200, 30, 30)), b"no picture", picture((20, 20, 220))):
                await client.send(message)
                told.append(json.loads(await asyncio.wait_for(client.recv(), 60)))
            return told

    red, error, blue = asyncio.run(watch())
    assert red["text"].strip()
    assert blue["text"].strip()
    assert re.fullmatch(r"20\d\d-\d\d-\d\dT.*Z", red["at"])
    assert error["error"]["code"] == "invalid_image"


def picture(color: tuple[int, int, int]) -> bytes:
    out = BytesIO()
    Image.new("RGB", (64, 48), color).save(out, "JPEG")
    return out.getvalue()
