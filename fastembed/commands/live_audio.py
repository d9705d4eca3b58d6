"""Sound that comes while it is made: from a pipe, or a microphone."""

from __future__ import annotations

import asyncio
import logging
import sys
import threading
from collections.abc import AsyncIterator
from contextlib import aclosing, suppress
from typing import Any, BinaryIO, Final

import numpy as np

from fastembed.pipeline.errors import ConfigError
from fastembed.pipeline.payload.audio import AudioBytes, AudioFrame

Sound = AudioBytes | AudioFrame
RATE_HZ: Final = 16_000
_PIECE_BYTES: Final = 6_400  # 0.2 s
_WAITING: Final = 64
_BLOCKS: Final = 4_096
"""What a microphone's queue holds: some two minutes of PortAudio's blocks."""
_log: Final = logging.getLogger(__name__)


async def piped(pipe: BinaryIO) -> AsyncIterator[AudioBytes]:
    """Yield what comes over a pipe: 16-bit PCM, mono, of 16 kHz, or any stream that is told by its bytes."""
    loop = asyncio.get_running_loop()
    coming: asyncio.Queue[bytes] = asyncio.Queue(_WAITING)

    def read() -> None:
        # A thread of its own that nobody waits for: a read cannot be interrupted, and Ctrl-C must end the program.
        data = b"-"
        with suppress(RuntimeError):  # the loop has ended
            while data:
                data = pipe.read1(_PIECE_BYTES) if hasattr(pipe, "read1") else pipe.read(_PIECE_BYTES)
                asyncio.run_coroutine_threadsafe(coming.put(data), loop).result()

    threading.Thread(target=read, name="pipe", daemon=True).start()
    while data := await coming.get():
        yield AudioBytes(data, sniff=True)


async def microphone() -> AsyncIterator[AudioFrame]:
    """Yield what the default microphone hears. ConfigError: there is none, or nothing that listens to it."""
    try:
        import sounddevice  # type: ignore[import-untyped,import-not-found,unused-ignore] # optional
    except (ImportError, OSError) as error:  # OSError: PortAudio is missing
        needed = "pip install sounddevice, on Linux apt install libportaudio2 too"
        raise ConfigError([f"--microphone needs sounddevice ({error}): {needed}"]) from error
    loop = asyncio.get_running_loop()
    coming: asyncio.Queue[Any] = asyncio.Queue(_BLOCKS)

    def put(samples: Any) -> None:
        if coming.full():  # the pipeline has been behind for minutes: the newest words matter more
            coming.get_nowait()
            _log.warning("the transcription is behind the microphone: sound is left out")
        coming.put_nowait(samples)

    def heard(samples: Any, *_: Any) -> None:
        loop.call_soon_threadsafe(put, samples[:, 0].copy())

    try:
        stream = sounddevice.InputStream(samplerate=RATE_HZ, channels=1, dtype="float32", callback=heard)
    except sounddevice.PortAudioError as error:
        raise ConfigError([f"--microphone: found no microphone that can be used ({error})"]) from error
    with stream:
        print("listening; Ctrl-C ends it", file=sys.stderr)  # noqa: T201 - a command's output
        while True:
            yield AudioFrame(np.asarray(await coming.get(), np.float32), RATE_HZ)


async def until(stop: asyncio.Event, sound: AsyncIterator[Sound]) -> AsyncIterator[Sound]:
    """Yield sound until it ends, or `stop` is set."""
    stopping = asyncio.ensure_future(stop.wait())
    try:
        async with aclosing(sound) as pieces:  # type: ignore[type-var] # both are generators
            while not stop.is_set():
                following = asyncio.ensure_future(anext(pieces, None))
                await asyncio.wait({following, stopping}, return_when=asyncio.FIRST_COMPLETED)
                if not following.done():
                    following.cancel()
                    await asyncio.gather(following, return_exceptions=True)
                    return
                piece = following.result()
                if piece is None:
                    return
                yield piece
    finally:
        stopping.cancel()
