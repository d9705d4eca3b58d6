"""Decode a webm or ogg stream while it still grows, off the event loop.

Theory of operation. libav pulls its bytes with a blocking `read`, so each stream has one thread, which lives in `read`
while there is nothing to do. `feed` hands it one message and yields what becomes audible, until the thread asks for
more bytes than there are: then everything that could be decoded has been, and the next message may come. So a message's
audio belongs to that message, memory is bounded by one message plus 5 s of audio, and a commit finds all of it.

The bytes come from anywhere: only the two container formats that browsers record are opened, by name, never by probing
(which would let an ffconcat or SDP body open files and sockets), and only their audio codecs.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from collections import deque
from collections.abc import AsyncIterator, Iterator
from typing import Any, Final, Literal

import av
import numpy as np
from av.error import FFmpegError
from numpy.typing import NDArray

from fastembed.pipeline.errors import InvalidInput, UnsupportedMedia

Container = Literal["webm", "ogg"]

_log: Final = logging.getLogger("fastembed.listening")
_DEMUXERS: Final[dict[Container, str]] = {"webm": "matroska", "ogg": "ogg"}
_CODECS: Final = frozenset({"opus", "vorbis", "flac", "pcm_s16le", "pcm_f32le"})
_MAGIC: Final[dict[bytes, Container]] = {b"\x1a\x45\xdf\xa3": "webm", b"OggS": "ogg"}
_FIRST_PAGE: Final = 0x02
SNIFF_BYTES: Final = 6

_OPTIONS: Final = {"fflags": "nobuffer", "probesize": "32", "analyzeduration": "0"}  # first sound 3 ms after its bytes
_MOST_CHANNELS: Final = 8
_AHEAD_S: Final = 5.0
_BAD_PACKETS: Final = 50  # in a row
_STUCK_S: Final = 10.0


def sniff(data: bytes) -> Container | None:
    """Return which container's stream begins with these bytes (6 are enough), if one does."""
    container = _MAGIC.get(data[:4])
    if container == "ogg" and not (len(data) >= SNIFF_BYTES and data[5] & _FIRST_PAGE):
        return None  # every page of an ogg stream begins alike; only its first has this flag (RFC 3533)
    return container


