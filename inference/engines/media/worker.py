"""The process that decodes media of unknown origin: it may crash, hang or eat memory, and is then killed.

Started by `fastembed.inference.engines.media.files` with what is wanted, the demuxer, and

- for `sound` the rate, and whether channels stay apart; it gives float32 samples, a quarter of a second at a time:
  mono, or the number of channels (`CHANNELS`) and their samples by turns,
- for `frames` how many and their longest side; it gives `PICTURE` (time in seconds, height, width) and RGB bytes;
  both of a file, an open descriptor whose name it never learns,
- for `stream` the rate, and whether a wav has no length; it gives float32 mono samples of a stream that comes over the
  pipe while it grows
  (`fastembed.inference.engines.media.streams`).

Each message is a 1-byte kind and what belongs to it: `P` a piece of what is wanted, `E` what is wrong with the media
(UTF-8), `U` the same where it is of a kind that is not read here, `D` done, `H` hungry: all that came of a stream is
decoded, and more is waited for.
"""

from __future__ import annotations

import os
import socket
import struct
import traceback
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from fastembed.inference.engines.media.downmix import Downmix
from fastembed.pipeline.processes.framing import frame, receive_body

PICTURE = struct.Struct("<dII")
CHANNELS = struct.Struct("<I")
MATRIX = struct.Struct("=9i")
PIECE_S = 0.25
LOWEST_HZ, HIGHEST_HZ = 8_000, 192_000
MOST_CHANNELS = 8
BAD_PACKETS = 200  # in a row
MOST_PIXELS = 9_000_000  # 4K
PCM_CODECS = {"pcm_u8", "pcm_s16le", "pcm_s24le", "pcm_s32le", "pcm_f32le", "pcm_f64le", "pcm_mulaw", "pcm_alaw"}
STREAM_CODECS = frozenset({"opus", "vorbis", "flac", "aac", "alac", "mp3", "mp3float"} | PCM_CODECS)
BROWSERS = frozenset({"matroska", "ogg", "mp4"})  # their head says what they hold; of others libav reads packets first
STREAM_OPTIONS = {"fflags": "nobuffer", "probesize": "32", "analyzeduration": "0"}  # first sound 3 ms after its bytes


class Unreadable(Exception):
    """The media is not what it should be."""


class UnknownMedia(Unreadable):
    """The media is of a kind that is not read here."""


def main(pipe: socket.socket, argument: dict[str, Any]) -> None:
    """Decode what `argument` says: wanted, demuxer, numbers, and the descriptor of the file, if it is one."""
    import av

    av.logging.set_level(None)
    wanted, demuxer, numbers = argument["wanted"], argument["demuxer"], argument["numbers"]
    source: Any = GrowingStream(pipe) if wanted == "stream" else os.fdopen(argument["file"], "rb")
    decoders: dict[str, Callable[..., Iterator[bytes]]] = {"sound": sound, "frames": frames, "stream": stream}
    try:
        for piece in decoders[wanted](av, source, demuxer, *numbers):
            pipe.sendall(frame(b"P", piece))
        end, body = b"D", b""
    except Exception as error:  # noqa: BLE001 - the process's boundary: its parent learns of it
        if not isinstance(error, Unreadable | av.FFmpegError):
            traceback.print_exc()  # into the server's log
        what = getattr(error, "strerror", None) or str(error) or type(error).__name__
        end, body = b"U" if isinstance(error, UnknownMedia) else b"E", what.encode()
    with suppress(OSError):  # the reader has closed it
        pipe.sendall(frame(end, body))
    os._exit(0)  # nothing to tidy up, and tidying up a broken file can crash


class GrowingStream:
    """A stream as libav reads one: it waits for bytes, and first says that what came before is decoded."""

    def __init__(self, pipe: socket.socket) -> None:
        """Read what comes over the pipe; an empty message is the stream's end."""
        self._pipe = pipe
        self._left = b""
        self._fed = self._over = False

    def read(self, size: int) -> bytes:
        """Return some bytes, at most `size`; none at the end."""
        if self._over:
            return b""
        if not self._left:
            if self._fed:
                self._pipe.sendall(frame(b"H"))
            try:
                self._left = bytes(receive_body(self._pipe))
            except EOFError:
                os._exit(0)
            self._fed = True
            self._over = not self._left
        taken, self._left = self._left[:size], self._left[size:]
        return taken


def stream(av: Any, source: GrowingStream, demuxer: str, rate_hz: int, endless: int = 0) -> Iterator[bytes]:
    """Yield float32 mono of a stream as its bytes come. endless: its header says nothing of its length."""
    options = STREAM_OPTIONS if demuxer in BROWSERS else {"probesize": "4096", "analyzeduration": "0"}
    options = {**options, "ignore_length": "1"} if endless else options
    media = av.open(source, mode="r", format=demuxer, options=options, buffer_size=4096, metadata_errors="replace")
    if not media.streams.audio:
        raise UnknownMedia("found no sound in it, expected an audio stream")
    audio = media.streams.audio[0]
    codec = audio.codec_context
    if codec is None:
        raise UnknownMedia("found an unknown codec, expected opus, aac or vorbis")
    if codec.name not in STREAM_CODECS or not 0 < codec.channels <= MOST_CHANNELS:
        raise UnknownMedia(
            f"found {codec.channels} channels of {codec.name}, expected up to {MOST_CHANNELS} of opus, aac or vorbis"
        )
    downmix = Downmix()
    for piece in resampled(av, media, audio, rate_hz):
        yield downmix.push(piece).tobytes()


