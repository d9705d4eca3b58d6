"""Queries beside the writer on a real database: rows, limits, cancellation, formats, views, copies."""

from __future__ import annotations

import asyncio
import csv
import io
import os
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
import nanoarrow
import orjson
import pytest

from fastembed.pipeline.errors import InvalidInput
from fastembed.pipeline.ledger import LedgerEntry
from fastembed.pipeline.payload.document import Chunk, Document, File
from fastembed.sinks.lake.database import Lake
from fastembed.sinks.lake.export import exported
from fastembed.sinks.lake.opening import connect_read_only
from fastembed.sinks.lake.sql.formats import Format
from fastembed.sinks.lake.sql.query import ReadOnlyQueries, SqlRequest
from fastembed.sinks.lake.writing import Staged

ENDLESS = "SELECT count(*) FROM range(100000) a, range(100000) b, range(10000) c WHERE a.range + b.range = c.range + 3"
STRUCTURE = orjson.dumps(
    {
        "texts": [{"text": "What it costs"}],
        "tables": [
            {
                "prov": [{"page_no": 2}],
                "captions": [{"$ref": "#/texts/0"}],
                "data": {
                    "num_cols": 3,
                    "table_cells": [
                        {"start_row_offset_idx": y, "start_col_offset_idx": x, "text": text, "column_header": y == 0}
                        for y, row in enumerate([["Item", "Price", ""], ["Pump", "100.00", "x"], ["Hose", "3.10", ""]])
                        for x, text in enumerate(row)
                        if (y, x) != (2, 2)
                    ],
                },
            }
        ],
    }
).decode()


@pytest.fixture
async def lake(tmp_path: Path) -> AsyncIterator[Lake]:
    lake = await Lake.open(tmp_path / "lake.duckdb")
    yield lake
    await lake.close()


async def put(lake: Lake, name: str, texts: Sequence[str], *, table: str = "chunks", **fields: Any) -> None:
    document = Document(File(Path("/in") / name, name, name, 7, 1_000_000_000), "About", "", "{}", (), 2, "pdf")
    document = replace(document, **fields)
    chunks = [Chunk(document, i, len(texts), text, ("Top", "Part"), (i + 1, i + 1)) for i, text in enumerate(texts)]
    await lake.commit(Staged(document, chunks), pipeline="papers", definition="d", table=table)


async def answer(lake: Lake | ReadOnlyQueries, query: str, form: Format = "json", **options: Any) -> bytes:
    queries = lake.queries if isinstance(lake, Lake) else lake
    return b"".join([piece async for piece in queries.stream(SqlRequest(query, format=form, **options))])


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not holds():  # noqa: ASYNC110 - neither DuckDB nor the file system tells
            await asyncio.sleep(0.01)


async def rows(lake: Lake | ReadOnlyQueries, query: str, **options: Any) -> list[Mapping[str, Any]]:
    found: list[Mapping[str, Any]] = orjson.loads(await answer(lake, query, **options))["data"]
    return found


async def test_passages_name_file_page_and_headings_of_every_chunk_table(lake: Lake) -> None:
    assert await rows(lake, "SELECT * FROM passages") == []
    await put(lake, "a.pdf", ["Snow fell.", "It melted."])
    await put(lake, "b.pdf", ["Sun shone."], table="notes")
    found = await rows(lake, 'SELECT file, page, heading, text, "table" FROM passages ORDER BY file, page')
    assert [tuple(row.values()) for row in found] == [
        ("a.pdf", 1, "Top > Part", "Snow fell.", "chunks"),
        ("a.pdf", 2, "Top > Part", "It melted.", "chunks"),
        ("b.pdf", 1, "Top > Part", "Sun shone.", "notes"),
    ]


