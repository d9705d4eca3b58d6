"""A file of a watched folder: what tells it from another, where it stands, what is known of it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto
from typing import Final, Literal, NamedTuple

from fastembed.pipeline.ledger import EntryState, LedgerEntry

End = Literal["delivered", "filtered", "failed", "deferred", "cancelled"]


class Stamp(NamedTuple):
    """What tells a file from its later self, and from others, without reading it. 0: not known.

    Size and time are not enough: file systems count in steps of milliseconds (FAT: 2 s), and tools that copy or unpack
    set the time. changed_ns: when the file system last changed anything about it, a rename included; it cannot be set.
    """

    size_bytes: int
    mtime_ns: int
    inode: int
    changed_ns: int = 0


class State(Enum):
    """Where a name stands; see the module's docstring."""

    UNSEEN = auto()
    CANDIDATE = auto()
    HASHING = auto()
    UNREADABLE = auto()
    WAITING = auto()
    READY = auto()
    IN_FLIGHT = auto()
    DONE = auto()
    DUPLICATE = auto()
    FAILED = auto()
    SKIPPED = auto()
    MISSING = auto()
    AWAY = auto()  # the pipeline moved it, or it was deleted and its rows are kept


UNDECIDED: Final = frozenset({State.CANDIDATE, State.HASHING})
"""The content of such a file is not known yet."""
ACTIVE: Final = UNDECIDED | {State.WAITING, State.READY, State.IN_FLIGHT, State.MISSING}
"""Something is still to happen to such a file."""
FIRM: Final = frozenset({State.DONE, State.SKIPPED, State.AWAY, State.UNREADABLE})
"""The content of such a name is known and not about to change."""
HOLDING: Final = ("done", "outdated", "skipped")
"""Ledger states of the one name that stands for a content."""
AGAIN: Final = ("outdated", "waiting")
"""Ledger states of a content that is to be processed, though the ledger knows it."""
CLOCK_STEP_NS: Final = 100_000_000
"""By how much the clock of a file system may be behind, generously: Linux stamps files by a clock that ticks every 4 to
10 ms, so a file changed right after its row was written may carry a time before it."""
DEFERRAL_S: Final = 5.0
LONGEST_DEFERRAL_S: Final = 300.0
"""A file that the machine could not process is tried again after 5, 10, 20, ... 300 s: an engine that was started again
is there within the first, a full disk waits for a person."""
SETTLED: Final[dict[EntryState, State]] = {
    "done": State.DONE,
    "duplicate": State.DUPLICATE,
    "failed": State.FAILED,
    "skipped": State.SKIPPED,
}


@dataclass(frozen=True, slots=True)
class Emission:
    """A file to process: `name` with this content."""

    name: str
    sha256: str
    stamp: Stamp


@dataclass(slots=True)
class Tracked:
    """One name.

    since: quiet or missing since; infinity while it is missing and must not be forgotten. sha256: of the content that
    `stamp` stands for, once known. deleted: the watch told that it was deleted. fresh: what the ledger says of it came
    up while the folder was suspended, so that it is no evidence that the right folder is back. deferrals: how often
    in a row the machine could not process it.
    """

    name: str
    stamp: Stamp
    state: State
    entry: LedgerEntry | None = None
    since: float = 0.0
    sha256: str | None = None
    in_flight: Emission | None = None
    scan: int = 0
    counted: int | None = None
    listed: str | None = None
    warning: str | None = None
    deleted: bool = False
    fresh: bool = False
    deferrals: int = 0

    @property
    def deferral_s(self) -> float:
        """Return how long the file waits until it is tried again."""
        if not self.deferrals:
            return 0.0
        return min(LONGEST_DEFERRAL_S, DEFERRAL_S * 2.0 ** min(self.deferrals - 1, 10))

    @property
    def held(self) -> str | None:
        """Return the content that the ledger has of this name, None: nothing."""
        return None if self.entry is None else self.entry.sha256

    @property
    def as_recorded(self) -> bool:
        """Whether the file has the size and the time that the ledger has of it."""
        entry = self.entry
        return entry is not None and (entry.size_bytes, entry.mtime_ns) == self.stamp[:2]

    @property
    def unchanged_since_recorded(self) -> bool:
        """Whether it must be the file that the ledger means: nothing about it has changed since the row was written."""
        entry = self.entry
        return self.as_recorded and entry is not None and self.stamp.changed_ns <= entry.recorded_at_ns - CLOCK_STEP_NS
