"""Opens the database file: creates it atomically, and tells why one cannot be opened."""

from __future__ import annotations

import errno
import os
import re
import shutil
from pathlib import Path
from typing import Final

import duckdb

from fastembed.pipeline.errors import Unavailable
from fastembed.pipeline.filing import private_folder, sync
from fastembed.sinks.lake.schema import OWN_SUFFIXES, Connection, is_current, migrate

FULL: Final = re.compile("No space left on device|Disk quota exceeded|File too large")
_HOLDER: Final = re.compile(r"Conflicting lock is held in (?P<program>.*?) \(PID (?P<pid>\d+)\)")

# Nothing is ever downloaded; everything that is needed is in the package. A name in a query is never taken for one of
# Python's variables. Settings hold for the whole database, its writer too: there is one of each file in a process.
_SETTINGS: Final[dict[str, str | bool | int | float | list[str]]] = {
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "python_enable_replacements": "false",
    "memory_limit": "50%",  # DuckDB's own is 80 %: the models need memory, too
}
HIDDEN: Final = frozenset({"ledger", "lineage", "schema_version"})
"""Tables that queries of users do not see; indexes and shadows of chunk tables, by `OWN_SUFFIXES`, neither."""


class LakeLocked(Unavailable):
    """Another process holds the database file; `pid` is its process id where DuckDB says it, else None."""

    def __init__(self, path: Path, cause: str) -> None:
        """Name the file and, if known, who holds it."""
        holder = _HOLDER.search(cause)
        self.pid = int(holder["pid"]) if holder else None
        who = f"process {self.pid} ({holder['program']})" if holder else "another process"
        super().__init__(
            f"{path} is open in {who}; DuckDB lets one process at a time hold a database: "
            "ask the server that is running, or stop it first"
        )


class LakeFull(Unavailable):
    """The file cannot grow: the disk is full, or a quota or limit is reached. Nothing was written."""

    def __init__(self, path: Path, cause: BaseException) -> None:
        """Name the file."""
        super().__init__(f"{path}: disk or quota full, nothing was written: free space on its disk ({cause})")


def connect(path: Path) -> Connection:
    """Open the file, in the thread that will write to it; it is made where there is none."""
    try:
        if not path.exists():
            _make(path)
        connection = duckdb.connect(str(path), config=_SETTINGS)
    except (duckdb.Error, OSError) as error:
        raise _unusable(path, error) from error
    try:
        migrate(connection)
        shutil.rmtree(_transfer_path(path), ignore_errors=True)  # what a killed process has left
        _lock_down(connection, path)
    except BaseException:  # raised again: the open connection would keep the file locked
        connection.close()
        raise
    return connection


def connect_read_only(path: Path) -> Connection | None:
    """Open the file for queries only; None: an older version made it, and `connect` has to bring it up to date first.

    Several processes may have it open so at a time. LakeLocked: a process that writes has it.
    """
    try:
        connection = duckdb.connect(str(path), read_only=True, config=_SETTINGS)
    except (duckdb.Error, OSError) as error:
        raise _unusable(path, error) from error
    if not is_current(connection):
        connection.close()
        return None
    _lock_down(connection, path)
    return connection


def transfer_folder(path: Path) -> Path:
    """Return the one folder that the database may write to: exports and results on their way out; made if missing."""
    folder = _transfer_path(path)
    private_folder(folder)
    return folder


def _transfer_path(path: Path) -> Path:
    return path.absolute().with_name(f".{path.name}.transfer")


def relations(con: Connection) -> frozenset[str]:
    """Return the names of the tables and views that queries of users may read, in lower case."""
    names = con.execute(
        """SELECT table_name FROM duckdb_tables() WHERE NOT internal AND schema_name = 'main'
           AND database_name = current_database()
           UNION SELECT view_name FROM duckdb_views() WHERE NOT internal AND schema_name = 'main'
           AND database_name = current_database()"""
    ).fetchall()
    return frozenset(name.casefold() for (name,) in names if name not in HIDDEN and not name.endswith(OWN_SUFFIXES))


def _lock_down(con: Connection, path: Path) -> None:
    """Take away what no query of ours needs: files outside of one folder, the network, extensions, other settings."""
    folder = str(_transfer_path(path)).replace("'", "''")
    con.execute(f"SET allowed_directories = ['{folder}']")
    con.execute("SET enable_external_access = false")
    con.execute("SET lock_configuration = true")


def _make(path: Path) -> None:
    """Make a new database, for this user only, that is there whole or not at all.

    A full disk, or a crash, half-way through the first pages would leave a file that DuckDB refuses for ever. So it is
    made under another name, written out by closing it, and takes its own name then; two that make it at once make the
    same.
    """
    private_folder(path.parent)
    fresh = path.with_name(f".{path.name}.{os.getpid()}.new")
    leftovers = (fresh, fresh.with_name(f"{fresh.name}.wal"))
    try:
        connection = duckdb.connect(str(fresh), config=_SETTINGS)
        try:
            fresh.chmod(0o600)
            migrate(connection)
        finally:
            connection.close()
        sync(fresh)
        _name(fresh, path)
    finally:
        for leftover in leftovers:
            leftover.unlink(missing_ok=True)


def _name(fresh: Path, path: Path) -> None:
    """Rename a new database to its final name, unless another process was faster."""
    try:
        os.link(fresh, path)
    except FileExistsError:
        return
    except OSError:  # a file system without hard links
        if not path.exists():
            fresh.replace(path)
    sync(path.parent)


def _unusable(path: Path, error: Exception) -> Unavailable:
    """Return the error to raise for a database that does not open."""
    text = str(error)
    if FULL.search(text) or getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT):
        return LakeFull(path, error)
    if "lock" in text:
        return LakeLocked(path, text)
    return Unavailable(f"{path}: DuckDB cannot open this file, expected a DuckDB database or no file: {error}")
