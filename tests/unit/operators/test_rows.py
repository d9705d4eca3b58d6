"""Rows of CSV, JSONL, Parquet and XLSX files."""

from __future__ import annotations

import datetime as dt
import tracemalloc
from pathlib import Path
from typing import Any

import duckdb
import openpyxl
import pytest

from fastembed.operators.rows import Rows
from fastembed.pipeline.errors import ItemError, TooLarge, Unprocessable, UnsupportedMedia
from fastembed.pipeline.payload.document import File


def file_of(folder: Path, name: str, data: bytes) -> File:
    path = folder / name
    path.write_bytes(data)
    return File(path, name, "", len(data), 0)


async def rows_of(file: File, **options: Any) -> list[dict[str, Any]]:
    return [row async for row in Rows(**options)(file)]


@pytest.mark.parametrize(
    ("name", "text", "encoding", "expected"),
    [
        (
            "a [1].csv",
            'id,text\n1,Öl\n2,"x,\ny"\n',
            "utf-8",
            [{"id": 1, "text": "Öl"}, {"id": 2, "text": "x,\ny"}],
        ),
        ("b.csv", "id;name\n1;Größe\n", "latin-1", [{"id": 1, "name": "Größe"}]),
        ("c.csv", "a,b\n1,ü\n", "utf-16", [{"a": 1, "b": "ü"}]),
        ("d.csv", "a,b\n1,ü\n", "utf-8-sig", [{"a": 1, "b": "ü"}]),
        ("e.csv", "", "utf-8", []),
        ("f.csv", "a,b\n", "utf-8", []),
        ("g.tsv", "a\tb\r\n2024-01-02\ttrue\r\n", "utf-8", [{"a": dt.date(2024, 1, 2), "b": True}]),
        ("h.csv", "word\none\ntwo\n", "utf-8", [{"word": "one"}, {"word": "two"}]),
        ("i.csv", "n\n" + "1\n" * 30_000 + "x\n", "utf-8", [{"n": "1"}] * 30_000 + [{"n": "x"}]),
        ("j.jsonl", '{"a": [1, {"b": 2}]}\n\n{"a": null}', "utf-8", [{"a": [1, {"b": 2}]}, {"a": None}]),
    ],
)
async def test_texts_are_read_row_by_row(
    tmp_path: Path, name: str, text: str, encoding: str, expected: list[dict[str, Any]]
) -> None:
    assert await rows_of(file_of(tmp_path, name, text.encode(encoding))) == expected


async def test_types_are_left_alone_where_that_is_asked_for(tmp_path: Path) -> None:
    file = file_of(tmp_path, "a.csv", b"007|x\n008|y\n")
    assert await rows_of(file, types="text", header=False, delimiter="|") == [
        {"column0": "007", "column1": "x"},
        {"column0": "008", "column1": "y"},
    ]


async def test_parquet_and_workbooks(tmp_path: Path) -> None:
    query = "SELECT 1 AS a, [1.5, 2] AS v, {'x': 1} AS s"
    duckdb.execute(f"COPY ({query}) TO '{tmp_path}/a.parquet'")
    parquet = file_of(tmp_path, "a.parquet", (tmp_path / "a.parquet").read_bytes())
    ((row,),) = [await rows_of(parquet)]
    assert row == {"a": 1, "v": [1.5, 2.0], "s": {"x": 1}}
    book = openpyxl.Workbook()
    for cells in (["id", "name", None], [1, "a", "unnamed"], [None] * 3, [2, None, None]):
        book.active.append(cells)
    book.create_sheet("more").append(["x"])
    book.save(tmp_path / "a.xlsx")
    workbook = file_of(tmp_path, "a.xlsx", (tmp_path / "a.xlsx").read_bytes())
    assert await rows_of(workbook) == [{"id": 1, "name": "a"}, {"id": 2, "name": None}]
    assert await rows_of(workbook, sheet="more") == []
    with pytest.raises(Unprocessable, match="expected one of Sheet, more"):
        await rows_of(workbook, sheet="other")


@pytest.mark.parametrize(
    ("name", "data", "error", "words"),
    [
        ("a.pdf", b"x", UnsupportedMedia, "expected one of .csv"),
        ("a.parquet", b"PAR1junk", Unprocessable, "a.parquet"),
        ("a.xlsx", b"junk", Unprocessable, "no workbook"),
        ("a.jsonl", b'{"a": 1}\n[1]\n', Unprocessable, "a.jsonl:2"),
        ("b.jsonl", b'{"a": 1}\n{"a": \n', Unprocessable, "b.jsonl:2"),
        ("a.csv", b"a,b\n1,2\n3\n4,5,6\n", Unprocessable, "no delimiter"),
        ("b.csv", b"a\n" + b"1\n" * 11, TooLarge, "more than 10 rows"),
    ],
)
async def test_what_cannot_be_read_says_why(
    tmp_path: Path, name: str, data: bytes, error: type[ItemError], words: str
) -> None:
    with pytest.raises(error, match=words):
        await rows_of(file_of(tmp_path, name, data), most=10)


async def test_a_large_file_is_read_no_faster_than_it_is_taken(tmp_path: Path) -> None:
    line = b'{"text": "' + b"x" * 1000 + b'"}\n'
    file = file_of(tmp_path, "a.jsonl", line * 20_000)
    tracemalloc.start()
    count = 0
    async for _ in Rows()(file):
        count += 1
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert count == 20_000
    assert peak < 5 << 20
