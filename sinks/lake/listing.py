"""Queries of the commands: list files, list failures, mark files to be processed again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from fastembed.pipeline.ledger import EntryState, LedgerEntry
from fastembed.sinks.lake.schema import Connection


@dataclass(frozen=True, slots=True)
class DocumentRow:
    """A file and what became of it, as `fastembed ls` shows it; plain values, so that it is JSON as it is.

    state: as in `fastembed.pipeline.ledger`. at: ISO 8601, UTC. pages, chunks: 0 where there are none. container: the
    file that holds it. duration_s: of a recording.
    """

    pipeline: str
    name: str
    state: EntryState
    title: str
    pages: int
    chunks: int
    parser: str
    path: str
    sha256: str
    definition: str
    detail: str
    at: str
    container: str = ""
    duration_s: float | None = None


@dataclass(frozen=True, slots=True)
class FailureRow:
    """A file that failed, as `fastembed failed` shows it. location: where the file was moved to, "" if nowhere."""

    pipeline: str
    name: str
    reason: str
    location: str
    sha256: str
    definition: str
    at: str


_ENTRY = "name, sha256, definition, state, size_bytes, mtime_ns, detail, location, epoch_us(recorded_at) * 1000"


def entries(con: Connection, pipeline: str, state: EntryState | None) -> list[LedgerEntry]:
    """Return a pipeline's ledger rows (those in `state`)."""
    rows = con.execute(
        f"SELECT {_ENTRY} FROM ledger WHERE pipeline = ? AND (?::VARCHAR IS NULL OR state = ?)"  # noqa: S608 - constant
        " AND container = '' AND state <> 'ignored'",
        [pipeline, state, state],
    ).fetchall()
    return [LedgerEntry(*row) for row in rows]


def documents(con: Connection, pipeline: str | None) -> list[DocumentRow]:
    """Return every ledger row with its document, by pipeline and name."""
    rows = con.execute(
        """SELECT l.pipeline, l.name, l.state, coalesce(d.title, ''), coalesce(d.page_count, 0),
             coalesce(d.chunk_count, 0), coalesce(d.parser, ''),
             coalesce(nullif(l.location, ''), d.path, ''), l.sha256, l.definition, l.detail,
             strftime(l.recorded_at, '%Y-%m-%dT%H:%M:%SZ'), l.container, d.duration_s
           FROM ledger l LEFT JOIN documents d USING (pipeline, name)
           WHERE ?::VARCHAR IS NULL OR l.pipeline = ? ORDER BY l.pipeline, l.name""",
        [pipeline, pipeline],
    ).fetchall()
    return [DocumentRow(*row) for row in rows]


def failures(con: Connection, pipeline: str | None) -> list[FailureRow]:
    """Return the failed files, the latest first."""
    rows = con.execute(
        """SELECT pipeline, name, detail, location, sha256, definition, strftime(recorded_at, '%Y-%m-%dT%H:%M:%SZ')
           FROM ledger WHERE state = 'failed' AND (?::VARCHAR IS NULL OR pipeline = ?)
           ORDER BY recorded_at DESC, pipeline, name""",
        [pipeline, pipeline],
    ).fetchall()
    return [FailureRow(*row) for row in rows]


def reprocess(con: Connection, pipeline: str, definition: str | None) -> int:
    """Mark what was made under another definition than this one (None: everything) as outdated."""
    rows = con.execute(
        """UPDATE ledger SET state = 'outdated' WHERE pipeline = ? AND state IN ('done', 'skipped') AND container = ''
           AND (?::VARCHAR IS NULL OR definition <> ?) RETURNING name""",
        [pipeline, definition, definition],
    ).fetchall()
    return len(rows)


def retry(con: Connection, pipeline: str | None, names: Sequence[str] | None) -> list[str]:
    """Mark failed files that were not moved as outdated: they are still in their folder.

    A file within another one fails by itself; the one that holds it is read again.
    """
    rows = con.execute(
        """WITH failed AS (
             SELECT pipeline AS owner, coalesce(nullif(container, ''), name) AS file FROM ledger
             WHERE state = 'failed' AND location = '' AND (?1::VARCHAR IS NULL OR pipeline = ?1)
             AND (?2::VARCHAR[] IS NULL OR list_contains(?2::VARCHAR[], name)))
           UPDATE ledger SET state = 'outdated' FROM failed
           WHERE pipeline = owner AND name = file AND state IN ('failed', 'done') RETURNING name""",
        [pipeline, names],
    ).fetchall()
    return sorted({name for (name,) in rows})
