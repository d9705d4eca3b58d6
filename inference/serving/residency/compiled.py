"""The folder of compiled models, which OpenVINO only ever adds to, kept within a size."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Final

log = logging.getLogger("fastembed.models")
_COMPILED: Final = frozenset({".blob", ".cl_cache"})
MOST_BYTES: Final = 16 * 2**30


def prune(folder: Path, most_bytes: int = MOST_BYTES) -> int:
    """Delete what was used least recently until the rest takes `most_bytes` at most; return the bytes freed.

    Blocks. A blob that another process reads at that moment stays readable there.
    """
    if not folder.is_dir():
        return 0
    found = []
    for file in folder.rglob("*"):
        if file.suffix in _COMPILED and file.is_file():
            stat = file.stat()
            found.append((max(stat.st_atime, stat.st_mtime), stat.st_size, file))
    excess = sum(size for _, size, _ in found) - most_bytes
    freed = 0
    for _, size, file in sorted(found, key=lambda entry: entry[0]):
        if freed >= excess:
            break
        file.unlink(missing_ok=True)
        freed += size
    if freed:
        log.info("deleted %d MiB of compiled models that were used least recently, from %s", freed >> 20, folder)
    return freed
