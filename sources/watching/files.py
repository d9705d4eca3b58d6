"""The words in which the tracker and the shell of a watched folder speak to each other."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto
from typing import Final, Literal, NamedTuple

from fastembed.pipeline.ledger import Entry, EntryState

End = Literal["delivered", "filtered", "failed", "cancelled"]


class Stamp(NamedTuple):
    """What tells a file from its later self without reading it. inode 0: not known."""

    size_bytes: int
    mtime_ns: int
    inode: int


class State(Enum):
    """Where a name stands; see the module's docstring."""

    UNSEEN = auto()
    CANDIDATE = auto()
    HASHING = auto()
    UNREADABLE = auto()
    WAITING = auto()
    READY = auto()
    FLYING = auto()
    DONE = auto()
    COPY = auto()
    FAILED = auto()
    SKIPPED = auto()
    MISSING = auto()
    AWAY = auto()  # the pipeline moved it, or it was deleted and its rows are kept


UNDECIDED: Final = frozenset({State.CANDIDATE, State.HASHING})
"""Nobody knows yet what such a file holds."""
ACTIVE: Final = UNDECIDED | {State.WAITING, State.READY, State.FLYING, State.MISSING}
"""Something is still to happen to such a file."""
FIRM: Final = frozenset({State.DONE, State.SKIPPED, State.AWAY, State.UNREADABLE})
"""What such a name holds stays, as far as anybody knows."""
HOLDING: Final = ("done", "outdated", "skipped")
"""Ledger states of the one name that stands for a content."""
SETTLED: Final[dict[EntryState, State]] = {
    "done": State.DONE,
    "duplicate": State.COPY,
    "failed": State.FAILED,
    "skipped": State.SKIPPED,
}


@dataclass(frozen=True, slots=True)
class Emission:
    """A file to process: `name` with this content."""

    name: str
    sha256: str
    stamp: Stamp


@dataclass(frozen=True, slots=True)
class Record:
    """Write this row into the ledger."""

    entry: Entry


@dataclass(frozen=True, slots=True)
class Rename:
    """Let `new` have what the ledger and the rows say of `old`."""

    old: str
    new: str


@dataclass(frozen=True, slots=True)
class Forget:
    """Remove the rows of a file that was deleted."""

    name: str


@dataclass(frozen=True, slots=True)
class Cancel:
    """Stop the item in flight: its file has changed or gone."""

    name: str


@dataclass(frozen=True, slots=True)
class Stow:
    """The file is done with: it can be moved away."""

    entry: Entry


@dataclass(frozen=True, slots=True)
class Complain:
    """Tell the user, once a file and reason."""

    name: str
    reason: str


Action = Record | Rename | Forget | Cancel | Stow | Complain


@dataclass(slots=True)
class Tracked:
    """One name. since: quiet or missing since. sha256: of the content that `stamp` stands for, once known."""

    name: str
    stamp: Stamp
    state: State
    entry: Entry | None = None
    since: float = 0.0
    sha256: str | None = None
    flying: Emission | None = None
    scan: int = 0
    counted: int | None = None
    listed: str | None = None
    complaint: str | None = None
