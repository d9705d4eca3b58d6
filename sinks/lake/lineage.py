"""Where answers are from: `fastembed why ID` reads it. One row an answer, the newest `KEPT`."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

import orjson

from fastembed.sinks.lake.schema import Connection

KEPT: Final = 10_000


def store(con: Connection, answer_id: str, at: datetime, question: str, details: str) -> None:
    """Add an answer; the oldest leave."""
    con.execute("INSERT INTO lineage VALUES (?, ?, ?, ?)", [answer_id, at, question, details])
    con.execute(
        "DELETE FROM lineage WHERE asked_at < (SELECT asked_at FROM lineage ORDER BY asked_at DESC LIMIT 1 OFFSET ?)",
        [KEPT - 1],
    )


def read(con: Connection, answer_id: str) -> dict[str, Any] | None:
    """Return what was stored of an answer, with `asked_at`; None: nothing."""
    row = con.execute(
        "SELECT details, strftime(asked_at, '%Y-%m-%dT%H:%M:%SZ') FROM lineage WHERE id = ?", [answer_id]
    ).fetchone()
    return {**orjson.loads(row[0]), "asked_at": row[1]} if row else None
