"""The tables, and how an older file becomes a newer one.

    documents          one row a document: what was read from the file `name` of the pipeline `pipeline`
    ledger             one row a file: what became of it
    <chunks>           a document's chunks; the name is the sink's `table`, its vectors all have one length
    <chunks>_terms     the inverted index of those chunks for BM25, written in the same transactions
    <rows>             rows of values (the sink `table`), each with the document that it came of
    <chunks>_reembedded  new vectors of those chunks while `fastembed reembed` makes them (`reembedding.py`)
    lineage            one row an answer: what it cites (`lineage.py`)
    files, passages, tables   views for people (`views.py`)

Migrations: new columns come last, so that rows written by position stay right; `{table}` stands for each chunk table.

A chunk's id is its document's id times 2^20 plus its index, so that all rows of a document are one range, which
DuckDB finds by its block statistics with no index. There are no unique constraints: one thread writes, and DuckDB
refuses to delete and insert one key in one transaction where there is one.
"""

from __future__ import annotations

import re
from typing import Any, Final

from fastembed.pipeline.errors import InvalidInput, Unavailable
from fastembed.sinks.lake.views import make_room, make_views

Connection = Any  # duckdb.DuckDBPyConnection: the package has no types

CHUNKS_PER_DOCUMENT: Final = 1 << 20
ORIGIN_COLUMN: Final = "document_id"
"""Of a table of values: the document (a file) that a row came of; NULL: of none."""

_MIGRATIONS: Final[tuple[tuple[str, ...], ...]] = (
    (
        "CREATE SEQUENCE document_ids START 1",
        """CREATE TABLE documents (
            id BIGINT NOT NULL, pipeline VARCHAR NOT NULL, name VARCHAR NOT NULL, path VARCHAR NOT NULL,
            sha256 VARCHAR NOT NULL, definition VARCHAR NOT NULL, title VARCHAR, markdown VARCHAR, structure JSON,
            page_count INTEGER, parser VARCHAR, ocr_pages INTEGER, parse_seconds DOUBLE, warnings VARCHAR[],
            chunk_table VARCHAR NOT NULL, chunk_count INTEGER NOT NULL, added_at TIMESTAMP NOT NULL)""",
        """CREATE TABLE ledger (
            pipeline VARCHAR NOT NULL, name VARCHAR NOT NULL, sha256 VARCHAR NOT NULL, definition VARCHAR NOT NULL,
            state VARCHAR NOT NULL, detail VARCHAR NOT NULL, location VARCHAR NOT NULL,
            size_bytes BIGINT NOT NULL, mtime_ns BIGINT NOT NULL, recorded_at TIMESTAMP NOT NULL)""",
    ),
    (  # files within files, what files say about themselves, recordings
        "ALTER TABLE documents ADD COLUMN container VARCHAR DEFAULT ''",
        "ALTER TABLE documents ADD COLUMN metadata MAP(VARCHAR, VARCHAR)",
        "ALTER TABLE documents ADD COLUMN duration_s DOUBLE",
        "ALTER TABLE ledger ADD COLUMN container VARCHAR DEFAULT ''",
        'ALTER TABLE "{table}" ADD COLUMN start_s DOUBLE',
        'ALTER TABLE "{table}" ADD COLUMN end_s DOUBLE',
    ),
    ('ALTER TABLE "{table}" ADD COLUMN model_revision VARCHAR',),  # which files of a model made a vector
    (),  # the views for people: every step makes them anew
    (  # where answers are from
        """CREATE TABLE IF NOT EXISTS lineage (
            id VARCHAR NOT NULL, asked_at TIMESTAMP NOT NULL, question VARCHAR NOT NULL, details JSON NOT NULL)""",
    ),
)
VERSION: Final = len(_MIGRATIONS)

_NAME: Final = re.compile(r"[a-z_][a-z0-9_]{0,50}")
_RESERVED: Final = frozenset({"documents", "ledger", "lineage", "schema_version"})
SHADOW: Final = "_reembedded"
"""What ends the name of the table that holds new vectors until they are all there."""
OWN_SUFFIXES: Final = ("_terms", SHADOW)


