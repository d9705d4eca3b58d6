"""How much each key has used: requests and tokens by day (UTC), in memory, written down every few seconds.

SQLite at $FASTEMBED_HOME/key-usage.sqlite. A killed server forgets what it counted since the last `sweep`, never more.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Final

from fastembed.pipeline.errors import Unavailable
from fastembed.pipeline.filing import private_folder

KEPT_DAYS: Final = 400
DAY_S: Final = 86_400
_WAIT_S: Final = 5.0
_SCHEMA: Final = """
PRAGMA journal_mode = WAL;
CREATE TABLE IF NOT EXISTS usage (
    key TEXT NOT NULL, day TEXT NOT NULL, name TEXT NOT NULL, requests INTEGER NOT NULL, input_tokens INTEGER NOT NULL,
    output_tokens INTEGER NOT NULL, PRIMARY KEY (key, day)
) WITHOUT ROWID;
"""
_ADD: Final = """
INSERT INTO usage VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (key, day) DO UPDATE SET name = excluded.name,
    requests = requests + excluded.requests, input_tokens = input_tokens + excluded.input_tokens,
    output_tokens = output_tokens + excluded.output_tokens
"""


@dataclass(slots=True)
class DayUsage:
    """What one key used on one day."""

    key: str
    day: str
    name: str
    requests: int = 0
    input_tokens: int = 0
    output_tokens: int = 0


@dataclass(slots=True)
class _Count:
    total: DayUsage
    written: DayUsage = field(init=False)

    def __post_init__(self) -> None:
        found = self.total
        self.written = DayUsage(
            found.key, found.day, found.name, found.requests, found.input_tokens, found.output_tokens
        )

    def fresh(self) -> tuple[str, str, str, int, int, int]:
        """Return what came since it was written last; from now on that counts as written."""
        total, written = self.total, self.written
        requests, given, made = total.requests, total.input_tokens, total.output_tokens
        row = (total.key, total.day, total.name, requests - written.requests, given - written.input_tokens)
        added = made - written.output_tokens
        written.requests, written.input_tokens, written.output_tokens = requests, given, made
        return (*row, added)


class UsageLog:
    """The usage of all keys. clock: Unix seconds."""

    def __init__(self, path: Path, *, clock: Callable[[], float] = time.time) -> None:
        """Create nothing yet."""
        self.path = path
        self.clock = clock
        self._counts: dict[tuple[str, str], _Count] = {}
        self._lock = threading.Lock()

    def today(self, key: str, name: str) -> DayUsage:
        """Return what a key has used today (UTC): a count to add to. Its first call of a day reads the file."""
        day = datetime.fromtimestamp(self.clock(), UTC).date().isoformat()
        count = self._counts.get((key, day))
        if count is None:
            stored = self._stored(key, day) or DayUsage(key, day, name)
            stored.name = name
            count = self._counts.setdefault((key, day), _Count(stored))
        return count.total

    def rows(self, key: str | None = None, *, days: int = 30) -> list[DayUsage]:
        """Return the usage of a key (None: of all) in the last days, the newest first; blocks."""
        self.sweep()
        first = (datetime.fromtimestamp(self.clock(), UTC).date() - timedelta(days=days - 1)).isoformat()
        query = "SELECT * FROM usage WHERE day >= ? AND key = ifnull(?, key) ORDER BY day DESC, key"
        with self._file() as rows:
            return [] if rows is None else [DayUsage(*row) for row in rows.execute(query, (first, key))]

    def sweep(self) -> int:
        """Write down what was counted, and forget days that are long gone; return how many rows went; blocks."""
        with self._lock:
            today = datetime.fromtimestamp(self.clock(), UTC).date()
            fresh = [row for count in list(self._counts.values()) if any((row := count.fresh())[3:])]
            for known in [known for known in self._counts if known[1] < today.isoformat()]:
                del self._counts[known]
            if not fresh:
                return 0
            with self._file(create=True) as rows:
                assert rows is not None  # noqa: S101 - it was created
                rows.executemany(_ADD, fresh)
                return rows.execute("DELETE FROM usage WHERE day < ?", (_day_before(today),)).rowcount

    def _stored(self, key: str, day: str) -> DayUsage | None:
        with self._file() as rows:
            query = "SELECT * FROM usage WHERE key = ? AND day = ?"
            found = None if rows is None else rows.execute(query, (key, day)).fetchone()
        return DayUsage(*found) if found else None

    @contextmanager
    def _file(self, *, create: bool = False) -> Iterator[sqlite3.Connection | None]:
        """Lend the file, for one transaction; None: nothing was ever counted. Unavailable: the disk fails."""
        if not create and not self.path.is_file():
            yield None
            return
        try:
            private_folder(self.path.parent)
            self.path.touch(mode=0o600)  # before SQLite does: the files beside it get the mode of this one
            with closing(sqlite3.connect(self.path, timeout=_WAIT_S)) as connection:
                connection.executescript(_SCHEMA)
                with connection:
                    yield connection
        except (sqlite3.Error, OSError) as error:
            raise Unavailable(f"usage cannot be counted now: {error}") from error


def _day_before(today: date) -> str:
    return (today - timedelta(days=KEPT_DAYS)).isoformat()


def midnight_in_s(now_s: float) -> float:
    """Return the seconds until the next day begins (UTC)."""
    return DAY_S - now_s % DAY_S
