"""Take the pictures out of picture files and videos."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path
from typing import Annotated, Any, Final

from pydantic import Field

from fastembed.inference.engines.media.files import recognise
from fastembed.inference.engines.media.frames import LONGEST_SIDE, each_frame
from fastembed.inference.engines.media.pictures import MAX_IMAGE_BYTES, decode_picture
from fastembed.pipeline.component import operator
from fastembed.pipeline.errors import ItemError
from fastembed.pipeline.payload.document import File

_VIDEOS: Final = ("mp4", "matroska")


@operator
class Frames:
    """Send on a still picture as it is, and of a video a few pictures, spread over its length.

    In: `File` or bytes: PNG, JPEG, WebP, still GIF; MP4, WebM, Matroska. Out: mapping of `name` (of a file), `second`
    (in a video; 0 of a still picture) and `picture`, uint8 [height, width, 3], RGB.

    Args:
        most: pictures of one video.
        longest_side: pixels; larger pictures of videos are scaled down.

    Raises:
        InvalidInput: neither a picture nor a video, or a broken one.

    """

    workers = 2

    def __init__(
        self,
        *,
        most: Annotated[int, Field(ge=1, le=1000)] = 8,
        longest_side: Annotated[int, Field(ge=16)] = LONGEST_SIDE,
    ) -> None:
        self._most = most
        self._longest_side = longest_side

    async def __call__(self, found: File | bytes) -> AsyncIterator[dict[str, Any]]:
        """Yield the pictures of one file."""
        name = {"name": found.name} if isinstance(found, File) else {}
        source = found.path if isinstance(found, File) else found
        if _is_video(await asyncio.to_thread(_head, source)):
            async with aclosing(each_frame(source, most=self._most, longest_side=self._longest_side)) as frames:
                async for second, picture in frames:
                    yield {**name, "second": second, "picture": picture}
            return
        yield {**name, "second": 0.0, "picture": await asyncio.to_thread(_picture, source)}


def _head(source: Path | bytes) -> bytes:
    if isinstance(source, bytes):
        return source[:16]
    with source.open("rb") as file:
        return file.read(16)


def _is_video(head: bytes) -> bool:
    try:
        return recognise(head) in _VIDEOS
    except ItemError:
        return False


def _picture(source: Path | bytes) -> Any:
    if isinstance(source, bytes):
        return decode_picture(source)
    with source.open("rb") as file:
        return decode_picture(file.read(MAX_IMAGE_BYTES + 1))
