"""The actions that the tracker asks its shell to carry out. Changes of the ledger say what they expect it to hold.

Between a decision and its execution lies time. Where the ledger holds something else by then, a change is refused, and
the tracker is told what is there.
"""

from __future__ import annotations

from dataclasses import dataclass

from fastembed.pipeline.ledger import LedgerEntry


@dataclass(frozen=True, slots=True)
class Record:
    """Write this row into the ledger. expected: the content that the ledger has of its name, None: nothing."""

    entry: LedgerEntry
    expected: str | None


@dataclass(frozen=True, slots=True)
class Rename:
    """Let `new` have what the ledger and the rows say of `old`.

    sha256: the content whose rows `old` has. replaces: the content that the ledger has of `new`, None: nothing.
    """

    old: str
    new: str
    sha256: str
    replaces: str | None


@dataclass(frozen=True, slots=True)
class Forget:
    """Remove what the ledger and the rows say of a file that was deleted. expected: as in `Record`."""

    name: str
    expected: str | None


@dataclass(frozen=True, slots=True)
class Cancel:
    """Stop the item in flight: its file has changed or gone."""

    name: str


@dataclass(frozen=True, slots=True)
class MoveToDone:
    """The file is done with: it can be moved away."""

    entry: LedgerEntry


@dataclass(frozen=True, slots=True)
class Warn:
    """Log a problem of a file, once a file and reason."""

    name: str
    reason: str


Action = Record | Rename | Forget | Cancel | MoveToDone | Warn
