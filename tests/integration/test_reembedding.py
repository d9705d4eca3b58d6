"""Stored chunks get new vectors: beside the table, then all at once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fastembed.inference.library.devices import Devices
from fastembed.inference.library.sections import read_sections
from fastembed.inference.serving.models import Models
from fastembed.pipeline.errors import Unavailable
from fastembed.pipeline.payload.document import Chunk, Document, File
from fastembed.pipeline.payload.embedding import VectorOrigin
from fastembed.reembedding import Reembedding, TableTarget
from fastembed.sinks.lake import reembedding as rows
from fastembed.sinks.lake.database import Lake
from fastembed.sinks.lake.schema import dimensions
from fastembed.sinks.lake.writing import Staged

NEW = VectorOrigin("wide", "r1")
ORIGINS = 'SELECT DISTINCT model, model_revision, len(embedding::FLOAT[]) FROM "chunks" ORDER BY ALL'
DEFINITIONS = "SELECT name, definition FROM documents UNION SELECT name, definition FROM ledger ORDER BY ALL"


@pytest.fixture
async def lake(tmp_path: Path) -> AsyncIterator[Lake]:
    lake = await Lake.open(tmp_path / "lake.duckdb")
    yield lake
    await lake.close()


async def put(lake: Lake, name: str, count: int, length: int = 4, *, model: str = "mini", revision: str = "r0") -> None:
    document = Document(File(Path("/in") / name, name, name, 1, 1), name, "", "{}", (), 1, "pdf")
    vector = np.ones(length, np.float32)
    chunks = [
        Chunk(document, i, count, f"{name} {i}", ("Top",), (1, 1), 1, vector, model, None, revision)
        for i in range(count)
    ]
    await lake.commit(Staged(document, chunks), pipeline="papers", definition="plan.r0", table="chunks")


async def asked(lake: Lake, sql: str) -> list[tuple[Any, ...]]:
    return await lake.read(lambda con: con.execute(sql).fetchall())


async def filled(lake: Lake, length: int = 6, limit: int = 100) -> int:
    """Store vectors for what is missing; return for how many."""
    await lake.write(rows.begin, "chunks", NEW, length)
    texts = await lake.read(rows.missing, "chunks", NEW, -1, limit)
    if texts:
        vectors = np.full((len(texts), length), 2, np.float32)
        await lake.write(rows.store, "chunks", NEW, [text.chunk_id for text in texts], vectors)
    return len(texts)


async def test_a_table_gets_vectors_of_another_length_all_at_once(lake: Lake) -> None:
    await put(lake, "a.pdf", 3)
    before = await asked(lake, 'SELECT id, text, headings, first_page FROM "chunks"')
    assert await filled(lake) == 3
    assert await asked(lake, ORIGINS) == [("mini", "r0", 4)]
    assert await lake.write(rows.switch, "chunks", NEW)
    assert await asked(lake, ORIGINS) == [("wide", "r1", 6)]
    assert await asked(lake, 'SELECT id, text, headings, first_page FROM "chunks"') == before
    assert await asked(lake, DEFINITIONS) == [("a.pdf", f"plan.{NEW.mark}")]
    assert [hit.index for hit in await lake.search("1", np.ones(6, np.float32), 1, origin=NEW)] == [1]
    assert await lake.tables() == ["chunks"]
    await put(lake, "b.pdf", 1, 6, model="wide", revision="r1")
    with pytest.raises(
        Unavailable, match="found vectors of 4 values, expected 6 as in the table chunks: `fastembed re"
    ):
        await put(lake, "c.pdf", 1)


async def test_what_was_stored_is_gone_on_with_and_that_of_a_third_model_is_dropped(lake: Lake) -> None:
    await put(lake, "a.pdf", 5)
    await filled(lake, limit=2)
    await lake.write(rows.begin, "chunks", NEW, 6)
    assert await lake.read(rows.collected, "chunks") == 2
    assert await lake.read(rows.count_waiting, "chunks", NEW) == 3
    await lake.write(rows.begin, "chunks", VectorOrigin("wide", "r2"), 6)
    assert await lake.read(rows.collected, "chunks") == 0
    assert await lake.read(rows.count_waiting, "chunks", VectorOrigin("wide", "r2")) == 5


async def test_documents_that_come_go_and_change_meanwhile_end_with_their_own_vectors(lake: Lake) -> None:
    await put(lake, "a.pdf", 2)
    await put(lake, "b.pdf", 2)
    await filled(lake, 4)
    await put(lake, "a.pdf", 3)  # replaced: new ids
    await put(lake, "c.pdf", 1, model="wide", revision="r1")  # embedded with the new model already
    await lake.ledger("papers").forget("b.pdf")
    assert not await lake.write(rows.switch, "chunks", NEW)
    assert await filled(lake, 4) == 3
    assert await lake.write(rows.switch, "chunks", NEW)
    sql = """SELECT d.name, count(*), any_value(c.embedding::FLOAT[]) FROM chunks c JOIN documents d
             ON d.id = c.document_id GROUP BY ALL ORDER BY ALL"""
    assert await asked(lake, sql) == [("a.pdf", 3, [2.0] * 4), ("c.pdf", 1, [1.0] * 4)]
    assert await lake.read(rows.count_waiting, "chunks", NEW) == 0


async def test_rows_of_before_models_had_revisions_need_nothing(lake: Lake) -> None:
    await put(lake, "a.pdf", 2, model="wide", revision="")
    assert await lake.read(rows.count_waiting, "chunks", NEW) == 0
    assert await lake.incomparable("chunks", NEW) == 0
    assert len(await lake.search("", np.ones(4, np.float32), origin=NEW)) == 2
    assert await lake.write(rows.switch, "chunks", NEW)
    await put(lake, "b.pdf", 1)
    assert await lake.read(rows.count_waiting, "chunks", NEW) == 1
    assert await filled(lake, 4) == 1
    assert await filled(lake, 6) == 3  # of another length: the old ones cannot be its
    assert await lake.write(rows.switch, "chunks", NEW)
    assert await asked(lake, "SELECT count(*), count(embedding) FROM chunks") == [(3, 3)]


async def test_a_table_without_vectors_gets_some(lake: Lake) -> None:
    document = Document(File(Path("/in/a"), "a", "a", 1, 1), "a", "", "{}", (), 1, "pdf")
    await lake.commit(
        Staged(document, [Chunk(document, 0, 1, "text")]), pipeline="papers", definition="plan", table="chunks"
    )
    assert await filled(lake) == 1
    assert await lake.write(rows.switch, "chunks", NEW)
    assert await lake.read(dimensions, "chunks") == 6
    assert await asked(lake, DEFINITIONS) == [("a", f"plan.{NEW.mark}")]


@pytest.fixture(scope="module")
def real_models() -> Models:
    declared, _ = read_sections({"models": {"mine": {"from": "built-in:minilm", "prompts": {"document": "text: "}}}})
    return Models(declared, devices=Devices())


async def test_it_waits_while_there_is_other_work_and_keeps_what_it_has_when_cancelled(
    lake: Lake, real_models: Models
) -> None:
    await put(lake, "a.pdf", 40, 384)
    looks, stored_some = 0, asyncio.Event()

    def idle() -> bool:
        nonlocal looks
        looks += 1
        if job.status.done:
            stored_some.set()
        return looks not in (1, 2)

    job = Reembedding(lake, TableTarget(lake.path, "chunks", "mine"), real_models, idle=idle)
    running = asyncio.create_task(job.run())
    await stored_some.wait()
    running.cancel()
    await asyncio.wait([running])
    assert (looks >= 3, job.status.state) == (True, "cancelled")
    stored = await lake.read(rows.collected, "chunks")
    assert 16 <= stored <= 40
    again = Reembedding(lake, TableTarget(lake.path, "chunks", "mine"), real_models, idle=lambda: True)
    await again.run()
    assert (again.status.state, again.status.done, again.status.total) == ("done", 40, 40)
    [(model, revision, length)] = await asked(lake, ORIGINS)
    assert (model, len(revision), length) == ("mine", 12, 384)
    third = Reembedding(lake, TableTarget(lake.path, "chunks", "mine"), real_models, idle=lambda: True)
    await third.run()
    assert (third.status.state, third.status.total) == ("done", 0)


async def test_a_model_that_is_not_here_is_told(lake: Lake, real_models: Models) -> None:
    await put(lake, "a.pdf", 1, 384)
    job = Reembedding(lake, TableTarget(lake.path, "chunks", "multilingual-e5-small"), real_models, idle=lambda: True)
    await job.run()
    assert job.status.state == "failed"
    assert "fastembed pull multilingual-e5-small" in job.status.detail
    assert await asked(lake, ORIGINS) == [("mini", "r0", 384)]