def sound(av: Any, source: BinaryIO, demuxer: str, rate_hz: int, apart: int = 0) -> Iterator[bytes]:
    """Yield float32 in pieces of a quarter of a second, the last may be shorter: mono, or the channels apart."""
    length = int(PIECE_S * rate_hz)
    downmix = Downmix()
    for piece in pieces_of(samples(av, source, demuxer, rate_hz), length):
        if apart:
            yield CHANNELS.pack(piece.shape[1]) + piece.tobytes()
        else:
            yield downmix.push(piece).tobytes()


def pieces_of(chunks: Iterator[NDArray[np.float32]], length: int) -> Iterator[NDArray[np.float32]]:
    """Cut samples [n, channels] anew into pieces of one length; the last may be shorter."""
    waiting: list[NDArray[np.float32]] = []
    for chunk in chunks:
        waiting.append(chunk)
        if sum(map(len, waiting)) >= length:
            joined = np.concatenate(waiting)
            whole = len(joined) // length * length
            yield from np.split(joined[:whole], whole // length)
            waiting = [joined[whole:]]
    if waiting and len(rest := np.concatenate(waiting)):
        yield rest


def samples(av: Any, source: BinaryIO, demuxer: str, rate_hz: int) -> Iterator[NDArray[np.float32]]:
    """Yield float32 [n, channels], frame by frame, of the track that players would choose."""
    options = {"ignore_length": "1"} if demuxer == "wav" and lacks_length(source) else {}
    media = av.open(source, mode="r", format=demuxer, metadata_errors="replace", options=options)
    if not media.streams.audio:
        raise Unreadable("found no audio stream")
    stream = media.streams.best("audio")
    codec = stream.codec_context
    if codec is None:
        raise Unreadable("found an audio stream of an unknown codec")
    if not LOWEST_HZ <= codec.sample_rate <= HIGHEST_HZ or not 0 < codec.channels <= MOST_CHANNELS:
        raise Unreadable(
            f"found {codec.channels} channels at {codec.sample_rate} Hz, "
            f"expected 1 to {MOST_CHANNELS} at {LOWEST_HZ} to {HIGHEST_HZ} Hz"
        )
    yield from resampled(av, media, stream, rate_hz)


def lacks_length(source: BinaryIO) -> bool:
    """Whether a WAV does not say how long it is, as those that were written to a pipe: 0, or all ones."""
    head = source.read(4096)
    source.seek(0)
    at = head.find(b"data", 12)
    return at >= 0 and head[at + 4 : at + 8] in (b"\x00" * 4, b"\xff" * 4)


def resampled(av: Any, media: Any, stream: Any, rate_hz: int) -> Iterator[NDArray[np.float32]]:
    """Yield a stream's frames as float32 [n, channels]."""
    stream.codec_context.thread_count = 1
    resampler = av.AudioResampler(format="flt", rate=rate_hz)
    for found in decoded(av, media, stream):
        for piece in resampler.resample(found):
            yield piece.to_ndarray().reshape(-1, piece.layout.nb_channels)
    for piece in resampler.resample(None):
        yield piece.to_ndarray().reshape(-1, piece.layout.nb_channels)


def frames(av: Any, source: BinaryIO, demuxer: str, most: int, longest_side: int) -> Iterator[bytes]:
    """Yield `most` pictures at even distances, from the first on; fewer of a video that has fewer."""
    media = av.open(source, mode="r", format=demuxer, metadata_errors="replace")
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
        if wanted_s <= last_s:  # the frame before lasts as long: there are fewer than are wanted
            continue
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
    rgb = upright(frame.to_ndarray(format="rgb24", width=width, height=height), display_matrix(frame))
    height, width = rgb.shape[:2]
    return PICTURE.pack(time_s, height, width) + rgb.tobytes()


def display_matrix(frame: Any) -> tuple[int, ...]:
    """Return how a frame is to be shown, nine numbers (a b u, c d v, x y w); none: as it is.

    A phone films as its sensor lies, and writes how it was held into the file (ISO 14496-12, section 6.2.2).
    """
    found = next((data for data in frame.side_data if data.type.name == "DISPLAYMATRIX"), None)
    return MATRIX.unpack(bytes(found)) if found is not None else ()


def upright(rgb: NDArray[np.uint8], matrix: tuple[int, ...]) -> NDArray[np.uint8]:
    """Turn and mirror pixels as the matrix says, to the nearest quarter: x' = ax + cy, y' = bx + dy."""
    if not matrix:
        return rgb
    a, b, _, c, d = matrix[:5]
    across, down = a, d
    if abs(a) + abs(d) < abs(b) + abs(c):  # columns become rows
        rgb, across, down = rgb.transpose(1, 0, 2), c, b
    return rgb[:: -1 if down < 0 else 1, :: -1 if across < 0 else 1]


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
        for picture_or_sound in found:
            bad = 0
            yield picture_or_sound
