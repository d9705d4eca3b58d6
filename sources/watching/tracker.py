"""Tracks the files of a watched folder and decides what to do about each: a pure state machine without disk or clock.

Theory of operation. The shell (`fastembed.sources.folder`) tells what it observes: `seen` and `gone` (hints of the
watch, or a whole scan between `begin_scan` and `end_scan`), `hashed`, `settled`; and asks what to do: which files to
hash (`next_to_hash`), which to emit (`next_ready`), and which `actions` to take, in their order and before the next
file is emitted. Observations may be lost, late or repeated; a later scan corrects them.

    UNSEEN -> (seen as the ledger knows it) -> DONE, DUPLICATE, FAILED, SKIPPED
    new or changed -> CANDIDATE -> (quiet for settle) HASHING -> (hash known) placed:
        as before                                    DONE, SKIPPED
        content that a present file holds            DUPLICATE
        content that a missing file holds            that file's rows are renamed to this one: DONE
        content of a file not yet decided            WAITING, placed again when that one is decided
        else                                         READY -> IN_FLIGHT -> DONE, FAILED, SKIPPED
    gone: MISSING for at least `settle` and a whole scan, in case it is found again under another name; then forgotten

`owners` says which name holds a content's rows, or is about to (`fastembed.sources.watching.placement`). A holder that
goes or changes hands its rows to one of its copies, if there is one. A name has at most one item in flight; if its file
changes meanwhile, the item is cancelled and the new content waits for the item's end.

Actions lag behind: each carries what it believes the ledger holds. One that is refused is followed by `reconcile` with
what the ledger really holds.

A folder whose files are all gone at once, with no word of the watch that they were deleted, is taken for an unmounted
one (`fastembed.sources.watching.presence`). While it is `suspended` nothing is forgotten.

A crash at any line of this file costs nothing but work: all of it is rebuilt from the ledger (`restore`) and the disk.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Collection, Iterable
from math import inf
from typing import Final

from fastembed.pipeline.ledger import LedgerEntry
from fastembed.sources.watching.actions import Action, Cancel, Forget, Warn
from fastembed.sources.watching.file_states import FileStates
from fastembed.sources.watching.files import ACTIVE, AGAIN, HOLDING, SETTLED, Emission, End, Stamp, State, Tracked
from fastembed.sources.watching.placement import Placement
from fastembed.sources.watching.presence import Emptied, Presence

MAX_DUE: Final = 1000
"""Files that one `advance` handles: a folder of a million quiet files must not stop the event loop."""


class Tracker:
    """Follows the files of one folder. Times are seconds of any one monotonic clock.

    definition: hash of the pipeline's definition. keep_deleted: rows outlive their files. move_to_done: files that are
    done are moved away (their leaving is no deletion).
    """

    def __init__(
        self, *, definition: str, settle_s: float, keep_deleted: bool = False, move_to_done: bool = False
    ) -> None:
        """Start with an empty folder and an empty ledger."""
        self._states = FileStates()
        self.files = self._states.files
        self.counts = self._states.counts
        self.actions: deque[Action] = deque()
        self.wants_scan = False
        self._definition = definition
        self._placement = Placement(self._states, self.actions, definition=definition, move_to_done=move_to_done)
        self._settle_s = settle_s
        self._keep = keep_deleted or move_to_done
        self._presence = Presence(self._states, keeps_rows=self._keep)
        # Entries of both are never taken out: a file that changed its mind is skipped when its turn comes, since its
        # state, time or stamp is another by then.
        self._due: list[tuple[float, str]] = []
        self._to_hash: deque[tuple[str, Stamp]] = deque()
        self._scan = 0  # the number of the scan that runs or ran last; a file carries that of the last that saw it
        self._scan_began = self._scan_ended = -inf

    # What the shell asks

    @property
    def active(self) -> int:
        """How many files still want something to happen."""
        return sum(self.counts[state] for state in ACTIVE) - self.kept

    @property
    def suspended(self) -> bool:
        """Whether another folder seems to lie in the place of the right one."""
        return self._states.suspended

    @property
    def kept(self) -> int:
        """How many files are missing and are not forgotten, because their folder cannot be looked at or is another."""
        return self._presence.kept

    @property
    def emptied(self) -> Emptied:
        """Why a folder without files may be another one, where rows outlive their files; "" if it may not."""
        return self._presence.emptied

    def misses(self, folder: str) -> bool:
        """Whether there were files below a folder, and the present scan has seen none of them as the ledger has it."""
        below = [tracked for name, tracked in self.files.items() if name.startswith(f"{folder}/") and tracked.entry]
        if any(tracked.scan == self._scan and tracked.as_recorded for tracked in below):
            return False
        return any(not tracked.deleted for tracked in below)

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
        return self._placement.next_ready()

    # What the shell tells

    def restore(self, entries: Iterable[LedgerEntry]) -> None:
        """Remember what the ledger says, before the first scan."""
        # Of two names with one content the first becomes its owner; one whose rows are current goes before one that is
        # processed again anyway. Nothing is resolved yet: what is on disk is not known, and no action must come of it.
        for entry in sorted(entries, key=lambda e: e.state == "outdated"):
            self._remember(entry)
        self._states.unresolved.clear()

    def mark_outdated(self, entries: Iterable[LedgerEntry], now: float) -> None:
        """Process again what was marked as outdated in the ledger since it was read."""
        for entry in entries:
            tracked = self.files.get(entry.name)
            known = None if tracked is None else tracked.entry
            if tracked is None or known is None or known.state == "outdated" or known.sha256 != entry.sha256:
                continue
            self._states.set_entry(tracked, entry)
            if tracked.state in (State.DONE, State.SKIPPED, State.FAILED, State.DUPLICATE):
                self._consider(tracked, now - self._settle_s)
        self._placement.resolve()

    def reconcile(self, name: str, entry: LedgerEntry | None, now: float) -> bool:
        """Event: the ledger holds this entry of a name. Return False, and change nothing, while it is in flight."""
        # An action of ours was refused. What the ledger says is right by definition: it was written in one transaction
        # with the rows. So the belief is replaced, not the ledger, and the file is looked at as if it had just come. In
        # flight its commit may change the ledger once more: the caller asks again when it has landed.
        tracked = self.files.get(name)
        if tracked is not None and tracked.in_flight is not None:
            return False
        self.wants_scan = True
        if tracked is None:
            if entry is not None and self._remember(entry):
                self.files[name].deleted = True  # it was given up for good reason
        else:
            self._states.set_entry(tracked, entry)
            if entry is not None and entry.state in HOLDING:
                self._states.owners.setdefault(entry.sha256, name)
            if tracked.state in (State.MISSING, State.AWAY):
                self._vanish(tracked, now)
            elif tracked.state is not State.UNSEEN:
                self._consider(tracked, now - self._settle_s)
        self._placement.resolve()
        return True

    def seen(self, name: str, stamp: Stamp, quiet_s: float, now: float) -> None:
        """Event: a file is there, and by its file system it has not changed for `quiet_s` seconds."""
        tracked = self.files.get(name)
        since = now - max(0.0, quiet_s)
        if tracked is None:
            tracked = self._states.add(name, stamp)
            self._consider(tracked, since)
        elif tracked.state in (State.UNSEEN, State.MISSING, State.AWAY):
            self._reappear(tracked, stamp, since)
        elif stamp != tracked.stamp:
            # The file changed under our hands: what is known of it, or in flight, is about bytes that are gone. The
            # item is cancelled but keeps `in_flight`: it may commit all the same, and that has to be accounted for.
            if tracked.state is State.IN_FLIGHT:
                self.actions.append(Cancel(name))
            self._states.recheck(tracked)
            self._states.set_state(tracked, State.UNSEEN)  # before its size changes
            tracked.stamp = stamp
            self._consider(tracked, since)
        tracked.scan, tracked.deleted = self._scan, False
        self.wants_scan = self._presence.sign_of_life() or self.wants_scan
        self._placement.resolve()

    def reported_deleted(self, names: Collection[str]) -> None:
        """Event: the watch reports these files and folders as deleted, so that not just their folder is missing."""
        # The watch names a deleted folder once, not its files. What is no file that we know may be such a folder.
        folders = tuple(f"{name}/" for name in names if name not in self.files)
        below = [name for name in self.files if name.startswith(folders)] if folders else []
        for name in (*names, *below):
            tracked = self.files.get(name)
            if tracked is not None and not tracked.deleted:
                tracked.deleted = True
                # The word of the watch may come after a scan has missed the file.
                self.wants_scan = self._presence.sign_of_life() or self.wants_scan or tracked.state is State.MISSING

    def gone(self, name: str, now: float) -> None:
        """Event: a file is no longer there. Unknown names are ignored."""
        tracked = self.files.get(name)
        if tracked is None or tracked.state in (State.MISSING, State.AWAY):
            return
        self._states.recheck(tracked)
        if tracked.in_flight is not None:
            if tracked.state is State.IN_FLIGHT:
                self.actions.append(Cancel(name))
            # Its item still runs and may write rows; what to do about them is decided when it has ended (`settled`).
            tracked.since, tracked.sha256 = now, None
            self._states.set_state(tracked, State.MISSING)
        else:
            self._vanish(tracked, now)
        self._placement.resolve()

    def begin_scan(self, now: float) -> None:
        """Expect everything that is there to be `seen` until `end_scan`."""
        self._scan += 1
        self._scan_began = now
        self.wants_scan = False

    def end_scan(self, now: float, unreadable: Iterable[str] = (), *, replaced: bool = False) -> None:
        """Event: the scan has `seen` everything outside the `unreadable` folders; the rest is gone.

        replaced: the folder itself is another one than at the last scan that found it in order. Files that could not be
        read are tried again.
        """
        # Judged first: whether what was not seen is gone depends on whether this is the right folder at all.
        self._presence.judge(self._scan, unreadable, replaced=replaced)
        unseen = []
        for tracked in self.files.values():
            if tracked.state is State.UNREADABLE:
                self._consider(tracked, now - self._settle_s)
            if tracked.scan != self._scan and not self._presence.hides(tracked.name):
                unseen.append(tracked)
        # When it began, not now: a file that went missing while the scan ran may have been looked for before that.
        self._scan_ended = self._scan_began
        # Copies first, so that no rows are handed from one file that is gone to the next.
        for tracked in sorted(unseen, key=lambda t: t.entry is None or t.entry.state != "duplicate"):
            if tracked.state is not State.MISSING:
                self.gone(tracked.name, self._scan_began)
            elif tracked.since == inf and not self._presence.keeps(tracked):  # it was kept until now
                self._vanish(tracked, self._scan_began)
        self._placement.resolve()

    def advance(self, now: float) -> None:
        """Event: time has passed. Quiet files are hashed, missing ones forgotten; many take several calls."""
        for _ in range(MAX_DUE):
            if not self._due or self._due[0][0] > now:
                break
            _, name = heapq.heappop(self._due)
            tracked = self.files.get(name)
            if tracked is None or tracked.since + self._settle_s > now:
                continue  # it is gone, or has changed since: then another entry of the heap stands for it
            if tracked.state is State.CANDIDATE:
                self._states.set_state(tracked, State.HASHING)
                self._to_hash.append((name, tracked.stamp))
            elif tracked.state is State.MISSING and tracked.in_flight is None:
                self._give_up(tracked, now)
        self._placement.resolve()

    def hashed(self, name: str, stamp: Stamp, sha256: str) -> None:
        """Event: a file that had this stamp before and after it was read has this content."""
        tracked = self.files.get(name)
        if tracked is not None and tracked.state is State.HASHING and tracked.stamp == stamp:
            self._states.recheck(tracked)
            tracked.sha256, tracked.warning = sha256, None
            self._placement.place(tracked)
            self._placement.resolve()

    def unreadable(self, name: str, reason: str) -> None:
        """Event: a file cannot be read now. It is tried again after each scan and warned about once."""
        tracked = self.files.get(name)
        if tracked is None or tracked.state is not State.HASHING:
            return
        self._states.set_state(tracked, State.UNREADABLE)
        if tracked.warning != reason:
            tracked.warning = reason
            self.actions.append(Warn(name, reason))
        self._placement.resolve()

    def settled(self, name: str, end: End, now: float, detail: str = "", *, retry: bool = True) -> None:
        """Event: the item in flight ended. retry: emit a cancelled or deferred one again."""
        tracked = self.files.get(name)
        if tracked is None or tracked.in_flight is None:
            return
        # Two questions in turn: what the ledger holds now (`landed`, by what was in flight), and what is to become of
        # the file (by its state, which has moved on if it changed or went while its item ran).
        self._states.recheck(tracked)
        flown, tracked.in_flight = tracked.in_flight, None
        self._placement.landed(tracked, flown, end, detail)
        if tracked.state is State.IN_FLIGHT:  # cancelled or deferred, and the file did not change
            if retry:
                self._consider(tracked, now + tracked.deferral_s)
            else:
                self._states.set_state(tracked, State.UNSEEN)
        elif tracked.state is State.MISSING:
            self._vanish(tracked, now)
        elif tracked.state is State.WAITING:
            self._placement.place(tracked)
        self._placement.resolve()

    # Decisions

    def _remember(self, entry: LedgerEntry) -> bool:
        """Track a name of the ledger that has not been seen yet; False: it need not be tracked."""
        if entry.location and entry.state in ("failed", "duplicate"):
            return False  # moved away, and no rows of its own
        tracked = self._states.add(entry.name, Stamp(entry.size_bytes, entry.mtime_ns, 0), entry)
        if entry.state in HOLDING:
            self._states.owners.setdefault(entry.sha256, entry.name)
        self._states.set_state(tracked, State.AWAY if entry.location else State.UNSEEN)
        return True

    def _reappear(self, tracked: Tracked, stamp: Stamp, since: float) -> None:
        """Compare a name that the ledger knows with what is on disk: as it was left, or another content."""
        # A restart must not hash a whole folder: a file whose stamp is that of the ledger is taken as unchanged.
        before, tracked.stamp = tracked.stamp, stamp
        if tracked.entry is not None and self._as_left(tracked, before):
            tracked.sha256 = tracked.entry.sha256
            self._placement.finish(tracked, SETTLED[tracked.entry.state])
        else:
            self._consider(tracked, since)

    def _as_left(self, tracked: Tracked, before: Stamp) -> bool:
        """Whether a file that is seen (again) is as the ledger has it, with nothing to do about it.

        before: as it was seen last, or, without an inode, as the ledger has it.
        """
        entry = tracked.entry
        if entry is None or tracked.state is State.AWAY or tracked.in_flight is not None or entry.state in AGAIN:
            return False
        if entry.state == "done" and self._states.owners.get(entry.sha256) != tracked.name:
            return False
        if entry.state == "failed" and entry.definition != self._definition:
            return False
        # Seen in this process before: then even the inode and the time of change must be the same. After a restart the
        # ledger has size and time only, which tools set at will; there the file system's own time of change has to be
        # older than the row. Else it is hashed, which is slow and never wrong.
        if before.inode:
            return tracked.as_recorded and tracked.stamp == before
        return tracked.unchanged_since_recorded

    def _consider(self, tracked: Tracked, since: float) -> None:
        """Wait until the file is quiet, then find out what it holds."""
        self._states.recheck(tracked)
        tracked.since, tracked.sha256 = since, None
        self._states.set_state(tracked, State.CANDIDATE)
        heapq.heappush(self._due, (since + self._settle_s, tracked.name))

    def _vanish(self, tracked: Tracked, now: float) -> None:
        """Handle the disappearance of a file that has nothing in flight."""
        # In order: nothing was recorded; its rows outlive it; a copy takes its rows over; else wait, in case it is a
        # rename whose new name has not been hashed yet.
        owns = self._states.owns(tracked)
        if tracked.entry is None:
            self._states.remove(tracked)
        elif self._keep:
            if owns:
                self._states.set_state(tracked, State.AWAY)
            else:
                self._forget(tracked, record=tracked.entry.state == "failed")
        elif owns and self._placement.hand_over(tracked, tracked.entry.sha256):
            self._states.remove(tracked)
        else:
            tracked.since = now
            self._states.set_state(tracked, State.MISSING)
            heapq.heappush(self._due, (now + self._settle_s, tracked.name))

    def _give_up(self, tracked: Tracked, now: float) -> None:
        """Forget a missing file, unless a file that may be it has not been read yet, or was not looked for yet."""
        # Only a whole scan that began after it went missing proves that it has no new name; and a file of the same size
        # that is not hashed yet may be that new name (`undecided` counts those by size).
        not_looked_for = tracked.since > self._scan_ended
        if not not_looked_for and self._presence.keeps(tracked):
            tracked.since = inf
        elif not_looked_for or self._states.undecided[tracked.stamp.size_bytes]:
            self.wants_scan = self.wants_scan or not_looked_for
            heapq.heappush(self._due, (now + self._settle_s, tracked.name))
        else:
            self._forget(tracked)

    def _forget(self, tracked: Tracked, *, record: bool = True) -> None:
        if record:
            self.actions.append(Forget(tracked.name, tracked.held))
        self._states.remove(tracked)
