"""What changes the ledger: plain functions on a connection, each to be run inside one transaction.

Each takes what its caller believes the ledger holds and, where it holds something else, changes nothing and returns
False; see `fastembed.pipeline.ledger.Ledger`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Final

from fastembed.pipeline.ledger import ANY_CONTENT, LedgerEntry
from fastembed.sinks.lake.schema import CHUNKS_PER_DOCUMENT, ORIGIN_COLUMN, Connection, chunk_tables, columns_of

_HOLDING: Final = "('done', 'outdated', 'skipped')"
"""States of the one name that stands for a content."""

# What must hold between the ledger (l) and the documents (d) of a pipeline; each line of the WHERE is one way to break
# it, in the order: two documents under a name, rows without a ledger row, a ledger row without its rows, rows of
# another content than the ledger says, rows of a state that has none, a duplicate of a name (h) that does not hold the
# content. Our own transactions keep it. Restored backups, other programs' SQL and defects may not: what breaks it is
# read again.
_MISMATCHES: Final = f"""
    WITH l AS (SELECT name, container, sha256, state, detail FROM ledger WHERE pipeline = ?1),
         d AS (SELECT name, max(container) AS container, count(*) AS documents,
                       min(sha256) AS lowest, max(sha256) AS highest
               FROM documents WHERE pipeline = ?1 GROUP BY name)
    SELECT coalesce(l.name, d.name), l.state, coalesce(l.container, d.container, '')
    FROM l FULL JOIN d ON d.name = l.name LEFT JOIN l h ON l.state = 'duplicate' AND h.name = l.detail
    WHERE d.documents > 1
       OR l.name IS NULL
       OR (l.state = 'done' AND d.name IS NULL)
       OR (l.state IN ('done', 'outdated') AND (d.lowest <> l.sha256 OR d.highest <> l.sha256))
       OR (l.state NOT IN ('done', 'outdated') AND d.name IS NOT NULL)
       OR (l.state = 'duplicate' AND (h.name IS NULL OR h.sha256 <> l.sha256 OR h.state NOT IN {_HOLDING}))
    ORDER BY ALL"""  # noqa: S608 - constant


def record(
    con: Connection, pipeline: str, entry: LedgerEntry, at: datetime, *, expected: str | None = ANY_CONTENT
) -> bool:
    """Write a ledger row that comes with no data; see `fastembed.pipeline.ledger.Ledger.record`."""
    # Already recorded: the sink's commit, or this very action before a crash, was faster. Anything else than the caller
    # believes: an item committed between its decision and now, and what it decided is void.
    if expected != ANY_CONTENT and not _is_recorded(con, pipeline, entry):
        if _held(con, pipeline, entry.name) != expected:
            return False
        if entry.state == "duplicate" and not _holds(con, pipeline, entry.detail, entry.sha256):
            return False
    if entry.state in ("done", "outdated"):
        if entry.location:
            con.execute(
                "UPDATE documents SET path = ?1 WHERE pipeline = ?2 AND ?3 IN (name, container)",
                [entry.location, pipeline, entry.name],
            )
    else:
        drop_rows(con, pipeline, entry.name)
        # `on_error` has moved the file and said where; the source, which learns of the failure after that, does not
        # know the place, and its row must not overwrite it: the file could not be found for a replay.
        if entry.state == "failed" and not entry.location and _moved_when_failed(con, pipeline, entry):
            return True
    write_entries(con, pipeline, [entry], at)
    return True


def rename(
    con: Connection,
    pipeline: str,
    old: str,
    new: str,
    *,
    sha256: str = ANY_CONTENT,
    replaces: str | None = ANY_CONTENT,
) -> bool:
    """Move the rows and the ledger row of `old` to `new`; duplicates of `old` become duplicates of `new`."""
    if sha256 != ANY_CONTENT and not _holds(con, pipeline, old, sha256):
        return False
    if replaces not in (ANY_CONTENT, _held(con, pipeline, new)):
        return False
    if not con.execute("SELECT 1 FROM ledger WHERE pipeline = ? AND name = ?", [pipeline, old]).fetchone():
        return True  # its content is unknown, and it holds no rows
    # Three tables in one transaction: after a crash the rows are under the old name or the new one, never under both. A
    # second execution finds `old` gone and refuses (`_holds`), and the tracker is told what is there.
    drop_rows(con, pipeline, new)
    con.execute("DELETE FROM ledger WHERE pipeline = ? AND name = ?", [pipeline, new])
    moved = """SET name = ?1 || substr(name, length(?3) + 1),
               container = CASE WHEN container = '' THEN '' ELSE ?1 END"""
    con.execute(
        f"""UPDATE documents {moved},
             path = CASE WHEN suffix(path, ?3) THEN left(path, length(path) - length(?3)) || ?1 ELSE path END
           WHERE pipeline = ?2 AND (container = ?3 OR (container = '' AND name = ?3))""",
        [new, pipeline, old],
    )
    con.execute(
        f"UPDATE ledger {moved} WHERE pipeline = ?2 AND (container = ?3 OR (container = '' AND name = ?3))",
        [new, pipeline, old],
    )
    con.execute(
        "UPDATE ledger SET detail = ? WHERE pipeline = ? AND state = 'duplicate' AND detail = ?", [new, pipeline, old]
    )
    return True


def forget(con: Connection, pipeline: str, name: str, *, expected: str | None = ANY_CONTENT) -> bool:
    """Remove what is known of a file that was deleted, unless the pipeline itself moved it away."""
    moved = con.execute(
        "SELECT 1 FROM ledger WHERE pipeline = ? AND name = ? AND location <> ''", [pipeline, name]
    ).fetchone()
    if moved:
        return True
    # Nothing held is as good as forgotten. Another content: the file came back and was processed meanwhile.
    if expected != ANY_CONTENT and _held(con, pipeline, name) not in (expected, None):
        return False
    drop_rows(con, pipeline, name)
    con.execute("DELETE FROM ledger WHERE pipeline = ? AND name = ?", [pipeline, name])
    return True


def mismatches(con: Connection, pipeline: str) -> list[str]:
    """Return the names of which the ledger and the rows say different things, or that are duplicates of nothing."""
    return [name for name, _, _ in con.execute(_MISMATCHES, [pipeline]).fetchall()]


def repair(con: Connection, pipeline: str) -> list[str]:
    """Drop the rows that no ledger row accounts for; mark the files to be processed again. Return their names.

    For a file within another one, that one is marked.
    """
    found = con.execute(_MISMATCHES, [pipeline]).fetchall()
    for name, state, container in found:
        if container:
            drop_rows(con, pipeline, name)
            con.execute("DELETE FROM ledger WHERE pipeline = ? AND name = ?", [pipeline, name])
            con.execute(
                "UPDATE ledger SET state = 'outdated' WHERE pipeline = ? AND name = ? AND state = 'done'",
                [pipeline, container],
            )
            continue
        if state != "duplicate":
            drop_rows(con, pipeline, name)
        if state in ("done", "outdated", "duplicate"):
            con.execute(
                "UPDATE ledger SET state = 'outdated', detail = '' WHERE pipeline = ? AND name = ?", [pipeline, name]
            )
    return [container or name for name, _, container in found]


def ignore(con: Connection, pipeline: str, reasons: Mapping[str, str], at: datetime) -> None:
    """Remember which files the pipeline does not take, and why; what is known of a name otherwise stays."""
    con.execute("DELETE FROM ledger WHERE pipeline = ? AND state = 'ignored' AND container = ''", [pipeline])
    con.execute(
        """INSERT INTO ledger SELECT ?1, i.name, '', '', 'ignored', i.reason, '', 0, 0, ?2, ''
           FROM (SELECT unnest(?3::VARCHAR[]) AS name, unnest(?4::VARCHAR[]) AS reason) i
           WHERE i.name NOT IN (SELECT name FROM ledger WHERE pipeline = ?1)""",
        [pipeline, at, [utf8(name) for name in reasons], [utf8(reason) for reason in reasons.values()]],
    )


def write_entries(con: Connection, pipeline: str, entries: Iterable[LedgerEntry], at: datetime) -> None:
    """Put ledger rows in place of whatever the names' rows were; of two with one name the last stays."""
    by_name = {entry.name: entry for entry in entries}
    con.execute(
        "DELETE FROM ledger WHERE pipeline = ? AND name IN (SELECT unnest(?::VARCHAR[]))", [pipeline, [*by_name]]
    )
    con.execute(
        """INSERT INTO ledger SELECT ?, unnest(?::VARCHAR[]), unnest(?::VARCHAR[]), unnest(?::VARCHAR[]),
             unnest(?::VARCHAR[]), unnest(?::VARCHAR[]), unnest(?::VARCHAR[]), unnest(?::BIGINT[]),
             unnest(?::BIGINT[]), ?, unnest(?::VARCHAR[])""",
        [
            pipeline,
            [*by_name],
            [entry.sha256 for entry in by_name.values()],
            [entry.definition for entry in by_name.values()],
            [entry.state for entry in by_name.values()],
            [utf8(entry.detail) for entry in by_name.values()],
            [utf8(entry.location) for entry in by_name.values()],
            [entry.size_bytes for entry in by_name.values()],
            [entry.mtime_ns for entry in by_name.values()],
            at,
            [entry.container for entry in by_name.values()],
        ],
    )


