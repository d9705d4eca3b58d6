"""What a query may be: each means of the guard refuses on its own."""

from __future__ import annotations

import duckdb
import pytest

from fastembed.pipeline.errors import InvalidInput
from fastembed.sinks.lake.sql.functions import FUNCTIONS
from fastembed.sinks.lake.sql.guard import MAX_QUERY_CHARS, check_query

RELATIONS = frozenset({"passages", "files", "tables", "documents", "chunks"})


def check(text: str) -> str:
    return check_query(text, RELATIONS, "lake")


@pytest.mark.parametrize(
    "text",
    [
        "SELECT 1",
        "FROM files",
        "VALUES (1)",
        "TABLE files",
        "(SELECT 1)",
        "SELECT * FROM passages WHERE text ILIKE '%x%' ORDER BY file LIMIT 3",
        "SELECT * FROM main.passages JOIN lake.main.files USING (file)",
        "WITH x AS (SELECT 1 AS a) SELECT * FROM x",
        "WITH RECURSIVE c AS (SELECT 1 AS a UNION ALL SELECT a + 1 FROM c WHERE a < 5) SELECT * FROM c",
        "SELECT file, sum(pages) OVER (PARTITION BY state ORDER BY file) FROM files",
        "SELECT unnest(headings), text->'$.a', text->>'$.a', [x FOR x IN headings], {'a': 1}.a FROM chunks",
        "SELECT * FROM range(3) r(i), unnest([1, 2]) u, generate_series(1, 2)",
        "PIVOT files ON state IN ('done', 'failed') USING count(*)",
        "SUMMARIZE passages",
        "DESCRIBE SELECT 1",
        "SHOW TABLES",
        "SELECT * FROM information_schema.tables",
        "SELECT extract(year FROM modified_at), CASE WHEN pages > 1 THEN 'a' ELSE 'b' END FROM files",
        "SELECT * FROM files UNION BY NAME SELECT * FROM files",
    ],
)
def test_a_query_that_only_reads_is_left_as_it_is(text: str) -> None:
    assert check(text) == text


def test_what_follows_the_statement_is_left_out_and_explain_stays() -> None:
    assert check("SELECT 1 ; ") == "SELECT 1"
    assert check("SELECT 1 -- all; of it") == "SELECT 1 -- all; of it"
    assert check("explain SELECT 1").split() == ["EXPLAIN", "SELECT", "1"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "found 0 statements"),
        ("SELECT 1; SELECT 2", "found 2 statements"),
        ("INSERT INTO files VALUES (1)", "of type INSERT"),
        ("UPDATE files SET file = ''", "of type UPDATE"),
        ("CREATE TABLE x AS SELECT 1", "of type CREATE"),
        ("DROP TABLE files", "of type DROP"),
        ("COPY files TO 'x'", "of type COPY"),
        ("ATTACH 'x'", "of type ATTACH"),
        ("SET threads = 1", "of type SET"),
        ("USE other", "of type SET"),
        ("PRAGMA version", "of type PRAGMA"),
        ("CALL pragma_version()", "of type CALL"),
        ("INSTALL httpfs", "of type LOAD"),
        ("LOAD httpfs", "of type LOAD"),
        ("BEGIN", "of type TRANSACTION"),
        ("CHECKPOINT", "of type CALL"),
        ("EXPORT DATABASE 'x'", "of type EXPORT"),
        ("PREPARE x AS SELECT 1", "of type PREPARE"),
        ("EXPLAIN ANALYZE SELECT 1", "Only SELECT statements"),
        ("EXPLAIN (ANALYZE) SELECT 1", "Only SELECT statements"),
        ("EXPLAIN DELETE FROM files", "Only SELECT statements"),
        ("SELEC 1", 'syntax error at or near "SELEC"'),
    ],
)
def test_anything_but_one_select_is_refused(text: str, message: str) -> None:
    with pytest.raises(InvalidInput, match=message.replace("(", r"\(").replace(")", r"\)")):
        check(text)


