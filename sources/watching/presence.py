"""Judges whether the folder that is looked at is the right one: an empty mount point must not look like a deletion.

Theory of operation. Rows that were deleted cannot be brought back, so a folder has to prove that it is the one whose
files the ledger knows. After each whole scan the files that the ledger knows are asked:

    one of them is there as the ledger has it              the right folder
    none is, and the watch reported their deletion         the right folder, emptied on purpose
    none is, and nobody said a word                        another one in its place: `suspended`, nothing is forgotten

The evidence is asked for more strictly (`as_recorded`, not just a known name) where something is odd already: at the
first scan, when the folder's device or inode has changed, and while suspended: a camera that goes on numbering its
pictures writes `IMG_0001` into whatever is mounted.

Folders below that cannot be listed (`unlisted`) are no evidence of anything: what is in them is kept.
"""

from __future__ import annotations

from collections.abc import Iterable
from math import inf
from typing import Literal

from fastembed.sources.watching.file_states import FileStates
from fastembed.sources.watching.files import HOLDING, State, Tracked

Emptied = Literal["", "at the start", "silently", "replaced"]


class Presence:
    """What the last scan says of the folder as a whole. keeps_rows: rows outlive their files, so none are at stake.

    emptied: with `keeps_rows`, why the folder may not be the right one: it was empty at the first scan, its files went
    silently, or it was replaced by an empty one.
    """

    def __init__(self, states: FileStates, *, keeps_rows: bool) -> None:
        """Judge by the files of `states`, whose `suspended` is set."""
        self.emptied: Emptied = ""
        self._states = states
        self._keeps_rows = keeps_rows
        self._unlisted: tuple[str, ...] = ()
        self._trusted = False  # the folder was the right one at the last scan
        self._scanned = False
        self._alive = False  # since the last scan a file came (and may be gone again, processed), or was deleted

    @property
    def kept(self) -> int:
        """How many files are missing and are not forgotten, because their folder cannot be looked at or is another."""
        if not (self._states.suspended or self._unlisted):
            return 0
        return sum(tracked.state is State.MISSING and tracked.since == inf for tracked in self._states.files.values())

    def keeps(self, tracked: Tracked) -> bool:
        """Whether a missing file may be in a folder that cannot be read now."""
        return not tracked.deleted and (self._states.suspended or self.hides(tracked.name))

    def hides(self, name: str) -> bool:
        """Whether a name lies in a folder that could not be listed."""
        return bool(self._unlisted) and name.startswith(self._unlisted)

    def sign_of_life(self) -> bool:
        """Note that a file is there, or was deleted; return whether the folder has to be judged anew for that."""
        self._alive = self._alive or bool(self.emptied)
        return self._alive

    def judge(self, scan: int, unlisted: Iterable[str], *, replaced: bool) -> None:
        """Judge by what this scan has seen. unlisted: folders that could not be listed, "": the folder itself."""
        self._unlisted = tuple(f"{folder}/" if folder else "" for folder in unlisted)
        missing = recognised = inhabited = False
        strict = replaced or not self._trusted
        for tracked in self._states.files.values():
            inhabited = inhabited or tracked.scan == scan
            # Without an entry the ledger knows nothing of it; what was moved away is not expected to be here.
            if tracked.entry is None or tracked.state is State.AWAY:
                continue
            if tracked.scan != scan:
                known = tracked.deleted or self.hides(tracked.name) or tracked.entry.state not in HOLDING
                missing = missing or not known
            elif not tracked.fresh and (tracked.as_recorded or not strict):
                recognised = True
        lost = missing and not recognised
        if self._keeps_rows:
            self._note_emptied(lost=lost, inhabited=inhabited or self._alive, replaced=replaced)
        else:
            self._suspend(lost=lost)
        self._scanned, self._alive = True, False

    def _suspend(self, *, lost: bool) -> None:
        was, self._states.suspended = self._states.suspended, lost
        self._trusted = not lost
        if was and not lost:
            # The folder is back, and rows that came up in its absence are ordinary ones from now on.
            for tracked in self._states.files.values():
                tracked.fresh = False

    def _note_emptied(self, *, lost: bool, inhabited: bool, replaced: bool) -> None:
        """Say why it may be another folder, until a file comes or the folder of before is back."""
        # No row is at stake, so this only reports, and any file at all ends it: people who keep the rows delete files
        # as they like. What went "silently" is AWAY at the next scan, and no longer lost: hence the memory.
        self._trusted = True
        if inhabited or (self.emptied == "replaced" and not replaced):
            self.emptied = ""
        elif replaced:
            self.emptied = "replaced"
        elif lost:
            self.emptied = "silently" if self._scanned else "at the start"
