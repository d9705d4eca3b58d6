"""The views made for people: `files`, `passages` and `tables`.

    files      one row a file: what became of it, and why
    passages   one row a chunk, of every chunk table, with its file, page and headings
    tables     one row a row of a table in a document, its cells as a list, and by the names of the columns

They are made anew when a chunk table is added and when the schema changes. Where a sink's `table` has one of these
names, that table has it, and the view is left out.
"""

from __future__ import annotations

from typing import Any, Final

Connection = Any  # duckdb.DuckDBPyConnection: the package has no types

FILES: Final = """
    SELECT l.name AS file, l.state, nullif(l.detail, '') AS reason, d.title, nullif(d.page_count, 0) AS pages, d.parser,
        list_min(list_transform(d.warnings,
            lambda w: try_cast(nullif(regexp_extract(w, 'confidence of ([01][.][0-9]+)', 1), '') AS DOUBLE)))
            AS confidence,
        coalesce(d.warnings, []) AS warnings, coalesce(d.chunk_count, 0) AS passages, d.duration_s, d.metadata,
        nullif(l.container, '') AS container, l.size_bytes, make_timestamp(l.mtime_ns // 1000) AS modified_at,
        l.recorded_at, l.pipeline, coalesce(nullif(l.location, ''), d.path) AS path, l.sha256, l.definition,
        d.id AS document_id
    FROM ledger l LEFT JOIN documents d USING (pipeline, name)
"""
"""confidence: the lowest that a warning of the reader names; NULL: nothing was doubtful."""

_PASSAGES: Final = """
    SELECT d.name AS file, c.first_page AS page, c.last_page, array_to_string(c.headings, ' > ') AS heading, c.text,
        c.start_s, c.end_s, d.title, d.pipeline, '{table}' AS "table", c.model, c.id AS passage_id, c.document_id
    FROM "{table}" c JOIN documents d ON d.id = c.document_id
"""
_NO_PASSAGES: Final = """
    SELECT ''::VARCHAR AS file, 0 AS page, 0 AS last_page, '' AS heading, '' AS text, 0.0::DOUBLE AS start_s,
        0.0::DOUBLE AS end_s, '' AS title, '' AS pipeline, '' AS "table", '' AS model, 0::BIGINT AS passage_id,
        0::BIGINT AS document_id
    WHERE false
"""

TABLES: Final = """
    WITH found AS (
        SELECT id, pipeline, name, structure, unnest(list) AS entry, unnest(range(1, len(list) + 1)) AS number
        FROM (SELECT id, pipeline, name, structure, json_extract(structure, '$.tables[*]') AS list FROM documents)
    ), described AS (
        SELECT id, pipeline, name, number, (entry ->> '$.prov[0].page_no')::INTEGER AS page,
            structure ->> regexp_replace(nullif(entry ->> '$.captions[0]."$ref"', ''),
                '^#/texts/([0-9]+)$', '$.texts[\\1].text') AS caption,
            (entry ->> '$.data.num_cols')::BIGINT AS width,
            unnest(json_extract(entry, '$.data.table_cells[*]')) AS cell
        FROM found
    ), placed AS (
        SELECT * EXCLUDE (cell), (cell ->> '$.start_row_offset_idx')::INTEGER AS y,
            (cell ->> '$.start_col_offset_idx')::BIGINT AS x, cell ->> '$.text' AS text,
            coalesce((cell ->> '$.column_header')::BOOLEAN, false) AS is_header
        FROM described
    ), lines AS (
        SELECT id, pipeline, name, number, page, caption, y, bool_and(is_header) AS is_header,
            list_transform(range(any_value(width)),
                lambda i: coalesce(list(text ORDER BY x)[list_position(list(x ORDER BY x), i)], '')) AS cells
        FROM placed GROUP BY ALL
    ), headed AS (
        SELECT *, first(CASE WHEN is_header THEN cells END IGNORE NULLS)
            OVER (PARTITION BY id, number ORDER BY y ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING) AS names
        FROM lines
    )
    SELECT name AS file, number AS table_number, page, caption, y + 1 AS row_number, is_header, cells,
        CASE WHEN NOT is_header THEN TRY(map(list_transform(names, lambda n, i:
            CASE WHEN n = '' OR list_position(names, n) < i THEN 'column ' || i ELSE n END), cells)) END AS record,
        pipeline, id AS document_id
    FROM headed
"""
"""record: the cells by what the first header row says; columns without a name, or with one again, are `column 3`."""

VIEWS: Final = ("files", "passages", "tables")


def make_views(con: Connection, chunk_tables: list[str]) -> None:
    """Make the views anew; those whose name a table has are left out."""
    passages = " UNION ALL ".join(_PASSAGES.format(table=table) for table in chunk_tables) or _NO_PASSAGES
    taken = {name for (name,) in con.execute("SELECT table_name FROM duckdb_tables() WHERE NOT internal").fetchall()}
    for name, query in zip(VIEWS, (FILES, passages, TABLES), strict=True):
        if name not in taken:
            con.execute(f"CREATE OR REPLACE VIEW {name} AS {query}")


def make_room(con: Connection, table: str) -> None:
    """Drop the view of this name, if there is one: a chunk table takes it."""
    if table in VIEWS and con.execute("SELECT 1 FROM duckdb_views() WHERE view_name = ?", [table]).fetchone():
        con.execute(f"DROP VIEW {table}")
