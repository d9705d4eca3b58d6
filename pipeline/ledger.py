"""What a pipeline remembers of the items that it has finished, so that a restart repeats none and loses none."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal, Protocol, runtime_checkable

EntryState = Literal["done", "duplicate", "failed", "skipped", "outdated", "waiting", "ignored"]
"""done: its rows are there. duplicate: the same bytes are done under the name in `detail`. failed: `detail` says why.
skipped: the pipeline filtered it. outdated: its rows are there, but it was marked to be processed again.
waiting: the machine could not process it (`detail` says why), no fault of the file: it is tried again by itself.
ignored: the pipeline does not take such files (`detail` says why); only listings show it."""

ANY_CONTENT: Final = "*"
"""Instead of a sha256 that the ledger is believed to hold: the change is right whatever it holds."""

NEVER: Final = 1 << 63


@dataclass(frozen=True, slots=True)
class LedgerEntry:
    """A ledger row: the file `name` (relative to its folder) with these bytes went through this pipeline definition.

    location: where the pipeline itself moved the file afterwards (absolute), "" while it is still in its folder.
    recorded_at_ns: when the row was written, in Unix time; NEVER while it was not read from the ledger.
    container: the name of the file that holds this one; the ledger of a folder has rows of parts for listings only.
    """

    name: str
    sha256: str
    definition: str
    state: EntryState
    size_bytes: int
    mtime_ns: int
    detail: str = ""
    location: str = ""
    recorded_at_ns: int = field(default=NEVER, compare=False)
    container: str = ""


def model_part(definition: str) -> str:
    """Return what a definition says of the model of its vectors (`fastembed.definitions`), "" where it says nothing."""
    return definition.partition(".")[2]


def differs_in_model_only(made_by: str, definition: str) -> bool:
    """Whether only the model of the vectors has changed since a row was made: its text is what would be read now."""
    (old, _, before), (new, _, now) = made_by.partition("."), definition.partition(".")
    return old == new and before != now


class Ledger(Protocol):
    """Read by sources, written by the sink in the same transaction as the rows that it accounts for.

    There is one row a name: whatever is recorded for a name replaces what was recorded before. A change may carry what
    its caller believes the ledger holds, as the sha256 of the content (None: no row). Where the ledger holds something
    else, nothing changes and False is returned: the caller has to look again. Rows of files that were moved away after
    they failed, or as duplicates, count as none.
    """

    async def entries(self, state: EntryState | None = None) -> Iterable[LedgerEntry]:
        """Return the rows of this pipeline (those in `state`), whatever definition they were made under.

        Files within files and ignored ones are left out: they follow from what is in the folder. Asked for `outdated`,
        it first marks as such what the ledger and the rows say differently.
        """

    async def record(self, entry: LedgerEntry, *, expected: str | None = ANY_CONTENT) -> bool:
        """Write a row that comes with no data. expected: what the name is believed to hold.

        Duplicates, failures, skipped and waiting files have no rows of their own: what the name held before goes. A
        `done` or `outdated` entry only corrects what is remembered of the file (its time, its location). False also
        for a duplicate of a name that does not hold its content.
        """

    async def rename(
        self, old: str, new: str, *, sha256: str = ANY_CONTENT, replaces: str | None = ANY_CONTENT
    ) -> bool:
        """Follow a file that was renamed: rows and ledger alike; what `new` held before goes.

        sha256: the content whose rows `old` is believed to have. replaces: what `new` is believed to hold.
        """

    async def forget(self, name: str, *, expected: str | None = ANY_CONTENT) -> bool:
        """Follow a file that was deleted: remove its rows. A file that the pipeline itself moved away stays known."""


@runtime_checkable
class ListingLedger(Protocol):
    """A ledger that also lists the files of a folder that its pipeline does not take."""

    async def ignore(self, reasons: Mapping[str, str]) -> None:
        """Remember, instead of what was remembered so far, which files the pipeline does not take, and why."""
