"""An upload into a watched folder: seen by its pipeline only when it is whole, and never over another file.

It is written beside its place under a hidden name that ends in `.part`, which watched folders never take, made
durable, and given its name by a link, which fails where the name is taken: no look at the folder before could promise
that. File systems without links (FAT) get a look and a renaming. Every method blocks for the disk: call it in a thread.
"""

from __future__ import annotations

import filecmp
import os
import secrets
import time
from pathlib import Path
from typing import Final

from fastembed.pipeline.errors import Conflict, TooLarge, Unavailable
from fastembed.pipeline.filing import sync
from fastembed.server.files.record import clean_name
from fastembed.server.files.store import MAX_FILE_BYTES, check_disk

MAX_NAME_BYTES: Final = 240
"""Less than the 255 that file systems take."""
_PREFIX: Final = ".fastembed-"
_STALE_S: Final = 3_600


def dropped_name(found: str) -> str:
    """Return a client's file name as a name in a folder: its last part, without control letters, of bounded length."""
    name = clean_name(found)
    stem, dot, suffix = name.rpartition(".")
    if not dot:
        stem, suffix = name, ""
    rest = f"{dot}{suffix}"
    most = MAX_NAME_BYTES - len(rest.encode())
    while stem and len(stem.encode()) > most:
        stem = stem[:-1]
    return f"{stem}{rest}"


class DroppedFile:
    """An upload in progress: write it, place it, close it. Closed without `place`, it is deleted."""

    def __init__(self, folder: Path) -> None:
        """Open a hidden file. Unavailable: the folder is not there, or cannot be written to."""
        self._folder = folder
        self._partial = folder / f"{_PREFIX}{secrets.token_hex(8)}.part"
        self.size_bytes = 0
        _sweep(folder)
        try:
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
            self._file = os.fdopen(os.open(self._partial, flags, 0o666), "wb", 0)
        except OSError as error:
            check_disk(error, folder, 0)
            raise Unavailable(f"the folder {folder.name} cannot be written to: {error.strerror}") from error

    def close(self) -> None:
        """Leave nothing behind but what was placed."""
        self._file.close()
        self._partial.unlink(missing_ok=True)

    def write(self, data: bytes) -> None:
        """Add bytes. TooLarge: the file would be too large, or the disk is full."""
        self.size_bytes += len(data)
        if self.size_bytes > MAX_FILE_BYTES:
            raise TooLarge(f"found a file of more than {MAX_FILE_BYTES:,} bytes, expected at most that", param="file")
        try:
            view = memoryview(data)
            while view:
                view = view[self._file.write(view) :]
        except OSError as error:
            check_disk(error, self._folder, self.size_bytes)
            raise

    def place(self, name: str) -> bool:
        """Give it its name; False: a file of that name with these bytes is there. Conflict: one with other bytes is."""
        target = self._folder / name
        try:
            os.fsync(self._file.fileno())
            self._file.close()
            self._link(target)
        except FileExistsError:
            if target.is_file() and not target.is_symlink() and filecmp.cmp(self._partial, target, shallow=False):
                return False
            raise Conflict(
                f"found another file {name} in the folder, expected a new name, or the same content", param="file"
            ) from None
        except OSError as error:
            check_disk(error, self._folder, self.size_bytes)
            raise
        sync(self._folder)
        return True

    def _link(self, target: Path) -> None:
        try:
            os.link(self._partial, target)
        except FileExistsError:
            raise
        except OSError:  # no links here
            if os.path.lexists(target):
                raise FileExistsError from None
            self._partial.replace(target)


def _sweep(folder: Path) -> None:
    """Delete what a crash left of uploads."""
    for path in folder.glob(f"{_PREFIX}*.part"):
        try:
            if path.stat().st_mtime < time.time() - _STALE_S:
                path.unlink()
        except FileNotFoundError:  # its own upload has just ended
            continue
