"""Documents and their chunks into DuckDB, exactly once."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from fastembed.pipeline.component import Context, sink
from fastembed.pipeline.errors import FileChanged, InvalidInput
from fastembed.pipeline.filing import is_same_file
from fastembed.pipeline.item import Ack, Item
from fastembed.pipeline.ledger import ANY_CONTENT, EntryState, LedgerEntry
from fastembed.pipeline.payload.document import Chunk, Document, File
from fastembed.sinks.lake.database import Lake, LakeLedger, Lakes
from fastembed.sinks.lake.schema import check_table_name
from fastembed.sinks.lake.writing import Staged


@sink
class Duckdb:
    """Write each file's document and chunks, with its ledger row, in one transaction; files within it too.

    Delivery: exactly once. What came of one file is staged in memory until all of it has ended well; then one
    transaction replaces the rows that the file's name held before and records the file in the ledger. After `kill -9`
    a file's rows and its ledger row are both there or both not.
    Overload: writes take turns in one thread; the pipeline waits. Restart: what was staged is processed again.

    In: `Document`, its `Chunk`s, or both; chunks that come without their document bring it with them.
    Args: path: the database file, made if there is none. table: where the chunks go; vectors of one table have one
    length, so another embedding model wants another table.
    Raises: LakeLocked (503) on opening if another process holds the file; InvalidInput for other values, or vectors of
    another length than the table's.
    """

    transactional: Final = True

    def __init__(self, path: Path, *, table: str = "chunks") -> None:
        """Store the options; `open` opens the database."""
        self._path = path
        self._table = check_table_name(table)
        self._staged: dict[Ack, Staged] = {}
        self._lakes: Lakes | None = None
        self._lake: Lake | None = None
        self._ledger: LakeLedger | None = None
        self._pipeline = self._definition = ""

    async def open(self, context: Context) -> None:
        """Open the database, or share it with whoever has it open in this process."""
        self._pipeline, self._definition = context.pipeline, context.definition
        self._lakes = Lakes.of(context.resources)
        self._lake = await self._lakes.acquire(context.base / self._path.expanduser())
        if context.once:
            self._lake.room_s = 0.0  # nobody frees space while a single run waits: it ends and says so
        self._ledger = self._lake.ledger(context.pipeline)

    async def close(self) -> None:
        """Release the database."""
        lakes, lake, self._lake, self._ledger = self._lakes, self._lake, None, None
        self._staged.clear()
        if lakes is not None and lake is not None:
            await lakes.release(lake)

    @property
    def lake(self) -> Lake:
        """The open database, for searches beside the pipeline."""
        if self._lake is None:
            msg = "the sink duckdb is not open"
            raise RuntimeError(msg)
        return self._lake

    async def write(self, item: Item[Document | Chunk]) -> None:
        """Stage one document or chunk with the others of its file."""
        staged = self._staged.setdefault(item.ack, Staged())
        if isinstance(item.value, Document):
            if not item.value.file.container:  # else it is a part of the document that came before
                staged.document = item.value
        elif isinstance(item.value, Chunk):
            staged.chunks.append(item.value)
        else:
            msg = f"found {type(item.value).__name__}, expected Document or Chunk: the steps before duckdb make them"
            raise InvalidInput(msg)

    async def commit(self, origin: Item[Any]) -> None:
        """Write what came of one file, and its ledger row, in one transaction.

        FileChanged, and nothing is written, if the file was replaced since its content was hashed: what was read from
        it may be another's.
        """
        # Popped first: an item whose commit fails is aborted (`pop` of nothing), and its rows must not come along with
        # a later attempt. Between the look at the file and the transaction lies an instant in which it may change all
        # the same; then the source's next look finds another stamp than the ledger's and has it read again.
        staged = self._staged.pop(origin.ack, None)
        if staged is not None:
            if staged.document is not None:
                await _check_unchanged(staged.document.file)
            await self.lake.commit(staged, pipeline=self._pipeline, definition=self._definition, table=self._table)

    async def abort(self, origin: Item[Any]) -> None:
        """Discard the staged rows of one file."""
        self._staged.pop(origin.ack, None)

    async def entries(self, state: EntryState | None = None) -> Iterable[LedgerEntry]:
        """Return this pipeline's ledger rows (those in `state`)."""
        return await self._opened_ledger().entries(state)

    async def record(self, entry: LedgerEntry, *, expected: str | None = ANY_CONTENT) -> bool:
        """Write a ledger row that comes with no data."""
        return await self._opened_ledger().record(entry, expected=expected)

    async def rename(
        self, old: str, new: str, *, sha256: str = ANY_CONTENT, replaces: str | None = ANY_CONTENT
    ) -> bool:
        """Follow a file that was renamed."""
        return await self._opened_ledger().rename(old, new, sha256=sha256, replaces=replaces)

    async def ignore(self, reasons: Mapping[str, str]) -> None:
        """Remember which files the pipeline does not take, and why."""
        await self._opened_ledger().ignore(reasons)

    async def forget(self, name: str, *, expected: str | None = ANY_CONTENT) -> bool:
        """Follow a file that was deleted."""
        return await self._opened_ledger().forget(name, expected=expected)

    def _opened_ledger(self) -> LakeLedger:
        if self._ledger is None:
            msg = "the sink duckdb is not open"
            raise RuntimeError(msg)
        return self._ledger


async def _check_unchanged(file: File) -> None:
    if not file.inode:
        return
    known = (file.size_bytes, file.mtime_ns, file.inode, file.changed_ns)
    if not await asyncio.to_thread(is_same_file, file.path, *known):
        raise FileChanged(f"{file.name} has changed while it was processed")
