"""A watched folder: every file in it once, however it came there, across restarts."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Final, Literal

from fastembed.pipeline.component import Context, source
from fastembed.pipeline.item import Item, Outcome
from fastembed.pipeline.payload.document import File
from fastembed.pipeline.units import Duration
from fastembed.sources.watching import disk
from fastembed.sources.watching.books import Books
from fastembed.sources.watching.disk import Hidden, Sight
from fastembed.sources.watching.files import Emission, End, Stamp, State
from fastembed.sources.watching.hints import Hints
from fastembed.sources.watching.pattern import any_of, check_takes_any, is_hidden, matcher
from fastembed.sources.watching.tracker import Tracker

SCAN_BATCH: Final = 1000
HASH_BATCH: Final = 64
HASH_BATCH_BYTES: Final = 64 << 20
ROOT_POLL_SECONDS: Final = 1.0
ROOT_MISSING: Final = "the folder is not there; nothing counts as deleted until it is back"
SCAN_SHARE: Final = 20  # a scan may take this part of the time, at most

_log = logging.getLogger(__name__)

_ENDS: Final[dict[Outcome, End]] = {
    Outcome.DELIVERED: "delivered",
    Outcome.FILTERED: "filtered",
    Outcome.CANCELLED: "cancelled",
    Outcome.DEFERRED: "cancelled",
}


@dataclass(frozen=True, slots=True)
class Progress:
    """How far the folder's files are. waiting: not quiet, not read or not emitted yet. unreadable: tried again."""

    waiting: int
    in_flight: int
    done: int
    duplicates: int
    failed: int
    unreadable: int


