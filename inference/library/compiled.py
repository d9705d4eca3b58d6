"""Folders of compiled models, one a model, which are emptied when the model's files have changed.

OpenVINO finds a compiled model again by the path and the time of its .xml file only: new weights in the .bin beside it
would be answered with the old ones. So each model has a folder of its own, with a list of its files: size and times of
each, and, once one of these has changed, SHA-256. Files that were only touched keep what was compiled.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import filelock

log = logging.getLogger("fastembed.models")

_LIST: Final = "files.json"
_CHUNK: Final = 1 << 20
Listing = dict[str, dict[str, Any]]


def compiled_folder(cache: Path, parts: Sequence[Path]) -> Path | None:
    """Return where a model's compiled forms are kept, and drop those of other files. Blocks for a look at the disk.

    parts: the model's folder, and those and the files that are compiled with it. None: nothing can be written there, or
    read of the model; then it is compiled at every load.
    """
    names = "\n".join(str(part.absolute()) for part in parts)
    folder = cache / f"{parts[0].name}-{hashlib.sha256(names.encode()).hexdigest()[:12]}"
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with filelock.FileLock(folder.with_name(f"{folder.name}.lock")):
            _refresh(folder, parts)
    except OSError as error:
        log.warning("%s is compiled at every load: nothing is kept in %s: %s", parts[0].name, folder, error)
        return None
    return folder


def _refresh(folder: Path, parts: Sequence[Path]) -> None:
    found, known = dict(_files(parts)), _read(folder)
    if known is not None and _stats(known) == _stats(found):
        return
    if known is not None:
        _add_sums(found, parts)
        if {name: entry.get("sha256") for name, entry in known.items()} != {
            name: entry["sha256"] for name, entry in found.items()
        }:
            shutil.rmtree(folder)
            log.info("the files of %s have changed: it is compiled anew", parts[0].name)
    folder.mkdir(exist_ok=True)
    fresh = folder / f"{_LIST}.{os.getpid()}"
    fresh.write_text(json.dumps(found), encoding="utf-8")
    fresh.replace(folder / _LIST)


def _files(parts: Sequence[Path]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Give each file's name among the parts, and what a look at the disk tells of it."""
    for place, part in enumerate(parts):
        for file in sorted(part.rglob("*")) if part.is_dir() else [part]:
            if file.is_file():
                stat = file.stat()
                name = f"{place}/{file.relative_to(part).as_posix()}"
                yield name, {"stat": [stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino]}


def _stats(listing: Listing) -> dict[str, Any]:
    return {name: entry["stat"] for name, entry in listing.items()}


def _add_sums(listing: Listing, parts: Sequence[Path]) -> None:
    for name, entry in listing.items():
        place, _, rest = name.partition("/")
        file = parts[int(place)] / rest if rest != "." else parts[int(place)]
        digest = hashlib.sha256()
        with file.open("rb") as content:
            while chunk := content.read(_CHUNK):
                digest.update(chunk)
        entry["sha256"] = digest.hexdigest()


def _read(folder: Path) -> Listing | None:
    """Return the list of what was compiled; an unreadable one is as one of other files."""
    if not folder.is_dir():
        return None
    try:
        found: Listing = json.loads((folder / _LIST).read_text(encoding="utf-8"))
        _stats(found)
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return {}
    return found
