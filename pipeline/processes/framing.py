"""Messages between the server and its child processes: each a body behind its length (8 bytes, little-endian).

What a body is depends on whom it comes from. Processes that hold a model run our own code on what our own code sends:
their bodies are pickled (`pickled`, `receive`). Processes that read strangers' files may have been taken over
by one: what comes from them is JSON or plain bytes, bounded in size, and never pickled (`frame`, `receive_body`).
On an event loop they are awaited (`fastembed.pipeline.processes.awaiting`).
"""

from __future__ import annotations

import pickle
import socket
import struct
import traceback
from typing import Any, Final

from fastembed.pipeline.errors import ItemError

HEADER: Final = struct.Struct("<Q")
MAX_BODY_BYTES: Final = 1 << 30
"""Of what comes from a process that is not trusted."""
PART_BYTES: Final = 1 << 20


class EngineError(RuntimeError):
    """What an engine in a process said (OpenVINO's RuntimeError), or lack of memory: a fresh process may do better."""


class BadFrame(ValueError):
    """The other side does not speak this protocol."""


def frame(*parts: bytes | bytearray | memoryview) -> bytes:
    """Return the bytes of a message whose body is these parts, one behind the other."""
    return b"".join((HEADER.pack(sum(map(len, parts))), *parts))


def body_length(header: bytes | bytearray, most: int = MAX_BODY_BYTES) -> int:
    """Return how many bytes follow a header. BadFrame: more than `most`."""
    length: int = HEADER.unpack(header)[0]
    if length > most:
        raise BadFrame(f"found a message of {length:,} bytes, expected at most {most:,}")
    return length


def receive_body(pipe: socket.socket, most: int = MAX_BODY_BYTES) -> bytearray:
    """Wait for a message in a thread; return its body. EOFError: the other side is gone. BadFrame: it is too long."""
    return _exactly(pipe, body_length(_exactly(pipe, HEADER.size), most))


def pickled(message: object) -> bytes:
    """Return the bytes of a message to or from a process that is trusted."""
    return frame(pickle.dumps(message, pickle.HIGHEST_PROTOCOL))


def receive(pipe: socket.socket) -> Any:
    """Wait for a pickled message in a thread. EOFError: the other side is gone."""
    (length,) = HEADER.unpack(_exactly(pipe, HEADER.size))
    return pickle.loads(_exactly(pipe, length))  # noqa: S301 - our own process


def ask(pipe: socket.socket, message: object) -> Any:
    """Return the answer to a pickled message; blocks. EOFError, OSError: the process is gone."""
    pipe.sendall(pickled(message))
    return receive(pipe)


def portable(error: BaseException, kind: str) -> Exception:
    """Return what can be raised on the other side: our own errors, EngineError for an engine's, else RuntimeError.

    Those carry a note of where it happened here, in which kind of process, for the log there.
    """
    if isinstance(error, ItemError):
        return error
    kinds = EngineError if isinstance(error, RuntimeError | MemoryError) else RuntimeError
    portable = kinds(str(error) if isinstance(error, RuntimeError) else f"{type(error).__name__}: {error}")
    portable.add_note(f"In the {kind} process:\n{''.join(traceback.format_exception(error))}")
    return portable


def _exactly(pipe: socket.socket, count: int) -> bytearray:
    body = bytearray(count)
    free = memoryview(body)
    while free:
        received = pipe.recv_into(free[:PART_BYTES])
        if not received:
            raise EOFError(f"found the end of the pipe, expected {len(free)} more bytes")
        free = free[received:]
    return body
