"""Messages between the server and a process of ours that holds a model: pickled, behind their length.

Both ends run the same code of the same installation, and the socket has no other ends: what comes is trusted.
"""

from __future__ import annotations

import asyncio
import pickle
import socket
import struct
import traceback
from typing import Any, Final

from fastembed.pipeline.errors import ItemError

_LENGTH: Final = struct.Struct("<Q")


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


def portable(error: BaseException, kind: str) -> Exception:
    """Return what can be raised on the other side: our own errors as they are, others as RuntimeError.

    Those carry a note of where it happened here, in which kind of process, for the log there.
    """
    if isinstance(error, ItemError):
        return error
    told = RuntimeError(str(error) if isinstance(error, RuntimeError) else f"{type(error).__name__}: {error}")
    told.add_note(f"In the {kind} process:\n{''.join(traceback.format_exception(error))}")
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