@source
class Folder:
    """Yield each file of a folder once it is complete; follow changes, renames and deletions.

    Delivery: at least once from here; exactly once with a transactional sink, whose ledger says what is done. A file is
    complete when its size, time and inode have been the same for `settle`. Bytes that are done under one name are not
    emitted again under another (a duplicate); when the first name goes, a duplicate takes its rows over. A renamed
    file keeps its rows, a deleted one loses them, a changed one is emitted again. A changed pipeline definition emits
    nothing again by itself: `fastembed reprocess` does.
    Overload: files wait on disk; only names, times and hashes are held (about 1 KB a file). Restart: the folder is
    compared with the ledger; what was in flight is emitted again.

    Args: path: the folder, made if it is not there. match: glob with braces. ignore: globs left out; hidden and
    unfinished files (.tmp, .part, ~), and folders that hold a .no-input file, always are. settle: see above. rescan:
    how often the whole folder is looked at, whatever the watch said. done: move files there once they are processed
    (their rows stay). deleted: whether rows of deleted files are forgotten or kept. While the folder itself is missing
    nothing counts as deleted.
    """

    replayable: Final = True
    exclusive: Final = True  # two pipelines on one folder would do everything twice

    def __init__(
        self,
        path: Path,
        *,
        match: str = "**/*",
        ignore: tuple[str, ...] = ("failed/**", "done/**"),
        settle: Duration = 2.0,
        rescan: Duration = 30.0,
        done: Path | None = None,
        deleted: Literal["forget", "keep"] = "forget",
    ) -> None:
        """Check the options; `open` looks at the disk."""
        self._path = path
        self._matches = matcher(match)
        self._ignored = any_of(ignore)
        check_takes_any(match, self._ignored)
        self._settle_s = settle
        self._rescan_s = rescan
        self._done = done
        self._keep_deleted = deleted == "keep"
        self._flying: dict[str, Item[File]] = {}
        self._complaints: set[tuple[str, str]] = set()
        self._ignore = ignore
        self._stopping = self._scanned = self._once = self._opened = False
        self._scan_ended = self._scan_cost_s = 0.0

    async def open(self, context: Context) -> None:
        """Make the folder if it is not there."""
        self._root = await asyncio.to_thread(disk.prepare, context.base / self._path.expanduser())
        done = None if self._done is None else context.base / self._done.expanduser()
        if done is not None and done.is_relative_to(self._root):
            inside = done.relative_to(self._root).as_posix()
            self._ignored = any_of([*self._ignore, f"{inside}/**"])
        self._once, self._pipeline, self._definition = context.once, context.pipeline, context.definition
        self._books = Books(self._root, context.ledger, done, self._cancel)
        self._tracker = Tracker(
            definition=context.definition,
            settle_s=self._settle_s,
            keep_deleted=self._keep_deleted,
            stow=done is not None,
        )
        self._acting = asyncio.Lock()
        self._opened = True
        self._stirred, self._hashable, self._changed, self._awake = (asyncio.Event() for _ in range(4))

    async def items(self) -> AsyncIterator[Item[File]]:
        """Yield files as they are complete; with `once`, end when all that were there have ended."""
        await self._restore()
        work = asyncio.create_task(self._work(), name=f"folder {self._root.name}")
        try:
            while not self._stopping:
                self._changed.clear()
                await self._act()
                emission = self._tracker.next_ready()
                if emission is not None:
                    yield self._item(emission)
                elif work.done():
                    await work
                    return
                elif self._once and self._scanned and not self._tracker.active:
                    return
                else:
                    await self._changed.wait()
        finally:
            work.cancel()
            await asyncio.wait([work])

    def stop(self) -> None:
        """Emit no more; what is in flight ends as it ends."""
        self._stopping = True
        if self._opened:
            self._changed.set()

    async def close(self) -> None:
        """Write down how the last items ended; nothing if it could not be opened."""
        if self._opened:
            await self._act()

    def progress(self) -> Progress:
        """Return how many files are where, for progress bars and metrics."""
        counts = self._tracker.counts
        return Progress(
            waiting=sum(counts[s] for s in (State.CANDIDATE, State.HASHING, State.WAITING, State.READY)),
            in_flight=len(self._flying),
            done=counts[State.DONE] + counts[State.SKIPPED] + counts[State.AWAY],
            duplicates=counts[State.COPY],
            failed=counts[State.FAILED],
            unreadable=counts[State.UNREADABLE],
        )

    async def _restore(self) -> None:
        """Read the ledger: not before the pipeline that wrote it last has ended, on a reload."""
        entries = await self._books.entries()
        await asyncio.to_thread(self._tracker.restore, entries)
        if others := sum(entry.state == "done" and entry.definition != self._definition for entry in entries):
            _log.info(
                "%s: %d files were processed by another definition of this pipeline; `fastembed reprocess %s` "
                "processes them again",
                self._root,
                others,
                self._pipeline,
            )

    # Items

    def _item(self, emission: Emission) -> Item[File]:
        name, sha256, stamp = emission.name, emission.sha256, emission.stamp
        file = File(self._root / name, name, sha256, stamp.size_bytes, stamp.mtime_ns)
        item = Item(
            file,
            event_time=stamp.mtime_ns / 1e9,
            meta={"name": name, "path": str(file.path), "sha256": sha256},
            on_settled=partial(self._settled, name),
        )
        self._flying[name] = item
        return item

    def _settled(self, name: str, outcome: Outcome, error: BaseException | None) -> None:
        self._flying.pop(name, None)
        detail = "" if error is None else f"{type(error).__name__}: {error}"
        end = _ENDS.get(outcome, "failed")
        self._tracker.settled(name, end, self._now(), detail, retry=not self._stopping and not self._waits(outcome))
        self._stir()

    def _waits(self, outcome: Outcome) -> bool:
        """Whether a file that the machine cannot process now is left to the next run."""
        return self._once and outcome is Outcome.DEFERRED

    def _cancel(self, name: str) -> None:
        item = self._flying.get(name)
        if item is not None and item.admitted:
            item.ack.cancel()

    # Work beside the items

    async def _work(self) -> None:
        """Look, hash and act until cancelled; an error of the ledger ends it and, with it, `items`."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._look())
                group.create_task(self._hash())
                group.create_task(self._keep_acting())
        except ExceptionGroup as failed:
            raise failed.exceptions[0] from None
        finally:
            self._changed.set()

    async def _keep_acting(self) -> None:
        """Take actions also while the pipeline asks for no file."""
        while True:
            await self._stirred.wait()
            self._stirred.clear()
            await self._act()
            self._changed.set()

    async def _act(self) -> None:
        async with self._acting:
            while self._tracker.actions:
                await self._books.perform(self._tracker.actions[0])
                self._tracker.actions.popleft()

    async def _look(self) -> None:
        """Follow the hints of the watch, scan now and then, and let time pass."""
        hints: Hints | None = None
        watched: tuple[int, int] | None = None
        next_scan = self._now()
        try:
            while True:
                names: set[str] = set()
                if hints is not None:
                    names, everything = hints.take()
                    self._tracker.wants_scan |= everything
                if self._now() >= self._scan_due(next_scan):
                    root = await asyncio.to_thread(disk.identity, self._root)
                    if root != watched or root is None or (hints is not None and hints.broken):
                        hints = await self._watch_again(hints, root)
                        watched = root
                    next_scan = self._now() + await self._scan()
                await self._observe_names(names)
                self._tracker.advance(self._now())
                self._stirred.set()
                self._hashable.set()
                await self._doze(self._scan_due(next_scan))
        finally:
            if hints is not None:
                await hints.close()

    def _scan_due(self, next_scan: float) -> float:
        """Return when to scan: sooner than by the clock if the tracker wants it."""
        if not self._tracker.wants_scan:
            return next_scan
        return min(next_scan, self._scan_ended + max(self._settle_s, SCAN_SHARE * self._scan_cost_s))

    async def _doze(self, next_scan: float) -> None:
        """Sleep until a hint, or until it is time for something."""
        due = self._tracker.next_due()
        until = next_scan if due is None else min(due, next_scan)
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
            await hints.close()
        if root is None or self._once:
            return None
        fresh = Hints(self._root, self._awake.set)
        await fresh.started.wait()
        return fresh

    async def _scan(self) -> float:
        """Look at everything; return in how many seconds to do it again."""
        began = self._now()
        self._tracker.begin_scan(began)
        unreadable: list[str] = []
        try:
            await self._observe(disk.look(self._root, "", self._matches, self._ignored), unreadable)
        except (FileNotFoundError, NotADirectoryError):
            self._complain("", ROOT_MISSING)
            self._scanned = self._once
            return min(self._rescan_s, ROOT_POLL_SECONDS)
        self._complaints.discard(("", ROOT_MISSING))
        self._tracker.end_scan(self._now(), unreadable)
        self._scan_ended = self._now()
        self._scan_cost_s = self._scan_ended - began
        self._tracker.mark_outdated(await self._books.outdated(), self._now())
        self._scanned = True
        return max(self._rescan_s, SCAN_SHARE * self._scan_cost_s)

    async def _observe_names(self, names: set[str]) -> None:
        """Look at what the watch named."""
        for name in sorted(names):
            if any(is_hidden(part) for part in name.split("/")) or self._ignored(name):
                continue
            path = self._root / name
            sight = await asyncio.to_thread(disk.glance, self._root, name)
            if isinstance(sight, Sight):
                if self._matches(name):
                    self._tracker.seen(name, sight.stamp, sight.quiet_s, self._now())
            elif sight is None and await asyncio.to_thread(path.is_dir):
                await self._observe(disk.look(self._root, name, self._matches, self._ignored), [])
            elif name in self._tracker.files:
                self._tracker.gone(name, self._now())
            else:
                self._tracker.wants_scan = True  # perhaps a folder of many names

    async def _observe(self, sights: Iterator[Sight | Hidden], unreadable: list[str]) -> None:
        """Tell the tracker what is there, a batch at a time, so that the event loop breathes."""
        while batch := await asyncio.to_thread(lambda: list(islice(sights, SCAN_BATCH))):
            now = self._now()
            for sight in batch:
                if isinstance(sight, Sight):
                    self._tracker.seen(sight.name, sight.stamp, sight.quiet_s, now)
                    continue
                self._complain(sight.name, sight.reason)
                if sight.folder:
                    unreadable.append(sight.name)

    async def _hash(self) -> None:
        """Read the files whose content has to be known."""
        while True:
            batch: list[tuple[str, Stamp]] = []
            size_bytes = 0
            while len(batch) < HASH_BATCH and size_bytes < HASH_BATCH_BYTES:
                wanted = self._tracker.next_to_hash()
                if wanted is None:
                    break
                batch.append(wanted)
                size_bytes += wanted[1].size_bytes
            if not batch:
                self._hashable.clear()
                await self._hashable.wait()
                continue
            for (name, stamp), found in zip(batch, await asyncio.to_thread(self._digest, batch), strict=True):
                self._learn(name, stamp, found)
            self._stir()

    def _digest(self, batch: list[tuple[str, Stamp]]) -> list[tuple[str, Stamp] | OSError]:
        """Read files, in a thread."""
        found: list[tuple[str, Stamp] | OSError] = []
        for name, _ in batch:
            try:
                found.append(disk.digest(self._root / name))
            except OSError as error:
                found.append(error)
        return found

    def _learn(self, name: str, stamp: Stamp, found: tuple[str, Stamp] | OSError) -> None:
        now = self._now()
        if isinstance(found, (FileNotFoundError, NotADirectoryError)):
            self._tracker.gone(name, now)
        elif isinstance(found, OSError):
            self._tracker.unreadable(name, found.strerror or str(found))
        elif not found[0] or found[1] != stamp:
            self._tracker.seen(name, found[1], 0.0, now)
        else:
            self._tracker.hashed(name, stamp, found[0])

    def _complain(self, name: str, reason: str) -> None:
        """Tell a problem of a folder once."""
        if (name, reason) not in self._complaints:
            self._complaints.add((name, reason))
            _log.warning("%s: %s", self._root / name, reason)

    def _stir(self) -> None:
        """Wake whoever may have something to do since the tracker changed."""
        self._stirred.set()
        self._hashable.set()
        self._awake.set()  # it has to reckon anew when the next file is due

    def _now(self) -> float:
        return asyncio.get_running_loop().time()
