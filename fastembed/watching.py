"""Taking over changes of pipelines.yaml as they are saved."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final

from watchfiles import awatch

from pipeline.errors import ConfigError, FastEmbedError

_log: Final = logging.getLogger("fastembed.config")
_QUIET_MS: Final = 200
"""A save is taken over when the file has been quiet for this long: editors write more than once."""


async def follow(file: Path, reload: Callable[[], Awaitable[Any]]) -> None:
    """Call `reload` after each change of the file, until cancelled; a bad file is logged and changes nothing.

    The folder is watched rather than the file, because most editors replace a file instead of writing into it.
    """
    places = _places(file)
    before = _content(file)
    async for changes in awatch(*{place.parent for place in places}, recursive=False, debounce=_QUIET_MS):
        if not any(Path(path) in places for _, path in changes):
            continue
        now = _content(file)
        if now in (before, None):  # touched, or in the middle of being replaced
            continue
        before = now
        try:
            await reload()
        except ConfigError as error:
            _log.error("%s was not taken over, nothing has changed:\n%s", file, error)
        except FastEmbedError as error:
            _log.error("%s was not taken over, a pipeline cannot start: %s", file, error)


def _places(file: Path) -> set[Path]:
    """Return where the file is, and where it really is: it may be a link."""
    return {file.absolute(), file.resolve()}


def _content(file: Path) -> bytes | None:
    try:
        return file.read_bytes()
    except OSError:
        return None
