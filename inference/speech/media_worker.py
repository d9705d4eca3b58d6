"""The process that decodes a media file which somebody else made: it may crash, hang or eat memory, and is then killed.

Started as a script, in isolation, by `inference.speech.media`, with the demuxer, the wanted rate and the limit of
memory; it imports nothing of this project. The file is its standard input, which it never learns the name of. Frames on
standard output are a 1-byte kind, a 4-byte little-endian length and that many bytes: `P` float32 mono samples, `E` what
is wrong with the file (UTF-8), `D` done.
"""

from __future__ import annotations

import os
import struct
import sys
from collections.abc import Iterator
from typing import Any

HEADER = struct.Struct("<cI")
PIECE_S = 0.25
LOWEST_HZ, HIGHEST_HZ = 8_000, 192_000
MOST_CHANNELS = 8
BAD_PACKETS = 200  # in a row


class Unreadable(Exception):
    """The file is not what it should be."""


def main() -> None:
    """Decode standard input to standard output."""
    demuxer, rate_hz, memory_bytes = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    output = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    import av

    av.logging.set_level(None)
    limit(memory_bytes)
    try:
        for piece in pieces(decode(av, demuxer, rate_hz), int(PIECE_S * rate_hz) * 4):
            output.write(HEADER.pack(b"P", len(piece)) + piece)
            output.flush()
        end, body = b"D", b""
    except Exception as error:  # noqa: BLE001 - the process's boundary: its parent learns of it
        what = getattr(error, "strerror", None) or str(error) or type(error).__name__
        end, body = b"E", what.encode()
    output.write(HEADER.pack(end, len(body)) + body)
    output.flush()
    os._exit(0)  # nothing to tidy up, and tidying up a broken file can crash


def decode(av: Any, demuxer: str, rate_hz: int) -> Iterator[bytes]:
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
    bad = 0
    for packet in media.demux(stream):
        try:
            frames = packet.decode()
        except av.error.FFmpegError as error:
            bad += 1
            if bad > BAD_PACKETS:
                raise Unreadable(f"found {bad} unreadable packets in a row ({error})") from error
            continue
        for frame in frames:
            bad = 0
            for resampled in resampler.resample(frame):
                yield resampled.to_ndarray()[0].tobytes()
    for resampled in resampler.resample(None):
        yield resampled.to_ndarray()[0].tobytes()


def pieces(chunks: Iterator[bytes], size: int) -> Iterator[bytes]:
    """Regroup to pieces of `size` bytes; the last may be shorter."""
    pending = bytearray()
    for chunk in chunks:
        pending += chunk
        while len(pending) >= size:
            yield bytes(pending[:size])
            del pending[:size]
    if pending:
        yield bytes(pending)


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