class ContainerDecoder:
    """One growing stream: feed it messages, get float32 mono at `rate_hz`. Close it, or its thread stays."""

    def __init__(self, container: Container, rate_hz: int) -> None:
        """Start its thread, which waits for bytes."""
        self.container = container
        self._rate_hz = rate_hz
        self._loop = asyncio.get_running_loop()
        self._changed = asyncio.Event()  # set, on the loop, whenever the thread has something to say
        self._state = threading.Condition()
        self._bytes = bytearray()
        self._pieces: deque[NDArray[np.float32]] = deque()
        self._piece_samples = 0
        self._hungry = False  # the thread waits for bytes
        self._ended = False  # no more bytes will come
        self._error: BaseException | None = None
        self._finished = False
        self._thread = threading.Thread(target=self._run, name=f"decode-{container}", daemon=True)
        self._thread.start()

    async def feed(self, data: bytes) -> AsyncIterator[NDArray[np.float32]]:
        """Yield what `data` makes audible. `UnsupportedMedia` or `InvalidInput` where it is not what it should be."""
        with self._state:
            self._bytes += data
            self._hungry = False
            self._state.notify_all()
        async for piece in self._collect():
            yield piece

    async def finish(self) -> AsyncIterator[NDArray[np.float32]]:
        """Yield what is left: the stream is complete."""
        with self._state:
            self._ended = True
            self._state.notify_all()
        async for piece in self._collect():
            yield piece

    def close(self) -> None:
        """Let the thread end. Does not wait: it is asleep in `read` or a few milliseconds from it."""
        with self._state:
            self._ended = True
            self._bytes.clear()
            self._pieces.clear()
            self._piece_samples = 0
            self._finished = True
            self._state.notify_all()

    def read(self, size: int) -> bytes:
        """Give libav bytes; called in the thread. Waits for them; empty at the end."""
        with self._state:
            while not self._bytes and not self._ended:
                if not self._hungry:
                    self._hungry = True
                    self._tell()
                self._state.wait()
            taken = bytes(self._bytes[:size])
            del self._bytes[:size]
            return taken

    async def _collect(self) -> AsyncIterator[NDArray[np.float32]]:
        while True:
            self._changed.clear()
            with self._state:
                pieces, self._pieces, self._piece_samples = self._pieces, deque(), 0
                done = self._hungry or self._finished
                error, self._error = self._error, None
                self._state.notify_all()
            for piece in pieces:
                yield piece
            if error is not None:
                raise error
            if done:
                return
            try:
                async with asyncio.timeout(_STUCK_S):
                    await self._changed.wait()
            except TimeoutError:
                self.close()
                raise InvalidInput(f"found {self.container} audio that cannot be decoded in {_STUCK_S:.0f} s") from None

    def _tell(self) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody listens any more
            self._loop.call_soon_threadsafe(self._changed.set)

    def _run(self) -> None:
        error: BaseException | None = None
        try:
            for piece in _decode(self, self.container, self._rate_hz):
                if not self._offer(piece):
                    break
        except Exception as found:  # noqa: BLE001 - the thread's boundary: whoever feeds it learns of it
            if not isinstance(found, InvalidInput | FFmpegError):
                _log.exception("the decoder of %s broke", self.container)
            error = found
        with self._state:
            if error is not None and not self._finished:
                self._error = error if isinstance(error, InvalidInput) else _unreadable(self.container, error)
            self._finished = True
        self._tell()

    def _offer(self, piece: NDArray[np.float32]) -> bool:
        """Queue a piece, waiting while 5 s are queued; False where nobody wants it any more."""
        with self._state:
            while self._piece_samples > _AHEAD_S * self._rate_hz and not self._finished:
                self._state.wait()
            if self._finished:
                return False
            self._pieces.append(piece)
            self._piece_samples += len(piece)
        self._tell()
        return True


def _decode(source: Any, container: Container, rate_hz: int) -> Iterator[NDArray[np.float32]]:
    """Yield float32 mono at `rate_hz` from a file-like object, as its bytes come."""
    demuxer = _DEMUXERS[container]
    with av.open(
        source, mode="r", format=demuxer, options=_OPTIONS, buffer_size=4096, metadata_errors="replace"
    ) as media:
        if not media.streams.audio:
            raise UnsupportedMedia(f"found {container} data without sound, expected an audio stream")
        stream = media.streams.audio[0]
        codec = stream.codec_context
        if codec is None:
            raise UnsupportedMedia(f"found {container} data of an unknown codec, expected opus or vorbis")
        if codec.name not in _CODECS or not 0 < codec.channels <= _MOST_CHANNELS:
            raise UnsupportedMedia(
                f"found {codec.channels} channels of {codec.name} in {container}, "
                f"expected up to {_MOST_CHANNELS} of opus or vorbis"
            )
        codec.thread_count = 1
        resampler = av.AudioResampler(format="flt", layout="mono", rate=rate_hz)
        bad = 0
        for packet in media.demux(stream):
            try:
                frames = packet.decode()
            except FFmpegError as error:
                bad += 1
                if bad > _BAD_PACKETS:
                    raise _unreadable(container, error) from error
                continue
            for frame in frames:
                bad = 0
                for resampled in resampler.resample(frame):
                    yield resampled.to_ndarray()[0]
        for resampled in resampler.resample(None):
            yield resampled.to_ndarray()[0]


def _unreadable(container: Container, error: BaseException) -> InvalidInput:
    return InvalidInput(f"found bytes that are not readable as {container} ({error}), expected a {container} stream")
