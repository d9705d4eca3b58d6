"""Rows of files into a table of values: exactly once, and as the folder has them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pytest

from fastembed.assembly import close_resources, lint_configuration, make_resources
from fastembed.pipeline.component import Context
from fastembed.pipeline.engine import Engine
from fastembed.pipeline.errors import InvalidInput
from fastembed.pipeline.item import Ack, Item
from fastembed.sinks.table import Table


@asynccontextmanager
async def opened(tmp_path: Path, **options: Any) -> AsyncIterator[Table]:
    sink = Table(Path("t.duckdb"), **options)
    await sink.open(Context("p", "sink", "d", tmp_path))
    yield sink
    await sink.close()


async def put(sink: Table, *values: object) -> None:
    origin: Item[Any] = Item("request")
    origin.ack = Ack(origin, lambda _: None)
    for value in values:
        await sink.write(origin.derive(value))
    await sink.commit(origin)


def asked(path: Path, sql: str) -> list[tuple[Any, ...]]:
    with duckdb.connect(str(path), read_only=True) as con:
        return con.execute(sql).fetchall()


@dataclass
class Reading:
    at: datetime
    degrees: float


ROW = {
    "id": 1,
    "text": "Grüße 'x'",
    "ok": True,
    "when": date(2024, 1, 2),
    "price": Decimal("1.50"),
    "data": b"\x00\xff",
    "tags": ["a", 'b "c"'],
    "numbers": [1, 2.5],
    "more": {"x": [1, None]},
    "vector": np.array([0.5, 0.25], np.float32),
    "none": None,
}


async def test_a_row_comes_back_as_it_went_in(tmp_path: Path) -> None:
    async with opened(tmp_path) as sink:
        await put(sink, ROW)
        await put(sink, {"id": 2, "late": "x"}, {"id": 2.5})
        await put(sink, Reading(datetime(2024, 1, 2, 3, 4), -1e-300), "plain")  # noqa: DTZ001 - without a zone
    kinds = dict(
        asked(tmp_path / "t.duckdb", "SELECT column_name, data_type FROM duckdb_columns() WHERE table_name = 'items'")
    )
    assert kinds == {
        "document_id": "BIGINT",
        "id": "DOUBLE",
        "text": "VARCHAR",
        "ok": "BOOLEAN",
        "when": "DATE",
        "price": "DECIMAL(38,9)",
        "data": "BLOB",
        "tags": "VARCHAR[]",
        "numbers": "DOUBLE[]",
        "more": "JSON",
        "vector": "FLOAT[2]",
        "late": "VARCHAR",
        "at": "TIMESTAMP",
        "degrees": "DOUBLE",
        "value": "VARCHAR",
    }
    names = [name for name in ROW if name != "none"]
    columns = ", ".join(f'"{name}"' for name in names)
    (row,) = asked(tmp_path / "t.duckdb", f"SELECT {columns} FROM items WHERE id = 1")  # noqa: S608 - the names above
    found = dict(zip(names, row, strict=True))
    assert found == {
        **{n: ROW[n] for n in names},
        "more": '{"x":[1,null]}',
        "vector": (0.5, 0.25),
        "numbers": [1.0, 2.5],
    }
    assert asked(tmp_path / "t.duckdb", "SELECT id FROM items WHERE id > 1 ORDER BY id") == [(2,), (2.5,)]
    assert asked(tmp_path / "t.duckdb", 'SELECT "at", degrees FROM items WHERE "at" IS NOT NULL') == [
        (datetime(2024, 1, 2, 3, 4), -1e-300)  # noqa: DTZ001 - without a zone
    ]


async def test_what_does_not_fit_is_refused_with_its_column_and_nothing_is_written(tmp_path: Path) -> None:
    async with opened(tmp_path, columns={"n": "SMALLINT", "v": "FLOAT[2]"}) as sink:
        await put(sink, {"n": 1, "v": [1, 2], "left": "out"})
        for value, words in [
            ({"n": "twelve"}, "'twelve'.*|column n"),
            ({"n": 70_000}, "70000"),
            ({"v": [1, 2, 3]}, "FLOAT|array|Array|size"),
            ({"other": 1}, "found no field of the columns of items"),
        ]:
            with pytest.raises(InvalidInput, match=words):
                await put(sink, {"n": 2}, value)
    assert asked(tmp_path / "t.duckdb", "SELECT * EXCLUDE (document_id) FROM items") == [(1, (1.0, 2.0))]


async def test_the_tables_own_column_and_wrong_types_are_refused(tmp_path: Path) -> None:
    async with opened(tmp_path) as sink:
        with pytest.raises(InvalidInput, match="document_id"):
            await put(sink, {"document_id": 1, "x": 2})
    with pytest.raises(ValueError, match="expected one such as VARCHAR"):
        Table(Path("x"), columns={"a": "INT); DROP TABLE documents; --"})


async def run(folder: Path) -> None:
    configuration = lint_configuration(folder / "pipelines.yaml").configuration
    assert configuration is not None
    resources = make_resources(configuration)
    engine = Engine(resources, once=True)
    try:
        await engine.start(configuration)
        await engine.join()
    finally:
        await engine.stop()
        await close_resources(resources)


PIPELINE = """
version: 1
pipelines:
  p:
    source: {folder: in, settle: 10ms}
    operators: [rows]
    sink: {table: t.duckdb, name: people}
"""


async def test_rows_follow_their_files(tmp_path: Path) -> None:
    inbox = tmp_path / "in"
    inbox.mkdir()
    (tmp_path / "pipelines.yaml").write_text(PIPELINE)

    async def people() -> list[tuple[Any, ...]]:
        await run(tmp_path)
        return asked(tmp_path / "t.duckdb", "SELECT name, age FROM people ORDER BY name")

    (inbox / "a.csv").write_text("name,age\nAda,36\nBob,41\n")
    (inbox / "b [1].jsonl").write_text('{"name": "Cleo", "age": 7}\n')
    assert await people() == [("Ada", 36), ("Bob", 41), ("Cleo", 7)]
    assert await people() == [("Ada", 36), ("Bob", 41), ("Cleo", 7)]
    (inbox / "a.csv").write_text("name,age\nAda,37\n")
    (inbox / "b [1].jsonl").rename(inbox / "c.jsonl")
    assert await people() == [("Ada", 37), ("Cleo", 7)]
    (inbox / "c.jsonl").unlink()
    (inbox / "d.csv").write_text("name,age\nDan,x\n")
    assert await people() == [("Ada", 37)]
    names = "SELECT name, state FROM ledger ORDER BY name"
    assert asked(tmp_path / "t.duckdb", names) == [("a.csv", "done"), ("d.csv", "failed")]
    assert asked(tmp_path / "t.duckdb", "SELECT file, state FROM files ORDER BY file")[0] == ("a.csv", "done")
