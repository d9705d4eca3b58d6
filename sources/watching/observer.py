"""Feeds the tracker with what is on disk: follows notifications, scans the folder periodically, advances its clock."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Final

from fastembed.pipeline.errors import Unavailable
from fastembed.sources.watching import disk
from fastembed.sources.watching.disk import SeenFile, Unseeable, Unwanted
from fastembed.sources.watching.files import State
from fastembed.sources.watching.hints import DELAY_S, Hints
from fastembed.sources.watching.ignored import IgnoredFiles
from fastembed.sources.watching.ledger_actions import LedgerActions
from fastembed.sources.watching.pattern import is_hidden
from fastembed.sources.watching.tracker import Tracker

SCAN_BATCH: Final = 1000
"""Files between two turns of the event loop: measured 10 ms of `stat` in the thread, 7 ms of tracking on the loop."""
ROOT_POLL_S: Final = 1.0
"""How often the folder's identity is asked for: one `stat`, and an unmounted folder must not wait for a scan."""
SCAN_SHARE: Final = 20
"""A scan takes at most this part of the time: on a network share that needs 10 s for it, every 200 s."""

_log = logging.getLogger(__name__)

_MISSING: Final = "the folder cannot be found; the rows of its files are kept until it is back"
_NOT_MOUNTED: Final = "a file system was mounted here and is not any more; the rows of its files are kept until it is"
_EMPTIED: Final = (
    "none of the files that were processed from here is here, and nobody reported their deletion; their rows are kept. "
    "Check that its file system is mounted"
)
_SUSPENDED: Final = (
    "none of the files that were processed from here ({count}) is here; their rows are kept, in case a file system is "
    "not mounted, until one of them is back. If they were deleted on purpose: fastembed forget {pipeline}"
)


@dataclass(frozen=True, slots=True)
class ScanOptions:
    """Which names count, and when to look. once: there is no watch, and a folder that is missing is not waited for."""

    matches: Callable[[str], bool]
    ignored: Callable[[str], bool]
    settle_s: float
    rescan_s: float
    once: bool


