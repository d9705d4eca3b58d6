"""Turns the scope of a search into a condition on document ids."""

from __future__ import annotations

from typing import Any

from fastembed.pipeline.payload.asking import SearchScope


def documents_in(scope: SearchScope | None, column: str) -> tuple[str, list[Any]]:
    """Return the SQL condition that `column`, a document's id, is of a document in the scope, and its parameters."""
    if scope is None:
        return "true", []
    conditions: list[str] = []
    values: list[Any] = []
    for texts, condition in ((scope.files, "d.name GLOB ?"), (scope.types, "lower(d.name) LIKE ?")):
        if texts:
            conditions.append(f"({' OR '.join([condition] * len(texts))})")
            values += texts if texts is scope.files else [f"%.{_literal(kind)}" for kind in texts]
    for value, condition in (
        (scope.pipeline, "d.pipeline = ?"),
        (scope.since and scope.since.timestamp() * 1e9, "l.mtime_ns >= ?"),
        (scope.until and scope.until.timestamp() * 1e9, "l.mtime_ns < ?"),
    ):
        if value is not None:
            conditions.append(condition)
            values.append(value)
    if not conditions:
        return "true", []
    chosen = f"SELECT d.id FROM documents d LEFT JOIN ledger l USING (pipeline, name) WHERE {' AND '.join(conditions)}"  # noqa: S608
    return f"{column} IN ({chosen})", values


def _literal(kind: str) -> str:
    return "".join(letter for letter in kind.lower() if letter.isalnum())
