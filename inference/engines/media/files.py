"""Media files of anybody's, decoded where they can do no harm.

Files come from anywhere, and decoders of C are only as good as the worst of them: an ffconcat text opened other files,
a changed WAV header took 25 s and 1.7 GB. So a file is recognised by its first bytes, opened by the one demuxer that
they name, in a process of its own with little memory and no other files, which is killed when it makes no progress.
"""

from __future__ import annotations

import asyncio
import signal
import tempfile
from collections.abc import AsyncGenerator, Sequence
from pathlib import Path
from typing import BinaryIO, Final

from fastembed.pipeline.errors import ItemError, NotFound, Unavailable, Unprocessable, UnsupportedMedia
from fastembed.pipeline.processes.awaiting import sock_read_body
from fastembed.pipeline.processes.framing import BadFrame
from fastembed.pipeline.processes.starter import ChildProcess, ProcessLimits, killed_from_outside

KINDS: Final = ("wav", "flac", "mp3", "ogg", "webm", "mkv", "mp4", "m4a", "aac", "aiff")
"""What is recognised, for messages."""

_WORKER: Final = "fastembed.inference.engines.media.worker"
_LIMITS: Final = ProcessLimits(memory_bytes=1 << 30, files=16)
_RETRY_S: Final = 1.0
_STUCK_S: Final = 20.0
_MAGIC: Final = ((b"fLaC", "flac"), (b"OggS", "ogg"), (b"\x1a\x45\xdf\xa3", "matroska"), (b"ID3", "mp3"))
_AAC: Final = frozenset({0xF0, 0xF1, 0xF8, 0xF9})


async def decode(source: Path | bytes, wanted: str, *numbers: int) -> AsyncGenerator[bytes, None]:
    """Yield what a process decodes from a file or its bytes.

    wanted, numbers: see `fastembed.inference.engines.media.worker`.

    Close the iterator (`aclosing`) and the process is gone. Raises NotFound, UnsupportedMedia (not a media file that is
    read here), Unprocessable (broken, without what is wanted, takes too long), Unavailable
    (the decoder cannot start, or was killed from outside).
    """
    with await asyncio.to_thread(_opened, source) as file:
        demuxer = recognise(file.read(16))
        file.seek(0)
        process = await start(wanted, demuxer, numbers, file.fileno())
        try:
            async for body in _bodies(process):
                yield body
        finally:
            await finish(process)


async def start(wanted: str, demuxer: str, numbers: Sequence[int], file: int | None = None) -> ChildProcess:
    """Start a decoder; `finish` must follow. Unavailable: the machine cannot."""
    argument = {"wanted": wanted, "demuxer": demuxer, "numbers": numbers, "file": file}
    try:
        process = await asyncio.to_thread(
            ChildProcess, _WORKER, argument, limits=_LIMITS, keep_open=[] if file is None else [file]
        )
    except OSError as error:
        raise Unavailable(f"cannot start a decoder now ({error}); try again", retry_after_s=_RETRY_S) from error
    process.pipe.setblocking(False)
    return process


async def finish(process: ChildProcess) -> int:
    """End a decoder, wherever it is; return its exit status."""
    process.kill()
    return await asyncio.to_thread(process.reap)


def recognise(head: bytes) -> str:
    """Return libav's name of the demuxer for a file that begins with these 16 bytes. UnsupportedMedia if none is."""
    if head[:4] in (b"RIFF", b"RF64") and head[8:12] == b"WAVE":
        return "wav"
    if head[4:8] == b"ftyp":
        return "mp4"
    if head[:4] == b"FORM" and head[8:12] in (b"AIFF", b"AIFC"):
        return "aiff"
    for magic, demuxer in _MAGIC:
        if head.startswith(magic):
            return demuxer
    if len(head) > 1 and head[0] == 0xFF:  # noqa: PLR2004 - the sync word of MPEG audio
        if head[1] in _AAC:
            return "aac"
        if head[1] & 0xE0 == 0xE0:  # noqa: PLR2004 - its other three bits
            return "mp3"
    if not head:
        raise UnsupportedMedia(f"found an empty file, expected one of {', '.join(KINDS)}")
    raise UnsupportedMedia(f"found a file that begins with {head[:8].hex()}, expected one of {', '.join(KINDS)}")


def _opened(source: Path | bytes) -> BinaryIO:
    if isinstance(source, bytes):
        file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115 - the caller closes it; seekable, as containers need
        file.write(source)
        file.seek(0)
        return file
    try:
        return source.open("rb", buffering=0)
    except OSError as error:
        raise NotFound(f"cannot read {source}: {error.strerror}") from error


async def _bodies(process: ChildProcess) -> AsyncGenerator[bytes, None]:
    while True:
        try:
            async with asyncio.timeout(_STUCK_S):
                message = await sock_read_body(process.pipe)
        except TimeoutError:
            raise Unprocessable(f"found a media file that decodes no further for {_STUCK_S:.0f} s") from None
        except (EOFError, OSError, BadFrame) as error:
            raise lost(await finish(process), "a media file") from error
        kind, body = bytes(message[:1]), bytes(memoryview(message)[1:])
        if kind == b"D":
            return
        if kind != b"P":
            raise Unprocessable(f"found a media file that cannot be read: {body.decode('utf-8', 'replace')}")
        yield body


def lost(status: int, what: str) -> ItemError:
    """Return what to raise of a decoder that ended before it was done: whose fault it is shows in its exit status."""
    if killed_from_outside(status):
        ended = signal.Signals(-status).name
        return Unavailable(
            f"the decoder was ended by {ended} over {what}; this is not the media's fault: try again",
            retry_after_s=_RETRY_S,
        )
    return Unprocessable(f"found {what} that broke its decoder (exit status {status})")
