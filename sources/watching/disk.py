"""List, stat and hash the folder's files. Everything here blocks; `fastembed.sources.folder` calls it in threads."""

from __future__ import annotations

import hashlib
import os
import re
import stat
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from fastembed.pipeline.filing import NO_INPUT
from fastembed.sources.watching.files import Stamp
from fastembed.sources.watching.pattern import is_hidden

BLOCK_BYTES: Final = 1 << 20
_ESCAPED: Final = re.compile(rb"\\([0-7]{3})")
"""How the kernel writes spaces and the like in paths."""


@dataclass(frozen=True, slots=True)
class SeenFile:
    """A file that is there. quiet_s: how long ago the file system last changed anything about it."""

    name: str
    stamp: Stamp
    quiet_s: float


@dataclass(frozen=True, slots=True)
class Unwanted:
    """A file whose name is not taken."""

    name: str


@dataclass(frozen=True, slots=True)
class Unseeable:
    """A folder, or a file's name, that cannot be looked at. folder: whether what is below it is unknown."""

    name: str
    reason: str
    folder: bool


def prepare(root: Path) -> Path:
    """Make the folder if it is not there; return its real path."""
    root.mkdir(parents=True, exist_ok=True)
    return root.resolve()


def identity(root: Path) -> tuple[int, int] | None:
    """Return what tells a folder from another one that takes its place; None if it cannot be looked at."""
    try:
        found = root.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def mounts(root: Path) -> set[str]:
    """Return the folders below `root` on which a file system is mounted; only Linux tells."""
    try:
        table = Path("/proc/self/mountinfo").read_bytes()
    except OSError:
        return set()
    prefix = os.path.realpath(root) + os.sep
    points = (os.fsdecode(_ESCAPED.sub(_unescape, line.split()[4])) for line in table.splitlines())
    return {point.removeprefix(prefix) for point in points if point.startswith(prefix)}


def _unescape(match: re.Match[bytes]) -> bytes:
    return bytes([int(match[1], 8)])


def look(
    root: Path, below: str, wanted: Callable[[str], bool], ignored: Callable[[str], bool]
) -> Iterator[SeenFile | Unwanted | Unseeable]:
    """Yield every file below a folder of `root` ("": itself). OSError if `root` itself cannot be found.

    Of files that are not wanted only the name is told. Hidden names, unfinished files, `ignored` names and folders that
    hold a `.no-input` file are left out. A link to a file counts if the file lies in `root`; links to folders are not
    followed, so nothing is seen twice.
    """
    real_root = os.path.realpath(root, strict=True)
    pending = [below]
    while pending:
        folder = pending.pop()
        try:
            with os.scandir(root / folder) as listing:
                entries = sorted(listing, key=lambda entry: entry.name)
        except (FileNotFoundError, NotADirectoryError):
            if not folder:
                raise
            continue  # gone since it was listed: its files are missed by the end of the scan
        except OSError as error:
            yield Unseeable(folder, error.strerror or str(error), folder=True)
            continue
        if folder and any(entry.name == NO_INPUT for entry in entries):
            continue
        prefix = f"{folder}/" if folder else ""
        for entry in entries:
            if is_hidden(entry.name):
                continue
            name = prefix + entry.name
            if entry.is_dir(follow_symlinks=False):
                if not ignored(f"{name}/"):
                    pending.append(name)
            elif not ignored(name) and (file := _file(root, name, real_root, wanted)) is not None:
                yield file


def _file(
    root: Path, name: str, real_root: str, wanted: Callable[[str], bool]
) -> SeenFile | Unwanted | Unseeable | None:
    file = glance(root, name, real_root)
    return Unwanted(name) if isinstance(file, SeenFile) and not wanted(name) else file


def glance(root: Path, name: str, real_root: str | None = None) -> SeenFile | Unseeable | None:
    """Return how one file looks now; None if it is gone, is no regular file or a link that leads out of `root`."""
    try:
        name.encode()
    except UnicodeEncodeError:
        printable = name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
        return Unseeable(printable, "its name is not valid UTF-8: rename it", folder=False)
    path = root / name
    try:
        found = path.lstat()
        if stat.S_ISLNK(found.st_mode):
            base = real_root or os.path.realpath(root)
            if not os.path.realpath(path).startswith(base + os.sep):
                return None
            found = _target(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        return Unseeable(name.rpartition("/")[0], error.strerror or str(error), folder=True)
    if not stat.S_ISREG(found.st_mode):
        return None
    return SeenFile(name, stamp_of(found), time.time() - max(found.st_mtime, found.st_ctime))


def _target(path: Path) -> os.stat_result:
    """Return what a link leads to. FileNotFoundError if it leads nowhere, or in a circle."""
    try:
        return path.stat()
    except OSError as error:
        raise FileNotFoundError(str(error)) from error


def stamp_of(found: os.stat_result) -> Stamp:
    """Return what tells this state of a file from a later one."""
    return Stamp(found.st_size, found.st_mtime_ns, found.st_ino, found.st_ctime_ns)


def digest(path: Path) -> tuple[str, Stamp]:
    """Return a file's sha256 and its stamp, equal before and after; the stamp after with "" if it changed meanwhile.

    OSError if it cannot be read.
    """
    hasher = hashlib.sha256()
    with path.open("rb", buffering=0) as file:
        before = stamp_of(os.fstat(file.fileno()))
        while block := file.read(BLOCK_BYTES):
            hasher.update(block)
        after = stamp_of(os.fstat(file.fileno()))
    return (hasher.hexdigest() if before == after else ""), after
