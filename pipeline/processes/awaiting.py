"""Messages of child processes, awaited on an event loop.

They stand apart from `fastembed.pipeline.processes.framing`, so that a small process need not import asyncio (50 ms).
"""

from __future__ import annotations

import asyncio
import pickle
import socket
from typing import Any

from fastembed.pipeline.processes.framing import HEADER, MAX_BODY_BYTES, PART_BYTES, body_length


async def sock_read_body(pipe: socket.socket, most: int = MAX_BODY_BYTES) -> bytearray:
    """Wait for a message on the event loop; return its body. pipe: not blocking. Raises as `receive_body` does."""
    return await _sock_exactly(pipe, body_length(await _sock_exactly(pipe, HEADER.size), most))


async def read(reader: asyncio.StreamReader) -> Any:
    """Wait for a pickled message on the event loop. EOFError or OSError: the other side is gone."""
    (length,) = HEADER.unpack(await reader.readexactly(HEADER.size))
    return pickle.loads(await reader.readexactly(length))  # noqa: S301 - our own process


async def _sock_exactly(pipe: socket.socket, count: int) -> bytearray:
    loop = asyncio.get_running_loop()
    body = bytearray(count)
    free = memoryview(body)
    while free:
        received = await loop.sock_recv_into(pipe, free[:PART_BYTES])
        if not received:
            raise EOFError(f"found the end of the pipe, expected {len(free)} more bytes")
        free = free[received:]
    return body
