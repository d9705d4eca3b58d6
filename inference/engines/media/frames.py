"""A few pictures out of any video, spread over its length."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from fastembed.inference.engines.media.files import decode
from fastembed.inference.engines.media.worker import PICTURE

MOST_FRAMES: Final = 8
LONGEST_SIDE: Final = 1024
"""Pixels; larger pictures are scaled down: models look at less."""


async def decode_frames(
    source: Path | bytes, *, most: int = MOST_FRAMES, longest_side: int = LONGEST_SIDE
) -> tuple[NDArray[np.uint8], list[float]]:
    """Return at most `most` frames, uint8 [count, height, width, 3], RGB, and their times in seconds.

    The first one, and then each the first that can be decoded at or after its share of the length. Raises what `decode`
    raises.
    """
    frames: list[NDArray[np.uint8]] = []
    times: list[float] = []
    async with aclosing(each_frame(source, most=most, longest_side=longest_side)) as found:
        async for time_s, frame in found:
            frames.append(frame)
            times.append(time_s)
    return np.stack(frames), times


async def each_frame(
    source: Path | bytes, *, most: int, longest_side: int
) -> AsyncGenerator[tuple[float, NDArray[np.uint8]], None]:
    """Yield the frames of `decode_frames` one after the other, each with its time in seconds."""
    async with aclosing(decode(source, "frames", most, longest_side)) as bodies:
        async for body in bodies:
            time_s, height, width = PICTURE.unpack_from(body)
            yield time_s, np.frombuffer(body, np.uint8, offset=PICTURE.size).reshape(height, width, 3)
