"""What tells a model's files from other ones under the same name, in milliseconds.

Small files count whole. Of large ones (weights) the size and evenly spaced slices count: training, conversion and
quantisation change values everywhere, so no other model has the same slices; a hash of gigabytes would hold up every
command. What is compiled is kept by a hash of all bytes (`fastembed.inference.library.compiled`).
"""

from __future__ import annotations

import hashlib
from functools import lru_cache
from pathlib import Path
from typing import Final

HEX_CHARACTERS: Final = 12
_SUFFIXES: Final = frozenset({".xml", ".bin", ".json", ".gguf", ".model", ".txt"})
_WHOLE_BYTES: Final = 4 << 20
_SLICES: Final = 256
_SLICE_BYTES: Final = 4 << 10
Stamp = tuple[str, int, int]


def fingerprint(folder: Path, *more: str) -> str:
    """Return hex characters for the files of a model's folder, and whatever else makes its results. OSError."""
    files = sorted(
        file
        for file in folder.rglob("*")
        if file.suffix in _SUFFIXES and not file.name.startswith(".") and file.is_file()
    )
    stamps = tuple((file.relative_to(folder).as_posix(), *_stamp(file)) for file in files)
    text = "\n".join((_digest(folder, stamps), *more))
    return hashlib.sha256(text.encode()).hexdigest()[:HEX_CHARACTERS]


def _stamp(file: Path) -> tuple[int, int]:
    stat = file.stat()
    return stat.st_size, stat.st_mtime_ns


@lru_cache(maxsize=64)
def _digest(folder: Path, stamps: tuple[Stamp, ...]) -> str:
    digest = hashlib.sha256()
    for name, size, _ in stamps:
        digest.update(f"{name} {size}\n".encode())
        with (folder / name).open("rb") as content:
            if size <= _WHOLE_BYTES:
                digest.update(content.read())
                continue
            for place in range(_SLICES):
                content.seek(place * (size - _SLICE_BYTES) // (_SLICES - 1))
                digest.update(content.read(_SLICE_BYTES))
    return digest.hexdigest()
