"""Sound out of any media file. The bytes of a plain WAV need no decoder and are read in place."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fastembed.inference.engines.media.files import decode
from fastembed.inference.engines.media.wav import plain_wav
from fastembed.inference.engines.media.worker import CHANNELS
from fastembed.pipeline.errors import TooLarge
from fastembed.pipeline.payload.audio import AudioFrame


async def decode_media(
    source: Path | bytes, *, rate_hz: int = 16_000, longest_s: float = 4 * 3_600.0
) -> AsyncGenerator[AudioFrame, None]:
    """Yield a file's sound, or that of its bytes, in order: float32 mono at `rate_hz`, a quarter of a second a frame.

    The file is decoded as fast as the frames are taken. Close the iterator (`aclosing`) and its process is gone.
    Raises NotFound, UnsupportedMedia (not a media file that is read here), Unprocessable (broken, without sound, takes
    too long), TooLarge (more than `longest_s` of sound).
    """
    pieces = _from_wav(source, rate_hz)
    async with aclosing(_from_process(source, rate_hz) if pieces is None else pieces) as found:
        async for samples in _limited(found, rate_hz, longest_s):
            yield AudioFrame(samples, rate_hz)


async def decode_channels(
    source: Path | bytes, *, rate_hz: int = 16_000, longest_s: float = 4 * 3_600.0
) -> AsyncGenerator[NDArray[np.float32], None]:
    """Yield a file's sound with its channels apart: float32 [n, channels]. Everything else is as in `decode_media`."""
    pieces = _from_wav(source, rate_hz, apart=True)
    async with aclosing(_from_process(source, rate_hz, apart=True) if pieces is None else pieces) as found:
        async for samples in _limited(found, rate_hz, longest_s):
            yield samples


def _from_wav(
    source: Path | bytes, rate_hz: int, *, apart: bool = False
) -> AsyncGenerator[NDArray[np.float32], None] | None:
    """Return the pieces of a plain WAV, mono [n] or [n, channels]; None of another file."""
    pieces = plain_wav(source, rate_hz, apart=apart) if isinstance(source, bytes) else None
    if pieces is None:
        return None

    async def read() -> AsyncGenerator[NDArray[np.float32], None]:
        for piece in pieces:
            yield piece
            await asyncio.sleep(0)  # a piece costs up to 0.3 ms: others get their turn

    return read()


async def _from_process(
    source: Path | bytes, rate_hz: int, *, apart: bool = False
) -> AsyncGenerator[NDArray[np.float32], None]:
    async with aclosing(decode(source, "sound", rate_hz, int(apart))) as bodies:
        async for body in bodies:
            if apart:
                [channels] = CHANNELS.unpack_from(body)
                yield np.frombuffer(body, np.float32, offset=CHANNELS.size).reshape(-1, channels)
            else:
                yield np.frombuffer(body, np.float32)


async def _limited(
    found: AsyncGenerator[NDArray[np.float32], None], rate_hz: int, longest_s: float
) -> AsyncGenerator[NDArray[np.float32], None]:
    heard = 0
    async for samples in found:
        heard += len(samples)
        if heard > longest_s * rate_hz:
            raise TooLarge(f"found more than {longest_s:g} s of sound, expected at most that")
        yield samples
