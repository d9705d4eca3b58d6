"""Carries out the tracker's decisions: corrects the ledger, moves finished files, logs problems."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from fastembed.pipeline.filing import destination, is_same_file, move
from fastembed.pipeline.ledger import Ledger, LedgerEntry, ListingLedger
from fastembed.sources.watching.actions import Action, Cancel, Forget, MoveToDone, Record, Rename, Warn

_log = logging.getLogger(__name__)


class LedgerActions:
    """Takes actions for one folder. ledger: None if the pipeline remembers nothing. done: where files go, or None."""

    def __init__(self, root: Path, ledger: Ledger | None, done: Path | None, cancel: Callable[[str], None]) -> None:
        """Carry out actions for the folder `root`; `cancel(name)` cancels the item of that name in flight."""
        self._root = root
        self._ledger = ledger
        self._done = done
        self._cancel = cancel

    async def perform(self, action: Action) -> Sequence[str]:
        """Carry out one action; return the names for which the ledger does not hold what the action expects.

        What the ledger raises is the pipeline's problem; files that cannot be moved are logged.
        """
        if isinstance(action, Cancel):
            self._cancel(action.name)
        elif isinstance(action, Warn):
            _log.warning("%s cannot be read: %s; it is tried again", self._root / action.name, action.reason)
        elif isinstance(action, MoveToDone):
            return await self._move_to_done(action.entry)
        elif self._ledger is not None:
            return await self._change(self._ledger, action)
        return ()

    async def _change(self, ledger: Ledger, action: Record | Rename | Forget) -> Sequence[str]:
        match action:
            case Record(entry, expected):
                # A duplicate concerns two names: its own, and the one that is believed to hold the content.
                names = (entry.name, entry.detail) if entry.state == "duplicate" else (entry.name,)
                if entry.state in ("failed", "skipped") and await asyncio.to_thread(self._is_another, entry):
                    return names
                return () if await ledger.record(entry, expected=expected) else names
            case Rename(old, new, sha256, replaces):
                return () if await ledger.rename(old, new, sha256=sha256, replaces=replaces) else (old, new)
            case Forget(name, expected):
                return () if await ledger.forget(name, expected=expected) else (name,)

    async def entries(self) -> list[LedgerEntry]:
        """Return what the ledger says, compared with the rows, after finishing moves that a crash cut short."""
        # The crash between `move` and its record leaves a file in `done` that the ledger believes in the folder. Seen
        # as deleted it would lose its rows; so it is looked for there, by name and time, before the first scan.
        if self._ledger is None:
            return []
        await self._ledger.entries("outdated")  # compares the ledger with the rows
        entries = list(await self._ledger.entries())
        for entry, location in await asyncio.to_thread(self._moved_unrecorded, entries):
            moved = replace(entry, location=str(location))
            await self._ledger.record(moved)
            entries[entries.index(entry)] = moved
        await self.bring_back(entry for entry in entries if entry.state == "outdated")
        return entries

    async def outdated(self) -> list[LedgerEntry]:
        """Return what is marked to be processed again, its files back in the folder.

        These are the files marked by a command, and those for which ledger and rows differ.
        """
        if self._ledger is None:
            return []
        entries = list(await self._ledger.entries("outdated"))
        await self.bring_back(entries)
        return entries

    async def bring_back(self, entries: Iterable[LedgerEntry]) -> None:
        """Move files that were moved away back into the folder, unless another file has their name by now."""
        for entry in entries:
            if entry.location:
                await asyncio.to_thread(self._return, Path(entry.location), self._root / entry.name)

    async def ignore(self, reasons: Mapping[str, str]) -> None:
        """List the files that the pipeline does not take, where the ledger can."""
        if isinstance(self._ledger, ListingLedger):
            await self._ledger.ignore(reasons)

    async def reread(self) -> dict[str, LedgerEntry]:
        """Return by name what the ledger says now, compared with the rows."""
        if self._ledger is None:
            return {}
        await self._ledger.entries("outdated")
        return {entry.name: entry for entry in await self._ledger.entries()}

    async def _move_to_done(self, entry: LedgerEntry) -> Sequence[str]:
        """Move a finished file away, then say so in the ledger; `entries` heals a crash between the two."""
        if self._done is None:
            return ()
        try:
            location = await asyncio.to_thread(self._move_away, self._done, entry)
        except OSError as error:
            _log.warning("%s cannot be moved to %s: %s", self._root / entry.name, self._done, error)
            return ()
        if location is None or self._ledger is None:
            return ()
        return await self._change(self._ledger, Record(replace(entry, location=str(location)), entry.sha256))

    def _is_another(self, entry: LedgerEntry) -> bool:
        """Whether a file was replaced since its content was hashed: it may be another's that was read and refused."""
        path = self._root / entry.name
        return path.exists() and not is_same_file(path, entry.size_bytes, entry.mtime_ns)

    def _move_away(self, done: Path, entry: LedgerEntry) -> Path | None:
        """Move the file if it is still the one that was processed."""
        path = self._root / entry.name
        try:
            found = path.lstat()
        except FileNotFoundError:
            return None
        if (found.st_size, found.st_mtime_ns) != (entry.size_bytes, entry.mtime_ns):
            return None
        to = destination(done, entry.name, entry.sha256)
        move(path, to)
        return to

    def _moved_unrecorded(self, entries: Iterable[LedgerEntry]) -> list[tuple[LedgerEntry, Path]]:
        """Find finished files that lie in `done` without the ledger knowing it."""
        if self._done is None:
            return []
        found = []
        for entry in entries:
            if entry.location or entry.state not in ("done", "duplicate", "skipped"):
                continue
            if (self._root / entry.name).exists():
                continue
            plain = self._done / entry.name
            for path in (plain.with_name(f"{plain.stem}.{entry.sha256[:8]}{plain.suffix}"), plain):
                if path.is_file() and path.stat().st_mtime_ns == entry.mtime_ns:
                    found.append((entry, path))
                    break
        return found

    def _return(self, location: Path, path: Path) -> None:
        if location.exists() and not path.exists():
            move(location, path)