def migrate(con: Connection) -> None:
    """Bring the database to this version, one transaction a step. Unavailable if it was made by a newer version."""
    con.execute("CREATE TABLE IF NOT EXISTS schema_version (version INTEGER NOT NULL)")
    found = con.execute("SELECT coalesce(max(version), 0) FROM schema_version").fetchone()[0]
    if found > VERSION:
        msg = f"found schema version {found} in the database, expected at most {VERSION}: a newer version made it"
        raise Unavailable(msg)
    for version, statements in enumerate(_MIGRATIONS[found:], start=found + 1):
        con.begin()
        for statement in statements:
            for table in chunk_tables(con) if "{table}" in statement else [""]:
                con.execute(statement.replace("{table}", table))
        if version == VERSION:
            make_views(con, chunk_tables(con))
        con.execute("INSERT INTO schema_version VALUES (?)", [version])
        con.commit()


def is_current(con: Connection) -> bool:
    """Whether the database is of this version."""
    if not table_exists(con, "schema_version"):
        return False
    return bool(con.execute("SELECT max(version) FROM schema_version").fetchone()[0] == VERSION)


def check_table_name(table: str) -> str:
    """Return `table` if chunks can live under that name. InvalidInput says what is expected."""
    if not _NAME.fullmatch(table) or table in _RESERVED or table.endswith(OWN_SUFFIXES):
        msg = (
            f"found the table name {table!r}, expected lower-case letters, digits and _, not starting with a digit, "
            f"not ending in {' or '.join(OWN_SUFFIXES)} and none of {', '.join(sorted(_RESERVED))}"
        )
        raise InvalidInput(msg, param="table")
    return table


def table_exists(con: Connection, table: str) -> bool:
    """Whether chunks have been written under this name."""
    return (
        con.execute("SELECT 1 FROM duckdb_tables() WHERE table_name = ? AND NOT internal", [table]).fetchone()
        is not None
    )


def chunk_tables(con: Connection) -> list[str]:
    """Return the names of all chunk tables, in alphabetical order."""
    rows = con.execute("SELECT table_name FROM duckdb_tables() WHERE NOT internal AND suffix(table_name, '_terms')")
    return sorted(name.removesuffix("_terms") for (name,) in rows.fetchall())


def dimensions(con: Connection, table: str) -> int | None:
    """Return the length of the vectors in `table`, None while there are none."""
    kind = columns_of(con, table).get("embedding")
    return int(kind.removeprefix("FLOAT[").removesuffix("]")) if kind else None


def columns_of(con: Connection, table: str) -> dict[str, str]:
    """Return the types of the columns of `table` by their names."""
    query = "SELECT column_name, data_type FROM duckdb_columns() WHERE table_name = ? AND NOT internal"
    return dict(con.execute(query, [table]).fetchall())


def create_chunks(con: Connection, table: str, vector_length: int | None = None) -> None:
    """Make a chunk table where there is none of that name."""
    vector = "" if vector_length is None else f", embedding FLOAT[{vector_length:d}]"
    con.execute(
        f"""CREATE TABLE IF NOT EXISTS "{table}" (
            id BIGINT NOT NULL, document_id BIGINT NOT NULL, "index" INTEGER NOT NULL, text VARCHAR NOT NULL,
            headings VARCHAR[] NOT NULL, first_page INTEGER, last_page INTEGER, token_count INTEGER NOT NULL,
            word_count INTEGER NOT NULL, model VARCHAR, start_s DOUBLE, end_s DOUBLE, model_revision VARCHAR{vector})"""
    )


def prepare_table(con: Connection, table: str, vector_length: int | None) -> None:
    """Make the chunk table, and its vector column once the length is known. Unavailable if the length is another."""
    check_table_name(table)
    is_new = not table_exists(con, table)
    if is_new:
        make_room(con, table)
    create_chunks(con, table)
    con.execute(
        f"""CREATE TABLE IF NOT EXISTS "{table}_terms" (
            term UINTEGER NOT NULL, chunk_id BIGINT NOT NULL, occurrences USMALLINT NOT NULL,
            length UINTEGER NOT NULL)"""
    )
    if is_new:
        make_views(con, chunk_tables(con))
    if vector_length is None:
        return
    found = dimensions(con, table)
    if found is None:
        con.execute(f'ALTER TABLE "{table}" ADD COLUMN embedding FLOAT[{vector_length:d}]')
    elif found != vector_length:
        msg = (
            f"found vectors of {vector_length} values, expected {found} as in the table {table}: "
            "`fastembed reembed` gives its chunks vectors of the new model; else name another table for it"
        )
        raise Unavailable(msg)
