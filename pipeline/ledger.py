"""What a pipeline remembers of the items that it has finished, so that a restart repeats none and loses none."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, Protocol

EntryState = Literal["done", "duplicate", "failed", "skipped", "outdated"]
"""done: its rows are there. duplicate: the same bytes are done under the name in `detail`. failed: `detail` says why.
skipped: the pipeline filtered it. outdated: its rows are there, but somebody asked for it to be processed again."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A ledger row: the file `name` (relative to its folder) with these bytes went through this pipeline definition.

    location: where the pipeline itself moved the file afterwards (absolute), "" while it is still in its folder.
    """

    name: str
    sha256: str
    definition: str
    state: EntryState
    size_bytes: int
    mtime_ns: int
    detail: str = ""
    location: str = ""


class Ledger(Protocol):
    """Read by sources, written by the sink in the same transaction as the rows that it accounts for.

    There is one row a name: whatever is recorded for a name replaces what was recorded before.
    """

    async def entries(self, state: EntryState | None = None) -> Iterable[Entry]:
        """Return the rows of this pipeline (those in `state`), whatever definition they were made under."""

    async def record(self, entry: Entry) -> None:
        """Write a row that comes with no data.

        A duplicate, a failure and a skipped file have no rows of their own: what the name held before goes. A `done`
        or `outdated` entry only corrects what is remembered of the file (its time, its location).
        """

    async def rename(self, old: str, new: str) -> None:
        """Follow a file that was renamed: rows and ledger alike; what `new` held before goes."""

    async def forget(self, name: str) -> None:
        """Follow a file that was deleted: remove its rows. A file that the pipeline itself moved away stays known."""
