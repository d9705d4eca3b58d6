"""Writes values into a table of their own: plain functions on a connection, inside one transaction.

Columns are made as values with new fields come. Every value travels as text and is cast to its column's type: lists as
JSON, bytes as base64. That is one path for every type, and DuckDB's own messages where something does not fit.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any, Final

import duckdb
import numpy as np
from pydantic import BaseModel

from fastembed.pipeline.errors import InvalidInput
from fastembed.pipeline.payload.document import Document, File
from fastembed.pipeline.payload.json_values import to_json
from fastembed.sinks.lake.ledger_changes import drop_rows, utf8, write_entries
from fastembed.sinks.lake.schema import ORIGIN_COLUMN, Connection, columns_of, table_exists
from fastembed.sinks.lake.views import make_room
from fastembed.sinks.lake.writing import entry_of, insert_documents

Values = Mapping[str, Any]
_TYPE: Final = re.compile(r"[A-Za-z]\w*(\(\d+(, ?\d+)?\))?(\[\d*\])*")
_WIDER: Final = {("BIGINT", "DOUBLE"), ("BIGINT", "HUGEINT"), ("DATE", "TIMESTAMP")}


def check_type(name: str, text: str) -> str:
    """Return a declared column's type. ValueError if it is none."""
    if not _TYPE.fullmatch(text):
        msg = f"found the type {text!r} of {name}, expected one such as VARCHAR, BIGINT, DECIMAL(10,2) or FLOAT[384]"
        raise ValueError(msg)
    return text


def fields_of(value: object) -> Values:
    """Return a value's fields by name; what has none is the field `value`."""
    if isinstance(value, Mapping):
        return {str(name): field for name, field in value.items()}
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in fields(value)}
    if isinstance(value, BaseModel):
        return dict(value)
    return {"value": value}


def replace_values(
    con: Connection,
    table: str,
    rows: Sequence[Values],
    *,
    declared: Mapping[str, str],
    file: File | None,
    pipeline: str,
    definition: str,
    at: datetime,
) -> None:
    """Insert rows; those of a file in place of what its name held before, with the file's ledger row.

    declared: the columns to keep and their types; empty: all fields, as their values suggest. InvalidInput names a
    column that a value does not fit.
    """
    prepare_values(con, table, rows, declared)
    document_id = None
    if file is not None:
        drop_rows(con, pipeline, file.name)
        document = Document(file, file.name, "", "{}", (), 0, "rows")
        (document_id,) = insert_documents(
            con, [(document, len(rows))], pipeline=pipeline, definition=definition, table=table, at=at
        )
        write_entries(con, pipeline, [entry_of(file, definition, "done")], at)
    _insert(con, table, rows, document_id)


def prepare_values(con: Connection, table: str, rows: Sequence[Values], declared: Mapping[str, str]) -> None:
    """Make the table, or the columns that it lacks; widen those that a value of these rows needs wider."""
    if not table_exists(con, table):
        make_room(con, table)
        con.execute(f'CREATE TABLE "{table}" ({ORIGIN_COLUMN} BIGINT)')
    elif table_exists(con, f"{table}_terms"):
        raise InvalidInput(f"found the table {table}, which holds passages of documents, expected another name")
    known = columns_of(con, table)
    if ORIGIN_COLUMN not in known:
        con.execute(f'ALTER TABLE "{table}" ADD COLUMN {ORIGIN_COLUMN} BIGINT')
    folded = {name.lower(): kind for name, kind in known.items()}
    wanted = declared or _types_of(rows)
    for name, kind in wanted.items():
        held = folded.get(name.lower())
        if held is None:
            _alter(con, f'ALTER TABLE "{table}" ADD COLUMN {_quoted(name)} {kind}', name)
            folded[name.lower()] = kind
        elif (held, kind) in _WIDER and not declared:
            con.execute(f'ALTER TABLE "{table}" ALTER COLUMN {_quoted(name)} TYPE {kind}')


def _alter(con: Connection, statement: str, name: str) -> None:
    try:
        con.execute(statement)
    except duckdb.CatalogException as error:
        raise InvalidInput(f"found the column {name}: {_first_line(error)}") from None


def _types_of(rows: Sequence[Values]) -> dict[str, str]:
    """Return the type of each field, as the values suggest; a field that is always None has none yet."""
    found: dict[str, str] = {}
    for row in rows:
        for name, value in row.items():
            kind = _type_of(value)
            if kind is None or found.get(name) == kind:
                continue
            found[name] = kind if name not in found else _common(found[name], kind)
    return found


def _common(one: str, other: str) -> str:
    if (one, other) in _WIDER or (other, one) in _WIDER:
        return other if (one, other) in _WIDER else one
    return "JSON" if "JSON" in (one, other) or "[" in one + other else "VARCHAR"


