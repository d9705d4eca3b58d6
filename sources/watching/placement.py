"""Decides which file name owns a content: one name has the rows of each content, the others are duplicates.

Rows move between names by `Rename`, which is carried out later, while the commit of an item in flight writes rows at
any time. So rows are never handed to or from a name in flight: what waits for such a name is placed when it has landed.
"""

from __future__ import annotations

from collections import deque
from dataclasses import replace
from typing import Final

from fastembed.pipeline.ledger import NEVER, EntryState, LedgerEntry
from fastembed.sources.watching.actions import Action, MoveToDone, Record, Rename
from fastembed.sources.watching.file_states import FileStates
from fastembed.sources.watching.files import FIRM, HOLDING, SETTLED, Emission, End, Stamp, State, Tracked

_ENDS: Final[dict[End, EntryState]] = {
    "delivered": "done",
    "filtered": "skipped",
    "failed": "failed",
    "deferred": "waiting",
}


class Placement:
    """Decides what happens to each file whose content is known, and appends it to `actions`.

    definition: hash of the pipeline's definition. move_to_done: files that are done are moved away.
    """

    def __init__(self, states: FileStates, actions: deque[Action], *, definition: str, move_to_done: bool) -> None:
        """Decide about the files of `states`."""
        self._states = states
        self._actions = actions
        self._definition = definition
        self._move_to_done = move_to_done
        self._ready: deque[tuple[str, str]] = deque()

    def next_ready(self) -> Emission | None:
        """Return the next file to emit, and count it as in flight."""
        while self._ready:
            name, sha256 = self._ready.popleft()
            tracked = self._states.files.get(name)
            if tracked is not None and tracked.state is State.READY and tracked.sha256 == sha256:
                self._states.set_state(tracked, State.IN_FLIGHT)
                tracked.in_flight = Emission(name, sha256, tracked.stamp)
                return tracked.in_flight
        return None

    def place(self, tracked: Tracked) -> None:
        """Decide what a file is whose content is known."""
        # Called again and again for one file, each time something that it waits for has been decided; it must end in
        # the same place for the same facts, whatever came first.
        sha256, name = tracked.sha256, tracked.name
        if sha256 is None or tracked.in_flight is not None:
            self._states.set_state(tracked, State.WAITING)
            return
        if tracked.held is not None and self._states.owners.get(tracked.held) == name:
            self.check_owner(tracked.held)  # before other rows come under this name
        owner = self._states.owners.get(sha256)
        holder = self._states.files[owner] if owner is not None else tracked
        if holder is tracked:
            self._hold(tracked, sha256)
        elif holder.state is State.MISSING and holder.in_flight is None:
            # A rename, seen as "gone" and "new": the rows change their name, nothing is parsed or embedded again.
            self._take_over(holder, tracked, sha256)
            self._states.remove(holder)
            self._hold(tracked, sha256)
        elif holder.state in FIRM:
            self._copy(tracked, holder.name, sha256)
        else:
            # The holder is being hashed or processed: it may turn out to have changed, or fail, and then this copy is
            # the one to process. `resolve` comes back to it.
            self._states.set_state(tracked, State.WAITING)

    def landed(self, tracked: Tracked, flown: Emission, end: End, detail: str) -> None:
        """Account for an item that is not in flight any more; `cancelled` leaves the ledger as it is."""
        # "delivered" alone has written rows (the commit did, and its ledger row). A failure of bytes that are no longer
        # there says nothing about the file that is; a success still does, since its rows are in the database.
        unchanged = tracked.state is State.IN_FLIGHT
        tracked.deferrals = tracked.deferrals + 1 if end == "deferred" else 0
        if end == "cancelled" or (end in ("failed", "deferred") and not unchanged):
            return
        if end == "deferred" and tracked.held == flown.sha256 and self._has_rows(tracked):
            return  # the rows of the last time are right
        state = _ENDS[end]
        entry = self._entry(tracked.name, flown.sha256, flown.stamp, state, detail)
        if end != "delivered":
            self._actions.append(Record(entry, tracked.held))
        self._states.set_entry(tracked, entry)
        if state in HOLDING:
            self._states.owners[flown.sha256] = tracked.name
        if unchanged and state in SETTLED:
            self.finish(tracked, SETTLED[state])

    def finish(self, tracked: Tracked, state: State) -> None:
        """Mark a file's content as handled."""
        self._states.set_state(tracked, state)
        if self._move_to_done and tracked.entry and state in (State.DONE, State.DUPLICATE, State.SKIPPED):
            self._actions.append(MoveToDone(tracked.entry))

    def check_owner(self, sha256: str) -> None:
        """Find another holder of a content if the present one does not hold it any more."""
        owner = self._states.owners.get(sha256)
        if owner is None or self._states.claims(owner, sha256):
            return
        tracked = self._states.files.get(owner)
        if tracked is None or not self.hand_over(tracked, sha256):
            del self._states.owners[sha256]

    def hand_over(self, old: Tracked, sha256: str) -> bool:
        """Move the rows of a name to one of its copies, if there are rows and a copy, and neither is in flight.

        Copies without rows of another content come first: those would be lost, and their files processed again.
        """
        entry, files = old.entry, self._states.files
        if entry is None or entry.sha256 != sha256 or entry.state not in HOLDING or old.in_flight is not None:
            return False
        copies = [files[name] for name in self._states.copies.get(sha256, ()) if files[name].in_flight is None]
        if not copies:
            return False
        new = min(copies, key=lambda copy: (self._has_rows(copy), copy.state is State.UNSEEN, copy.name))
        self._take_over(old, new, sha256)
        if new.state is State.UNSEEN:
            self._correct(new, new.entry or entry)
        else:
            self._hold(new, sha256)
        return True

    def resolve(self) -> None:
        """Place again the files whose content has lost its holder, or whose holder is decided now."""
        # Placing a file changes hands of contents, which makes others unresolved: a fixed point, reached because each
        # round gives a content its holder or takes the last claim away.
        states = self._states
        while states.unresolved:
            sha256 = states.unresolved.pop()
            self.check_owner(sha256)
            for name in sorted(states.copies.get(sha256, ())):
                tracked = states.files[name]
                orphan = tracked.state is State.DUPLICATE and sha256 not in states.owners
                if tracked.in_flight is None and (orphan or tracked.state is State.WAITING):
                    self.place(tracked)

    def _hold(self, tracked: Tracked, sha256: str) -> None:
        """Make this name the owner of the content's rows."""
        self._states.owners[sha256] = tracked.name
        entry = tracked.entry
        if entry is not None and entry.sha256 == sha256 and entry.state in ("done", "skipped"):
            self._correct(tracked, entry)
            self.finish(tracked, SETTLED[entry.state])
        else:
            self._states.set_state(tracked, State.READY)
            self._ready.append((tracked.name, sha256))

    def _copy(self, tracked: Tracked, owner: str, sha256: str) -> None:
        """Record that these bytes are done under another name."""
        entry = self._entry(tracked.name, sha256, tracked.stamp, "duplicate", owner)
        self._actions.append(Record(entry, tracked.held))
        self._states.set_entry(tracked, entry)
        self.finish(tracked, State.DUPLICATE)

    def _correct(self, tracked: Tracked, entry: LedgerEntry) -> None:
        """Record the file's new modification time in the ledger, so that a restart need not hash the file."""
        size_bytes, mtime_ns, *_ = tracked.stamp
        corrected = replace(entry, size_bytes=size_bytes, mtime_ns=mtime_ns, location="", recorded_at_ns=NEVER)
        if entry != corrected or (entry.recorded_at_ns != NEVER and not tracked.unchanged_since_recorded):
            tracked.entry = corrected
            self._actions.append(Record(corrected, entry.sha256))

    def _take_over(self, old: Tracked, new: Tracked, sha256: str) -> None:
        """Move what the ledger and the rows say of `old` to `new`."""
        if old.entry is not None:
            self._actions.append(Rename(old.name, new.name, old.entry.sha256, new.held))
            self._states.set_entry(new, replace(old.entry, name=new.name, location=""))
            self._states.set_entry(old, None)
            self._states.owners[sha256] = new.name

    def _has_rows(self, tracked: Tracked) -> bool:
        return tracked.entry is not None and tracked.entry.state in HOLDING

    def _entry(self, name: str, sha256: str, stamp: Stamp, state: EntryState, detail: str = "") -> LedgerEntry:
        return LedgerEntry(name, sha256, self._definition, state, stamp.size_bytes, stamp.mtime_ns, detail)
