"""Sound into the bytes of a file, piece by piece: what is encoded so far can be sent while more is made.

WAV is written with sizes that say "until the end", as is usual for streams, unless all of it is known. The compressed
forms are libav's; their containers are set to need no way back to their beginning.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from fastembed.inference.engines.speech.resample import Resampler

SoundFormat = Literal["mp3", "opus", "aac", "flac", "wav", "pcm"]
SOUND_FORMATS: Final[tuple[SoundFormat, ...]] = get_args(SoundFormat)
RATE_HZ: Final = 24_000
"""Of all that is encoded: what OpenAI's clients expect of pcm, and what every codec here takes."""
MEDIA_TYPES: Final[Mapping[SoundFormat, str]] = {
    "mp3": "audio/mpeg",
    "opus": "audio/ogg",
    "aac": "audio/aac",
    "flac": "audio/flac",
    "wav": "audio/wav",
    "pcm": "audio/pcm",
}
_ENDLESS: Final = 0xFFFFFFFF
_WAV: Final = struct.Struct("<4sI4s4sIHHIIHH4sI")
WAV_HEADER_BYTES: Final = _WAV.size


@dataclass(frozen=True, slots=True)
class _Codec:
    """libav's names. bit_rate: of lossy ones."""

    muxer: str
    codec: str
    sample_format: str
    bit_rate: int = 0
    options: Mapping[str, str] = field(default_factory=dict)


_CODECS: Final[Mapping[str, _Codec]] = {
    "mp3": _Codec("mp3", "libmp3lame", "s16p", 64_000, {"write_xing": "0", "id3v2_version": "0"}),
    "opus": _Codec("ogg", "libopus", "s16", 32_000, {"page_duration": "100000"}),
    "aac": _Codec("adts", "aac", "fltp", 64_000),
    "flac": _Codec("flac", "flac", "s16"),
}


class SoundEncoder:
    """One file. Use it in one thread at a time; `close` must follow if `finish` does not."""

    def __init__(self, form: SoundFormat, rate_hz: int) -> None:
        """rate_hz: of the samples that come."""
        self._form = form
        self._resampler = Resampler(rate_hz, RATE_HZ)
        self._writer = _Compressed(_CODECS[form]) if form in _CODECS else None
        self._begun = False

    def push(self, samples: NDArray[np.float32]) -> bytes:
        """Return the bytes that more samples (float32 mono) make complete."""
        return self._encoded(self._resampler.push(samples))

    def finish(self, samples: NDArray[np.float32] | None = None) -> bytes:
        """Return the last bytes of the file. samples: the last ones; a WAV of which they are all gets true sizes."""
        parts = [] if samples is None else [self._resampler.push(samples)]
        rest = np.concatenate([*parts, self._resampler.flush()])
        if self._form == "wav" and not self._begun:
            return wav_header(2 * len(rest)) + _pcm(rest)
        data = self._encoded(rest)
        return data + self._writer.finish() if self._writer else data

    def close(self) -> None:
        """Free the codec of a file that is not wanted any more."""
        if self._writer is not None:
            self._writer.close()

    def _encoded(self, samples: NDArray[np.float32]) -> bytes:
        if self._writer is not None:
            return self._writer.push(samples)
        header = b"" if self._begun or self._form == "pcm" else wav_header()
        self._begun = True
        return header + _pcm(samples)


def wav_header(data_bytes: int | None = None) -> bytes:
    """Return the header of 16-bit mono WAV. data_bytes None: as many as come."""
    size = _ENDLESS if data_bytes is None else data_bytes
    total = _ENDLESS if data_bytes is None else data_bytes + _WAV.size - 8
    return _WAV.pack(b"RIFF", total, b"WAVE", b"fmt ", 16, 1, 1, RATE_HZ, 2 * RATE_HZ, 2, 16, b"data", size)


def _pcm(samples: NDArray[np.float32]) -> bytes:
    return np.rint(np.clip(samples, -1, 1) * 32767).astype("<i2").tobytes()


class _Tape:
    """What libav writes to; takes no seeking."""

    def __init__(self) -> None:
        self._written = bytearray()

    def write(self, data: Any) -> int:
        self._written += data
        return len(data)

    def take(self) -> bytes:
        """Return what was written since the last call."""
        data = bytes(self._written)
        self._written.clear()
        return data


class _Compressed:
    """A stream of one codec in its container."""

    def __init__(self, codec: _Codec) -> None:
        import av

        self._av: Any = av  # its types do not know what `format` makes of a stream
        self._tape = _Tape()
        self._file: Any = self._av.open(
            self._tape, "w", format=codec.muxer, options={"flush_packets": "1", **codec.options}
        )
        self._stream: Any = self._file.add_stream(codec.codec, rate=RATE_HZ)
        self._stream.layout = "mono"
        self._stream.format = codec.sample_format
        if codec.bit_rate:
            self._stream.bit_rate = codec.bit_rate
        self._done = 0

    def push(self, samples: NDArray[np.float32]) -> bytes:
        if len(samples):
            frame = self._av.AudioFrame.from_ndarray(np.clip(samples, -1, 1)[None, :], format="flt", layout="mono")
            frame.sample_rate = RATE_HZ
            frame.pts = self._done
            self._done += len(samples)
            self._file.mux(self._stream.encode(frame))
        return self._tape.take()

    def finish(self) -> bytes:
        self._file.mux(self._stream.encode(None))
        self._file.close()
        return self._tape.take()

    def close(self) -> None:
        self._file.close()
