"""The lifecycle of the server: starting, serving, draining; how many requests run."""

from __future__ import annotations

import asyncio
from typing import Literal

from fastembed.pipeline.errors import Unavailable

Phase = Literal["starting", "serving", "draining"]


class Lifecycle:
    """What phase the server is in, and what runs. `draining` is set once, for everything that must end then."""

    def __init__(self) -> None:
        self.phase: Phase = "starting"
        self.draining = asyncio.Event()
        self.in_flight = 0
        self._idle = asyncio.Event()
        self._idle.set()

    def serve(self) -> None:
        """Everything is warm."""
        if self.phase == "starting":
            self.phase = "serving"

    def drain(self) -> None:
        """Refuse what is new from now on."""
        self.phase = "draining"
        self.draining.set()

    def refusal(self) -> Unavailable | None:
        """Say why a new request is not taken in, or None: it is."""
        if self.phase == "draining":
            return Unavailable("the server is stopping; try again when it is back", retry_after_s=5.0)
        return None

    def enter(self) -> None:
        """Count a request in."""
        self.in_flight += 1
        self._idle.clear()

    def leave(self) -> None:
        """Count a request out."""
        self.in_flight -= 1
        if not self.in_flight:
            self._idle.set()

    async def idle(self) -> None:
        """Wait until no request runs."""
        await self._idle.wait()
