"""The files of a watched folder by name, by state and by content: what the tracker decides on."""

from __future__ import annotations

from collections import Counter

from fastembed.pipeline.ledger import LedgerEntry
from fastembed.sources.watching.files import HOLDING, UNDECIDED, Stamp, State, Tracked


class FileStates:
    """Tracked files and what is counted or listed by their states; a file changes its state in `set_state` only.

    owners: content -> the name that has its rows, or is about to. copies: content -> the names that have it besides.
    undecided: how many files of each size are not read yet. unresolved: contents that have changed hands since the
    tracker looked, or whose holder was decided. suspended: another folder may lie in the place of the right one.
    """

    def __init__(self) -> None:
        """Start empty."""
        self.files: dict[str, Tracked] = {}
        self.counts: Counter[State] = Counter()
        self.owners: dict[str, str] = {}
        self.copies: dict[str, set[str]] = {}
        self.undecided: Counter[int] = Counter()
        self.unresolved: set[str] = set()
        self.suspended = False

    def claims(self, name: str, sha256: str) -> bool:
        """Whether a name has, or is about to have, the rows of this content and is not known to hold another."""
        tracked = self.files.get(name)
        if tracked is None:
            return False
        if tracked.in_flight is not None and tracked.in_flight.sha256 == sha256:
            return True
        if tracked.state is State.READY and tracked.sha256 == sha256:
            return True
        entry = tracked.entry
        has_rows = entry is not None and entry.sha256 == sha256 and entry.state in HOLDING
        return has_rows and tracked.sha256 in (None, sha256)

    def owns(self, tracked: Tracked) -> bool:
        """Whether this name is the one that has the rows of the content that the ledger has of it."""
        entry = tracked.entry
        if entry is None or entry.state not in HOLDING or self.owners.get(entry.sha256) != tracked.name:
            return False
        return self.claims(tracked.name, entry.sha256)

    def recheck(self, tracked: Tracked) -> None:
        """Note that files waiting for a content of this name may have to be placed again."""
        contents = (
            tracked.sha256,
            tracked.held,
            tracked.in_flight.sha256 if tracked.in_flight is not None else None,
        )
        for sha256 in contents:
            if sha256 is not None and self.owners.get(sha256, tracked.name) == tracked.name:
                self.unresolved.add(sha256)

    def set_entry(self, tracked: Tracked, entry: LedgerEntry | None) -> None:
        """Change what the ledger says of a name."""
        self.recheck(tracked)
        if self.suspended and entry is not None and entry.sha256 != tracked.held:
            tracked.fresh = True
        tracked.entry = entry
        self.set_state(tracked, tracked.state)

    def add(self, name: str, stamp: Stamp, entry: LedgerEntry | None = None) -> Tracked:
        """Add a file of which nothing has been seen yet."""
        tracked = self.files[name] = Tracked(name, stamp, State.UNSEEN, entry)
        self.counts[State.UNSEEN] += 1
        return tracked

    def remove(self, tracked: Tracked) -> None:
        """Remove a file and all that is known of it."""
        self.set_entry(tracked, None)
        tracked.sha256 = None
        self.set_state(tracked, State.UNSEEN)
        self.counts[State.UNSEEN] -= 1
        del self.files[tracked.name]

    def set_state(self, tracked: Tracked, state: State) -> None:
        """Change the state and everything that is counted or listed by it."""
        # Three indexes follow from state, size and content. `counted` and `listed` remember under which key the file
        # stands in them: by the time it leaves, its size or content may be another.
        self.counts[tracked.state] -= 1
        self.counts[state] += 1
        tracked.state = state
        size_bytes = tracked.stamp.size_bytes if state in UNDECIDED else None
        if size_bytes != tracked.counted:
            if tracked.counted is not None:
                self.undecided[tracked.counted] -= 1
                if not self.undecided[tracked.counted]:
                    del self.undecided[tracked.counted]
            if size_bytes is not None:
                self.undecided[size_bytes] += 1
            tracked.counted = size_bytes
        # A duplicate that the ledger knows and nobody has looked at yet counts as a copy too: it may take rows over.
        content = tracked.sha256 if state in (State.WAITING, State.DUPLICATE) else None
        if state is State.UNSEEN and tracked.entry is not None and tracked.entry.state == "duplicate":
            content = tracked.entry.sha256
        if content != tracked.listed:
            if tracked.listed is not None:
                self.copies[tracked.listed].discard(tracked.name)
                if not self.copies[tracked.listed]:
                    del self.copies[tracked.listed]
            if content is not None:
                self.copies.setdefault(content, set()).add(tracked.name)
            tracked.listed = content
        self.recheck(tracked)
