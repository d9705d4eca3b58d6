"""A model from the hub into the models folder: complete and checked, or not at all.

Files gather in `.NAME.partial` beside their destination, each as `NAME.CHECKSUM.part` until its checksum is right: what
another commit left there is never taken for this one's. When all are there, one rename makes the folder. `RECORD` in it
says where it came from.
"""

from __future__ import annotations

import errno
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

import filelock
import orjson

from fastembed.inference.library.hub.checks import DiskFull, WrongChecksum, amount, check, check_room, is_right
from fastembed.inference.library.hub.client import Hub, HubRefused
from fastembed.inference.library.hub.listing import Listing, RemoteFile, needed
from fastembed.inference.library.hub.reference import Reference
from fastembed.inference.library.hub.transfer import Pause, Transfer
from fastembed.pipeline.errors import FastEmbedError

RECORD: Final = ".fastembed.json"


class Busy(FastEmbedError):
    """Another process is getting the same model."""


class Watcher(Protocol):
    """Who is told how a download goes on."""

    def planned(self, listing: Listing, files: Sequence[RemoteFile], have: int) -> None:
        """Tell what will be downloaded. have: bytes of it that are here already."""

    def has(self, file: RemoteFile, size: int) -> None:
        """Tell the bytes of a file that are here now."""


@dataclass(frozen=True, slots=True)
class Pulled:
    """A model's folder, and the commit that is in it (None: it is not recorded). fresh: it was downloaded just now."""

    folder: Path
    commit: str | None
    fresh: bool


def pull(
    hub: Hub,
    reference: Reference,
    watcher: Watcher,
    *,
    include: Sequence[str] = (),
    update: bool = False,
    pause: Pause = time.sleep,
) -> Pulled:
    """Download a repository into its folder, unless it is there. update: also when it is there at another commit.

    HubRefused, HubUnreachable, UnusableRepository, WrongChecksum, DiskFull, Busy. What came before one of them is kept,
    and the next call goes on from there.
    """
    folder = reference.folder
    here = folder.is_dir() and any(folder.iterdir())
    if here and not (update and not hub.offline):
        return Pulled(folder, recorded(folder).get("commit"), fresh=False)
    if hub.offline:
        raise HubRefused(f"found no files of {reference} in {folder} while HF_HUB_OFFLINE is set, expected them there")
    folder.parent.mkdir(parents=True, exist_ok=True)
    lock = filelock.FileLock(folder.with_name(f".{folder.name}.lock"), timeout=0)
    try:
        with lock, hub.connect() as client:
            transfer = Transfer(hub, client, hub.list(client, reference), reference, pause)
            return _download(transfer, watcher, include)
    except filelock.Timeout as error:
        raise Busy(f"found another process downloading {reference}, expected none; wait for it to end") from error


def plan(hub: Hub, reference: Reference, include: Sequence[str] = ()) -> tuple[Listing, tuple[RemoteFile, ...]]:
    """Return what `pull` would download. HubRefused, HubUnreachable, UnusableRepository."""
    if hub.offline:
        raise HubRefused(f"found HF_HUB_OFFLINE set, expected it unset to ask for {reference}")
    with hub.connect() as client:
        listing = hub.list(client, reference)
    return listing, needed(listing, include)


def recorded(folder: Path) -> dict[str, Any]:
    """Return what RECORD says of a folder: repository, commit, files. Empty for one that nobody pulled."""
    record = folder / RECORD
    if not record.is_file():
        return {}
    found: dict[str, Any] = orjson.loads(record.read_bytes())
    return found


def partial_of(folder: Path) -> Path:
    """Return where a model's files gather."""
    return folder.with_name(f".{folder.name}.partial")


def _download(transfer: Transfer, watcher: Watcher, include: Sequence[str]) -> Pulled:
    listing, reference = transfer.listing, transfer.reference
    folder = reference.folder
    if folder.is_dir() and recorded(folder).get("commit") == listing.commit:
        return Pulled(folder, listing.commit, fresh=False)
    files = needed(listing, include)
    unchecked = next((file.path for file in files if not (file.sha256 or file.blob)), None)
    if unchecked:
        raise HubRefused(
            f"found no checksum of {unchecked} at {transfer.hub.endpoint}, expected one; is HF_ENDPOINT a full mirror?"
        )
    partial = partial_of(folder)
    have = sum(_gathered(partial, file) for file in files)
    check_room(folder, files, have, str(reference))
    watcher.planned(listing, files, have)
    for file in files:
        _get(transfer, watcher, partial / file.target, file)
    _land(partial, listing, reference, files)
    return Pulled(folder, listing.commit, fresh=True)


def _get(transfer: Transfer, watcher: Watcher, target: Path, file: RemoteFile) -> None:
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
            f"found no room left for {file.path} ({amount(file.size)}) in {target.parent}, expected enough: something "
            "else filled the disk; what came is kept, free some and run the same command again"
        ) from error
    except WrongChecksum as error:
        part.unlink()
        raise WrongChecksum(f"{error}; the file was deleted, run the same command again") from error
    part.replace(target)


def _gathered(partial: Path, file: RemoteFile) -> int:
    """Return the bytes of a file that came before."""
    target = partial / file.target
    path = target if target.is_file() else _part(target, file)
    return min(path.stat().st_size, file.size) if path.is_file() else 0


def _part(target: Path, file: RemoteFile) -> Path:
    return target.with_name(f"{target.name}.{(file.sha256 or file.blob or '')[:12]}.part")


def _land(partial: Path, listing: Listing, reference: Reference, files: Sequence[RemoteFile]) -> None:
    """Make the gathered files the model's folder, in one rename; an older folder leaves first."""
    wanted = {partial / file.target for file in files}
    for path in partial.rglob("*"):
        if path.is_file() and path not in wanted:
            path.unlink()  # what an older commit left
    record = {
        "repository": reference.repository,
        "revision": reference.revision,
        "commit": listing.commit,
        "files": {file.target: {"bytes": file.size, "sha256": file.sha256, "git": file.blob} for file in files},
    }
    (partial / RECORD).write_bytes(orjson.dumps(record, option=orjson.OPT_INDENT_2))
    folder = reference.folder
    old = folder.with_name(f".{folder.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    if folder.exists():
        folder.replace(old)
    partial.replace(folder)
    shutil.rmtree(old, ignore_errors=True)