_TYPES: Final[tuple[tuple[tuple[type, ...], str], ...]] = (  # the first that fits: a bool is an int, a datetime a date
    ((bool, np.bool_), "BOOLEAN"),
    ((int, np.integer), "BIGINT"),
    ((float, np.floating), "DOUBLE"),
    ((Decimal,), "DECIMAL(38, 9)"),
    ((datetime,), "TIMESTAMP"),
    ((date,), "DATE"),
    ((time,), "TIME"),
    ((bytes, bytearray, memoryview), "BLOB"),
    ((Mapping, BaseModel), "JSON"),
)


def _type_of(value: object) -> str | None:
    """Return the type that a value suggests; None: none."""
    if value is None:
        return None
    if isinstance(value, np.ndarray):
        return f"FLOAT[{len(value)}]" if value.ndim == 1 and value.dtype.kind == "f" else "JSON"
    if isinstance(value, list | tuple):
        return _list_type(value)
    kind = next((kind for classes, kind in _TYPES if isinstance(value, classes)), None)
    if kind is None:
        return "JSON" if is_dataclass(value) else "VARCHAR"
    if isinstance(value, datetime) and value.tzinfo is not None:
        return "TIMESTAMPTZ"
    return "HUGEINT" if kind == "BIGINT" and not -(2**63) <= int(value) < 2**63 else kind  # type: ignore[call-overload]


def _list_type(values: Sequence[Any]) -> str:
    kinds = {_type_of(value) for value in values} - {None}
    if kinds in ({"BIGINT"}, {"DOUBLE"}, {"VARCHAR"}, {"BOOLEAN"}):
        return f"{kinds.pop()}[]"
    return "DOUBLE[]" if kinds == {"BIGINT", "DOUBLE"} else "JSON"


def _insert(con: Connection, table: str, rows: Sequence[Values], document_id: int | None) -> None:
    types = {name.lower(): (name, kind) for name, kind in columns_of(con, table).items()}
    names = {name.lower(): name for row in rows for name in row if name.lower() in types}
    if reserved := names.pop(ORIGIN_COLUMN, None):
        raise InvalidInput(f"found the field {reserved}, expected another name: the table's own column has that")
    columns = {
        f"c{place}": _texts((row.get(name) for row in rows), types[key][1])
        for place, (key, name) in enumerate(names.items())
    }
    columns["place"] = np.arange(len(rows), dtype=np.int64)
    casts = [_cast(f"s.c{place}", types[key][1]) for place, key in enumerate(names)]
    targets = ", ".join([ORIGIN_COLUMN, *(_quoted(types[key][0]) for key in names)])
    con.register("staged_values", columns)
    try:
        con.execute(
            f"""INSERT INTO "{table}" ({targets}) SELECT {", ".join(["?", *casts])}
                FROM staged_values s ORDER BY s.place""",  # noqa: S608 - quoted names
            [document_id],
        )
    except (duckdb.ConversionException, duckdb.InvalidInputException) as error:
        raise InvalidInput(_misfit(rows, names, types, table, error)) from None
    con.unregister("staged_values")


def _misfit(
    rows: Sequence[Values],
    names: Mapping[str, str],
    types: Mapping[str, tuple[str, str]],
    table: str,
    error: duckdb.Error,
) -> str:
    """Return what does not fit its column: DuckDB's message has the value, and sometimes not the column."""
    shown = _first_line(error)
    near = [name for key, name in names.items() if any(_shows(shown, row.get(name), types[key][1]) for row in rows)]
    where = f" (column {near[0]})" if len(near) == 1 else ""
    return f"a value does not fit the table {table}{where}: {shown}"


def _shows(message: str, value: object, kind: str) -> bool:
    return kind != "VARCHAR" and isinstance(value, str) and bool(value) and f"'{value}'" in message


def _texts(values: Iterable[Any], kind: str) -> np.ndarray[Any, Any]:
    texts = [_text(value, kind) for value in values]
    found = np.empty(len(texts), dtype=object)
    found[:] = texts
    return found


def _text(value: Any, kind: str) -> str | None:
    """Return a value as the text that its column's type is cast from."""
    if value is None:
        return None
    if kind == "JSON" or kind.endswith("]"):
        return utf8(to_json(value).decode())
    if isinstance(value, str):
        return utf8(value)
    if isinstance(value, float | np.floating):
        return repr(float(value))
    if isinstance(value, datetime | date | time | np.integer | Decimal):
        return str(value)
    text = to_json(value).decode()  # true, 12, "base64"
    return utf8(text[1:-1] if text.startswith('"') else text)


def _cast(column: str, kind: str) -> str:
    """Return the SQL that makes a value of a type of a text. The text is NULL where all are: of no type of its own."""
    text = f"{column}::VARCHAR"
    if kind == "BLOB":
        return f"from_base64({text})"
    if kind == "JSON":
        return f"{text}::JSON"
    if kind.endswith("]"):
        plain = re.sub(r"\[\d+\]", "[]", kind)
        return f"{text}::JSON::{plain}::{kind}"
    return f"{text}::{kind}"


def _quoted(name: str) -> str:
    return '"' + utf8(name).replace('"', '""') + '"'


def _first_line(error: duckdb.Error) -> str:
    return str(error).split("\n", 1)[0].split(": ", 1)[-1]