class Observer:
    """Looks at one folder. After each look it calls `looked`. scanned: everything has been looked at once.

    report: is told why files of the folder may be out of sight, "" when none are any more.
    """

    def __init__(
        self,
        root: Path,
        tracker: Tracker,
        ledger_actions: LedgerActions,
        options: ScanOptions,
        *,
        pipeline: str,
        looked: Callable[[], None],
        report: Callable[[str], None],
    ) -> None:
        """Feed `tracker` with the files of `root`. Call it in the event loop."""
        self.scanned = False
        self.ignored = IgnoredFiles(root)
        self._root = root
        self._tracker = tracker
        self._ledger_actions = ledger_actions
        self._options = options
        self._pipeline = pipeline
        self._looked = looked
        self._tell = report
        self._awake = asyncio.Event()
        self._problems: dict[str, str] = {}
        self._logged: set[tuple[str, str]] = set()
        self._trusted: tuple[int, int] | None = None
        self._mounts: set[str] = set()
        self._scan_ended = self._scan_cost_s = 0.0

    @property
    def problem(self) -> str:
        """Return why files of the folder may be unreachable, "" if none are."""
        return "; ".join(f"{self._root / name}: {reason}" for name, reason in sorted(self._problems.items()))

    def wake(self) -> None:
        """Recompute when the next file is due."""
        self._awake.set()

    async def run(self) -> None:
        """Observe until cancelled."""
        root = watched = await asyncio.to_thread(disk.identity, self._root)
        hints = await self._watch_again(None, root)
        next_scan = next_poll = self._now()
        try:
            while True:
                # Names first, then the look at the root: a hint of a deletion that came before an unmount must be heard
                # before the files are found missing.
                names = self._take(hints)
                if self._now() >= next_poll:
                    root = await asyncio.to_thread(disk.identity, self._root)
                    next_poll = self._now() + ROOT_POLL_S
                if root != watched or self._now() >= self._scan_due(next_scan):
                    root = await asyncio.to_thread(disk.identity, self._root)
                    if root != watched or root is None or (hints is not None and hints.broken):
                        hints = await self._watch_again(hints, root)
                        watched = root
                    next_scan = self._now() + await self._scan(root)
                await self._observe_names(names)
                self._tracker.advance(self._now())
                self._looked()
                await self._doze(min(next_poll, self._scan_due(next_scan)))
        finally:
            if hints is not None:
                await hints.close()

    def _take(self, hints: Hints | None) -> set[str]:
        """Collect the notifications; return the names to check."""
        if hints is None:
            return set()
        names, deleted, everything = hints.take()
        self._tracker.reported_deleted(deleted)
        self._tracker.wants_scan |= everything
        return names

    def _scan_due(self, next_scan: float) -> float:
        """Return when to scan: sooner than by the clock if the tracker wants it."""
        if not self._tracker.wants_scan:
            return next_scan
        return min(next_scan, self._scan_ended + max(self._options.settle_s, SCAN_SHARE * self._scan_cost_s))

    async def _doze(self, until: float) -> None:
        """Sleep until a hint, or until it is time for something."""
        due = self._tracker.next_due()
        until = until if due is None else min(due, until)
        try:
            async with asyncio.timeout_at(until):
                await self._awake.wait()
        except TimeoutError:
            return
        finally:
            self._awake.clear()

    async def _watch_again(self, hints: Hints | None, root: tuple[int, int] | None) -> Hints | None:
        """Watch the folder that is there now; the scan that follows finds what came before the watch."""
        if hints is not None:
            await asyncio.sleep(DELAY_S)  # what was deleted with the folder that went is told yet
            self._take(hints)
            await hints.close()
        if root is None or self._options.once:
            return None
        fresh = Hints(self._root, self._awake.set)
        await fresh.started.wait()
        return fresh

    async def _scan(self, root: tuple[int, int] | None) -> float:
        """Scan the whole folder; return the seconds until the next scan. root: the folder's identity just before."""
        options, began = self._options, self._now()
        self._tracker.begin_scan(began)
        self.ignored.begin()
        hidden: dict[str, str] = {}
        try:
            await self._observe(disk.look(self._root, "", options.matches, options.ignored), hidden)
        except OSError as error:  # of the folder itself
            missing = isinstance(error, (FileNotFoundError, NotADirectoryError))
            self._report({"": _MISSING if missing else f"{error.strerror or error}; {_MISSING}"})
            # `end_scan` is not called: a folder that cannot be listed proves nothing about its files.
            self.scanned = self.scanned or options.once
            return min(options.rescan_s, ROOT_POLL_S)
        if await asyncio.to_thread(disk.identity, self._root) != root:
            return 0.0  # another folder came into its place meanwhile: what was seen belongs to neither
        hidden |= dict.fromkeys(self._unmounted(await asyncio.to_thread(disk.mounts, self._root)), _NOT_MOUNTED)
        self._tracker.end_scan(self._now(), hidden, replaced=self._trusted not in (None, root))
        self._judge(root, hidden)
        if self.ignored.end():
            await self._ledger_actions.ignore(self.ignored.reasons)
        self._scan_ended = self._now()
        self._scan_cost_s = self._scan_ended - began
        await self._mark_outdated()
        self.scanned = True
        return max(options.rescan_s, SCAN_SHARE * self._scan_cost_s)

    def _judge(self, root: tuple[int, int] | None, hidden: dict[str, str]) -> None:
        """Report what is out of sight; remember the folder if it is in order."""
        if self._tracker.suspended:
            count = self._tracker.counts[State.MISSING]
            self._report(hidden | {"": _SUSPENDED.format(count=count, pipeline=self._pipeline)})
            return
        # Rows are kept here whatever comes, so an empty folder at the start is not worth a problem: many people empty
        # it.
        emptied = self._tracker.emptied
        if emptied == "at the start":
            self._warn_once("", _EMPTIED)
        if emptied in ("", "at the start"):
            self._trusted = root
            self._report(hidden)
        else:
            self._report(hidden | {"": _EMPTIED})

    async def _mark_outdated(self) -> None:
        """Have processed again what is marked so; while the ledger cannot be written, after the next scan."""
        try:
            outdated = await self._ledger_actions.outdated()
        except Unavailable:  # a full disk, which its owner has logged
            if self._options.once:
                raise
            return
        self._tracker.mark_outdated(outdated, self._now())

    def _unmounted(self, mounts: set[str]) -> set[str]:
        """Return the folders on which a file system was mounted and is not now, and that show none of its files."""
        gone = {name for name in self._mounts - mounts if self._tracker.misses(name)}
        self._mounts = mounts | gone
        return gone

    async def _observe_names(self, names: set[str]) -> None:
        """Check the files that the watch named."""
        options = self._options
        for name in sorted(names):
            if any(is_hidden(part) for part in name.split("/")) or options.ignored(name):
                continue
            file = await asyncio.to_thread(disk.glance, self._root, name)
            if isinstance(file, SeenFile):
                if options.matches(name):
                    self._tracker.seen(name, file.stamp, file.quiet_s, self._now())
                else:
                    self._tracker.wants_scan |= not self.ignored.saw(name)
            elif file is None and await asyncio.to_thread((self._root / name).is_dir):
                await self._observe(disk.look(self._root, name, options.matches, options.ignored), {})
            elif name in self._tracker.files:
                self._tracker.gone(name, self._now())
            else:
                self._tracker.wants_scan = True  # perhaps a folder of many names

    async def _observe(self, files: Iterator[SeenFile | Unwanted | Unseeable], hidden: dict[str, str]) -> None:
        """Pass the files to the tracker, a batch at a time, so that the event loop is not blocked."""
        while batch := await asyncio.to_thread(lambda: list(islice(files, SCAN_BATCH))):
            now = self._now()
            for file in batch:
                if isinstance(file, SeenFile):
                    self._tracker.seen(file.name, file.stamp, file.quiet_s, now)
                elif isinstance(file, Unwanted):
                    self._tracker.wants_scan |= not self.ignored.saw(file.name)
                elif file.folder:
                    hidden[file.name] = file.reason
                else:
                    self._warn_once(file.name, file.reason)

    def _report(self, problems: dict[str, str]) -> None:
        """Log folders that are out of sight, and that are back."""
        for name in self._problems.keys() - problems.keys():
            _log.info("%s is back", self._root / name)
            self._logged = {logged for logged in self._logged if logged[0] != name}
        for name, reason in problems.items():
            self._warn_once(name, reason)
        self._problems = problems
        self._tell(self.problem)

    def _warn_once(self, name: str, reason: str) -> None:
        if (name, reason) not in self._logged:
            self._logged.add((name, reason))
            _log.warning("%s: %s", self._root / name, reason)

    def _now(self) -> float:
        return asyncio.get_running_loop().time()
