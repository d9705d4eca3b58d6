"""Decoding the pictures, videos and sound of a request, isolated from the event loop.

Pictures: `data:` URLs of PNG, JPEG, WebP or GIF. Pillow reads them with only these four decoders, in a thread, after
the size that the header states has been checked. A process of its own decodes sound and videos
(`fastembed.inference.engines.media`). At most `TURNS` are decoded at a time, over all requests: each may take 100 MB
while it is. What stands at an `http(s)` URL is fetched where whoever runs the server allows that
(`fastembed.server.fetching`); the id of an uploaded file (`fastembed.server.files`) may stand wherever a URL may.
"""

from __future__ import annotations

import asyncio
import logging
import re
from contextlib import aclosing
from typing import Final, Literal, cast
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from fastembed.inference.engines.media.files import recognise
from fastembed.inference.engines.media.frames import decode_frames
from fastembed.inference.engines.media.pictures import MAX_IMAGE_BYTES, decode_picture
from fastembed.inference.engines.media.sound import decode_media
from fastembed.pipeline.errors import InvalidInput, ItemError
from fastembed.pipeline.payload.chat import AudioPart, ImagePart, VideoPart
from fastembed.server.fetching.references import References
from fastembed.server.wire.base64_text import decode_base64
from fastembed.server.wire.fields import Fields, refuse

_log: Final = logging.getLogger("fastembed.http")

MAX_MEDIA: Final = 32
"""Pictures, videos, sounds and files of one request."""
MAX_AUDIO_BYTES: Final = 64 * 2**20
MAX_VIDEO_BYTES: Final = 64 * 2**20
MAX_AUDIO_S: Final = 1_800.0
RATE_HZ: Final = 16_000
TURNS: Final = 2
DATA_URL: Final = re.compile(r"data:(?P<media>[\w.+/-]{0,100})(?:;[\w.+-]{1,50}=[^;,]{0,100})*;base64,", re.IGNORECASE)

Detail = Literal["auto", "low", "high"]

_VIDEOS: Final = ("mp4", "matroska")
_turns: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Semaphore] = WeakKeyDictionary()


async def image_part(fields: Fields, references: References) -> ImagePart:
    """Read `{"type": "image_url", "image_url": {"url", "detail"}}`."""
    image = fields.required("image_url", 'an object {"url": "data:image/png;base64,..."}')
    content = await _content(image, "image", references, most_bytes=MAX_IMAGE_BYTES)
    return await picture(content, image.at("url"), _detail(image))


async def image_file_part(fields: Fields, references: References) -> ImagePart:
    """Read `{"type": "image_file", "image_file": {"file_id", "detail"}}`, as the Assistants API has it."""
    image = fields.required("image_file", 'an object {"file_id": "file-..."}')
    place = image.at("file_id")
    _, data = await references.file(
        image.needed("file_id", "the id of an uploaded file"), most_bytes=MAX_IMAGE_BYTES, place=place
    )
    return await picture(data, place, _detail(image))


async def sound_part(fields: Fields, _: References) -> AudioPart:
    """Read `{"type": "input_audio", "input_audio": {"data", "format"}}`."""
    sound = fields.required("input_audio", "an object with data and format")
    name = sound.choice("format", ("wav", "mp3")) or sound.refuse("format", "wav or mp3")
    data = sound.needed("data", "base64 of a sound file")
    return await recording(data, sound.at("data"), expected=name)


async def audio_part(fields: Fields, references: References) -> AudioPart:
    """Read our own `{"type": "audio", "audio": {"url"}}`: the URL of any sound file that is recognised."""
    audio = fields.required("audio", 'an object {"url": "data:audio/wav;base64,..."}')
    content = await _content(audio, "audio", references, most_bytes=MAX_AUDIO_BYTES)
    return await recording(content, audio.at("url"))


async def video_part(fields: Fields, references: References) -> VideoPart:
    """Read our own `{"type": "video_url", "video_url": {"url"}}`: a few pictures, spread over the video."""
    video = fields.required("video_url", 'an object {"url": "data:video/mp4;base64,..."}')
    content = await _content(video, "video", references, most_bytes=MAX_VIDEO_BYTES)
    return await film(content, video.at("url"))


