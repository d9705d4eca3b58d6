"""Decides whether a text is one query that only reads this database.

DuckDB has no single means that proves it (a SELECT may hold an INSERT in its WITH, a table name may be a file's), so
five stand behind each other:

1. exactly one statement, of type SELECT, or EXPLAIN of one without running it;
2. its syntax tree, as DuckDB's own parser gives it, holds only queries, relations of this database that are not hidden,
   and functions that are listed (`functions.py`): this file;
3. it runs inside a READ ONLY transaction on a cursor of its own (`query.py`);
4. the database was opened without access to files, network and extensions, and with its settings locked (`opening.py`);
5. rows, time and memory are bounded, and an interrupt ends it (`query.py`).

The text is parsed on a connection that holds nothing, so that parsing itself can reach nothing.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Collection, Iterator, Mapping
from typing import Any, Final

import duckdb

from fastembed.pipeline.errors import InvalidInput
from fastembed.pipeline.names import did_you_mean
from fastembed.sinks.lake.schema import Connection
from fastembed.sinks.lake.sql.functions import FUNCTIONS, TABLE_FUNCTIONS

MAX_QUERY_CHARS: Final = 100_000

_NODES: Final = frozenset({"SELECT_NODE", "SET_OPERATION_NODE", "RECURSIVE_CTE_NODE", "CTE_NODE"})
_RELATIONS: Final = frozenset(
    {
        *("BASE_TABLE", "SUBQUERY", "JOIN", "TABLE_FUNCTION", "EXPRESSION_LIST", "EMPTY", "PIVOT"),
        *("SHOW_REF", "COLUMN_DATA", "CTE", "DELIM_GET"),
    }
)
_CATALOG_VIEWS: Final = frozenset({"tables", "columns", "schemata"})
"""Of information_schema: what tools ask for before they show a database."""
_EXPLAIN: Final = re.compile(r"\s*EXPLAIN\b(?!\s*(ANALYZE\b|\())", re.IGNORECASE)
_PLAIN: Final = re.compile(r"\w+", re.UNICODE)
_own: Final = threading.local()


def check_query(text: str, relations: Collection[str], database: str) -> str:
    """Return the text to run, without what follows its end. InvalidInput says what is not allowed in it.

    relations: the tables and views that may be read, in lower case. database: the name of the catalog they are in.
    """
    if len(text) > MAX_QUERY_CHARS:
        raise _refused(f"found {len(text)} characters, expected at most {MAX_QUERY_CHARS}")
    statement = _one_statement(text)
    explained = _EXPLAIN.match(statement)
    query = statement[explained.end() :] if explained else statement
    tree = _tree(query)
    names = {name.casefold() for name in _with_names(tree)}
    _Check(frozenset(relations) | names, database.casefold()).nodes(tree)
    return f"EXPLAIN {query}" if explained else query


def _one_statement(text: str) -> str:
    try:
        statements = _parser().extract_statements(text)
    except duckdb.Error as error:
        raise refusal_of(error) from error
    if len(statements) != 1:
        raise _refused(f"found {len(statements)} statements, expected one SELECT")
    kind = statements[0].type.name
    if kind not in ("SELECT", "EXPLAIN"):
        raise _refused(f"found a statement of type {kind}, expected SELECT: this database is read, not changed, here")
    return str(statements[0].query).rstrip().rstrip(";").rstrip()


def _tree(query: str) -> Any:
    """Return the syntax tree of a query, as DuckDB writes it in JSON."""
    found = json.loads(_parser().execute("SELECT json_serialize_sql(?)", [query]).fetchone()[0])
    if found["error"]:
        raise _refused(f"{found['error_message']}")
    if len(found["statements"]) != 1:
        raise _refused(f"found {len(found['statements'])} statements, expected one SELECT")
    return found["statements"][0]


def _with_names(tree: Any) -> Iterator[str]:
    """Yield the names that WITH gives; none may look like a file, which DuckDB would read where the name is unknown."""
    for node in _dicts(tree):
        for entry in (node.get("cte_map") or {}).get("map") or ():
            yield _plain(entry["key"])
        if node.get("type") in ("RECURSIVE_CTE_NODE", "CTE_NODE"):
            yield _plain(node["cte_name"])


def _plain(name: str) -> str:
    if not _PLAIN.fullmatch(name):
        raise _refused(f"found the name {name[:80]!r} in WITH, expected letters, digits and _")
    return name


class _Check:
    """Walks a syntax tree; raises InvalidInput at the first thing that is not allowed."""

    def __init__(self, relations: Collection[str], database: str) -> None:
        self._relations = relations
        self._database = database

    def nodes(self, tree: Any) -> None:
        for node in _dicts(tree):
            if "class" in node:
                self._expression(node)
            elif "modifiers" in node and "type" in node:
                _allow(node["type"], _NODES, "a statement inside the query", "only queries")
            elif "sample" in node and "alias" in node:
                self._relation(node)

    def _expression(self, node: Mapping[str, Any]) -> None:
        name = node.get("function_name")
        if name is not None and name.lower() not in FUNCTIONS and not node.get(_CHECKED):
            near = did_you_mean(name.lower(), list(FUNCTIONS))
            raise _refused(f"found the function {name[:80]}, which queries may not call here{near}")

    def _relation(self, node: dict[str, Any]) -> None:
        kind = node["type"]
        _allow(kind, _RELATIONS, "a relation of another kind", "tables, views and queries")
        if kind == "BASE_TABLE" or (kind == "SHOW_REF" and not node["query"]):
            self._name(node)
        elif kind == "TABLE_FUNCTION":
            function = node["function"]
            name = function["function_name"].lower()
            if name not in TABLE_FUNCTIONS:
                expected = ", ".join(sorted(TABLE_FUNCTIONS))
                raise _refused(f"found the table function {name[:80]}, expected one of {expected}")
            function[_CHECKED] = True

    def _name(self, node: Mapping[str, Any]) -> None:
        path = [part.casefold() for part in node["qualified_name"]["path"]]
        name = path[-1].strip('"') if path else ""
        if node["type"] == "SHOW_REF" and node["show_type"] == "SHOW_SPECIAL":
            _allow(name, {"tables"}, f"SHOW {name[:40]}", "SHOW TABLES")
        elif path[:-1][-1:] == ["information_schema"]:
            _allow(name, _CATALOG_VIEWS, f"information_schema.{name[:80]}", ", ".join(sorted(_CATALOG_VIEWS)))
        elif path[:-1] not in ([], ["main"], [self._database], [self._database, "main"]) or name not in self._relations:
            near = did_you_mean(name, list(self._relations))
            known = ", ".join(sorted(self._relations))
            raise _refused(f"found the table {'.'.join(path)[:120]!r}, expected one of {known}{near}")


_CHECKED: Final = "checked as a table function"


def _allow(found: str, allowed: Collection[str], what: str, expected: str) -> None:
    if found not in allowed:
        raise _refused(f"found {what}, expected {expected}")


def _dicts(tree: Any) -> Iterator[dict[str, Any]]:
    """Yield every object of a tree, those outside before those inside."""
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, dict):
            yield node
            waiting.extend(node.values())
        elif isinstance(node, list):
            waiting.extend(node)


def _parser() -> Connection:
    """Return this thread's connection to parse on: an empty database that can reach nothing."""
    parser = getattr(_own, "parser", None)
    if parser is None:
        parser = duckdb.connect(config={"enable_external_access": "false", "threads": "1"})
        parser.execute("SET lock_configuration = true")
        _own.parser = parser
    return parser


def refusal_of(error: duckdb.Error) -> InvalidInput:
    """Return the 400 that carries DuckDB's own message."""
    return InvalidInput(str(error), param="query", code="sql_error")


def _refused(message: str) -> InvalidInput:
    return InvalidInput(message, param="query", code="sql_refused")
