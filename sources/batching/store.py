"""Batches and their lines in one SQLite file: what is written here survives `kill -9`, each line's answer once.

A line's answer is written where there is none yet, in a transaction that is on the disk before the line counts as
answered; a line without one is sent again after a restart. Every method blocks for the disk: call it in a thread.
"""

from __future__ import annotations

import logging
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import orjson

from fastembed.pipeline.errors import NotFound, Unavailable
from fastembed.pipeline.filing import private_folder
from fastembed.sources.batching.record import FINAL, BatchLine, BatchRecord, BatchStatus, LineResult

try:
    import fcntl
except ImportError:  # Windows: one server a home there
    fcntl = None  # type: ignore[assignment] # the module, or None where there is none

KEPT_S: Final = 30 * 86_400
"""How long a batch that has ended is listed."""
PAGE_LINES: Final = 64

_log: Final = logging.getLogger("fastembed.batches")
_WAIT_S: Final = 10.0
_SCHEMA: Final = """
PRAGMA journal_mode = WAL;
PRAGMA synchronous = FULL;
CREATE TABLE IF NOT EXISTS batch (
    id TEXT PRIMARY KEY, owner TEXT NOT NULL, key TEXT NOT NULL, status TEXT NOT NULL, created_at INTEGER NOT NULL,
    body BLOB NOT NULL
);
CREATE TABLE IF NOT EXISTS line (
    batch TEXT NOT NULL, number INTEGER NOT NULL, custom_id TEXT NOT NULL, body BLOB NOT NULL, status INTEGER,
    answer BLOB, PRIMARY KEY (batch, number)
);
CREATE INDEX IF NOT EXISTS line_states ON line (batch, status);
CREATE INDEX IF NOT EXISTS line_pending ON line (batch, number) WHERE status IS NULL;
"""
_COLUMNS: Final = "SELECT id, owner, key, status, created_at, body FROM batch"


