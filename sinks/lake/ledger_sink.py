"""What sinks share that write into a database and keep their pipeline's ledger there."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from pathlib import Path

from fastembed.pipeline.component import Context
from fastembed.pipeline.errors import FileChanged
from fastembed.pipeline.filing import is_same_file
from fastembed.pipeline.ledger import ANY_CONTENT, EntryState, LedgerEntry
from fastembed.pipeline.payload.document import File
from fastembed.sinks.lake.database import Lake, LakeLedger, Lakes

_CLOSED = "the sink is not open"


class LakeSink:
    """Opens the database with the pipeline, shares it, and passes on what its source asks the ledger."""

    def __init__(self, path: Path) -> None:
        """Store the path; `open` opens the database."""
        self._path = path
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
        if lakes is not None and lake is not None:
            await lakes.release(lake)

    @property
    def lake(self) -> Lake:
        """The open database, for searches beside the pipeline."""
        if self._lake is None:
            raise RuntimeError(_CLOSED)
        return self._lake

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
            raise RuntimeError(_CLOSED)
        return self._ledger


async def check_unchanged(file: File) -> None:
    """FileChanged if the file is another than the one that was hashed: what was read may be another's."""
    if not file.inode:
        return
    known = (file.size_bytes, file.mtime_ns, file.inode, file.changed_ns)
    if not await asyncio.to_thread(is_same_file, file.path, *known):
        raise FileChanged(f"{file.name} has changed while it was processed")
