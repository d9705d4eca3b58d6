"""Writes what a query gives as JSON, CSV, an Arrow IPC stream or a Parquet file, piece by piece."""

from __future__ import annotations

import csv
import io
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final, Literal
from uuid import UUID

import orjson

from fastembed.sinks.lake.schema import Connection

Format = Literal["json", "csv", "arrow", "parquet"]
Params = Sequence[Any] | Mapping[str, Any] | None

JSON_ROWS: Final = 10_000
STREAM_ROWS: Final = 1_000_000
MAX_JSON_BYTES: Final = 64 * 2**20
_PAGE: Final = 2_000
_PIECE_BYTES: Final = 2**20
_SAFE: Final = 2**53


class RowLimit(Exception):
    """A result has more rows than it may have, in a format that cannot say that rows are missing."""

    def __init__(self, rows: int) -> None:
        """Name the limit."""
        super().__init__(f"found more than {rows} rows: add a LIMIT, or raise max_rows")


def write_json(cursor: Connection, query: str, params: Params, max_rows: int | None, _: Path) -> Iterator[bytes]:
    """Yield one JSON object: columns with their types, rows as objects, whether rows were left out."""
    limit = JSON_ROWS if max_rows is None else max_rows
    cursor.execute(query, params)
    names, types = _columns(cursor)
    pieces: list[bytes] = []
    size = count = 0
    truncated = False
    for row in _rows(cursor):
        if count == limit or size > MAX_JSON_BYTES:
            truncated = True
            break
        pieces.append(orjson.dumps(dict(zip(names, map(plain, row), strict=True)), option=orjson.OPT_NON_STR_KEYS))
        size, count = size + len(pieces[-1]), count + 1
    columns = [{"name": name, "type": kind} for name, kind in zip(names, types, strict=True)]
    head = orjson.dumps({"object": "sql.result", "columns": columns, "row_count": count, "truncated": truncated})
    yield head[:-1] + b',"data":[' + b",".join(pieces) + b"]}"


def write_csv(cursor: Connection, query: str, params: Params, max_rows: int | None, _: Path) -> Iterator[bytes]:
    """Yield CSV (RFC 4180) in UTF-8 with a line of names; NULL is empty, lists and structs are JSON."""
    limit = STREAM_ROWS if max_rows is None else max_rows
    cursor.execute(query, params)
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(_columns(cursor)[0])
    for count, row in enumerate(_rows(cursor)):
        if count == limit:
            raise RowLimit(limit)
        writer.writerow([_cell(value) for value in row])
        if text.tell() >= _PIECE_BYTES:
            yield _taken(text)
    yield _taken(text)


def write_arrow(cursor: Connection, query: str, params: Params, max_rows: int | None, _: Path) -> Iterator[bytes]:
    """Yield an Arrow IPC stream: the schema, then batches as DuckDB makes them."""
    from nanoarrow import c_array_stream
    from nanoarrow.c_array_stream import CArrayStream
    from nanoarrow.ipc import StreamWriter

    limit = STREAM_ROWS if max_rows is None else max_rows
    out, count = io.BytesIO(), 0
    with (
        c_array_stream(_without_enums(cursor.sql(query, params=params))) as stream,
        StreamWriter.from_writable(out) as writer,
    ):
        writer.write_stream(CArrayStream.from_c_arrays([], stream.get_schema(), move=False))
        for batch in stream:
            count += len(batch)
            if count > limit:
                raise RowLimit(limit)
            writer.write_array(batch)
            yield _drained(out)
    yield _drained(out)


def write_parquet(
    cursor: Connection, query: str, params: Params, max_rows: int | None, folder: Path
) -> Iterator[bytes]:
    """Yield a Parquet file; DuckDB writes it whole, into a private folder beside the database, first."""
    limit = STREAM_ROWS if max_rows is None else max_rows
    with TemporaryDirectory(dir=folder, prefix="sql-") as place:
        file = Path(place) / "result.parquet"
        target = str(file).replace("'", "''")
        # The query has been checked: it is one SELECT, so parentheses around it hold all of it.
        copy = f"COPY (SELECT * FROM (\n{query}\n) LIMIT {limit + 1:d}) TO '{target}' (FORMAT parquet)"  # noqa: S608
        if cursor.execute(copy, params).fetchone()[0] > limit:
            raise RowLimit(limit)
        with file.open("rb") as content:
            while piece := content.read(_PIECE_BYTES):
                yield piece


FORMATS: Final[Mapping[str, Callable[..., Iterator[bytes]]]] = {
    "json": write_json,
    "csv": write_csv,
    "arrow": write_arrow,
    "parquet": write_parquet,
}
MEDIA: Final[Mapping[str, str]] = {
    "json": "application/json",
    "csv": "text/csv; charset=utf-8",
    "arrow": "application/vnd.apache.arrow.stream",
    "parquet": "application/vnd.apache.parquet",
}


def plain(value: Any) -> Any:
    """Return a value of DuckDB's as JSON holds it: times as ISO 8601, bytes as base64, decimals as numbers.

    Whole numbers that JavaScript would round are strings; NaN and infinity are null.
    """
    if value is None or isinstance(value, (str, bool, float)):
        return value
    if isinstance(value, int):
        return value if -_SAFE <= value <= _SAFE else str(value)
    if isinstance(value, (list, tuple)):
        return [plain(entry) for entry in value]
    if isinstance(value, dict):
        return {str(plain(key)): plain(entry) for key, entry in value.items()}
    for kind, form in _FORMS.items():
        if isinstance(value, kind):
            return form(value)
    return str(value)


_FORMS: Final[Mapping[Any, Callable[[Any], Any]]] = {
    Decimal: lambda value: int(value) if value == value.to_integral_value() and abs(value) <= _SAFE else float(value),
    (datetime, date, time): lambda value: value.isoformat(),
    timedelta: lambda value: value.total_seconds(),
    (bytes, bytearray, memoryview): lambda value: b64encode(value).decode("ascii"),
    UUID: str,
}


def _columns(cursor: Connection) -> tuple[list[str], list[str]]:
    """Return the columns' names, each once, and their types."""
    names: list[str] = []
    for name, *_ in cursor.description:
        fresh, number = name, 1
        while fresh in names:
            fresh, number = f"{name}_{number}", number + 1
        names.append(fresh)
    return names, [str(kind) for _, kind, *_ in cursor.description]


def _rows(cursor: Connection) -> Iterator[tuple[Any, ...]]:
    return (row for page in iter(partial(cursor.fetchmany, _PAGE), []) for row in page)


def _cell(value: Any) -> Any:
    found = plain(value)
    if isinstance(found, (list, dict)):
        return orjson.dumps(found).decode()
    return "" if found is None else str(found).lower() if isinstance(found, bool) else found


def _without_enums(found: Any) -> Any:
    """Return the relation with enums as text: nanoarrow writes no dictionaries."""
    if not any(str(kind).startswith("ENUM") for kind in found.types):
        return found
    columns = [
        f'CAST("{name}" AS VARCHAR) AS "{name}"' if str(kind).startswith("ENUM") else f'"{name}"'
        for name, kind in zip((name.replace('"', '""') for name in found.columns), found.types, strict=True)
    ]
    return found.project(", ".join(columns))


def _taken(text: io.StringIO) -> bytes:
    data = text.getvalue().encode()
    text.seek(0)
    text.truncate()
    return data


def _drained(out: io.BytesIO) -> bytes:
    data = out.getvalue()
    out.seek(0)
    out.truncate()
    return data
