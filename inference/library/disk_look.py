"""One look at the folders of models, remembered until one of them changes."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Iterable
from pathlib import Path
from typing import Any, Final, TypeVar

T = TypeVar("T")
Stamp = tuple[int, int, int]

CHECK_S: Final = 1.0
"""How often the folders are looked at, at most: one stat a folder."""
_SETTLED_NS: Final = 1_000_000_000
"""A folder that changed less than this ago may change again within its clock's grain, so it is looked at again."""


class DiskLook:
    """Answers to questions about the disk. Call it on one thread at a time.

    Each answer names the paths that it depends on. Of a path that is not there, the nearest folder that is, is watched:
    its time changes when something is made in it.
    """

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        """Remember nothing yet. clock: seconds."""
        self._clock = clock
        self._answers: dict[Hashable, Any] = {}
        self._stamps: dict[Path, Stamp | None] = {}
        self._checked_s = float("-inf")

    def once(self, question: Hashable, ask: Callable[[], T], paths: Callable[[], Iterable[Path]] = tuple) -> T:
        """Return the answer, asked for anew where a folder has changed since."""
        if self._clock() - self._checked_s > CHECK_S:
            self.check()
        if question not in self._answers:
            for path in paths():
                self._watch(path)
            self._answers[question] = ask()
        answer: T = self._answers[question]
        return answer

    def check(self) -> bool:
        """Look whether a folder has changed, now; return whether answers were forgotten for it."""
        self._checked_s = self._clock()
        if all(_stamp(path) == stamp for path, stamp in self._stamps.items()):
            return False
        self._answers.clear()
        self._stamps.clear()
        return True

    def _watch(self, path: Path) -> None:
        """Note how the path, and the nearest folder of it that is there, look before they are read."""
        for place in (path, *path.parents):
            if place not in self._stamps:
                stamp = _stamp(place)
                if stamp is None:
                    continue
                settled = time.time_ns() - stamp[0] > _SETTLED_NS
                self._stamps[place] = stamp if settled else None
            return


def _stamp(path: Path) -> Stamp | None:
    """Return what tells a folder's state from a later one; None: it is not there."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_ino, found.st_nlink