async def picture(content: str | bytes, place: str, detail: Detail = "auto") -> ImagePart:
    """Decode a picture, base64 or its bytes. InvalidInput names the field `place`."""
    async with _turn():
        pixels = await asyncio.to_thread(_pixels, content, place)
    return ImagePart(pixels, detail)


async def film(content: str | bytes, place: str) -> VideoPart:
    """Decode a few frames of a video, base64 or its bytes. InvalidInput names the field `place`."""
    async with _turn():
        data = await asyncio.to_thread(decode_base64, content, place)
        _check_video(data[:16], place)
        try:
            frames, times_s = await decode_frames(data)
        except ItemError as error:
            refuse(error.message, place, "invalid_video")
    return VideoPart(frames, times_s)


def _detail(image: Fields) -> Detail:
    return cast("Detail", image.choice("detail", ("auto", "low", "high")) or "auto")


async def _content(fields: Fields, kind: str, references: References, *, most_bytes: int) -> str | bytes:
    """Return the base64 text of a data URL in the field `url`, or the bytes that it refers to."""
    url = fields.needed("url", f"data:{kind}/...;base64,...")
    code = f"invalid_{kind}_url"
    if url[:8].lower().startswith(("http:", "https:")):
        return await references.url(url, most_bytes=most_bytes, place=fields.at("url"), code=code)
    if url.startswith("file-"):
        return (await references.file(url, most_bytes=most_bytes, place=fields.at("url")))[1]
    match = DATA_URL.match(url)
    if match is None:
        fields.refuse("url", f"data:{kind}/...;base64,... or an http(s) URL, or the id of an uploaded file", code)
    media = match["media"].lower()
    if media and not media.startswith((f"{kind}/", "application/octet-stream")):
        refuse(f"found a data URL of {media}, expected {kind}/...", fields.at("url"), f"invalid_{kind}_format")
    return url[match.end() :]


def _pixels(encoded: str | bytes, place: str) -> NDArray[np.uint8]:
    """Decode a picture to RGB, upright, on white where it is transparent."""
    most = MAX_IMAGE_BYTES
    if len(encoded) > most * 4 // 3 + 4:
        refuse(f"found a picture of more than {most:,} bytes, expected at most that", place, "image_too_large")
    try:
        return decode_picture(decode_base64(encoded, place))
    except InvalidInput as error:
        if error.param == place:  # no base64
            raise
        refuse(error.message, place, error.code)


def _check_video(head: bytes, place: str) -> None:
    """Refuse a file that does not begin like a video: the decoder's own message would speak of sound."""
    try:
        kind = recognise(head)
    except ItemError:
        kind = f"that begins with {head[:8].hex()}" if head else "of no bytes"
    if kind not in _VIDEOS:
        refuse(f"found a file {kind}, expected an MP4, WebM or Matroska video", place, "invalid_video")


async def recording(encoded: str | bytes, place: str, *, expected: str = "") -> AudioPart:
    """Decode sound, base64 or its bytes. expected: its kind. InvalidInput names the field `place`."""
    async with _turn():
        data = await asyncio.to_thread(decode_base64, encoded, place)
        try:
            found = recognise(data[:16])
            if expected and found != expected:
                refuse(f"found {found} data, expected {expected} as `format` says", place)
            samples = await _samples(data)
        except InvalidInput as error:
            if error.param is not None:
                raise
            refuse(error.message, place, "invalid_audio")
    if not len(samples):
        refuse("found a sound file without samples, expected at least one", place, "invalid_audio")
    return AudioPart(samples, RATE_HZ)


async def _samples(data: bytes) -> NDArray[np.float32]:
    pieces: list[NDArray[np.float32]] = []
    async with aclosing(decode_media(data, rate_hz=RATE_HZ, longest_s=MAX_AUDIO_S)) as frames:
        async for frame in frames:
            pieces.append(frame.samples)  # noqa: PERF401 - an asynchronous loop that must be closed
    return np.concatenate(pieces) if pieces else np.empty(0, np.float32)


def _turn() -> asyncio.Semaphore:
    """Return this event loop's turns."""
    return _turns.setdefault(asyncio.get_running_loop(), asyncio.Semaphore(TURNS))