def _moved_when_failed(con: Connection, pipeline: str, entry: LedgerEntry) -> bool:
    """Whether the ledger knows already that this content failed, and where it was moved to."""
    known = con.execute(
        """SELECT 1 FROM ledger
           WHERE pipeline = ? AND name = ? AND sha256 = ? AND state = 'failed' AND location <> ''""",
        [pipeline, entry.name, entry.sha256],
    ).fetchone()
    return known is not None


def drop_rows(con: Connection, pipeline: str, *names: str) -> None:
    """Delete the documents of these names, their chunks and terms, and all that is known of the files within them."""
    con.execute(
        "DELETE FROM ledger WHERE pipeline = ? AND container IN (SELECT unnest(?::VARCHAR[]))", [pipeline, [*names]]
    )
    rows = con.execute(
        """SELECT id, chunk_table FROM documents WHERE pipeline = ?1
           AND (name IN (SELECT unnest(?2::VARCHAR[])) OR container IN (SELECT unnest(?2::VARCHAR[])))""",
        [pipeline, [*names]],
    ).fetchall()
    if not rows:
        return
    existing = set(chunk_tables(con))
    for document_id, table in rows:
        first = document_id * CHUNKS_PER_DOCUMENT
        ids = [first, first + CHUNKS_PER_DOCUMENT - 1]
        if table in existing:
            con.execute(f'DELETE FROM "{table}" WHERE id BETWEEN ? AND ?', ids)  # noqa: S608 - a checked name
            con.execute(f'DELETE FROM "{table}_terms" WHERE chunk_id BETWEEN ? AND ?', ids)  # noqa: S608 - as above
        elif ORIGIN_COLUMN in columns_of(con, table):
            con.execute(f'DELETE FROM "{table}" WHERE {ORIGIN_COLUMN} = ?', [document_id])  # noqa: S608 - as above
        con.execute("DELETE FROM documents WHERE id = ?", [document_id])


