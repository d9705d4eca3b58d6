"""The process that decodes a media file which somebody else made: it may crash, hang or eat memory, and is then killed.

Started as a script, in isolation, by `fastembed.inference.engines.media.files`, with what is wanted, the demuxer, the
limit of memory and

- for `sound` the rate; it gives float32 mono samples, a quarter of a second at a time,
- for `frames` how many and their longest side; it gives `PICTURE` (time in seconds, height, width) and RGB bytes.

It imports nothing of this project. The file is its standard input, which it never learns the name of. On standard
output are a 1-byte kind, a 4-byte little-endian length and that many bytes: `P` a piece of what is wanted, `E` what is
wrong with the file (UTF-8), `D` done.
"""

from __future__ import annotations

import os
import signal
import struct
import sys
import traceback
from collections.abc import Iterator
from typing import Any

HEADER = struct.Struct("<cI")
PICTURE = struct.Struct("<dII")
PIECE_S = 0.25
LOWEST_HZ, HIGHEST_HZ = 8_000, 192_000
MOST_CHANNELS = 8
BAD_PACKETS = 200  # in a row
MOST_PIXELS = 9_000_000  # 4K


class Unreadable(Exception):
    """The file is not what it should be."""


def main() -> None:
    """Decode standard input to standard output."""
    wanted, demuxer = sys.argv[1:3]
    memory_bytes, *numbers = map(int, sys.argv[3:])
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to the whole group: whoever started us decides
    output = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    import av

    av.logging.set_level(None)
    limit(memory_bytes)
    try:
        for piece in (sound if wanted == "sound" else frames)(av, demuxer, *numbers):
            output.write(HEADER.pack(b"P", len(piece)) + piece)
            output.flush()
        end, body = b"D", b""
    except Exception as error:  # noqa: BLE001 - the process's boundary: its parent learns of it
        if not isinstance(error, Unreadable | av.FFmpegError):
            traceback.print_exc()  # into the server's log
        what = getattr(error, "strerror", None) or str(error) or type(error).__name__
        end, body = b"E", what.encode()
    output.write(HEADER.pack(end, len(body)) + body)
    output.flush()
    os._exit(0)  # nothing to tidy up, and tidying up a broken file can crash


def sound(av: Any, demuxer: str, rate_hz: int) -> Iterator[bytes]:
    """Yield float32 mono in pieces of a quarter of a second; the last may be shorter."""
    size = int(PIECE_S * rate_hz) * 4
    pending = bytearray()
    for chunk in samples(av, demuxer, rate_hz):
        pending += chunk
        while len(pending) >= size:
            yield bytes(pending[:size])
            del pending[:size]
    if pending:
        yield bytes(pending)


def samples(av: Any, demuxer: str, rate_hz: int) -> Iterator[bytes]:
    """Yield float32 mono, as bytes, frame by frame."""
    media = av.open(sys.stdin.buffer, mode="r", format=demuxer, metadata_errors="replace")
    if not media.streams.audio:
        raise Unreadable("found no audio stream")
    stream = media.streams.audio[0]
    codec = stream.codec_context
    if codec is None:
        raise Unreadable("found an audio stream of an unknown codec")
    if not LOWEST_HZ <= codec.sample_rate <= HIGHEST_HZ or not 0 < codec.channels <= MOST_CHANNELS:
        raise Unreadable(
            f"found {codec.channels} channels at {codec.sample_rate} Hz, "
            f"expected 1 to {MOST_CHANNELS} at {LOWEST_HZ} to {HIGHEST_HZ} Hz"
        )
    codec.thread_count = 1
    resampler = av.AudioResampler(format="flt", layout="mono", rate=rate_hz)
    for frame in decoded(av, media, stream):
        for resampled in resampler.resample(frame):
            yield resampled.to_ndarray()[0].tobytes()
    for resampled in resampler.resample(None):
        yield resampled.to_ndarray()[0].tobytes()


def frames(av: Any, demuxer: str, most: int, longest_side: int) -> Iterator[bytes]:
    """Yield `most` pictures at even distances, from the first on; fewer of a video that has fewer."""
    media = av.open(sys.stdin.buffer, mode="r", format=demuxer, metadata_errors="replace")
    if not media.streams.video:
        raise Unreadable("found no video stream")
    stream = media.streams.video[0]
    codec = stream.codec_context
    if codec is None:
        raise Unreadable("found a video stream of an unknown codec")
    if not 0 < codec.width * codec.height <= MOST_PIXELS:
        raise Unreadable(f"found {codec.width} x {codec.height} pixels, expected at most {MOST_PIXELS} in a picture")
    codec.thread_count = 1
    length_s = (media.duration or 0) / av.time_base
    last_s = -1.0
    for place in range(most):
        wanted_s = place * length_s / most
        if place:
            media.seek(int(wanted_s / stream.time_base), stream=stream)
        found = next((frame for frame in decoded(av, media, stream) if (frame.time or 0.0) >= wanted_s), None)
        if found is None or (found.time or 0.0) <= last_s:  # past the end, or as far as a file without an index gets
            break
        last_s = found.time or 0.0
        yield picture(found, last_s, longest_side)
    if last_s < 0:
        raise Unreadable("found a video stream without a picture")


def picture(frame: Any, time_s: float, longest_side: int) -> bytes:
    """Return a frame as RGB, scaled down to the longest side."""
    scale = min(1.0, longest_side / max(frame.width, frame.height))
    width, height = (max(1, round(side * scale)) for side in (frame.width, frame.height))
    rgb = frame.to_ndarray(format="rgb24", width=width, height=height)
    pixels: bytes = rgb.tobytes()
    return PICTURE.pack(time_s, height, width) + pixels


def decoded(av: Any, media: Any, stream: Any) -> Iterator[Any]:
    """Yield the frames of the packets that can be decoded."""
    bad = 0
    for packet in media.demux(stream):
        try:
            found = packet.decode()
        except av.error.FFmpegError as error:
            bad += 1
            if bad > BAD_PACKETS:
                raise Unreadable(f"found {bad} unreadable packets in a row ({error})") from error
            continue
        for frame in found:
            bad = 0
            yield frame


def limit(memory_bytes: int) -> None:
    """Take away what decoding does not need: memory, more open files, writing files."""
    try:
        import resource
    except ImportError:
        return  # Windows has no such limits
    resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    resource.setrlimit(resource.RLIMIT_NOFILE, (8, 8))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


if __name__ == "__main__":
    main()
