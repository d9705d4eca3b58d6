"""What a pipeline remembers of the items that it has finished, so that a restart repeats none and loses none."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, Protocol

EntryState = Literal["done", "duplicate", "failed"]


@dataclass(frozen=True, slots=True)
class Entry:
    """A ledger row: the file `name` (relative to its folder) with these bytes went through this pipeline definition."""

    name: str
    sha256: str
    definition: str
    state: EntryState
    size_bytes: int
    mtime_ns: int
    detail: str = ""


class Ledger(Protocol):
    """Read by sources, written by the sink in the same transaction as the rows that it accounts for."""

    async def entries(self) -> Iterable[Entry]:
        """Return every row of this pipeline, whatever definition it was made under."""

    async def record(self, entry: Entry) -> None:
        """Write a row that comes with no data: a duplicate, a failure."""

    async def rename(self, old: str, new: str) -> None:
        """Follow a file that was renamed: rows and ledger alike."""

    async def forget(self, name: str) -> None:
        """Follow a file that was deleted: remove its rows."""
