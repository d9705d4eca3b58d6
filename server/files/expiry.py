"""Deleting expired files from the disk: within a minute, as long as a server runs."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final

from fastembed.server.files.store import FileStore

EVERY_S: Final = 60.0

_log: Final = logging.getLogger("fastembed.files")


async def keep_clean(
    store: FileStore, *, every_s: float = EVERY_S, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
) -> None:
    """Sweep the store now and again until cancelled. A disk that fails is logged, and tried again."""
    while True:
        try:
            if expired := await asyncio.to_thread(store.sweep):
                _log.info("%d uploaded files expired", expired)
        except OSError as error:
            _log.warning("expired files cannot be removed from %s: %s", store.folder, error)
        await sleep(every_s)
