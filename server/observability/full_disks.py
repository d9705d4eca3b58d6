"""Disks that are full, told before and while something fails for it: in `/readyz`, `ls` and the status."""

from __future__ import annotations

import asyncio
import logging
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final

from fastembed.pipeline.health import Health
from fastembed.sinks.lake.database import Lakes

LEAST_BYTES: Final = 64 * 2**20
"""Less than this is full: a document's rows and DuckDB's log need some."""
_LOOK_S: Final = 5.0
_MIB: Final = 2**20
_log: Final = logging.getLogger("fastembed.server")


async def watch_disks(health: Health, lakes: Lakes, folders: Iterable[Path] = ()) -> None:
    """Look every few seconds whether there is room for the databases that are open, and in the folders."""
    watched = tuple(folders)
    while True:
        await look(health, lakes, watched)
        await asyncio.sleep(_LOOK_S)


async def look(
    health: Health, lakes: Lakes, folders: Iterable[Path] = (), *, free: Callable[[Path], int | None] | None = None
) -> None:
    """Report which places have no room, and which have some again. free: the bytes that are free at a path."""
    full = {lake.path: lake.full for lake in lakes.opened()}
    for path in (*full, *folders):
        room = await asyncio.to_thread(free or free_bytes, path)
        problem = full.get(path, "")
        if room is not None and room < LEAST_BYTES:
            problem = f"the disk is full: {room // _MIB} MiB free, expected at least {LEAST_BYTES // _MIB}"
        subject = f"disk of {path}"
        if problem and subject not in health.problems:
            _log.warning("%s: %s", subject, problem)
        health.report(subject, problem)


def free_bytes(path: Path) -> int | None:
    """Return the bytes that are free for this user where a path is or would be; None: its file system does not say."""
    there = next((place for place in (path, *path.parents) if place.exists()), Path("/"))
    try:
        usage = shutil.disk_usage(there)
    except OSError:
        return None
    return usage.free if usage.total else None  # /proc and the like have no size
