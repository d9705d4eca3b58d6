"""What the server and its chat process say to each other: pickled messages behind their length.

Both ends run the same code of the same installation, and the socket has no other ends: what comes is trusted.
"""

from __future__ import annotations

import asyncio
import pickle
import socket
import struct
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from inference.chat.options import PLAIN, ChatOptions
from inference.chat.resume import NOTHING, BrokenOff, Produced
from pipeline.errors import ItemError
from pipeline.payload.chat import ChatEvent, ChatRequest

_LENGTH: Final = struct.Struct("<Q")


@dataclass(frozen=True, slots=True)
class Loading:
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
class Loaded:
    """A process's first message when all is well; otherwise it is the exception. cache: bytes kept for contexts."""

    cache: int = 0


@dataclass(frozen=True, slots=True)
class Ask:
    """Answer a request; ids are never used twice. so_far: what another process said of the answer before it died."""

    id: int
    request: ChatRequest
    route: str
    so_far: BrokenOff = NOTHING


@dataclass(frozen=True, slots=True)
class Leave:
    """Nobody waits for the rest of this answer."""

    id: int


@dataclass(frozen=True, slots=True)
class Over:
    """Nothing more comes of this request."""

    error: Exception | None = None


News = Sequence[tuple[int, ChatEvent | Produced | Over]]
"""What came of requests since the last message, in order; empty: a sign of life."""


def framed(message: object) -> bytes:
    """Return the bytes of one message."""
    body = pickle.dumps(message, pickle.HIGHEST_PROTOCOL)
    return _LENGTH.pack(len(body)) + body


def receive(pipe: socket.socket) -> Any:
    """Wait for a message in a thread. EOFError: the other side is gone."""
    (length,) = _LENGTH.unpack(_exactly(pipe, _LENGTH.size))
    return pickle.loads(_exactly(pipe, length))  # noqa: S301 - our own process


async def read(reader: asyncio.StreamReader) -> Any:
    """Wait for a message on the event loop. EOFError or OSError: the other side is gone."""
    (length,) = _LENGTH.unpack(await reader.readexactly(_LENGTH.size))
    return pickle.loads(await reader.readexactly(length))  # noqa: S301 - our own process


def portable(error: BaseException) -> Exception:
    """Return what can be raised on the other side: our own errors as they are, others as RuntimeError.

    Those carry a note of where it happened here, for the log there.
    """
    if isinstance(error, ItemError):
        return error
    told = RuntimeError(str(error) if isinstance(error, RuntimeError) else f"{type(error).__name__}: {error}")
    told.add_note(f"In the chat process:\n{''.join(traceback.format_exception(error))}")
    return told


def _exactly(pipe: socket.socket, count: int) -> bytes:
    parts: list[bytes] = []
    while count:
        part = pipe.recv(min(count, 1 << 20))
        if not part:
            raise EOFError(f"found the end of the pipe, expected {count} more bytes")
        parts.append(part)
        count -= len(part)
    return b"".join(parts)
