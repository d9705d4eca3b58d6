"""What a watched folder holds and what has to be done about it: a pure state machine, with no disk and no clock.

Theory of operation. The shell (`fastembed.sources.folder`) tells what it observes: `seen` and `gone` (hints of the
watch, or a whole scan between `begin_scan` and `end_scan`), `hashed`, `settled`; and asks what to do: which files to
hash (`next_to_hash`), which to emit (`next_ready`), and which `actions` to take, in their order and before the next
file is emitted. Observations may be lost, late or repeated; a later scan corrects them.

    UNSEEN -> (seen as the ledger knows it) -> DONE, COPY, FAILED, SKIPPED
    new or changed -> CANDIDATE -> (quiet for settle) HASHING -> (hash known) placed:
        as before                                    DONE, SKIPPED
        content that a present file holds            COPY (ledger: duplicate)
        content that a missing file holds            that file's rows are renamed to this one: DONE
        content of a file not yet decided            WAITING, placed again when that one is decided
        else                                         READY -> FLYING -> DONE, FAILED, SKIPPED
    gone: MISSING for at least `settle` and a whole scan, in case it is found again under another name; then forgotten

`owners` says which name holds a content's rows, or is about to. A holder that goes or changes hands its rows to one of
its copies, if there is one. A name has at most one item in flight; if its file changes meanwhile, the item is
cancelled and the new content waits for the item's end.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from fastembed.pipeline.ledger import Entry, EntryState
from fastembed.sources.watching.files import (
    ACTIVE,
    FIRM,
    HOLDING,
    SETTLED,
    Action,
    Cancel,
    Complain,
    Emission,
    End,
    Forget,
    Record,
    Rename,
    Stamp,
    State,
    Stow,
    Tracked,
)
from fastembed.sources.watching.shelf import Shelf

MAX_DUE: Final = 1000
_ENDS: Final[dict[End, EntryState]] = {"delivered": "done", "filtered": "skipped", "failed": "failed"}


class Tracker:
    """Follows the files of one folder. Times are seconds of any one monotonic clock.

    definition: hash of the pipeline's definition. keep_deleted: rows outlive their files. stow: files that are done
    are moved away (their leaving is no deletion).
    """

    def __init__(self, *, definition: str, settle_s: float, keep_deleted: bool = False, stow: bool = False) -> None:
        """Start with an empty folder and an empty ledger."""
        self._shelf = Shelf()
        self.files = self._shelf.files
        self.counts = self._shelf.counts
        self.actions: deque[Action] = deque()
        self.wants_scan = False
        self._definition = definition
        self._settle_s = settle_s
        self._keep = keep_deleted or stow
        self._stow = stow
        self._due: list[tuple[float, str]] = []
        self._to_hash: deque[tuple[str, Stamp]] = deque()
        self._ready: deque[tuple[str, str]] = deque()
        self._scan = 0
        self._scan_began = self._scan_ended = float("-inf")

    # What the shell asks

    @property
    def active(self) -> int:
        """How many files still want something to happen."""
        return sum(self.counts[state] for state in ACTIVE)

    def next_due(self) -> float | None:
        """Return when `advance` has something to do, None if nothing waits for time to pass."""
        return self._due[0][0] if self._due else None

    def next_to_hash(self) -> tuple[str, Stamp] | None:
        """Return the next file whose content has to be known, with the stamp that it must still have."""
        while self._to_hash:
            name, stamp = self._to_hash.popleft()
            tracked = self.files.get(name)
            if tracked is not None and tracked.state is State.HASHING and tracked.stamp == stamp:
                return name, stamp
        return None

    def next_ready(self) -> Emission | None:
        """Return the next file to emit, and count it as in flight."""
        while self._ready:
            name, sha256 = self._ready.popleft()
            tracked = self.files.get(name)
            if tracked is not None and tracked.state is State.READY and tracked.sha256 == sha256:
                self._shelf.enter(tracked, State.FLYING)
                tracked.flying = Emission(name, sha256, tracked.stamp)
                return tracked.flying
        return None

    # What the shell tells

    def restore(self, entries: Iterable[Entry]) -> None:
        """Remember what the ledger says, before the first scan."""
        for entry in sorted(entries, key=lambda e: e.state == "outdated"):
            moved = bool(entry.location)
            if moved and entry.state in ("failed", "duplicate"):
                continue
            stamp = Stamp(entry.size_bytes, entry.mtime_ns, 0)
            tracked = self._shelf.add(entry.name, stamp, entry)
            if entry.state in HOLDING:
                self._shelf.owners.setdefault(entry.sha256, entry.name)
            self._shelf.enter(tracked, State.AWAY if moved else State.UNSEEN)
        self._shelf.unresolved.clear()

    def mark_outdated(self, entries: Iterable[Entry], now: float) -> None:
        """Process again what somebody marked in the ledger since it was read."""
        for entry in entries:
            tracked = self.files.get(entry.name)
            known = None if tracked is None else tracked.entry
            if tracked is None or known is None or known.state == "outdated" or known.sha256 != entry.sha256:
                continue
            self._shelf.know(tracked, entry)
            if tracked.state in (State.DONE, State.SKIPPED, State.FAILED):
                self._consider(tracked, now - self._settle_s)
        self._resolve()

    def seen(self, name: str, stamp: Stamp, quiet_s: float, now: float) -> None:
        """Learn that a file is there, and that by its file system nothing has changed it for `quiet_s` seconds."""
        tracked = self.files.get(name)
        since = now - max(0.0, quiet_s)
        if tracked is None:
            tracked = self._shelf.add(name, stamp)
            self._consider(tracked, since)
        elif tracked.state in (State.UNSEEN, State.MISSING, State.AWAY):
            self._reappear(tracked, stamp, since)
        elif stamp != tracked.stamp:
            if tracked.state is State.FLYING:
                self.actions.append(Cancel(name))
            self._shelf.touch(tracked)
            self._shelf.enter(tracked, State.UNSEEN)  # before its size changes
            tracked.stamp = stamp
            self._consider(tracked, since)
        tracked.scan = self._scan
        self._resolve()

    def gone(self, name: str, now: float) -> None:
        """Learn that a file is not there any more; nothing happens for names that are not known."""
        tracked = self.files.get(name)
        if tracked is None or tracked.state in (State.MISSING, State.AWAY):
            return
        self._shelf.touch(tracked)
        if tracked.flying is not None:
            if tracked.state is State.FLYING:
                self.actions.append(Cancel(name))
            tracked.since, tracked.sha256 = now, None
            self._shelf.enter(tracked, State.MISSING)
        else:
            self._vanish(tracked, now)
        self._resolve()

    def begin_scan(self, now: float) -> None:
        """Expect everything that is there to be `seen` until `end_scan`."""
        self._scan += 1
        self._scan_began = now
        self.wants_scan = False

    def end_scan(self, now: float, unreadable: Iterable[str] = ()) -> None:
        """Learn that everything was seen but what is below the `unreadable` folders: the rest is gone.

        Files that could not be read are tried again.
        """
        hidden = tuple(f"{folder}/" if folder else "" for folder in unreadable)
        unseen = []
        for tracked in self.files.values():
            if tracked.state is State.UNREADABLE:
                self._consider(tracked, now - self._settle_s)
            if tracked.scan != self._scan and not (hidden and tracked.name.startswith(hidden)):
                unseen.append(tracked)
        self._scan_ended = self._scan_began
        # Copies first, so that no rows are handed from one file that is gone to the next.
        for tracked in sorted(unseen, key=lambda t: t.entry is None or t.entry.state != "duplicate"):
            self.gone(tracked.name, self._scan_began)
        self._resolve()

    def advance(self, now: float) -> None:
        """Let time pass: quiet files are hashed, files that stay away are forgotten. Many take several calls."""
        for _ in range(MAX_DUE):
            if not self._due or self._due[0][0] > now:
                break
            _, name = heapq.heappop(self._due)
            tracked = self.files.get(name)
            if tracked is None or tracked.since + self._settle_s > now:
                continue
            if tracked.state is State.CANDIDATE:
                self._shelf.enter(tracked, State.HASHING)
                self._to_hash.append((name, tracked.stamp))
            elif tracked.state is State.MISSING and tracked.flying is None:
                self._give_up(tracked, now)
        self._resolve()

    def hashed(self, name: str, stamp: Stamp, sha256: str) -> None:
        """Learn the content of a file that had this stamp before and after it was read."""
        tracked = self.files.get(name)
        if tracked is not None and tracked.state is State.HASHING and tracked.stamp == stamp:
            self._shelf.touch(tracked)
            tracked.sha256, tracked.complaint = sha256, None
            self._place(tracked)
            self._resolve()

    def unreadable(self, name: str, reason: str) -> None:
        """Learn that a file cannot be read now; it is tried again after each scan and complained about once."""
        tracked = self.files.get(name)
        if tracked is None or tracked.state is not State.HASHING:
            return
        self._shelf.enter(tracked, State.UNREADABLE)
        if tracked.complaint != reason:
            tracked.complaint = reason
            self.actions.append(Complain(name, reason))
        self._resolve()

    def settled(self, name: str, end: End, now: float, detail: str = "", *, retry: bool = True) -> None:
        """Learn how the item in flight ended. retry: emit a cancelled one again, if its file did not change."""
        tracked = self.files.get(name)
        if tracked is None or tracked.flying is None:
            return
        self._shelf.touch(tracked)
        flown, tracked.flying = tracked.flying, None
        unchanged = tracked.state is State.FLYING
        if end in ("delivered", "filtered") or (end == "failed" and unchanged):
            state = _ENDS[end]
            entry = self._entry(name, flown.sha256, flown.stamp, state, detail)
            self._shelf.know(tracked, entry)
            if state in HOLDING:
                self._shelf.owners[flown.sha256] = name
            if end != "delivered":
                self.actions.append(Record(entry))
            if unchanged:
                self._finish(tracked, SETTLED[state])
        elif unchanged and retry:
            self._consider(tracked, now)
        elif unchanged:
            self._shelf.enter(tracked, State.UNSEEN)
        if tracked.state is State.MISSING:
            self._vanish(tracked, now)
        elif tracked.state is State.WAITING:
            self._place(tracked)
        self._resolve()

    def _reappear(self, tracked: Tracked, stamp: Stamp, since: float) -> None:
        """Compare a name that the ledger knows with what is on disk: as it was left, or another content."""
        as_left = self._shelf.as_left(tracked, stamp)
        tracked.stamp = stamp
        if tracked.entry is not None and as_left:
            tracked.sha256 = tracked.entry.sha256
            self._finish(tracked, SETTLED[tracked.entry.state])
        else:
            self._consider(tracked, since)

    def _consider(self, tracked: Tracked, since: float) -> None:
        """Wait until the file is quiet, then find out what it holds."""
        self._shelf.touch(tracked)
        tracked.since, tracked.sha256 = since, None
        self._shelf.enter(tracked, State.CANDIDATE)
        heapq.heappush(self._due, (since + self._settle_s, tracked.name))

    def _place(self, tracked: Tracked) -> None:
        """Decide what a file is whose content is known."""
        sha256, name = tracked.sha256, tracked.name
        if sha256 is None or tracked.flying is not None:
            self._shelf.enter(tracked, State.WAITING)
            return
        if tracked.entry is not None and self._shelf.owners.get(tracked.entry.sha256) == name:
            self._check_owner(tracked.entry.sha256)  # before other rows come under this name
        owner = self._shelf.owners.get(sha256)
        holder = self.files[owner] if owner is not None else tracked
        if holder is tracked:
            self._hold(tracked, sha256)
        elif holder.state is State.MISSING and holder.flying is None:
            self._take_over(holder, tracked, sha256)
            self._shelf.remove(holder)
            self._hold(tracked, sha256)
        elif holder.state in FIRM:
            self._copy(tracked, holder.name, sha256)
        else:
            self._shelf.enter(tracked, State.WAITING)

    def _hold(self, tracked: Tracked, sha256: str) -> None:
        """Be the name under which this content has its rows, or will have."""
        self._shelf.owners[sha256] = tracked.name
        entry = tracked.entry
        if entry is not None and entry.sha256 == sha256 and entry.state in ("done", "skipped"):
            self._correct(tracked, entry)
            self._finish(tracked, SETTLED[entry.state])
        else:
            self._shelf.enter(tracked, State.READY)
            self._ready.append((tracked.name, sha256))

    def _copy(self, tracked: Tracked, owner: str, sha256: str) -> None:
        """Record that these bytes are done under another name."""
        entry = self._entry(tracked.name, sha256, tracked.stamp, "duplicate", owner)
        self._shelf.know(tracked, entry)
        self.actions.append(Record(entry))
        self._finish(tracked, State.COPY)

    def _correct(self, tracked: Tracked, entry: Entry) -> None:
        """Have the ledger know the file's present time, so that a restart need not read it."""
        size_bytes, mtime_ns, _ = tracked.stamp
        corrected = replace(entry, size_bytes=size_bytes, mtime_ns=mtime_ns, location="")
        if entry != corrected:
            tracked.entry = corrected
            self.actions.append(Record(corrected))

    def _finish(self, tracked: Tracked, state: State) -> None:
        """Have nothing more to do about this content of this file."""
        self._shelf.enter(tracked, state)
        if self._stow and tracked.entry is not None and state in (State.DONE, State.COPY, State.SKIPPED):
            self.actions.append(Stow(tracked.entry))

    def _vanish(self, tracked: Tracked, now: float) -> None:
        """See a file go that has nothing in flight."""
        entry = tracked.entry
        if entry is None:
            self._shelf.remove(tracked)
        elif entry.state not in HOLDING or not self._shelf.claims(tracked.name, entry.sha256):
            if not self._keep or entry.state == "failed":
                self.actions.append(Forget(tracked.name))
            self._shelf.remove(tracked)
        elif self._keep:
            self._shelf.enter(tracked, State.AWAY)
        elif self._shelf.copies.get(entry.sha256):
            self._hand_over(tracked, entry.sha256)
            self._shelf.remove(tracked)
        else:
            tracked.since = now
            self._shelf.enter(tracked, State.MISSING)
            heapq.heappush(self._due, (now + self._settle_s, tracked.name))

    def _give_up(self, tracked: Tracked, now: float) -> None:
        """Forget a missing file, unless a file that may be it has not been read yet, or was not looked for yet."""
        not_looked_for = tracked.since > self._scan_ended
        if not_looked_for or self._shelf.undecided[tracked.stamp.size_bytes]:
            self.wants_scan = self.wants_scan or not_looked_for
            heapq.heappush(self._due, (now + self._settle_s, tracked.name))
            return
        self.actions.append(Forget(tracked.name))
        self._shelf.remove(tracked)

    def _check_owner(self, sha256: str) -> None:
        """Find another holder of a content if the present one does not hold it any more."""
        owner = self._shelf.owners.get(sha256)
        if owner is None or self._shelf.claims(owner, sha256):
            return
        tracked = self.files.get(owner)
        if tracked is None or not self._hand_over(tracked, sha256):
            del self._shelf.owners[sha256]

    def _hand_over(self, old: Tracked, sha256: str) -> bool:
        """Give the rows that a name has to one of its copies, if there are rows and a copy."""
        entry, copies = old.entry, self._shelf.copies.get(sha256)
        if not copies or entry is None or entry.sha256 != sha256 or entry.state not in HOLDING:
            return False
        new = self.files[min(copies, key=lambda name: (self.files[name].state is State.UNSEEN, name))]
        self._take_over(old, new, sha256)
        if new.state is State.UNSEEN:
            self._correct(new, new.entry or entry)
        elif new.flying is None:
            self._hold(new, sha256)
        return True

    def _take_over(self, old: Tracked, new: Tracked, sha256: str) -> None:
        """Move what the ledger and the rows say of `old` to `new`."""
        if old.entry is not None:
            self.actions.append(Rename(old.name, new.name))
            self._shelf.know(new, replace(old.entry, name=new.name, location=""))
            self._shelf.know(old, None)
            self._shelf.owners[sha256] = new.name

    def _resolve(self) -> None:
        """Place again the files whose content has lost its holder, or whose holder is decided now."""
        while self._shelf.unresolved:
            sha256 = self._shelf.unresolved.pop()
            self._check_owner(sha256)
            for name in sorted(self._shelf.copies.get(sha256, ())):
                tracked = self.files[name]
                orphan = tracked.state is State.COPY and sha256 not in self._shelf.owners
                if tracked.flying is None and (orphan or tracked.state is State.WAITING):
                    self._place(tracked)

    def _entry(self, name: str, sha256: str, stamp: Stamp, state: EntryState, detail: str = "") -> Entry:
        return Entry(name, sha256, self._definition, state, stamp.size_bytes, stamp.mtime_ns, detail)
