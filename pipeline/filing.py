"""Moves a processed file to another folder: durably, and never over a file with other content."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
from pathlib import Path
from typing import Final

NO_INPUT: Final = ".no-input"
"""A folder that holds a file of this name is no input: sources do not look into it."""


def destination(folder: Path, name: str, sha256: str) -> Path:
    """Return where a file called `name` goes in `folder`: other bytes that are there already keep the name."""
    target = folder / name
    if not target.exists() or sha256_of(target) == sha256:
        return target
    return target.with_name(f"{target.stem}.{sha256[:8]}{target.suffix}")


def move(path: Path, to: Path) -> None:
    """Move a file durably and at once, even to another file system; OSError as the system raises it.

    Killed half-way, the file is where it was or where it belongs, perhaps in both places, never in none.
    """
    to.parent.mkdir(parents=True, exist_ok=True)
    try:
        path.replace(to)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        partial = to.with_name(f".{to.name}.part")
        shutil.copy2(path, partial)
        sync(partial)
        partial.replace(to)
        path.unlink()
    sync(to.parent)


def private_folder(folder: Path) -> None:
    """Make a folder, and what of its parents is missing, that nobody but this user can look into (0700)."""
    for missing in reversed([path for path in (folder, *folder.parents) if not path.exists()]):
        missing.mkdir(mode=0o700, exist_ok=True)


def write(path: Path, content: bytes, *, private: bool = False) -> None:
    """Write a whole file so that a reader, or a crash, sees all of it or none. private: only this user can read it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.part")
    mode = 0o600 if private else 0o666
    with open(partial, "wb", opener=lambda name, flags: os.open(name, flags, mode)) as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)
    sync(path.parent)


def is_same_file(path: Path, size_bytes: int, mtime_ns: int, inode: int = 0, changed_ns: int = 0) -> bool:
    """Whether a file is, by its size, its times and its inode (0: not known), still the one that it was."""
    try:
        found = path.stat()
    except OSError:
        return False
    if inode not in (0, found.st_ino) or changed_ns not in (0, found.st_ctime_ns):
        return False
    return (found.st_size, found.st_mtime_ns) == (size_bytes, mtime_ns)


def sha256_of(path: Path) -> str:
    """Return the hex digest of a file's bytes, read in blocks."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sync(path: Path) -> None:
    """Make a file's bytes, or a folder's names, durable (a folder can be opened for that on POSIX only)."""
    if os.name != "posix" and path.is_dir():
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
