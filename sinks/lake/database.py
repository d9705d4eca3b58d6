"""The database file: one thread writes, others read on cursors of their own, all in one process.

DuckDB lets one process hold a file, and one connection serve one thread. So a process has one `Lake` a file, shared by
every pipeline and every search (`Lakes`), whose writes run one after another in one thread, each in a transaction;
readers see the last committed state and never wait.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, Concatenate, Final, ParamSpec, TypeVar

import duckdb
import numpy as np
from numpy.typing import NDArray

from fastembed.pipeline.component import Resources
from fastembed.pipeline.errors import InvalidInput
from fastembed.pipeline.ledger import ANY_CONTENT, EntryState, LedgerEntry
from fastembed.pipeline.payload.asking import SearchScope
from fastembed.pipeline.payload.document import File
from fastembed.pipeline.payload.embedding import VectorOrigin
from fastembed.sinks.lake import dead_letters, ledger_changes, listing, values, writing
from fastembed.sinks.lake.dead_letters import Replayed
from fastembed.sinks.lake.group_commit import Destination, GroupCommit
from fastembed.sinks.lake.opening import FULL, LakeFull, connect
from fastembed.sinks.lake.origins import count_incomparable, models_of
from fastembed.sinks.lake.schema import Connection, chunk_tables
from fastembed.sinks.lake.search import Hit, search
from fastembed.sinks.lake.sql.query import ReadOnlyQueries
from fastembed.sinks.lake.writing import ReadFile, Staged

P = ParamSpec("P")
R = TypeVar("R")

READERS: Final = 4
ROOM_S: Final = 30.0
"""How long a change waits for room on a full disk before it is given up."""
IDLE_S: Final = 5.0
"""After how long without a change the log is written into the file, so that a copy of it holds everything."""
_LOOK_S: Final = 1.0
_INTERRUPT_S: Final = 0.1
_log: Final = logging.getLogger(__name__)


def utc_now() -> datetime:
    """Return the time in UTC without a zone, as the TIMESTAMP columns hold it."""
    return datetime.now(UTC).replace(tzinfo=None)


class Lake:
    """An open database file. Make it with `Lake.open`; close it after its last use."""

    room_s: float = ROOM_S
    idle_s: float = IDLE_S

    def __init__(
        self, path: Path, connection: Connection, writer: ThreadPoolExecutor, clock: Callable[[], datetime]
    ) -> None:
        """Use `connection` in `writer`'s one thread only."""
        self.path = path
        self.full = ""
        """Why nothing can be written at the moment."""
        self._connection = connection
        self._writer = writer
        self._readers = ThreadPoolExecutor(READERS, thread_name_prefix="lake-reader")
        self._own = threading.local()
        self._cursors: list[Connection] = []
        self._clock = clock
        self.queries = ReadOnlyQueries(path, connection.cursor)
        """Queries of users."""
        self._idle: asyncio.Task[None] | None = None
        self._commits = GroupCommit(self._replace)

    @classmethod
    async def open(cls, path: Path, *, clock: Callable[[], datetime] = utc_now) -> Lake:
        """Open or create the database and bring its schema up to date.

        Raises LakeLocked if another process holds the file, Unavailable if it is no database or of a newer version.
        """
        writer = ThreadPoolExecutor(1, thread_name_prefix="lake-writer")
        try:
            connection = await asyncio.get_running_loop().run_in_executor(writer, connect, path)
        except BaseException:  # raised again, cancellation too: the writer's thread must not outlive a failed open
            writer.shutdown(wait=False)
            raise
        return cls(path, connection, writer, clock)

    async def close(self) -> None:
        """Finish what is being written, write the log into the file, let go of it."""
        # Readers first: their cursors are closed in the writer's thread, and none may be in use then. Closing the
        # connection checkpoints; a `kill -9` before that leaves the log (`.wal`), which the next opening replays.
        loop = asyncio.get_running_loop()
        await self.queries.close()
        if self._idle is not None:
            self._idle.cancel()
            await asyncio.wait([self._idle])
        await loop.run_in_executor(None, self._readers.shutdown)
        await loop.run_in_executor(self._writer, self._disconnect)
        self._writer.shutdown()

    async def write(self, change: Callable[Concatenate[Connection, P], R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Run `change(connection, ...)` in the writer's thread as one transaction, all or nothing.

        On a full disk it is tried again for `room_s`; then LakeFull is raised. Where users' queries have the memory,
        they are interrupted.
        """
        # A full disk raises out of the transaction, which is rolled back: trying it again is always right. The waits
        # are here, on the loop, so that a writer that waits for room does not hold the thread from one that frees some.
        loop = asyncio.get_running_loop()
        give_up = loop.time() + self.room_s
        warned = False
        while True:
            try:
                result = await loop.run_in_executor(self._writer, self._transact, partial(change, **kwargs), args)
            except LakeFull as error:
                self.full = error.message
                if loop.time() >= give_up:
                    raise
                if not warned:
                    _log.warning("%s", error)
                warned = True
                await asyncio.sleep(_LOOK_S)
            except duckdb.OutOfMemoryException:
                if not self.queries.interrupt("new documents need the memory") or loop.time() >= give_up:
                    raise
                await asyncio.sleep(_INTERRUPT_S)
            else:
                self.full = ""
                self._checkpoint_when_idle()
                return result

    def _checkpoint_when_idle(self) -> None:
        if self._idle is not None:
            self._idle.cancel()
        self._idle = asyncio.create_task(self._checkpoint_later(), name="checkpoint")

    async def _checkpoint_later(self) -> None:
        await asyncio.sleep(self.idle_s)
        try:
            await asyncio.get_running_loop().run_in_executor(self._writer, self._connection.execute, "CHECKPOINT")
        except duckdb.Error as error:  # a full disk: nothing is lost, it stands in the log
            _log.warning("%s: the log cannot be written into the file now: %s", self.path, error)

    async def read(self, question: Callable[Concatenate[Connection, P], R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Run `question(cursor, ...)` in a reader's thread on one snapshot."""
        call = partial(question, **kwargs)
        return await asyncio.get_running_loop().run_in_executor(self._readers, self._ask, call, args)

    async def search(
        self,
        words: str,
        vector: NDArray[np.float32] | Sequence[float] | None = None,
        limit: int = 10,
        *,
        table: str = "chunks",
        origin: VectorOrigin | None = None,
        scope: SearchScope | None = None,
        floor: float | None = None,
    ) -> list[Hit]:
        """Find the best chunks for these words and this embedding of them; see `fastembed.sinks.lake.search.search`."""
        return await self.read(search, words, vector, limit=limit, table=table, origin=origin, scope=scope, floor=floor)

    async def models(self, table: str = "chunks") -> list[tuple[str, int]]:
        """Return (model, vector length) of what embedded the chunks of `table`, the most used first."""
        return await self.read(models_of, table)

    async def incomparable(self, table: str, origin: VectorOrigin | None) -> int:
        """Return how many chunks of `table` have a vector of another model than this one (None: of any)."""
        return await self.read(count_incomparable, table, origin)

    async def tables(self) -> list[str]:
        """Return the names of the chunk tables."""
        return await self.read(chunk_tables)

    async def commit(self, staged: Staged, *, pipeline: str, definition: str, table: str) -> None:
        """Replace a document's rows and write its ledger row, in one transaction, which other documents may share."""
        document = staged.document or next(
            (chunk.document for chunk in staged.chunks if not chunk.document.file.container), None
        )
        if document is None:
            raise InvalidInput("found neither a document nor a chunk of it, expected the result of a file")
        await self._commits.commit(
            ReadFile(document, staged.chunks), Destination(pipeline, definition, table), self._clock()
        )

    async def _replace(self, files: Sequence[ReadFile], destination: Destination, at: datetime) -> None:
        await self.write(writing.replace_documents, files, **asdict(destination), at=at)

    def now(self) -> datetime:
        """Return the time in UTC as the TIMESTAMP columns hold it."""
        return self._clock()

    async def replace_values(
        self,
        rows: Sequence[values.Values],
        *,
        table: str,
        declared: Mapping[str, str],
        file: File | None,
        pipeline: str,
        definition: str,
    ) -> None:
        """Write rows of values; of a file, in place of its former ones and with its ledger row, in one transaction."""
        await self.write(
            values.replace_values,
            table,
            rows,
            declared=declared,
            file=file,
            pipeline=pipeline,
            definition=definition,
            at=self._clock(),
        )

    def cursor(self) -> Connection:
        """Return a new connection to the database, for one thread at a time; close it."""
        return self._connection.cursor()

    def ledger(self, pipeline: str) -> LakeLedger:
        """Return the ledger of one pipeline."""
        return LakeLedger(self, pipeline, self._clock)

    async def documents(self, pipeline: str | None = None) -> list[listing.DocumentRow]:
        """List every file that went through a pipeline (`fastembed ls`), by pipeline and name."""
        return await self.read(listing.documents, pipeline)

    async def failures(self, pipeline: str | None = None) -> list[listing.FailureRow]:
        """List the files that failed (`fastembed failed`), the latest first."""
        return await self.read(listing.failures, pipeline)

    async def reprocess(self, pipeline: str, definition: str | None = None) -> int:
        """Mark the files made under another definition (None: all) to be processed again; return how many."""
        return await self.write(listing.reprocess, pipeline, definition)

    async def replay(self, names: Sequence[str] | None = None, pipeline: str | None = None) -> list[Replayed]:
        """Process failed files again (`names`, None: all; `fastembed replay`); return the result for each.

        Files that were moved away go back to their folder, where a running pipeline finds them; those that stayed are
        marked, for the pipeline's next scan.
        """
        failed = await self.failures(pipeline)
        moved = [row for row in failed if row.location and (names is None or row.name in names)]
        replayed = [await asyncio.to_thread(dead_letters.replay, Path(row.location)) for row in moved]
        replayed += [Replayed(name, "") for name in await self.retry(pipeline, names)]
        missing = set(names or ()) - {row.name for row in failed}
        return replayed + [Replayed(name, "", "found no failed file of this name") for name in sorted(missing)]

    async def retry(self, pipeline: str | None = None, names: Sequence[str] | None = None) -> list[str]:
        """Mark failed files that stayed in their folder (`names`, None: all) to be tried again; return their names."""
        return await self.write(listing.retry, pipeline, names)

    def _disconnect(self) -> None:
        """Close every cursor too: each of them would keep the file."""
        for cursor in self._cursors:
            cursor.close()
        self._connection.close()

    def _transact(self, change: Callable[..., R], args: Sequence[Any]) -> R:
        # One thread, one transaction at a time. Killed anywhere before `commit` has returned, the file holds the old
        # state or the new one: DuckDB writes a commit into its log as one record and syncs it before it returns.
        con = self._connection
        con.begin()
        try:
            result = change(con, *args)
            con.commit()
        except BaseException as error:  # raised again: whatever interrupts a transaction, it is rolled back
            with suppress(duckdb.TransactionException):  # a commit that failed has ended the transaction already
                con.rollback()
            if isinstance(error, duckdb.Error) and FULL.search(str(error)):
                raise LakeFull(self.path, error) from error
            raise
        return result

    def _ask(self, question: Callable[..., R], args: Sequence[Any]) -> R:
        # A cursor is a connection of its own to the same open file: its transaction is a snapshot, which no commit of
        # the writer changes and which blocks none. Rolled back at the end, so that no old state is kept from being
        # freed.
        cursor = getattr(self._own, "cursor", None)
        if cursor is None:
            cursor = self._own.cursor = self._connection.cursor()
            self._cursors.append(cursor)
        cursor.begin()
        try:
            return question(cursor, *args)
        finally:
            cursor.rollback()


class LakeLedger:
    """The ledger of one pipeline (`fastembed.pipeline.ledger.Ledger`), kept in the database beside its rows."""

    def __init__(self, lake: Lake, pipeline: str, clock: Callable[[], datetime]) -> None:
        """Keep the rows of `pipeline` in `lake`."""
        self._lake = lake
        self._pipeline = pipeline
        self._clock = clock

    async def entries(self, state: EntryState | None = None) -> Iterable[LedgerEntry]:
        """Return the rows of this pipeline (those in `state`).

        Asked for `outdated`: where the ledger and the documents differ, rows that nothing accounts for go first, and
        their files are marked.
        """
        if state == "outdated" and len(await self._lake.read(ledger_changes.mismatches, self._pipeline)):
            for name in await self._lake.write(ledger_changes.repair, self._pipeline):
                _log.warning("%s: the ledger and the rows of %s differ: it is processed again", name, self._pipeline)
        return await self._lake.read(listing.entries, self._pipeline, state)

    async def record(self, entry: LedgerEntry, *, expected: str | None = ANY_CONTENT) -> bool:
        """Write a row that comes with no data."""
        return await self._lake.write(ledger_changes.record, self._pipeline, entry, self._clock(), expected=expected)

    async def rename(
        self, old: str, new: str, *, sha256: str = ANY_CONTENT, replaces: str | None = ANY_CONTENT
    ) -> bool:
        """Follow a file that was renamed."""
        return await self._lake.write(ledger_changes.rename, self._pipeline, old, new, sha256=sha256, replaces=replaces)

    async def ignore(self, reasons: Mapping[str, str]) -> None:
        """Remember which files the pipeline does not take, and why, instead of what was remembered so far."""
        await self._lake.write(ledger_changes.ignore, self._pipeline, reasons, self._clock())

    async def forget(self, name: str, *, expected: str | None = ANY_CONTENT) -> bool:
        """Follow a file that was deleted."""
        return await self._lake.write(ledger_changes.forget, self._pipeline, name, expected=expected)


class Lakes:
    """The databases that this process has open, one `Lake` a file, counted by their users."""

    def __init__(self) -> None:
        """Start with none."""
        self._open: dict[Path, tuple[Lake, int]] = {}
        self._lock = asyncio.Lock()

    @classmethod
    def of(cls, resources: Resources) -> Lakes:
        """Return the process's lakes, offering new ones where there are none yet."""
        try:
            return resources.get(cls)
        except LookupError:
            lakes = cls()
            resources.add(lakes)
            return lakes

    async def acquire(self, path: Path) -> Lake:
        """Return the lake at `path`, opened if it is not open; `release` it when done."""
        async with self._lock:
            # By its real path: a second open of the same file, under whatever name, would be refused by DuckDB. The
            # lock is held while it opens, so that two pipelines that start together share one.
            key = await asyncio.to_thread(path.resolve)
            lake, users = self._open.get(key) or (await Lake.open(key), 0)
            self._open[key] = (lake, users + 1)
            return lake

    async def release(self, lake: Lake) -> None:
        """Close the lake when its last user releases it."""
        async with self._lock:
            _, users = self._open[lake.path]
            if users > 1:
                self._open[lake.path] = (lake, users - 1)
                return
            del self._open[lake.path]
            await lake.close()

    def opened(self) -> list[Lake]:
        """Return the lakes that are open, in the order of their opening."""
        return [lake for lake, _ in self._open.values()]