@pytest.mark.parametrize(
    "text",
    [
        "WITH x AS (INSERT INTO files VALUES (1) RETURNING *) SELECT * FROM x",
        "WITH x AS (DELETE FROM files RETURNING *) SELECT * FROM x",
        "SELECT * FROM (WITH x AS (UPDATE files SET file = '' RETURNING *) SELECT * FROM x)",
    ],
)
def test_a_change_inside_a_select_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match="a statement inside the query"):
        check(text)


@pytest.mark.parametrize(
    "relation",
    [
        "ledger",
        "schema_version",
        "chunks_terms",
        "other.main.files",
        "secret.files",
        "'a.csv'",
        '"/etc/hosts"',
        "information_schema.key_column_usage",
        "duckdb_secrets()",
        "duckdb_settings()",
        "read_csv('a')",
        "read_text('a')",
        "glob('*')",
        "query('SELECT 1')",
        "query_table('ledger')",
        "repeat('x', 3)",
        "pragma_table_info('files')",
        "json_execute_serialized_sql('{}')",
        "sniff_csv('x')",
    ],
)
def test_other_relations_are_refused_wherever_they_stand(relation: str) -> None:
    for form in (
        "SELECT * FROM RELATION",
        "SELECT (SELECT count(*) FROM RELATION) FROM files",
        "SELECT * FROM files WHERE EXISTS (FROM RELATION)",
        "WITH x AS (FROM RELATION) FROM x",
        "SELECT 1 ORDER BY (SELECT 1 FROM RELATION)",
        "SUMMARIZE SELECT * FROM RELATION",
    ):
        with pytest.raises(InvalidInput, match=r"found (the table|information_schema)"):
            check(form.replace("RELATION", relation))


@pytest.mark.parametrize("text", ["DESCRIBE ledger", "SUMMARIZE ledger", "SHOW ALL TABLES", "SHOW DATABASES"])
def test_hidden_tables_are_not_described(text: str) -> None:
    with pytest.raises(InvalidInput, match="expected"):
        check(text)


def test_a_name_in_with_cannot_stand_for_a_file() -> None:
    with pytest.raises(InvalidInput, match=r"found the name 'a\.csv' in WITH"):
        check("WITH \"a.csv\" AS (SELECT 1) SELECT * FROM files, (SELECT * FROM 'a.csv')")


@pytest.mark.parametrize(
    "call",
    [
        "nextval('document_ids')",
        "current_setting('memory_limit')",
        "getvariable('x')",
        "getenv('HOME')",
        "read_text('x')",
        "write_log('x')",
        "sleep_ms(1000)",
        "repeat('x', 1000)",
        "lpad('x', 1000, 'y')",
        "printf('%1000d', 1)",
        "range(1000)",
        "setseed(0.5)",
        "json_execute_serialized_sql('x')",
    ],
)
def test_functions_that_are_not_listed_are_refused_wherever_they_stand(call: str) -> None:
    for form in (
        "SELECT CALL",
        "SELECT list_transform([1], lambda x: CALL)",
        "SELECT 1 FROM files GROUP BY CALL",
        "SELECT sum(1) FILTER (WHERE CALL IS NULL) FROM files",
        "SELECT 1 LIMIT (SELECT CALL)",
        "SELECT * FROM unnest([CALL])",
    ):
        with pytest.raises(InvalidInput, match="found the function"):
            check(form.replace("CALL", call))


def test_the_listed_functions_exist_and_leave_out_what_has_side_effects() -> None:
    with duckdb.connect() as con:
        known = {name for (name,) in con.execute("SELECT lower(function_name) FROM duckdb_functions()").fetchall()}
        acting = con.execute("SELECT DISTINCT function_name FROM duckdb_functions() WHERE has_side_effects").fetchall()
    assert known >= FUNCTIONS
    assert {name for (name,) in acting} & FUNCTIONS == {"gen_random_uuid", "random", "uuid", "uuidv4", "uuidv7"}


def test_a_long_text_is_refused_before_it_is_parsed() -> None:
    with pytest.raises(InvalidInput, match="found 100001 characters"):
        check("x" * (MAX_QUERY_CHARS + 1))
