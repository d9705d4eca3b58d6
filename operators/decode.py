"""Decode a session's audio."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastembed.inference.engines.media.streams import StreamDecoder
from fastembed.inference.engines.speech.resample import Resampler
from fastembed.operators.listening.container import SNIFF_BYTES, is_no_sound, sniff, undecided
from fastembed.operators.listening.g711 import decode_alaw, decode_ulaw
from fastembed.pipeline.component import operator
from fastembed.pipeline.errors import InvalidInput, Unavailable
from fastembed.pipeline.item import Item
from fastembed.pipeline.payload.audio import (
    AudioBytes,
    AudioFrame,
    Clear,
    Commit,
    SpeechInput,
    SpeechProblem,
    SpeechSettings,
    SpeechSignal,
)

_EXPECTED = "raw samples in the session's format, or a stream of webm, ogg, mp4, mp3, flac or wav"
_FRAMED = frozenset({"mp3", "aac"})  # begin anywhere in their stream as they do at its start
_HELD = frozenset({"mp3", "aac", "flac"})  # libav reads ahead in them
_ENDED = _HELD | {"wav", "endless_wav"}  # of wav libav looks at 131 KiB first: for another codec within the PCM
_HELD_BYTES = 4_096
_HEAD_BYTES = 42  # of flac: its mark and what is needed of its streams
_PIECE_S = 0.25  # longer messages are decoded in pieces, so that nobody's message holds up the others


@operator
class Decode:
    """Decode a session's audio: PCM of any common rate, G.711, or a growing webm, ogg, mp4, mp3, flac or wav stream.

    In: bytes in the format of the session's settings, cut anywhere, or audio of any rate; one session a stream.
    Out: float32 mono at `rate`, bit for bit the same however PCM and G.711 were cut; everything else passes.
    Args: rate: samples a second that come out.
    Containers are decoded in a process of their own: what strangers send can do no harm here.
    Raises: nothing; bytes that cannot be decoded yield one problem, and the session goes on.
    """

    def __init__(self, *, rate: int = 16_000) -> None:
        """Set the sample rate that the next step expects."""
        self.rate_hz = rate

    async def __call__(self, stream: AsyncIterator[Item[SpeechInput]]) -> AsyncIterator[Item[SpeechSignal]]:
        """Decode the messages of one session."""
        decoder = SessionDecoder(self.rate_hz)
        try:
            async for item in stream:
                try:
                    async for value in decoder.take(item.value):
                        yield item.derive(value)
                except (InvalidInput, Unavailable) as error:
                    yield item.derive(_problem(error, getattr(item.value, "ref", None)))
        finally:
            await decoder.close()


def _head_of(data: bytes) -> bytes:
    """Return what the frames of a flac stream are read by: its mark and first block, made the last (RFC 9639, 8)."""
    if data[:4] == b"RIFF":
        return data[: data.find(b"data", 12) + 8]
    return data[:4] + bytes([data[4] | 0x80]) + data[5:_HEAD_BYTES]


def _problem(error: InvalidInput | Unavailable, ref: str | None) -> SpeechProblem:
    if isinstance(error, Unavailable):  # the machine's fault, not the speaker's
        return SpeechProblem(error.message, error.code or "unavailable", ref=ref, status=error.status)
    return SpeechProblem(error.message, error.code or "invalid_audio", ref=ref)


class SessionDecoder:
    """One session's format, and what of its audio is not decoded yet."""

    def __init__(self, rate_hz: int) -> None:
        """Expect PCM of the realtime API's default rate."""
        self._rate_hz = rate_hz
        self._settings = SpeechSettings()
        self._resampler = Resampler(self._settings.rate_hz, rate_hz)
        self._resampler_hz = self._settings.rate_hz
        self._odd = b""  # half a PCM sample, or the first bytes of a binary message too short to tell its format
        self._container: StreamDecoder | None = None
        self._begun = False  # whether a message in text has told already that it is no container
        self._head = b""
        self._deaf = False  # a container broke: its later messages mean nothing

    async def take(self, value: Any) -> AsyncIterator[Any]:
        """Yield the decoded events of `value`. InvalidInput: its bytes do not match the session's format."""
        match value:
            case AudioBytes():
                async for samples in self._decode(value):
                    if len(samples):
                        yield AudioFrame(samples, self._rate_hz)
                return
            case AudioFrame():
                value = AudioFrame(self._resample(value.samples, value.rate_hz), self._rate_hz)
            case SpeechSettings():
                async for samples in self._configure(value):
                    yield AudioFrame(samples, self._rate_hz)
            case Commit():
                async for samples in self._finish():
                    yield AudioFrame(samples, self._rate_hz)
                if len(tail := self._resampler.flush()):
                    yield AudioFrame(tail, self._rate_hz)
            case Clear():
                self._resampler.flush()
                self._odd = b""
        yield value

    async def close(self) -> None:
        """End the decoding process, if there is one."""
        container, self._container = self._container, None
        if container is not None:
            await container.close()

    async def _configure(self, settings: SpeechSettings) -> AsyncIterator[NDArray[np.float32]]:
        before, self._settings = self._settings, settings
        if (before.format, before.rate_hz) != (settings.format, settings.rate_hz):
            if len(tail := self._resampler.flush()):
                yield tail
            self._odd = b""
            self._begun = self._deaf = False
            await self.close()

    async def _finish(self) -> AsyncIterator[NDArray[np.float32]]:
        """Yield what is held back of frames that stand for themselves; the stream goes on with what comes next."""
        if self._odd:
            async for samples in self._decode(AudioBytes(b"", sniff=not self._begun), final=True):
                yield samples
        if self._container is None or self._container.container not in _ENDED:
            return
        container, self._container = self._container, None
        with suppress(InvalidInput):  # too few bytes for a frame: what comes behind them tells whether they are sound
            async for samples in container.finish():
                yield samples
        self._container = StreamDecoder(container.container, self._rate_hz)
        # What its next frames are read by.
        self._odd = self._head if container.container in ("flac", "wav", "endless_wav") else b""

    async def _decode(self, message: AudioBytes, *, final: bool = False) -> AsyncIterator[NDArray[np.float32]]:
        data = message.data
        stored = self._settings.format in ("webm", "ogg")
        # Base64 is the session's format, but for clients that send a file in it: its first bytes tell.
        marked = message.sniff or self._container is not None or bool(self._odd and not self._begun)
        marked = marked or (not self._begun and len(message.data) >= SNIFF_BYTES)
        if stored or marked:
            data, self._odd = self._odd + data, b""
            if self._container is None and undecided(data) and not final:
                self._odd = data
                return
            if (container := sniff(data)) is not None and (self._container is None or container not in _FRAMED):
                if container in _HELD and len(data) < _HELD_BYTES and not final:
                    self._odd, self._begun = data, False
                    return
                await self.close()  # a new recording on the same socket
                self._deaf = False
                self._container, self._head = StreamDecoder(container, self._rate_hz), _head_of(data)
            elif self._container is None and not self._deaf and is_no_sound(data):
                self._deaf = True
                raise InvalidInput(
                    f"found audio that begins with {data[:8]!r}, expected {_EXPECTED}", code="unsupported_audio"
                )
            elif stored and self._container is None and not self._deaf:
                self._deaf = True
                raise InvalidInput(
                    f"found audio that begins with {data[:4].hex()}, expected the start of a "
                    f"{self._settings.format} stream"
                )
        self._begun = True
        if self._deaf:
            return
        if self._container is not None and (stored or marked):
            async for samples in self._decode_container(self._container, data):
                yield samples
            return
        rate_hz = self._settings.rate_hz if self._settings.format == "pcm16" else 8_000
        width = 2 if self._settings.format == "pcm16" else 1
        size = max(width, int(_PIECE_S * rate_hz) * width)
        for start in range(0, len(data), size):
            yield self._resample(self._samples(data[start : start + size]), rate_hz)

    async def _decode_container(self, container: StreamDecoder, data: bytes) -> AsyncIterator[NDArray[np.float32]]:
        try:
            async for samples in container.feed(data):
                yield samples
        except (InvalidInput, Unavailable):
            await self.close()
            self._deaf = True
            raise

    def _samples(self, data: bytes) -> NDArray[np.float32]:
        """Return float32 of bytes in the session's format; half a sample waits for its other half."""
        if self._settings.format == "pcmu":
            return decode_ulaw(data)
        if self._settings.format == "pcma":
            return decode_alaw(data)
        data = self._odd + data
        whole = len(data) & ~1
        self._odd = data[whole:]
        return np.frombuffer(data, "<i2", count=whole // 2).astype(np.float32) / np.float32(32_768)

    def _resample(self, samples: NDArray[np.float32], rate_hz: int) -> NDArray[np.float32]:
        if rate_hz != self._resampler_hz:
            try:
                self._resampler = Resampler(rate_hz, self._rate_hz)
            except ValueError as error:
                raise InvalidInput(str(error), code="invalid_sample_rate") from error
            self._resampler_hz = rate_hz
        return self._resampler.push(samples)
