"""A watched folder: every file in it once, however it came there, across restarts."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final, Literal

from fastembed.pipeline.component import Context, source
from fastembed.pipeline.errors import FileChanged, Unavailable
from fastembed.pipeline.health import Health
from fastembed.pipeline.item import Item, Outcome
from fastembed.pipeline.ledger import differs_in_model_only
from fastembed.pipeline.payload.document import File
from fastembed.pipeline.units import Duration
from fastembed.sources.watching import disk
from fastembed.sources.watching.files import Emission, End, State
from fastembed.sources.watching.hashing import Hasher
from fastembed.sources.watching.ignored import reason_of
from fastembed.sources.watching.ledger_actions import LedgerActions
from fastembed.sources.watching.observer import Observer, ScanOptions
from fastembed.sources.watching.pattern import any_of, check_takes_any, is_hidden, matcher
from fastembed.sources.watching.tracker import Tracker

_log = logging.getLogger(__name__)

_LEDGER_PAUSE_S: Final = 1.0
"""Between two tries to write a ledger whose disk is full."""
_ENDS: Final[dict[Outcome, End]] = {
    Outcome.DELIVERED: "delivered",
    Outcome.FILTERED: "filtered",
    Outcome.CANCELLED: "cancelled",
    Outcome.DEFERRED: "deferred",
}


@dataclass(frozen=True, slots=True)
class FolderProgress:
    """How far the folder's files are. waiting: not quiet, not read or not emitted yet. unreadable: tried again.

    problem: why files may be out of sight (a file system that is not mounted), "" if none are. ignored: not taken.
    """

    waiting: int
    in_flight: int
    done: int
    duplicates: int
    failed: int
    unreadable: int
    problem: str = ""
    ignored: int = 0


@source
class Folder:
    """Yield each file of a folder once it is complete; follow changes, renames and deletions.

    Delivery: at least once from here; exactly once with a transactional sink, whose ledger says what is done. A file is
    complete when its size, time and inode have been the same for `settle`. Bytes that are done under one name are not
    emitted again under another (a duplicate); when the first name goes, a duplicate takes its rows over. A renamed
    file keeps its rows, a deleted one loses them, a changed one is emitted again. A changed pipeline definition emits
    nothing again by itself but what failed: `fastembed reprocess` does. What the ledger and the rows say differently is
    processed again.
    Overload: files wait on disk; only names, times and hashes are held (about 1 KB a file). Restart: the folder is
    compared with the ledger; what was in flight is emitted again.

    Args: path: the folder, made if it is not there. match: glob with braces. ignore: globs left out; hidden and
    unfinished files (.tmp, .part, ~), and folders that hold a .no-input file, always are. settle: see above. rescan:
    how often the whole folder is looked at, whatever the watch said. done: move files there once they are processed
    (their rows stay). deleted: whether rows of deleted files are forgotten or kept. Nothing counts as deleted while the
    folder is missing or seems not to be mounted: it is another one than before and has none of its files, or all of
    them went at once without a word of the watch.
    """

    replayable: Final = True
    exclusive: Final = True  # two pipelines on one folder would do everything twice
    order: Final = "none"  # no file waits for another one

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
        self._in_flight: dict[str, Item[File]] = {}
        self._doubtful: set[str] = set()
        self._doubtful_in_flight: set[str] = set()
        self._ignore = ignore
        self._stopping = self._once = self._opened = False

    async def open(self, context: Context) -> None:
        """Make the folder if it is not there."""
        self._root = await asyncio.to_thread(disk.prepare, context.base / self._path.expanduser())
        done = None if self._done is None else context.base / self._done.expanduser()
        if done is not None and done.is_relative_to(self._root):
            inside = done.relative_to(self._root).as_posix()
            self._ignored = any_of([*self._ignore, f"{inside}/**"])
        self._once, self._pipeline, self._definition = context.once, context.pipeline, context.definition
        self._ledger_actions = LedgerActions(self._root, context.ledger, done, self._cancel)
        self._tracker = Tracker(
            definition=context.definition,
            settle_s=self._settle_s,
            keep_deleted=self._keep_deleted,
            move_to_done=done is not None,
        )
        self._acting = asyncio.Lock()
        self._opened = True
        self._health = Health.of(context.resources)
        self._stirred, self._changed = asyncio.Event(), asyncio.Event()
        self._hasher = Hasher(self._root, self._tracker, learned=self._stir)
        self._observer = Observer(
            self._root,
            self._tracker,
            self._ledger_actions,
            ScanOptions(self._matches, self._ignored, self._settle_s, self._rescan_s, context.once),
            pipeline=context.pipeline,
            looked=self._looked,
            report=partial(self._health.report, f"pipeline {context.pipeline}"),
        )

    async def items(self) -> AsyncIterator[Item[File]]:
        """Yield files as they are complete; with `once`, end when all that were there have ended."""
        await self._restore()
        work = asyncio.create_task(self._work(), name=f"folder {self._root.name}")
        try:
            while not self._stopping:
                # Cleared before looking, so that a change during the look is not slept over.
                self._changed.clear()
                await self._act()
                emission = self._tracker.next_ready()
                if emission is not None:
                    yield self._item(emission)
                elif work.done():
                    await work
                    return
                elif self._once and self._observer.scanned and not self._tracker.active:
                    return
                else:
                    await self._changed.wait()
        finally:
            work.cancel()
            await asyncio.wait([work])

    @property
    def root(self) -> Path:
        """Return the folder itself; the source has been opened."""
        return self._root

    def why_ignored(self, name: str) -> str:
        """Return why a file of this name would not be taken, and what its user may do; "" if it is taken."""
        if any(map(is_hidden, name.split("/"))) or self._ignored(name):
            return "files of this name are ignored"
        return "" if self._matches(name) else reason_of(name)

    def stop(self) -> None:
        """Emit no more files; those in flight are finished."""
        self._stopping = True
        if self._opened:
            self._changed.set()

    async def close(self) -> None:
        """Record the outcomes of the last items; does nothing if the source was not opened."""
        if self._opened:
            self._stopping = True
            await self._act()
            if not self._once:
                self._health.report(f"pipeline {self._pipeline}", "")

    def forget_missing(self) -> int:
        """Forget the files that are missing but retained: they were deleted on purpose. Return how many."""
        missing = [name for name, tracked in self._tracker.files.items() if tracked.state is State.MISSING]
        self._tracker.reported_deleted(missing)
        self._observer.wake()
        return len(missing)

    def progress(self) -> FolderProgress:
        """Return the number of files in each state, for progress bars and metrics."""
        counts = self._tracker.counts
        return FolderProgress(
            waiting=sum(counts[s] for s in (State.CANDIDATE, State.HASHING, State.WAITING, State.READY)),
            in_flight=len(self._in_flight),
            done=counts[State.DONE] + counts[State.SKIPPED] + counts[State.AWAY],
            duplicates=counts[State.DUPLICATE],
            failed=counts[State.FAILED],
            unreadable=counts[State.UNREADABLE],
            problem=self._observer.problem,
            ignored=self._observer.ignored.count,
        )

    async def _restore(self) -> None:
        """Read the ledger: not before the pipeline that wrote it last has ended, on a reload."""
        entries = await self._ledger_actions.entries()
        await asyncio.to_thread(self._tracker.restore, entries)
        older = [
            entry.definition for entry in entries if entry.state == "done" and entry.definition != self._definition
        ]
        unlike = sum(differs_in_model_only(definition, self._definition) for definition in older)
        if unlike:
            _log.info(
                "%s: the vectors of %d files are of another model; `fastembed reembed %s` makes new ones of their text",
                self._root,
                unlike,
                self._pipeline,
            )
        if others := len(older) - unlike:
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
        file = File(self._root / name, name, sha256, *stamp)
        item = Item(
            file,
            event_time=stamp.mtime_ns / 1e9,
            meta={"name": name, "path": str(file.path), "sha256": sha256},
            on_settled=partial(self._settled, name),
        )
        self._in_flight[name] = item
        return item

    def _settled(self, name: str, outcome: Outcome, error: BaseException | None) -> None:
        # Called by the pipeline after the commit (or instead of one), in whatever task ended the item: it only notes
        # what happened. The ledger has the row of a delivered file by now; all others follow as actions.
        self._in_flight.pop(name, None)
        if name in self._doubtful_in_flight:
            self._doubtful_in_flight.discard(name)
            self._doubtful.add(name)
        detail = "" if error is None else f"{type(error).__name__}: {error}"
        # A file that changed while it was read is no failure: its new content is another file's turn.
        end = "cancelled" if isinstance(error, FileChanged) else _ENDS.get(outcome, "failed")
        left = self._stopping or (self._once and end == "deferred")  # to the next run
        self._tracker.settled(name, end, self._now(), detail, retry=not left)
        self._stir()

    def _cancel(self, name: str) -> None:
        item = self._in_flight.get(name)
        if item is not None and item.admitted:
            item.ack.cancel()

    # Work beside the items

    async def _work(self) -> None:
        """Run observer, hasher and actions until cancelled; an error of the ledger ends them and `items`."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._observer.run())
                group.create_task(self._hasher.run())
                group.create_task(self._keep_acting())
        except ExceptionGroup as failed:
            raise failed.exceptions[0] from None
        finally:
            self._changed.set()

    async def _keep_acting(self) -> None:
        """Carry out actions while the pipeline asks for no file."""
        while True:
            await self._stirred.wait()
            self._stirred.clear()
            await self._act()
            self._changed.set()

    async def _act(self) -> None:
        """Carry out all actions; names for which the ledger refuses one are corrected and decided again."""
        # One at a time: `items` and `_keep_acting` both come here, and the order of the actions is part of their
        # meaning.
        async with self._acting:
            while self._tracker.actions or self._doubtful:
                try:
                    await self._act_on_next()
                except Unavailable:
                    # The disk is full (the ledger's owner has waited, and logged it). Nothing is lost: the action is
                    # still the first in the line, and no file is emitted before it is done.
                    if self._stopping:
                        return  # the next start compares the folder with the ledger, which is as good
                    if self._once:
                        raise  # the run ends, and says why
                    await asyncio.sleep(_LEDGER_PAUSE_S)

    async def _act_on_next(self) -> None:
        """Carry out the next action; after the last, look again at what was refused."""
        if self._tracker.actions:
            # Taken out of the line after it is done: a crash, or an error, in between does it once more, and each
            # action is refused or without effect where it has been carried out already.
            self._doubtful.update(await self._ledger_actions.perform(self._tracker.actions[0]))
            self._tracker.actions.popleft()
        else:
            await self._reconcile()

    async def _reconcile(self) -> None:
        """Correct the tracker's view of names for which the ledger holds something else."""
        entries = await self._ledger_actions.reread()
        # What was decided while this read the ledger may change it, and is not in `entries`: it goes first, and the
        # names stay doubtful for the next round.
        if self._tracker.actions:
            return
        names, self._doubtful = self._doubtful, set()
        for name in names:
            if not self._tracker.reconcile(name, entries.get(name), self._now()):
                self._doubtful_in_flight.add(name)

    def _looked(self) -> None:
        self._stirred.set()
        self._hasher.wake()

    def _stir(self) -> None:
        """Wake the tasks that may have work since the tracker changed."""
        self._looked()
        self._observer.wake()

    def _now(self) -> float:
        return asyncio.get_running_loop().time()
