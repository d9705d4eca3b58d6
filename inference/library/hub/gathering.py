"""How a model's files gather on the disk: complete and checked, or not at all.

Files gather in `.NAME.partial` beside their destination, each as `NAME.CHECKSUM.part` until its checksum is right: what
another version left there is never taken for this one's. When all are there, one rename makes the folder. `RECORD` in
it says where it came from.
"""

from __future__ import annotations

import errno
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

import filelock
import orjson

from fastembed.inference.library.hub.checks import DiskFull, WrongChecksum, amount, check, is_right
from fastembed.inference.library.hub.listing import RemoteFile
from fastembed.inference.library.hub.transfer import Transfer
from fastembed.pipeline.errors import FastEmbedError

RECORD: Final = ".fastembed.json"


class Busy(FastEmbedError):
    """Another process is getting the same model."""


class Watcher(Protocol):
    """Who is told how a download goes on."""

    def planned(self, title: str, files: Sequence[RemoteFile], have: int) -> None:
        """Tell what will be downloaded, and from where. have: bytes of it that are here already."""

    def has(self, file: RemoteFile, size: int) -> None:
        """Tell the bytes of a file that are here now."""


@dataclass(frozen=True, slots=True)
class Pulled:
    """A model's folder, and the commit that is in it (None: it is not recorded). fresh: it was downloaded just now."""

    folder: Path
    commit: str | None
    fresh: bool


@contextmanager
def alone(folder: Path, what: str) -> Iterator[None]:
    """Keep other processes from downloading into the same folder. Busy: one does."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    try:
        with filelock.FileLock(folder.with_name(f".{folder.name}.lock"), timeout=0):
            yield
    except filelock.Timeout as error:
        raise Busy(f"found another process downloading {what}, expected none; wait for it to end") from error


def recorded(folder: Path) -> dict[str, Any]:
    """Return what RECORD says of a folder: repository, commit, files. Empty for one that was not pulled."""
    record = folder / RECORD
    if not record.is_file():
        return {}
    found: dict[str, Any] = orjson.loads(record.read_bytes())
    return found


def partial_of(folder: Path) -> Path:
    """Return where a model's files gather."""
    return folder.with_name(f".{folder.name}.partial")


def gather(transfer: Transfer, watcher: Watcher, target: Path, file: RemoteFile) -> None:
    """Gather one file. What is wrong after it was resumed is downloaded once more from its beginning."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if is_right(target, file):
        watcher.has(file, file.size)
        return
    part = _part(target, file)
    try:
        if part.exists():
            transfer.fetch(part, file, lambda size: watcher.has(file, size))
            if not is_right(part, file):
                part.unlink()
        transfer.fetch(part, file, lambda size: watcher.has(file, size))
        check(part, file)
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        raise DiskFull(
            f"disk full: no space for {file.path} ({amount(file.size)}) in {target.parent}; what was downloaded "
            "is kept: free some space and run the same command again"
        ) from error
    except WrongChecksum as error:
        part.unlink()
        raise WrongChecksum(f"{error}; the file was deleted, run the same command again") from error
    part.replace(target)


def gathered(partial: Path, file: RemoteFile) -> int:
    """Return the bytes of a file that came before."""
    target = partial / file.target
    path = target if target.is_file() else _part(target, file)
    return min(path.stat().st_size, file.size) if path.is_file() else 0


def _part(target: Path, file: RemoteFile) -> Path:
    return target.with_name(f"{target.name}.{(file.sha256 or file.blob or '')[:12]}.part")


def land(partial: Path, folder: Path, targets: Iterable[str], record: Mapping[str, Any]) -> None:
    """Make the gathered files the model's folder, in one rename; an older folder leaves first."""
    wanted = {partial / target for target in targets}
    for path in partial.rglob("*"):
        if path.is_file() and path not in wanted:
            path.unlink()  # what another version left
    (partial / RECORD).write_bytes(orjson.dumps(record, option=orjson.OPT_INDENT_2))
    old = folder.with_name(f".{folder.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    if folder.exists():
        folder.replace(old)
    partial.replace(folder)
    shutil.rmtree(old, ignore_errors=True)
