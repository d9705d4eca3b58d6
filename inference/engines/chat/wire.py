"""What the server and its chat process say to each other (`fastembed.pipeline.processes.framing` says how)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fastembed.inference.engines.chat.options import PLAIN, ChatOptions
from fastembed.inference.engines.chat.resume import NOTHING, BrokenOff, Produced
from fastembed.pipeline.payload.chat import ChatEvent, ChatRequest


@dataclass(frozen=True, slots=True)
class LoadChat:
    """The first message to a process: which model to load, where.

    cache: bytes for its contexts, None: as many as it can use. stall_s: with work and no sign of life for so long, the
    process has hung.
    """

    name: str
    folder: Path
    device: str
    properties: Mapping[str, Any]
    cache: int | None = None
    stall_s: float = 600.0
    options: ChatOptions = PLAIN

    @property
    def beat_s(self) -> float:
        """How often it gives a sign of life while it has work."""
        return min(5.0, self.stall_s / 4)


@dataclass(frozen=True, slots=True)
class ChatLoaded:
    """A process's first message when all is well; otherwise it is the exception. cache: bytes kept for contexts."""

    cache: int = 0


@dataclass(frozen=True, slots=True)
class AskChat:
    """Answer a request; ids are never used twice. so_far: what another process said of the answer before it died."""

    id: int
    request: ChatRequest
    route: str
    so_far: BrokenOff = NOTHING


@dataclass(frozen=True, slots=True)
class CancelChat:
    """Nobody waits for the rest of this answer."""

    id: int


@dataclass(frozen=True, slots=True)
class ChatOver:
    """Nothing more comes of this request."""

    error: Exception | None = None


News = Sequence[tuple[int, ChatEvent | Produced | ChatOver]]
"""What came of requests since the last message, in order; empty: a sign of life."""
