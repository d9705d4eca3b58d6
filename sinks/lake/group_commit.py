"""Commits together what waits together: one transaction for all files that are ready while another one is written.

A transaction costs 30 to 60 ms of planning and one sync to the disk, whether it has the rows of one small file or of
fifty. So nobody waits for company: a file that is ready while nothing is written is committed at once, by itself; those
that become ready meanwhile form the next group. Each file is in one transaction with its ledger row either way.

A group that fails is taken apart: each of its files is committed by itself, so that only the one that cannot be written
fails. A full disk is no file's own fault, and fails all that wait.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from fastembed.sinks.lake.opening import LakeFull
from fastembed.sinks.lake.writing import ReadFile

MAX_FILES: Final = 64
MAX_WEIGHT: Final = 16_000_000
"""Characters of documents in a group, a chunk with its vector counted as 4,000."""
_CHUNK_WEIGHT: Final = 4000


@dataclass(frozen=True, slots=True)
class Destination:
    """Where rows go: a chunk table, as rows of a pipeline in the version that `definition` is a hash of."""

    pipeline: str
    definition: str
    table: str


@dataclass(slots=True, eq=False)
class _Waiting:
    """A file that waits for its commit. at: the time when it was ready. error: why it cannot be written."""

    file: ReadFile
    destination: Destination
    at: datetime
    alone: bool = False
    ended: bool = False
    error: BaseException | None = None

    @property
    def weight(self) -> int:
        document = self.file.document
        return len(document.markdown) + len(document.structure) + _CHUNK_WEIGHT * len(self.file.chunks)


Write = Callable[[Sequence[ReadFile], Destination, datetime], Awaitable[None]]


class GroupCommit:
    """Groups the commits of one database. write(files, destination, at): commits them as one transaction."""

    def __init__(self, write: Write) -> None:
        """Wait for the first file."""
        self._write = write
        self._waiting: deque[_Waiting] = deque()
        self._turn = asyncio.Lock()

    async def commit(self, file: ReadFile, destination: Destination, at: datetime) -> None:
        """Return when the file is committed, in their order of arrival; raise why it cannot be.

        A commit that is under way goes on when its caller is cancelled.
        """
        # Whoever has the turn writes the group at the head of the line, until its own file was in one. The lock is
        # fair, so the head of the line is mostly its own.
        mine = _Waiting(file, destination, at)
        self._waiting.append(mine)
        try:
            async with self._turn:
                while not mine.ended:
                    await self._write_group(self._next_group())
        finally:
            if not mine.ended and mine in self._waiting:
                self._waiting.remove(mine)
        if mine.error is not None:
            raise mine.error

    def _next_group(self) -> list[_Waiting]:
        """Return the files at the head of the line that can share a transaction."""
        first = self._waiting[0]
        group, names, weight = [first], {first.file.name}, first.weight
        for other in list(self._waiting)[1:MAX_FILES]:
            weight += other.weight
            alike = other.destination == first.destination and other.file.name not in names
            if first.alone or other.alone or not alike or weight > MAX_WEIGHT:
                break
            group.append(other)
            names.add(other.file.name)
        return group

    async def _write_group(self, group: Sequence[_Waiting]) -> None:
        # Taken out of the line when it is decided, not before: whoever is cancelled in here leaves the line as it was,
        # and the next one writes the same files again, in place of the same rows.
        first = group[0]
        error: BaseException | None = None
        try:
            # The earliest time is every row's: what changes later on the disk must be newer than the ledger's row.
            await self._write([one.file for one in group], first.destination, min(one.at for one in group))
        except LakeFull as full:
            error, group = full, [*self._waiting]  # they have waited for room all along, too
        except Exception as raised:  # noqa: BLE001 - raised again in the task whose file it is about, see `commit`
            if len(group) > 1:
                for one in group:
                    one.alone = True
                return
            error = raised
        for one in group:
            self._waiting.remove(one)
            one.ended, one.error = True, error