async def test_files_say_what_became_of_each_and_why(lake: Lake) -> None:
    doubt = "page 2: read by OCR with a confidence of 0.61: words may be wrong"
    await put(lake, "a.pdf", ["Snow"], warnings=(doubt, "page 3: read by OCR with a confidence of 0.83: ..."))
    await lake.ledger("papers").record(LedgerEntry("b.pdf", "x", "d", "failed", 3, 1, "found no pages"))
    query = (
        "SELECT file, state, reason, pages, parser, confidence, passages, warnings[1] AS first FROM files ORDER BY file"
    )
    found = await rows(lake, query)
    assert [tuple(row.values()) for row in found] == [
        ("a.pdf", "done", None, 2, "pdf", 0.61, 1, doubt),
        ("b.pdf", "failed", "found no pages", None, None, None, 0, None),
    ]


async def test_tables_are_rows_with_the_names_of_their_columns(lake: Lake) -> None:
    await put(lake, "a.pdf", ["Snow"], structure=STRUCTURE)
    found = await rows(lake, "SELECT * FROM tables ORDER BY row_number")
    assert [(row["page"], row["caption"], row["is_header"], row["cells"], row["record"]) for row in found] == [
        (2, "What it costs", True, ["Item", "Price", ""], None),
        (2, "What it costs", False, ["Pump", "100.00", "x"], {"Item": "Pump", "Price": "100.00", "column 3": "x"}),
        (2, "What it costs", False, ["Hose", "3.10", ""], {"Item": "Hose", "Price": "3.10", "column 3": ""}),
    ]
    total = "SELECT sum(record['Price']::DECIMAL(9, 2)) AS total FROM tables WHERE file = 'a.pdf'"
    assert await rows(lake, total) == [{"total": 103.1}]


async def test_a_sinks_table_of_a_views_name_has_the_name(lake: Lake) -> None:
    await put(lake, "a.pdf", ["Snow"], table="passages")
    await put(lake, "b.pdf", ["Sun"], table="chunks")
    assert await rows(lake, "SELECT text FROM passages") == [{"text": "Snow"}]


async def test_values_are_given_by_place_or_by_name(lake: Lake) -> None:
    assert await rows(lake, "SELECT ?::INTEGER + ? AS x", params=[1, 2]) == [{"x": 3}]
    assert await rows(lake, "SELECT $a || $b AS x", params={"a": "'; DROP TABLE documents --", "b": "!"}) == [
        {"x": "'; DROP TABLE documents --!"}
    ]
    with pytest.raises(InvalidInput, match="Values were not provided"):
        await answer(lake, "SELECT $a")


async def test_duckdbs_own_message_is_the_error(lake: Lake) -> None:
    with pytest.raises(InvalidInput, match=r"(?s)Binder Error: Referenced column \"nope\".*LINE 1") as caught:
        await answer(lake, "SELECT nope FROM files")
    assert (caught.value.status, caught.value.param, caught.value.code) == (400, "query", "sql_error")
    with pytest.raises(InvalidInput, match="Conversion Error"):
        await answer(lake, "SELECT title::INTEGER FROM (SELECT 'x' AS title)", "arrow")


async def test_json_says_that_rows_are_missing_other_formats_fail(lake: Lake) -> None:
    found = orjson.loads(await answer(lake, "FROM range(10) r(i)", max_rows=3))
    assert (found["row_count"], found["truncated"], found["data"][-1]) == (3, True, {"i": 2})
    assert found["columns"] == [{"name": "i", "type": "BIGINT"}]
    for form in ("csv", "arrow", "parquet"):
        with pytest.raises(InvalidInput, match="found more than 3 rows: add a LIMIT"):
            await answer(lake, "FROM range(10) r(i)", form, max_rows=3)
        assert await answer(lake, "FROM range(3) r(i)", form, max_rows=3)


