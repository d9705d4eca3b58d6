"""Whether a file is what the hub said it would be, and whether a disk can take it."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from fastembed.inference.library.hub.listing import RemoteFile
from fastembed.pipeline.errors import FastEmbedError

_CHUNK: Final = 1 << 20
RESERVE_BYTES: Final = 256 << 20
"""What stays free: a system with a full disk cannot even write its logs."""


class WrongChecksum(FastEmbedError):
    """A file's content is not what the hub lists."""


class DiskFull(FastEmbedError):
    """Too little room for a model."""


def checksum(path: Path, file: RemoteFile) -> str:
    """Return the content's sum of the kind that the hub gives: SHA-256, or the SHA-1 that git names a blob by."""
    if file.sha256:
        digest = hashlib.sha256()
    else:
        digest = hashlib.sha1(f"blob {path.stat().st_size}\0".encode(), usedforsecurity=False)
    with path.open("rb") as content:
        while chunk := content.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def is_right(path: Path, file: RemoteFile) -> bool:
    """Whether the file is there in full and as listed."""
    return path.is_file() and path.stat().st_size == file.size and checksum(path, file) == (file.sha256 or file.blob)


def check(path: Path, file: RemoteFile) -> None:
    """Raise WrongChecksum, with both sums, unless the content is as listed."""
    found, expected = checksum(path, file), file.sha256 or file.blob
    if found != expected:
        kind = "SHA-256" if file.sha256 else "git SHA-1"
        raise WrongChecksum(f"found {kind} {found} of {file.path}, expected {expected}")


def check_room(folder: Path, files: Sequence[RemoteFile], have: int, what: str) -> None:
    """Raise DiskFull unless `folder` has room for the rest of the files. have: bytes that are there already."""
    missing = sum(file.size for file in files) - have
    there = next(path for path in (folder, *folder.parents) if path.exists())
    free = shutil.disk_usage(there).free
    if missing + RESERVE_BYTES > free:
        raise DiskFull(
            f"found {amount(free)} free in {there}, expected {amount(missing)} for {what} and {amount(RESERVE_BYTES)} "
            "to spare; free some (fastembed models, fastembed rm), or set FASTEMBED_MODELS to a folder on a larger disk"
        )


def amount(size: float) -> str:
    """Return bytes as a person reads them: 930 kB, 2.3 GB."""
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:  # noqa: PLR2004 - SI prefixes
            return f"{size:.0f} {unit}" if unit in ("B", "kB") or size >= 100 else f"{size:.1f} {unit}"  # noqa: PLR2004
        size /= 1000
    return f"{size:.1f} TB"
