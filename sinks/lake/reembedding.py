"""New vectors for stored chunks: plain functions on a connection, each inside one transaction.

`<table>_reembedded` (the shadow) collects the vectors of one new model, in the order of the chunks' ids, while searches
and writers go on with the table. Documents that are replaced meanwhile get new ids, so vectors of chunks that are gone
are of no chunk, and nothing else has to be compared. Once every chunk has its vector, `switch` puts a new table in
place of the old one. `kill -9` before its commit leaves the table as it was and the shadow as far as it came: the next
run goes on there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from fastembed.pipeline.payload.embedding import VectorOrigin
from fastembed.sinks.lake.origins import of_origin
from fastembed.sinks.lake.schema import (
    SHADOW,
    Connection,
    check_table_name,
    columns_of,
    create_chunks,
    dimensions,
    table_exists,
)
from fastembed.sinks.lake.vectors import insert_vectors

_OF_VECTOR: Final = ("embedding", "model", "model_revision")
State = Literal["running", "done", "cancelled", "failed"]


@dataclass(frozen=True, slots=True)
class ReembedStatus:
    """How far a table is. done, total: chunks that have their new vectors, and that need one."""

    database: str
    table: str
    model: str
    state: State
    done: int
    total: int
    detail: str = ""


@dataclass(frozen=True, slots=True)
class StoredText:
    """What a chunk's vector is made of: the path of its headings, and its text."""

    chunk_id: int
    headings: tuple[str, ...]
    text: str


def count_waiting(con: Connection, table: str, origin: VectorOrigin) -> int:
    """Return how many chunks of `table` need a vector of this model and have none in the shadow."""
    if not table_exists(con, table):
        return 0
    waiting, values = _waiting(con, table, origin)
    return int(con.execute(f'SELECT count(*) FROM "{table}" c WHERE {waiting}', values).fetchone()[0])  # noqa: S608 - a checked name


def begin(con: Connection, table: str, origin: VectorOrigin, length: int) -> None:
    """Make the shadow for vectors of a model and of `length` values; drop those that were collected for another."""
    shadow = _shadow(table)
    if table_exists(con, shadow):
        found = con.execute(f'SELECT model, model_revision FROM "{shadow}" LIMIT 1').fetchone()  # noqa: S608 - a checked name
        if found not in (None, (origin.model, origin.revision)) or dimensions(con, shadow) != length:
            discard(con, table)
    con.execute(
        f"""CREATE TABLE IF NOT EXISTS "{shadow}" (chunk_id BIGINT NOT NULL, model VARCHAR NOT NULL,
            model_revision VARCHAR NOT NULL, embedding FLOAT[{length:d}])"""
    )


def discard(con: Connection, table: str) -> None:
    """Drop the vectors that were collected."""
    con.execute(f'DROP TABLE IF EXISTS "{_shadow(table)}"')


def missing(con: Connection, table: str, origin: VectorOrigin, after: int, limit: int) -> list[StoredText]:
    """Return the next chunks, by id, that need a vector of this model and have none in the shadow."""
    if not table_exists(con, table):
        return []
    waiting, values = _waiting(con, table, origin)
    rows = con.execute(
        f"""SELECT c.id, c.headings, c.text FROM "{table}" c
            WHERE c.id > ? AND {waiting} ORDER BY c.id LIMIT ?""",  # noqa: S608 - a checked name
        [after, *values, limit],
    ).fetchall()
    return [StoredText(chunk_id, tuple(headings), text) for chunk_id, headings, text in rows]


def store(con: Connection, table: str, origin: VectorOrigin, ids: Sequence[int], vectors: NDArray[np.float32]) -> None:
    """Add vectors float32 [ids, dimensions] to the shadow."""
    columns: dict[str, NDArray[Any]] = {
        "place": np.arange(len(ids), dtype=np.int64),
        "chunk_id": np.array(ids, dtype=np.int64),
    }
    insert_vectors(
        con,
        f'"{_shadow(table)}" (chunk_id, model, model_revision, embedding)',
        "SELECT s.chunk_id, ?, ?, {vector}",
        columns,
        vectors,
        values=[origin.model, origin.revision],
    )


def collected(con: Connection, table: str) -> int:
    """Return how many vectors the shadow holds."""
    shadow = _shadow(table)
    if not table_exists(con, shadow):
        return 0
    return int(con.execute(f'SELECT count(*) FROM "{shadow}"').fetchone()[0])  # noqa: S608 - a checked name


def switch(con: Connection, table: str, origin: VectorOrigin) -> bool:
    """Put the new vectors in place of the old ones, all at once; False: chunks have come that need one, too.

    The documents' rows then say the new model in their definition, so that only a change of anything else makes them
    older ones.
    """
    if not table_exists(con, table):
        return True
    if missing(con, table, origin, -1, 1):
        return False
    if collected(con, table):
        _replace(con, table)
    discard(con, table)
    _sign(con, table, origin)
    return True


def _replace(con: Connection, table: str) -> None:
    """Make the table anew: an UPDATE would keep the length, and scatter chunks that are found by ranges of ids."""
    shadow, fresh = _shadow(table), f"{_shadow(table)}_next"
    length = dimensions(con, shadow) or 0
    others = "c.embedding" if dimensions(con, table) == length else "NULL"
    create_chunks(con, fresh, length)
    copied = [f'"{name}"' for name in columns_of(con, fresh) if name not in _OF_VECTOR]
    con.execute(
        f"""INSERT INTO "{fresh}" ({", ".join(copied)}, model, model_revision, embedding)
            SELECT {", ".join(f"c.{name}" for name in copied)}, coalesce(s.model, c.model),
              coalesce(s.model_revision, c.model_revision),
              CASE WHEN s.chunk_id IS NULL THEN {others} ELSE s.embedding END
            FROM "{table}" c LEFT JOIN "{shadow}" s ON s.chunk_id = c.id ORDER BY c.id"""  # noqa: S608 - checked names
    )
    con.execute(f'DROP TABLE "{table}"')
    con.execute(f'ALTER TABLE "{fresh}" RENAME TO "{table}"')


def _sign(con: Connection, table: str, origin: VectorOrigin) -> None:
    """Say the new model in the definitions of the documents of a table, and of their ledger rows."""
    signed = "split_part(definition, '.', 1) || '.' || ?"
    con.execute(
        f"""UPDATE ledger SET definition = {signed} WHERE state IN ('done', 'outdated')
            AND (pipeline, name) IN (SELECT (pipeline, name) FROM documents WHERE chunk_table = ?)""",  # noqa: S608 - constant
        [origin.mark, table],
    )
    con.execute(f"UPDATE documents SET definition = {signed} WHERE chunk_table = ?", [origin.mark, table])  # noqa: S608 - constant


def _waiting(con: Connection, table: str, origin: VectorOrigin) -> tuple[str, list[str]]:
    """Return the SQL condition of the chunks `c` without a new vector, and its parameters.

    Vectors of another length are another model's, whatever their rows say.
    """
    shadow = _shadow(table)
    if not table_exists(con, shadow):
        condition, values = of_origin(origin)
        return f"NOT {condition}", values
    unmade = f'NOT EXISTS (SELECT 1 FROM "{shadow}" s WHERE s.chunk_id = c.id)'  # noqa: S608 - a checked name
    if dimensions(con, table) != dimensions(con, shadow):
        return unmade, []
    condition, values = of_origin(origin)
    return f"NOT {condition} AND {unmade}", values


def _shadow(table: str) -> str:
    return f"{check_table_name(table)}{SHADOW}"
