"""Reads the files whose content the tracker has to know."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Final

from fastembed.sources.watching import disk
from fastembed.sources.watching.files import Stamp
from fastembed.sources.watching.tracker import Tracker

BATCH: Final = 64
BATCH_BYTES: Final = 64 << 20


class Hasher:
    """Hashes files of one folder, a batch at a time. After each batch it calls `learned`."""

    def __init__(self, root: Path, tracker: Tracker, *, learned: Callable[[], None]) -> None:
        """Hash the files that `tracker` asks for. Call it in the event loop."""
        self._root = root
        self._tracker = tracker
        self._learned = learned
        self._awake = asyncio.Event()

    def wake(self) -> None:
        """Wake the hasher to ask the tracker for files."""
        self._awake.set()

    async def run(self) -> None:
        """Hash until cancelled."""
        while True:
            batch = self._batch()
            if not batch:
                self._awake.clear()
                await self._awake.wait()
                continue
            for (name, stamp), found in zip(batch, await asyncio.to_thread(self._digest, batch), strict=True):
                self._learn(name, stamp, found)
            self._learned()

    def _batch(self) -> list[tuple[str, Stamp]]:
        batch: list[tuple[str, Stamp]] = []
        size_bytes = 0
        while len(batch) < BATCH and size_bytes < BATCH_BYTES:
            wanted = self._tracker.next_to_hash()
            if wanted is None:
                break
            batch.append(wanted)
            size_bytes += wanted[1].size_bytes
        return batch

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
        now = asyncio.get_running_loop().time()
        if isinstance(found, (FileNotFoundError, NotADirectoryError)):
            self._tracker.gone(name, now)
        elif isinstance(found, OSError):
            self._tracker.unreadable(name, found.strerror or str(found))
        elif not found[0] or found[1] != stamp:
            self._tracker.seen(name, found[1], 0.0, now)
        else:
            self._tracker.hashed(name, stamp, found[0])