async def test_values_of_every_kind_have_a_form_in_json(lake: Lake) -> None:
    query = """SELECT DATE '2026-03-05' AS d, 1.50::DECIMAL(9, 2) AS m, 12345678901234567890 AS big, '\\xAA'::BLOB AS b,
        INTERVAL 90 MINUTE AS i, {'a': [1, NULL]} AS s, MAP {'k': 2} AS map, 'nan'::DOUBLE AS n, 1 AS a, 2 AS a"""
    (row,) = await rows(lake, query)
    assert list(row.items()) == [
        ("d", "2026-03-05"),
        ("m", 1.5),
        ("big", "12345678901234567890"),
        ("b", "qg=="),
        ("i", 5400.0),
        ("s", {"a": [1, None]}),
        ("map", {"k": 2}),
        ("n", None),
        ("a", 1),
        ("a_1", 2),
    ]


async def test_csv_arrow_and_parquet_hold_the_same_rows(lake: Lake, tmp_path: Path) -> None:
    await put(lake, "a.pdf", ['Snow, "fell".\nTwice.', "It melted."])
    query = "SELECT text, page, [page] AS list, page = 1 AS first, NULL AS nothing FROM passages ORDER BY page"
    table = list(csv.reader(io.StringIO((await answer(lake, query, "csv")).decode(), newline="")))
    assert table == [
        ["text", "page", "list", "first", "nothing"],
        ['Snow, "fell".\nTwice.', "1", "[1]", "true", ""],
        ["It melted.", "2", "[2]", "false", ""],
    ]
    stream = nanoarrow.ArrayStream.from_readable(await answer(lake, query, "arrow"))
    expected = [('Snow, "fell".\nTwice.', 1, [1], True, None), ("It melted.", 2, [2], False, None)]
    assert [tuple(row.values()) for row in stream.read_all().to_pylist()] == expected
    (tmp_path / "x.parquet").write_bytes(await answer(lake, query, "parquet"))
    with duckdb.connect() as con:
        assert con.execute(f"FROM '{tmp_path / 'x.parquet'}'").fetchall() == expected


async def test_arrow_has_its_schema_without_rows_and_enums_as_text(lake: Lake) -> None:
    empty = nanoarrow.ArrayStream.from_readable(await answer(lake, "SELECT file, pages FROM files", "arrow"))
    assert [field.name for field in empty.schema.fields] == ["file", "pages"]
    enum = nanoarrow.ArrayStream.from_readable(await answer(lake, "SELECT 'a'::ENUM ('a', 'b') AS e", "arrow"))
    assert enum.read_all().to_pylist() == [{"e": "a"}]


async def test_a_query_over_its_time_is_ended_and_leaves_the_database_free(lake: Lake) -> None:
    with pytest.raises(InvalidInput, match=r"ended: it took longer than 0\.2 s"):
        await answer(lake, ENDLESS, timeout_s=0.2)
    await put(lake, "a.pdf", ["Snow"])
    assert await rows(lake, "SELECT count(*) AS n FROM files") == [{"n": 1}]


async def test_a_query_that_grows_beyond_its_memory_is_ended(lake: Lake) -> None:
    queries = ReadOnlyQueries(lake.path, lake.cursor, memory_bytes=48 * 2**20)
    grows = "SELECT len(list(a.range || '-' || b.range)) FROM range(100000) a, range(100000) b"
    with pytest.raises(InvalidInput, match="ended: it needs more than 48 MiB of memory"):
        await answer(queries, grows)
    await queries.close()


async def test_a_query_whose_caller_leaves_is_interrupted(lake: Lake) -> None:
    asking = asyncio.create_task(answer(lake, ENDLESS))
    await until(lambda: bool(lake.queries._running))
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    assert not lake.queries._running
    assert await rows(lake, "SELECT 1 AS x") == [{"x": 1}]


async def test_a_query_sees_one_moment_while_documents_are_written(lake: Lake) -> None:
    await put(lake, "a.pdf", ["x" * 1000] * 5000)
    pieces = lake.queries.stream(SqlRequest("SELECT text FROM passages", format="csv"))
    total = len(await anext(pieces))
    await put(lake, "b.pdf", ["y"] * 100)
    async for piece in pieces:
        total += len(piece)
        assert b"y" not in piece
    assert total == len("text\r\n") + 5000 * 1002