def utf8(text: str) -> str:
    """Replace what no UTF-8 can hold (lone surrogates come out of broken PDFs) and NUL, which ends a C string."""
    return text.encode("utf-8", "replace").decode().replace("\0", "\ufffd")


def _held(con: Connection, pipeline: str, name: str) -> str | None:
    """Return the content that the ledger has of a name; None: nothing, or only where a file was moved."""
    found = con.execute(
        """SELECT sha256 FROM ledger
           WHERE pipeline = ? AND name = ? AND NOT (location <> '' AND state IN ('failed', 'duplicate'))
           AND state <> 'ignored' AND container = ''""",
        [pipeline, name],
    ).fetchone()
    return None if found is None else str(found[0])


def _holds(con: Connection, pipeline: str, name: str, sha256: str) -> bool:
    """Whether a name stands for a content, and its rows, if there have to be any, are of it."""
    found = con.execute(
        f"""SELECT l.state, (SELECT list(DISTINCT d.sha256) FROM documents d WHERE d.pipeline = ?1 AND d.name = ?2)
            FROM ledger l WHERE l.pipeline = ?1 AND l.name = ?2 AND l.sha256 = ?3 AND l.state IN {_HOLDING}""",  # noqa: S608 - constant
        [pipeline, name, sha256],
    ).fetchone()
    if found is None:
        return False
    state, contents = found
    return contents == [sha256] or (contents is None and state != "done")


def _is_recorded(con: Connection, pipeline: str, entry: LedgerEntry) -> bool:
    """Whether the ledger says already what is to be recorded: another part of the pipeline has written it."""
    found = con.execute(
        "SELECT 1 FROM ledger WHERE pipeline = ? AND name = ? AND sha256 = ? AND state = ?",
        [pipeline, entry.name, entry.sha256, entry.state],
    ).fetchone()
    return found is not None
