"""Reloads the configuration when pipelines.yaml or a plug-in is saved."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterable
from contextlib import aclosing
from pathlib import Path
from typing import Any, Final

from watchfiles import awatch

from fastembed.pipeline.errors import ConfigError, FastEmbedError

_log: Final = logging.getLogger("fastembed.config")
_QUIET_MS: Final = 200
"""A save is taken over when the file has been quiet for this long: editors write more than once."""

_LOOKS: Final[Any] = {"rust_timeout": 1000, "yield_on_timeout": True}
"""Check every second as well: the watch does not report what was saved before it was in place."""


async def follow(
    files: Callable[[], Iterable[Path]],
    reload: Callable[[], Awaitable[Any]],
    applied: dict[Path, bytes | None] | None = None,
) -> None:
    """Call `reload` after each change of the files, until cancelled; a bad one is logged and changes nothing.

    files: the pipelines.yaml and its plug-ins, as they are declared now. Their folders are watched rather than they
    themselves, because most editors replace a file instead of writing into it. taken: what was in them when they were
    read; what was saved since, while models were loaded, is found as well.
    """
    applied = contents(files()) if applied is None else applied
    while True:
        folders = _folders(applied)
        async with aclosing(awatch(*folders, recursive=False, debounce=_QUIET_MS, **_LOOKS)) as stirs:
            async for _ in stirs:
                now = contents(applied)
                if not any(found not in (None, applied[place]) for place, found in now.items()):
                    continue  # another file, or one that is gone or in the middle of being replaced
                await _take_over(reload)
                applied = {place: now.get(place, content) for place, content in contents(files()).items()}
                if _folders(applied) != folders:
                    break


async def _take_over(reload: Callable[[], Awaitable[Any]]) -> None:
    try:
        await reload()
    except ConfigError as error:
        for problem in error.problems:
            _log.error("the change was refused, the running configuration stays: %s", problem)
    except FastEmbedError as error:
        _log.error("the change was refused, a pipeline cannot start: %s", error)


def _folders(files: Iterable[Path]) -> set[Path]:
    """Return the folders that can be watched: one that is gone would end the watch of all."""
    return {path.parent for path in files if path.parent.is_dir()}


def contents(files: Iterable[Path]) -> dict[Path, bytes | None]:
    """Return what is in each file; a link counts where it is and where it leads."""
    return {place: _content(place) for file in files for place in (file.absolute(), file.resolve())}


def _content(file: Path) -> bytes | None:
    try:
        return file.read_bytes()
    except OSError:
        return None
