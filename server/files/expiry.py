"""Deleting from the disk what has expired: within a minute, as long as a server runs."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any, Final, Protocol

from fastembed.pipeline.errors import Unavailable

EVERY_S: Final = 60.0

_log: Final = logging.getLogger("fastembed.files")


class Expiring(Protocol):
    """Something on this disk of which parts expire."""

    def sweep(self) -> int:
        """Delete what has expired; return how much has; blocks."""


async def keep_clean(
    *stores: Expiring, every_s: float = EVERY_S, sleep: Callable[[float], Awaitable[Any]] = asyncio.sleep
) -> None:
    """Sweep the stores now and again until cancelled. A disk that fails is logged, and tried again."""
    while True:
        for store in stores:
            try:
                if expired := await asyncio.to_thread(store.sweep):
                    _log.info("%d entries of %s expired", expired, type(store).__name__)
            except (OSError, Unavailable) as error:
                _log.warning("what has expired cannot be removed: %s", error)
        await sleep(every_s)
