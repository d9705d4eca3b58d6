"""Speech transcribed while it is spoken, over connections that may be lost.

Theory of operation: the audio of a session is one stream of bytes with offsets. What the server has not transcribed yet
is kept (`SentAudio`). An utterance is settled when its transcript is there; everything up to its end is then forgotten.
When a connection is lost, a new one begins at the first offset that is not settled: an utterance whose words had begun
to come is transcribed once more, as a new item, and `Reconnected` says so. Sending is paced, because a server drops
audio that comes much faster than speech (`docs/realtime.md`, Limits).
"""

from __future__ import annotations

import asyncio
import json
import logging
from base64 import b64encode
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Iterable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import httpx2
from openai import APIError
from websockets.exceptions import ConnectionClosed, InvalidStatus

from fastembed.client.errors import ServerUnreachable

if TYPE_CHECKING:
    from openai import AsyncOpenAI
    from openai.resources.realtime.realtime import AsyncRealtimeConnection

_log: Final = logging.getLogger("fastembed.client")
_WIDTH: Final = 2
"""Bytes of a sample."""
_PIECE_S: Final = 0.1
_LEAD_S: Final = 2.0
_PACE: Final = 2.0
"""A connection sends `_LEAD_S` at once, then `_PACE` times as fast as speech."""
_FINAL: Final = frozenset((1000, 1002, 1003, 1007, 1008, 1009, 1010))
"""Close codes (RFC 6455, 7.4.1) after which the same session would be closed again."""
_BUSY: Final = frozenset((429, 500, 502, 503, 504))
_END: Final = "live_end"
_WORDS: Final = "conversation.item.input_audio_transcription"
_PASSING: Final = "input_audio_buffer_commit_empty"


@dataclass(frozen=True, slots=True)
class TranscriptPiece:
    """Words of an utterance. final: `text` is its whole text; else it follows the pieces before it of the same item."""

    item_id: str
    text: str
    final: bool
    model: str = ""


@dataclass(frozen=True, slots=True)
class Reconnected:
    """The connection was lost and made again. Utterances that were not final are transcribed again as new items.

    repeated_s: audio that is sent again. lost_s: audio that was not kept long enough.
    """

    attempt: int
    repeated_s: float
    lost_s: float


LivePiece = TranscriptPiece | Reconnected


@dataclass(slots=True)
class SentAudio:
    """The audio that is not transcribed yet. Pure: no socket, no clock. Offsets are bytes since the session began.

    most_bytes: what is kept; older audio is lost to a reconnection.
    """

    bytes_per_ms: int
    most_bytes: int
    kept: bytearray = field(default_factory=bytearray)
    first: int = 0
    settled: int = 0
    origin: int = 0
    open: dict[str, int | None] = field(default_factory=dict)
    """Utterances in their order, with the offset at which each ends; None: it is not known yet."""
    done: set[str] = field(default_factory=set)

    @property
    def end(self) -> int:
        """The offset behind the newest audio."""
        return self.first + len(self.kept)

    def add(self, audio: bytes) -> None:
        """Keep new audio."""
        self.kept += audio
        if (excess := len(self.kept) - self.most_bytes) > 0:
            self._forget(self.first + excess + excess % _WIDTH)

    def begins(self, item: str) -> None:
        """Note that an utterance begins."""
        self.open.setdefault(item, None)

    def ends(self, item: str, end_ms: int) -> None:
        """Note where an utterance ends, by the clock of the connection."""
        self.open[item] = min(self.origin + end_ms * self.bytes_per_ms, self.end)

    def settles(self, item: str) -> None:
        """Note that an utterance's transcript is there: forget its audio, once those before it are settled too."""
        self.open.setdefault(item, None)
        self.done.add(item)
        for name in list(self.open):
            if name not in self.done:
                break
            self.settled = max(self.settled, self.open.pop(name) or 0)
            self.done.discard(name)
        self._forget(self.settled)

    def restart(self) -> tuple[int, int]:
        """Begin anew on another connection; return how many bytes are sent again, and how many are lost."""
        lost = max(0, self.first - self.settled) if self.open else 0
        self.origin = self.first
        self.open.clear()
        self.done.clear()
        return len(self.kept), lost

    def after(self, offset: int, most: int) -> bytes:
        """Return up to `most` bytes from an offset on."""
        start = max(0, offset - self.first)
        return bytes(self.kept[start : start + most])

    def _forget(self, until: int) -> None:
        if until > self.first:
            del self.kept[: until - self.first]
            self.first = until


