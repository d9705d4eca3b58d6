"""Stored responses and conversations, each its owner's alone, in one SQLite file.

SQLite, since a response is many small rows that are looked up by several keys, and its transactions are durable: a
killed server leaves a response whole or not there. What has expired is not there any more, from that second on; `sweep`
deletes it. Over its bound the store forgets the oldest responses of whoever holds most; conversations, which somebody
made on purpose, stay until they are deleted. Every method blocks for the disk: call it in a thread.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import orjson

from fastembed.pipeline.errors import InvalidInput, NotFound, TooLarge, Unavailable
from fastembed.pipeline.filing import private_folder
from fastembed.server.conversations.record import Json, StoredItem, StoredRecord, is_id

MOST_BYTES: Final = 2**30
TTL_S: Final = 30 * 86_400.0
"""How long a response stays, as OpenAI has it; one that a conversation goes on from stays as long from then on."""
MAX_CHAIN: Final = 2_048
"""How many responses may follow each other."""
MAX_ITEMS: Final = 20_000
"""Of one conversation."""

_log: Final = logging.getLogger("fastembed.conversations")
_WAIT_S: Final = 10.0
_SCHEMA: Final = """
PRAGMA journal_mode = WAL;
PRAGMA synchronous = FULL;
CREATE TABLE IF NOT EXISTS record (
    id TEXT PRIMARY KEY, owner TEXT NOT NULL, kind TEXT NOT NULL, created_at REAL NOT NULL, expires_at REAL,
    size INTEGER NOT NULL, body BLOB NOT NULL
);
CREATE INDEX IF NOT EXISTS record_sizes ON record (owner, kind, created_at, size);
CREATE TABLE IF NOT EXISTS item (
    holder TEXT NOT NULL, position INTEGER NOT NULL, id TEXT NOT NULL, owner TEXT NOT NULL, role TEXT NOT NULL,
    size INTEGER NOT NULL, body BLOB NOT NULL, PRIMARY KEY (holder, position)
);
CREATE INDEX IF NOT EXISTS item_ids ON item (id, owner);
"""
_RESPONSES: Final = "FROM record WHERE kind = 'response'"
_HEAVIEST: Final = f"SELECT owner {_RESPONSES} AND id <> ? GROUP BY owner ORDER BY sum(size) DESC LIMIT 1"
_OLDEST: Final = f"SELECT id {_RESPONSES} AND owner = ? AND id <> ? ORDER BY created_at LIMIT 1"
_PRAGMAS: Final = ("page_count", "freelist_count", "page_size")
_INSERT_ITEM: Final = "INSERT INTO item VALUES (?, ?, ?, ?, ?, ?, ?)"


class ConversationStore:
    """The responses and conversations of all owners. most_bytes: of all together; 0: none are stored.

    clock: Unix seconds.
    """

    def __init__(self, path: Path, *, most_bytes: int = MOST_BYTES, clock: Callable[[], float] = time.time) -> None:
        """Create nothing yet: the first response makes the file."""
        self.path = path
        self.most_bytes = most_bytes
        self.clock = clock
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    def save(self, record: StoredRecord, items: Sequence[StoredItem] | None = None) -> None:
        """Store a record, in place of one that has its id. items: in place of those that it has; None: they stay."""
        body = orjson.dumps(record.body)
        size = len(body) + sum(len(orjson.dumps(item.body)) for item in items or ())
        row = (record.id, record.owner, record.kind, record.created_at, record.expires_at, size, body)
        with self._transaction() as rows:
            rows.execute("INSERT OR REPLACE INTO record VALUES (?, ?, ?, ?, ?, ?, ?)", row)
            if items is not None:
                rows.execute("DELETE FROM item WHERE holder = ?", (record.id,))
                _insert(rows, record.owner, record.id, items)
            self._make_room(rows, record.id)

    def find(self, owner: str, id_: str, kind: str, *, param: str = "id") -> StoredRecord:
        """Return an owner's record. NotFound names the field `param`."""
        query = "SELECT created_at, expires_at, body FROM record WHERE id = ? AND owner = ? AND kind = ?"
        with self._reading() as rows:
            found = rows.execute(query, (id_, owner, kind)).fetchone() if rows is not None and is_id(id_) else None
        if found is None or (found[1] is not None and found[1] <= self.clock()):
            raise _missing(id_, kind, param)
        return StoredRecord(id_, owner, kind, found[0], orjson.loads(found[2]), found[1])  # type: ignore[arg-type] # as asked for

    def delete(self, owner: str, id_: str, kind: str) -> None:
        """Remove an owner's record and its items. NotFound: it is not there (any more)."""
        self.find(owner, id_, kind)
        with self._transaction() as rows:
            _delete(rows, id_)

    def chain(self, owner: str, id_: str, *, param: str) -> list[StoredItem]:
        """Return the items of a response and of all before it, oldest first; all of them stay `TTL_S` from now on.

        InvalidInput names the field `param`: the response, or one before it, is gone.
        """
        ids: list[str] = []
        following: str | None = id_
        while following is not None:
            try:
                record = self.find(owner, following, "response", param=param)
            except NotFound as error:  # a 400 of this name there
                raise InvalidInput(error.message, param=param, code="previous_response_not_found") from error
            ids.append(following)
            following = record.body["response"].get("previous_response_id")
            if len(ids) > MAX_CHAIN:
                raise TooLarge(f"found more than {MAX_CHAIN} responses one after the other", param=param)
        with self._transaction() as rows:
            until = self.clock() + TTL_S
            rows.executemany("UPDATE record SET expires_at = ? WHERE id = ?", [(until, one) for one in ids])
        return [item for one in reversed(ids) for item in self.items(owner, one)]

    def items(self, owner: str, holder: str, *, before: int = 2**62) -> list[StoredItem]:
        """Return the items of a record in order. before: only those at earlier positions."""
        query = "SELECT body, role, position FROM item WHERE holder = ? AND owner = ? AND position < ?"
        with self._reading() as rows:
            found = (
                [] if rows is None else rows.execute(f"{query} ORDER BY position", (holder, owner, before)).fetchall()
            )
        return [StoredItem(orjson.loads(body), role, position) for body, role, position in found]

    def item(self, owner: str, id_: str, *, param: str, holder: str | None = None) -> StoredItem:
        """Return an owner's item, the newest that has this id. holder: the record that it is of; None: any."""
        query = "SELECT body, role, position FROM item WHERE id = ? AND owner = ? AND holder = ifnull(?, holder)"
        with self._reading() as rows:
            values = (id_, owner, holder)
            found = None if rows is None else rows.execute(f"{query} ORDER BY rowid DESC LIMIT 1", values).fetchone()
        if found is None:
            raise _missing(id_, "item", param)
        return StoredItem(orjson.loads(found[0]), found[1], found[2])

    def add(self, owner: str, holder: str, items: Sequence[StoredItem]) -> None:
        """Append items to a conversation."""
        with self._transaction() as rows:
            count = rows.execute("SELECT count(*) FROM item WHERE holder = ?", (holder,)).fetchone()[0]
            if count + len(items) > MAX_ITEMS:
                raise TooLarge(f"found {count} items in {holder}, expected at most {MAX_ITEMS} with the new ones")
            _insert(rows, owner, holder, items)
            self._make_room(rows, holder)

    def remove_item(self, owner: str, holder: str, id_: str) -> None:
        """Remove an item of a conversation. NotFound: it is not there."""
        found = self.item(owner, id_, param="item_id", holder=holder)
        with self._transaction() as rows:
            rows.execute("DELETE FROM item WHERE holder = ? AND position = ?", (holder, found.position))

    def sweep(self) -> int:
        """Delete what has expired; return how many records."""
        if not self.path.is_file():
            return 0
        with self._transaction() as rows:
            expired = rows.execute("SELECT id FROM record WHERE expires_at <= ?", (self.clock(),)).fetchall()
            for (id_,) in expired:
                _delete(rows, id_)
        return len(expired)

    def _make_room(self, rows: sqlite3.Connection, kept: str) -> None:
        """Forget the oldest responses of whoever holds most, until all fit. TooLarge: `kept` itself does not."""
        while (size := _size(rows)) > self.most_bytes:
            owner = rows.execute(_HEAVIEST, (kept,)).fetchone()
            if owner is None:
                raise TooLarge(
                    f"found {size:,} bytes of conversations, expected at most {self.most_bytes:,} in all "
                    "(`serve --conversations-size`); delete some",
                    code="storage_limit_exceeded",
                )
            _delete(rows, rows.execute(_OLDEST, (owner[0], kept)).fetchone()[0])

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
        _log.warning("stored conversations cannot be read or written: %s", error)
        raise Unavailable("this server cannot store conversations now; its log says why") from error


