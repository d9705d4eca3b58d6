"""Sound out of any media file. The bytes of a plain WAV need no decoder and are read in place."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from pathlib import Path

import numpy as np

from fastembed.inference.engines.media.files import decode
from fastembed.inference.engines.media.wav import plain_wav
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
    heard = 0
    if isinstance(source, bytes) and (pieces := plain_wav(source, rate_hz)) is not None:
        for samples in pieces:
            heard += len(samples)
            _check_length(heard, rate_hz, longest_s)
            yield AudioFrame(samples, rate_hz)
            await asyncio.sleep(0)  # a piece costs up to 0.3 ms: others get their turn
        return
    async with aclosing(decode(source, "sound", rate_hz)) as bodies:
        async for body in bodies:
            samples = np.frombuffer(body, np.float32)
            heard += len(samples)
            _check_length(heard, rate_hz, longest_s)
            yield AudioFrame(samples, rate_hz)


def _check_length(heard: int, rate_hz: int, longest_s: float) -> None:
    if heard > longest_s * rate_hz:
        raise TooLarge(f"found more than {longest_s:g} s of sound, expected at most that")