class LiveTranscription:
    """Transcribes a stream of audio: iterate it (`async for`) for `TranscriptPiece`s and `Reconnected`s.

    audio: 16-bit little-endian mono PCM at `rate_hz` (8000, 16000, 24000 or 48000), in pieces of any size, as they are
    recorded. model: a speech model's name. settings: of the session's audio input, as `turn_detection`. keep_s: audio
    kept for a new connection. retries: attempts in a row. Raises ServerUnreachable after the last of them, and
    openai.APIError for what the server refuses. Close it (`contextlib.aclosing`) to leave early.
    """

    def __init__(
        self,
        client: AsyncOpenAI,
        audio: AsyncIterable[bytes] | Iterable[bytes],
        *,
        rate_hz: int = 24_000,
        model: str | None = None,
        settings: Mapping[str, Any] | None = None,
        keep_s: float = 120.0,
        retries: int = 8,
    ) -> None:
        self._client = client
        self._audio = audio
        self._rate_hz = rate_hz
        self._settings = {"format": {"type": "audio/pcm", "rate": rate_hz}, **(settings or {})}
        if model is not None:
            self._settings["transcription"] = {"model": model, **self._settings.get("transcription", {})}
        self._sent = SentAudio(rate_hz * _WIDTH // 1000, int(keep_s * rate_hz) * _WIDTH)
        self._retries = retries
        self._more = asyncio.Event()
        self._ended = False
        self._next = 0
        self._pieces: AsyncGenerator[LivePiece] | None = None

    def __aiter__(self) -> AsyncIterator[LivePiece]:
        if self._pieces is None:
            self._pieces = self._run()
        return self._pieces

    async def aclose(self) -> None:
        """Stop: close the connection and the audio."""
        if self._pieces is not None:
            await self._pieces.aclose()

    async def _run(self) -> AsyncGenerator[LivePiece]:
        reading = asyncio.create_task(self._read(), name="live audio")
        attempt, lost = 0, False
        try:
            while True:
                try:
                    async with self._client.realtime.connect(extra_query={"intent": "transcription"}) as connection:
                        if lost:
                            yield self._again(attempt)
                            lost = False
                        async with aclosing(self._session(connection)) as pieces:
                            async for piece in pieces:
                                attempt = 0
                                yield piece
                except (OSError, ConnectionClosed, InvalidStatus) as error:
                    if attempt >= self._retries or not _passes(error):
                        raise self._refused(error) from error
                    lost, attempt = True, attempt + 1
                    _log.warning("live transcription: %s; connecting again (%d of %d)", error, attempt, self._retries)
                    await asyncio.sleep(min(8.0, 0.25 * 2.0**attempt))
                else:
                    reading.result()  # raises what the caller's audio raised
                    return
        finally:
            await _ended(reading)

    def _again(self, attempt: int) -> Reconnected:
        repeated, lost = self._sent.restart()
        self._next = self._sent.first
        per_s = self._rate_hz * _WIDTH
        return Reconnected(attempt, repeated / per_s, lost / per_s)

    async def _read(self) -> None:
        """Take the audio as it comes."""
        try:
            async for piece in _async(self._audio):
                self._sent.add(piece)
                self._more.set()
        finally:
            self._ended = True
            self._more.set()

    async def _session(self, connection: AsyncRealtimeConnection) -> AsyncGenerator[LivePiece]:
        """Yield what one connection brings until all audio is transcribed."""
        update: Any = {"type": "transcription", "audio": {"input": self._settings}}
        await connection.send({"type": "session.update", "session": update})
        sending = asyncio.create_task(self._send(connection), name="live sender")
        committed = False
        try:
            while True:
                found = json.loads(await connection.recv_bytes())  # as it is: the client's types know no `model`
                committed = committed or _END in (found.get("ref"), found.get("error", {}).get("event_id"))
                if piece := self._note(found):
                    yield piece
                if sending.done():
                    sending.result()
                if committed and not self._sent.open:
                    return
        finally:
            await _ended(sending)

    async def _send(self, connection: AsyncRealtimeConnection) -> None:
        """Send what there is and what comes, no faster than `_PACE`, then commit."""
        loop, piece = asyncio.get_running_loop(), int(_PIECE_S * self._rate_hz) * _WIDTH
        began_s, spoken_s = loop.time(), 0.0
        while not (self._ended and self._next >= self._sent.end):
            self._next = max(self._next, self._sent.first)
            audio = self._sent.after(self._next, piece)
            if not audio:
                self._more.clear()
                await self._more.wait()
                continue
            await connection.input_audio_buffer.append(audio=b64encode(audio).decode())
            self._next += len(audio)
            spoken_s += len(audio) / (self._rate_hz * _WIDTH)
            await asyncio.sleep((spoken_s - _LEAD_S) / _PACE - (loop.time() - began_s))
        for event_id in ("live_last", _END):  # the second finds an empty buffer: its answer comes behind all else
            await connection.send({"type": "input_audio_buffer.commit", "event_id": event_id})

    def _note(self, event: Mapping[str, Any]) -> TranscriptPiece | None:
        """Keep account of utterances; return the words of an event. Raises APIError for what is refused."""
        kind, item = event["type"], str(event.get("item_id", ""))
        if kind == f"{_WORDS}.delta":
            return TranscriptPiece(item, event["delta"], final=False, model=event.get("model", ""))
        if kind == f"{_WORDS}.completed":
            self._sent.settles(item)
            text = event["transcript"]
            return TranscriptPiece(item, text, final=True, model=event.get("model", "")) if text else None
        if kind == f"{_WORDS}.failed":
            _log.warning("live transcription: an utterance failed: %s", event["error"].get("message"))
            self._sent.settles(item)
        elif kind in ("input_audio_buffer.speech_started", "input_audio_buffer.committed"):
            self._sent.begins(item)
        elif kind == "input_audio_buffer.speech_stopped":
            self._sent.ends(item, int(event["audio_end_ms"]))
        elif kind == "fastembed.notice" and event["code"] == "audio_dropped":
            _log.warning("live transcription: %s", event["message"])
        elif kind == "error":
            self._complain(event["error"])
        return None

    def _complain(self, error: Mapping[str, Any]) -> None:
        if error.get("code") != _PASSING:
            request = httpx2.Request("GET", str(self._client.base_url))
            raise APIError(str(error.get("message")), request, body=dict(error))

    def _refused(self, error: Exception) -> APIError:
        request = httpx2.Request("GET", str(self._client.base_url))
        if isinstance(error, InvalidStatus):
            reason = error.response.body.decode(errors="replace")[:500] or str(error)
            return APIError(f"live transcription was refused: {reason}", request, body=None)
        return ServerUnreachable(
            message=f"live transcription ended ({error}); is the server running? fastembed serve", request=request
        )


async def _ended(task: asyncio.Task[None]) -> None:
    """Cancel a task and wait for its end; what it raised was raised by its user, or came after the end."""
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def _passes(error: Exception) -> bool:
    """Whether another connection may succeed."""
    if isinstance(error, InvalidStatus):
        return error.response.status_code in _BUSY
    if isinstance(error, ConnectionClosed):
        return error.rcvd is None or error.rcvd.code not in _FINAL
    return True


async def _async(audio: AsyncIterable[bytes] | Iterable[bytes]) -> AsyncGenerator[bytes]:
    """Iterate over either kind; one that blocks does so in a thread."""
    if isinstance(audio, AsyncIterable):
        async for piece in audio:
            yield piece
        return
    pieces = iter(audio)

    def following() -> bytes | None:
        return next(pieces, None)

    while (following_piece := await asyncio.to_thread(following)) is not None:
        yield following_piece