def _insert(rows: sqlite3.Connection, owner: str, holder: str, items: Sequence[StoredItem]) -> None:
    first = rows.execute("SELECT ifnull(max(position) + 1, 0) FROM item WHERE holder = ?", (holder,)).fetchone()[0]
    for place, item in enumerate(items, first):
        body = orjson.dumps(item.body)
        rows.execute(_INSERT_ITEM, (holder, place, str(item.body["id"]), owner, item.role, len(body), body))


def _delete(rows: sqlite3.Connection, id_: str) -> None:
    rows.execute("DELETE FROM record WHERE id = ?", (id_,))
    rows.execute("DELETE FROM item WHERE holder = ?", (id_,))


def _size(rows: sqlite3.Connection) -> int:
    """Return the bytes of the file that hold something: SQLite knows them, where adding rows up would read them all."""
    pages, free, size = (rows.execute(f"PRAGMA {name}").fetchone()[0] for name in _PRAGMAS)
    return int((pages - free) * size)


def _missing(id_: str, kind: str, param: str) -> NotFound:
    return NotFound(
        f"found no {kind} {id_!r:.160}, expected the id of one of yours that is stored (`store` true) and not expired",
        param=param,
        code=f"{kind}_not_found",
    )


def page(items: Sequence[Json], *, after: str, limit: int, newest_first: bool) -> tuple[list[Json], bool]:
    """Return the items behind the one whose id is `after`, and whether more follow."""
    ordered = list(reversed(items)) if newest_first else list(items)
    ids = [item["id"] for item in ordered]
    first = ids.index(after) + 1 if after in ids else len(ids) if after else 0
    return ordered[first : first + limit], len(ordered) > first + limit
