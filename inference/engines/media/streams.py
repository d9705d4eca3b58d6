"""A webm, ogg, mp4, mp3, aac, flac or wav stream of anybody's, decoded while it grows, in a process that does no harm.

Theory of operation. libav pulls its bytes with a blocking `read`, so each stream has a process, which lives in `read`
while there is nothing to do. `feed` hands it a message slice by slice; after each it takes what becomes audible until
the process says that it is hungry: then everything that could be decoded has been, and the next slice may come. So a
message's audio belongs to that message, a commit finds all of it, and what is held is bounded: by a slice there, by the
socket in between, by one piece here.

The bytes come from anywhere: only these container formats are opened, by name, never by probing
(which would let an ffconcat or SDP body open files and sockets), and only their audio codecs.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from fastembed.inference.engines.media.files import finish, lost, start
from fastembed.pipeline.errors import InvalidInput, UnsupportedMedia
from fastembed.pipeline.processes.awaiting import sock_read_body
from fastembed.pipeline.processes.framing import BadFrame, frame
from fastembed.pipeline.processes.starter import ChildProcess

Container = Literal["webm", "ogg", "mp4", "mp3", "flac", "wav", "endless_wav", "aac"]

_DEMUXERS: Final[dict[Container, str]] = {
    "webm": "matroska",
    "ogg": "ogg",
    "mp4": "mp4",
    "mp3": "mp3",
    "flac": "flac",
    "wav": "wav",
    "endless_wav": "wav",
    "aac": "aac",
}
_SLICE_BYTES: Final = 1 << 16
_PIECE_BYTES: Final = 1 << 24
_STUCK_S: Final = 10.0


class StreamDecoder:
    """One growing stream: feed it messages, get float32 mono at `rate_hz`. Close it, or its process stays."""

    def __init__(self, container: Container, rate_hz: int) -> None:
        """Start nothing yet: the process starts with the first message."""
        self.container = container
        self._rate_hz = rate_hz
        self._process: ChildProcess | None = None
        self._ended = False

    async def feed(self, data: bytes) -> AsyncIterator[NDArray[np.float32]]:
        """Yield what `data` makes audible.

        UnsupportedMedia or InvalidInput where it is not what it should be; Unavailable if the machine cannot decode it.
        """
        for begin in range(0, len(data), _SLICE_BYTES):
            if self._ended:
                return
            if self._process is None:
                numbers = [self._rate_hz, int(self.container == "endless_wav")]
                self._process = await start("stream", _DEMUXERS[self.container], numbers)
            async for piece in self._decoded(self._process, data[begin : begin + _SLICE_BYTES]):
                yield piece

    async def finish(self) -> AsyncIterator[NDArray[np.float32]]:
        """Yield what was held back for more; the stream is over."""
        if self._process is not None and not self._ended:
            async for piece in self._decoded(self._process, b""):
                yield piece
        await self.close()

    async def close(self) -> None:
        """End the process."""
        self._ended = True
        process, self._process = self._process, None
        if process is not None:
            await finish(process)

    async def _decoded(self, process: ChildProcess, data: bytes) -> AsyncIterator[NDArray[np.float32]]:
        loop = asyncio.get_running_loop()
        try:
            await loop.sock_sendall(process.pipe, frame(data))  # it fits the socket: the process waits for it
            while True:
                async with asyncio.timeout(_STUCK_S):
                    message = await sock_read_body(process.pipe, _PIECE_BYTES)
                kind, body = message[:1], memoryview(message)[1:]
                if kind == b"P":
                    yield np.frombuffer(bytes(body), np.float32)
                    continue
                if kind != b"H":
                    self._ended = True
                    self._refuse(bytes(kind), str(body, "utf-8", "replace"))
                return
        except TimeoutError:
            await self.close()
            raise InvalidInput(f"found {self.container} audio that cannot be decoded in {_STUCK_S:.0f} s") from None
        except (EOFError, OSError, BadFrame) as error:
            self._ended, self._process = True, None
            raise lost(await finish(process), f"a {self.container} stream") from error

    def _refuse(self, kind: bytes, why: str) -> None:
        """Raise what the process says of the stream; nothing if that has just ended."""
        if kind == b"U":
            raise UnsupportedMedia(f"found {self.container} data that is not read here: {why}")
        if kind == b"E":
            raise InvalidInput(
                f"found bytes that are not readable as {self.container} ({why}), expected a {self.container} stream"
            )
