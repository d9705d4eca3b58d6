"""Runs queries that only read, beside the writer: bounded in rows, time and memory, ended when their caller leaves.

DuckDB has no statement timeout, and its memory limit holds for the whole database. So a query runs in a thread, step
by step; around each step the event loop keeps the time, looks at the process's memory, and interrupts. An interrupt
reaches joins, sorts, scans and regular expressions within milliseconds, one long call of a function only when it
returns.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import duckdb

from fastembed.pipeline.errors import InvalidInput, Overloaded, Unavailable
from fastembed.sinks.lake.opening import relations, transfer_folder
from fastembed.sinks.lake.schema import Connection
from fastembed.sinks.lake.sql.formats import FORMATS, Format, RowLimit
from fastembed.sinks.lake.sql.guard import check_query, refusal_of

AT_ONCE: Final = 3
MAX_WAITING: Final = 16
MAX_ROWS: Final = 10_000_000
MAX_TIMEOUT_S: Final = 600.0
TIMEOUT_S: Final = 30.0
MEMORY_BYTES: Final = 2 * 2**30
"""How much the process may grow while a query runs before that is interrupted."""
_LOOK_S: Final = 0.1
_STATM: Final = Path("/proc/self/statm")


@dataclass(frozen=True, slots=True)
class SqlRequest:
    """A query. params: values for `?` or `$1` (a list), or for `$name` (a mapping). timeout_s: of DuckDB's work.

    max_rows: None, what the format has by default: JSON says that rows were left out, the others end with an error.
    """

    query: str
    params: Sequence[Any] | Mapping[str, Any] | None = None
    format: Format = "json"
    max_rows: int | None = None
    timeout_s: float = TIMEOUT_S


class ReadOnlyQueries:
    """The queries of one database. cursor: makes a new connection to it.

    memory_bytes: see `MEMORY_BYTES`.
    """

    def __init__(self, path: Path, cursor: Callable[[], Connection], *, memory_bytes: int = MEMORY_BYTES) -> None:
        """Start threads when the first query comes."""
        self._path = path
        self._cursor = cursor
        self._memory_bytes = memory_bytes
        self._threads = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="lake-sql")
        self._slots = asyncio.Semaphore(AT_ONCE)
        self._waiting = 0
        self._running: set[_Running] = set()
        self._closed = False

    async def stream(self, request: SqlRequest) -> AsyncGenerator[bytes]:
        """Yield the answer in pieces, the first when the query has given its first rows.

        Raises InvalidInput (400: what the query may not do, DuckDB's own message, more time, memory or rows than
        allowed), Overloaded, Unavailable. Close it to end the query.
        """
        if self._waiting >= MAX_WAITING:
            raise Overloaded(f"found {MAX_WAITING} queries that wait, expected fewer; try again", retry_after_s=2.0)
        self._waiting += 1
        try:
            await self._slots.acquire()
        finally:
            self._waiting -= 1
        try:
            async for piece in self._pieces(request):
                yield piece
        finally:
            self._slots.release()

    async def _pieces(self, request: SqlRequest) -> AsyncGenerator[bytes]:
        if self._closed:
            raise Unavailable("the database is being closed")
        running = _Running(self._path, self._cursor, request)
        self._running.add(running)
        left_s, loop = request.timeout_s, asyncio.get_running_loop()
        try:
            while True:
                began = loop.time()
                piece = await self._step(running, left_s)
                left_s -= loop.time() - began
                if piece is None:
                    return
                yield piece
        finally:
            self._running.discard(running)
            running.stop("its caller left")
            with suppress(RuntimeError):  # the threads have ended: so has the query
                await asyncio.shield(loop.run_in_executor(self._threads, running.close))

    async def _step(self, running: _Running, left_s: float) -> bytes | None:
        """Run the next step in a thread; interrupt it when its time or memory is up, or its caller leaves."""
        loop = asyncio.get_running_loop()
        step = loop.run_in_executor(self._threads, running.next)
        deadline, before = loop.time() + left_s, resident_bytes()
        try:
            while not step.done():
                await asyncio.wait([step], timeout=min(_LOOK_S, max(0.001, deadline - loop.time())))
                if loop.time() >= deadline:
                    running.stop(f"it took longer than {running.request.timeout_s:g} s: narrow it, or raise timeout")
                elif resident_bytes() - before > self._memory_bytes:
                    running.stop(f"it needs more than {self._memory_bytes >> 20} MiB of memory: narrow it")
        except asyncio.CancelledError:
            running.stop("its caller left")
            while not step.done():
                running.interrupt()
                await asyncio.wait([step], timeout=_LOOK_S)
            with suppress(InvalidInput):
                step.result()
            raise
        return step.result()

    def interrupt(self, reason: str) -> bool:
        """End the queries that run; return whether there was one."""
        for running in self._running:
            running.stop(reason)
        return bool(self._running)

    async def close(self) -> None:
        """End the queries and the threads."""
        self._closed = True
        self.interrupt("the database is being closed")
        await asyncio.get_running_loop().run_in_executor(None, self._threads.shutdown)


class _Running:
    """One query on a cursor of its own; `next` and `close` run in threads, one at a time, `stop` anywhere."""

    def __init__(self, path: Path, cursor: Callable[[], Connection], request: SqlRequest) -> None:
        self.request = request
        self._path = path
        self._make = cursor
        self._cursor: Connection | None = None
        self._pieces: Iterator[bytes] | None = None
        self._turn = threading.Lock()
        self._reason = ""

    def next(self) -> bytes | None:
        """Return the next piece of the answer; None: there is none."""
        with self._turn:
            try:
                if self._pieces is None:
                    self._pieces = self._begin()
                piece = next(self._pieces, None)
            except RowLimit as error:
                raise InvalidInput(str(error), param="max_rows", code="sql_too_many_rows") from error
            except (duckdb.Error, RuntimeError, ValueError, OverflowError) as error:  # nanoarrow raises RuntimeError
                raise self._refusal(error) from error
        if self._reason:
            raise self._refusal(None)
        return piece

    def stop(self, reason: str) -> None:
        """Interrupt the query; the first reason is the one its caller is told."""
        self._reason = self._reason or reason
        self.interrupt()

    def interrupt(self) -> None:
        """Interrupt what DuckDB does for this query."""
        cursor = self._cursor
        if cursor is not None:
            with suppress(duckdb.Error):  # it has ended meanwhile
                cursor.interrupt()

    def close(self) -> None:
        """End the transaction and free the cursor."""
        with self._turn:
            cursor, self._cursor, self._pieces = self._cursor, None, None
            if cursor is not None:
                with suppress(duckdb.Error):  # an interrupted transaction has ended
                    cursor.rollback()
                cursor.close()

    def _begin(self) -> Iterator[bytes]:
        if self._reason:
            raise self._refusal(None)
        cursor = self._cursor = self._make()
        database = cursor.execute("SELECT current_database()").fetchone()[0]
        text = check_query(self.request.query, relations(cursor), database)
        cursor.execute("BEGIN TRANSACTION READ ONLY")
        encode = FORMATS[self.request.format]
        return encode(cursor, text, self.request.params, self.request.max_rows, transfer_folder(self._path))

    def _refusal(self, error: Exception | None) -> InvalidInput:
        if self._reason:
            return InvalidInput(f"the query was ended: {self._reason}", param="query", code="sql_ended")
        if isinstance(error, InvalidInput):
            return error
        if isinstance(error, duckdb.Error):
            return refusal_of(error)
        return InvalidInput(f"the result has no {self.request.format} form: {error}", param="format", code="sql_error")


def resident_bytes() -> int:
    """Return how much memory this process holds; 0 where the system does not say."""
    try:
        return int(_STATM.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        return 0
