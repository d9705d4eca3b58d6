"""In which hours each model was used: a small DuckDB file with one writer, or memory alone where there is no file."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import duckdb

log = logging.getLogger("fastembed.warmup")
KEPT_H: Final = 8 * 168
_TABLE: Final = "CREATE TABLE IF NOT EXISTS used (model VARCHAR, hour INTEGER, uses DOUBLE, PRIMARY KEY (model, hour))"
_ADD: Final = "INSERT INTO used VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET uses = uses + excluded.uses"
_LOCKED: Final = "Conflicting lock"  # how DuckDB begins to say that another process has the file open
_WITHOUT_SPEECH: Final = ""
"""The name under which stand the hours in which there was a server."""


class History:
    """Uses by model and hour, of the last eight weeks. Hours are those of `forecast.Past`."""

    def __init__(self, file: Path | None) -> None:
        """Open nothing yet."""
        self._file = file
        self._uses: dict[str, dict[int, float]] = {}
        self._database: Any = None  # duckdb ships no types for connections
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="usage")

    async def open(self) -> None:
        """Read what was; a file that another process has open, or that cannot be read, is left alone."""
        await asyncio.get_running_loop().run_in_executor(self._thread, self._open)

    async def note(self, hour: int, uses: Mapping[str, float]) -> None:
        """Add uses, and the hour itself as one in which models could be used."""
        rows = [(_WITHOUT_SPEECH, hour, 1.0), *((model, hour, count) for model, count in uses.items())]
        for model, at, count in rows:
            hours = self._uses.setdefault(model, {})
            hours[at] = hours.get(at, 0.0) + count
            for old in [old for old in hours if old < hour - KEPT_H]:
                del hours[old]
        await asyncio.get_running_loop().run_in_executor(self._thread, self._write, rows, hour - KEPT_H)

    def observed(self) -> list[int]:
        """Return the hours in which there was a server."""
        return list(self._uses.get(_WITHOUT_SPEECH, ()))

    def used(self) -> dict[str, list[int]]:
        """Return the hours in which each model was used."""
        return {model: list(hours) for model, hours in self._uses.items() if model != _WITHOUT_SPEECH and hours}

    async def close(self) -> None:
        """Close the file."""
        await asyncio.get_running_loop().run_in_executor(self._thread, self._close)
        self._thread.shutdown()

    def _open(self) -> None:
        if self._file is None:
            return
        is_new = not self._file.exists()
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            self._database = duckdb.connect(self._file, config={"threads": 1, "memory_limit": "64MB"})
            self._database.execute(_TABLE)
            for model, hour, uses in self._database.execute("SELECT model, hour, uses FROM used").fetchall():
                self._uses.setdefault(model, {})[hour] = uses
        except (duckdb.Error, OSError) as error:
            if _LOCKED in str(error):  # a second server of this user, which is all right: the first one remembers
                log.info("habits are remembered by another server of this user, which has %s open", self._file)
            else:
                log.warning("habits are not remembered in %s: %s", self._file, error)
            self._close()
            if is_new:
                self._discard()

    def _discard(self) -> None:
        """Take away what a full disk left of a new file: it could never be opened again."""
        if self._file is not None:
            with suppress(OSError):
                self._file.unlink(missing_ok=True)

    def _write(self, rows: list[tuple[str, int, float]], before: int) -> None:
        if self._database is None:
            return
        try:
            self._database.begin()
            self._database.executemany(_ADD, rows)
            self._database.execute("DELETE FROM used WHERE hour < ?", [before])
            self._database.commit()
        except duckdb.Error as error:  # a full disk costs what this hour taught, nothing else
            log.warning("habits are not remembered in %s: %s", self._file, error)
            self._close()

    def _close(self) -> None:
        if self._database is not None:
            self._database.close()
            self._database = None