class BatchStore:
    """The batches of all owners. clock: Unix seconds."""

    def __init__(self, path: Path, *, clock: Callable[[], float] = time.time) -> None:
        """Create nothing yet: the first batch makes the file."""
        self.path = path
        self.clock = clock
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None
        self._held: int | None = None

    def close(self) -> None:
        """Close the file; another server may take the batches over."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None
            if self._held is not None:
                os.close(self._held)
                self._held = None

    def leads(self) -> bool:
        """Whether this process is the one that works on the batches: of several with one home the first."""
        with self._lock:
            if self._held is None and self.path.is_file():
                lock = self.path.with_name(f".{self.path.name}.lock")
                held = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
                try:
                    if fcntl is not None:
                        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except OSError:
                    os.close(held)
                    return False
                self._held = held
            return self._held is not None

    def create(self, record: BatchRecord) -> None:
        """Store a new batch."""
        with self._transaction() as rows:
            values = (record.id, record.owner, record.key, record.status, record.created_at, orjson.dumps(record.body))
            rows.execute("INSERT INTO batch VALUES (?, ?, ?, ?, ?, ?)", values)

    def find(self, owner: str, id_: str) -> BatchRecord:
        """Return an owner's batch. NotFound: there is none."""
        found = self._records("WHERE id = ? AND owner = ?", (id_, owner))
        if not found:
            raise NotFound(
                f"found no batch {id_!r:.80}, expected the id of one of yours: GET /v1/batches lists them",
                param="batch_id",
                code="batch_not_found",
            )
        return found[0]

    def page(self, owner: str, *, after: str = "", limit: int) -> tuple[list[BatchRecord], bool]:
        """Return an owner's batches, the newest first, and whether more follow. after: an id; "": from the newest."""
        clause = "WHERE owner = ? AND (? = '' OR id < ?) ORDER BY id DESC LIMIT ?"
        found = self._records(clause, (owner, after, after, limit + 1))
        return found[:limit], len(found) > limit

    def open_batches(self) -> list[BatchRecord]:
        """Return the batches that have not ended, the oldest first."""
        marks = ", ".join("?" * len(FINAL))
        return self._records(f"WHERE status NOT IN ({marks}) ORDER BY id", tuple(sorted(FINAL)))

    def advance(
        self,
        id_: str,
        expected: Sequence[BatchStatus],
        status: BatchStatus,
        changes: Mapping[str, Any],
        lines: Sequence[BatchLine] | None = None,
    ) -> BatchRecord | None:
        """Give a batch another status and more fields, if it has an expected one; None: it has not.

        lines: with them, in the same transaction. A batch that ends loses its lines.
        """
        with self._transaction() as rows:
            row = rows.execute(f"{_COLUMNS} WHERE id = ?", (id_,)).fetchone()
            if row is None or row[3] not in expected:
                return None
            body = {**orjson.loads(row[5]), **changes}
            rows.execute("UPDATE batch SET status = ?, body = ? WHERE id = ?", (status, orjson.dumps(body), id_))
            if lines is not None:
                values = ((id_, line.number, line.custom_id, line.body) for line in lines)
                rows.executemany("INSERT INTO line (batch, number, custom_id, body) VALUES (?, ?, ?, ?)", values)
            if status in FINAL:
                rows.execute("DELETE FROM line WHERE batch = ?", (id_,))
        return BatchRecord(id_, row[1], row[2], status, row[4], body)

    def counts(self, id_: str) -> tuple[int, int, int]:
        """Return how many lines a batch has, how many ended well, how many did not."""
        query = "SELECT count(*), count(CASE WHEN status < 400 THEN 1 END), count(status) FROM line WHERE batch = ?"
        with self._reading() as rows:
            total, completed, ended = (0, 0, 0) if rows is None else rows.execute(query, (id_,)).fetchone()
        return total, completed, ended - completed

    def pending(self, id_: str, *, after: int = -1, limit: int = PAGE_LINES) -> list[BatchLine]:
        """Return lines without an answer behind the number `after`, in order."""
        query = "SELECT batch, number, custom_id, body FROM line WHERE batch = ? AND status IS NULL AND number > ?"
        with self._reading() as rows:
            found = () if rows is None else rows.execute(f"{query} ORDER BY number LIMIT ?", (id_, after, limit))
            return [BatchLine(*row) for row in found]

    def finish(self, line: BatchLine, status: int, answer: bytes) -> None:
        """Write a line's answer, unless it has one; it is on the disk then."""
        query = "UPDATE line SET status = ?, answer = ? WHERE batch = ? AND number = ? AND status IS NULL"
        with self._transaction() as rows:
            rows.execute(query, (status, answer, line.batch, line.number))

    def results(self, id_: str, *, after: int, limit: int = PAGE_LINES) -> list[LineResult]:
        """Return lines behind the number `after` with their ends."""
        query = "SELECT number, custom_id, status, answer FROM line WHERE batch = ? AND number > ?"
        with self._reading() as rows:
            found = () if rows is None else rows.execute(f"{query} ORDER BY number LIMIT ?", (id_, after, limit))
            return [LineResult(number, name, status, answer or b"") for number, name, status, answer in found]

    def sweep(self) -> int:
        """Forget batches that ended long ago; return how many."""
        if not self.path.is_file():
            return 0
        marks = ", ".join("?" * len(FINAL))
        query = f"DELETE FROM batch WHERE created_at < ? AND status IN ({marks})"  # noqa: S608 - marks for values
        with self._transaction() as rows:
            return rows.execute(query, (int(self.clock()) - KEPT_S, *sorted(FINAL))).rowcount

    def _records(self, clause: str, values: Sequence[object]) -> list[BatchRecord]:
        with self._reading() as rows:
            found = () if rows is None else rows.execute(f"{_COLUMNS} {clause}", values)
            return [BatchRecord(row[0], row[1], row[2], row[3], row[4], orjson.loads(row[5])) for row in found]

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        """Lend the connection for a change, which is made whole or not at all."""
        with self._lock, _explained():
            connection = self._connection = self._connection or self._open()
            with connection:
                yield connection

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection | None]:
        """Lend the connection for reading; None: nothing was ever stored."""
        with self._lock, _explained():
            if self._connection is None and self.path.is_file():
                self._connection = self._open()
            yield self._connection

    def _open(self) -> sqlite3.Connection:
        private_folder(self.path.parent)
        self.path.touch(mode=0o600)  # before SQLite does: the files beside it get the mode of this one
        connection = sqlite3.connect(self.path, timeout=_WAIT_S, check_same_thread=False)
        connection.executescript(_SCHEMA)
        return connection


@contextmanager
def _explained() -> Iterator[None]:
    """Log what is wrong with the disk; to the caller it is a 503."""
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        _log.warning("batches cannot be read or written: %s", error)
        raise Unavailable("this server cannot store batches now; its log says why") from error