async def test_each_means_holds_without_the_guard_before_it(lake: Lake, tmp_path: Path) -> None:
    (tmp_path / "secret.csv").write_text("a\n1\n")
    cursor = lake.cursor()
    for text, refusal in (
        (f"FROM '{tmp_path / 'secret.csv'}'", "disabled by configuration"),
        (f"FROM read_csv('{tmp_path / 'secret.csv'}')", "disabled by configuration"),
        (f"COPY documents TO '{tmp_path / 'out.csv'}'", "disabled by configuration"),
        (f"ATTACH '{tmp_path / 'other.duckdb'}'", "disabled by configuration"),
        ("SET threads = 1", "configuration has been locked"),
        ("SET enable_external_access = true", "configuration has been locked"),
        ("INSTALL httpfs", "disabled by configuration"),
        ("FROM lake", "does not exist"),  # a variable of this function
    ):
        with pytest.raises(duckdb.Error, match=refusal):
            cursor.execute(text)
    cursor.execute("BEGIN TRANSACTION READ ONLY")
    with pytest.raises(duckdb.Error, match="read-only mode"):
        cursor.execute("DELETE FROM documents")
    cursor.close()


async def test_a_file_is_queried_read_only_where_no_server_has_it(tmp_path: Path) -> None:
    lake = await Lake.open(tmp_path / "own.duckdb")
    await put(lake, "a.pdf", ["Snow"])
    await lake.close()
    connection = connect_read_only(lake.path)
    assert connection is not None
    queries = ReadOnlyQueries(lake.path, connection.cursor)
    assert await rows(queries, "SELECT file FROM files") == [{"file": "a.pdf"}]
    assert await answer(queries, "SELECT file FROM files", "parquet")
    await queries.close()
    with pytest.raises(duckdb.Error, match="read-only"):
        connection.execute("DELETE FROM documents")
    connection.close()


async def test_a_copy_holds_one_moment_and_is_a_lake(lake: Lake, tmp_path: Path) -> None:
    await put(lake, "a.pdf", ["Snow", "Rain"])
    async with exported(lake.path, lake.cursor, "duckdb") as (file,):
        await put(lake, "b.pdf", ["Sun"])
        file.rename(tmp_path / "copy.duckdb")
    async with exported(lake.path, lake.cursor, "parquet") as files:
        assert [file.stem for file in files] == ["chunks", "documents", "files", "passages", "tables"]
        with duckdb.connect() as con:
            assert con.execute(f"SELECT count(*) FROM '{files[3]}'").fetchone() == (3,)  # noqa: S608
    assert not any(await asyncio.to_thread(os.listdir, tmp_path / ".lake.duckdb.transfer"))
    copy = await Lake.open(tmp_path / "copy.duckdb")
    assert await rows(copy, "SELECT file, passages FROM files") == [{"file": "a.pdf", "passages": 2}]
    await put(copy, "c.pdf", ["More"])
    assert [row.name for row in await copy.documents()] == ["a.pdf", "c.pdf"]
    await copy.close()


async def test_a_quiet_database_writes_its_log_into_the_file(tmp_path: Path) -> None:
    lake = await Lake.open(tmp_path / "lake.duckdb")
    lake.idle_s = 0.01
    await put(lake, "a.pdf", ["Snow"])
    wal = tmp_path / "lake.duckdb.wal"
    await until(lambda: not wal.exists() or not wal.stat().st_size)
    copy = tmp_path / "copy.duckdb"
    copy.write_bytes((tmp_path / "lake.duckdb").read_bytes())
    await lake.close()
    with duckdb.connect(str(copy), read_only=True) as con:
        assert con.execute("SELECT file FROM passages").fetchall() == [("a.pdf",)]
