"""Wyoming over TCP: Home Assistant's voice assistants transcribe and speak by the pipelines that serve HTTP.

An event is a line of JSON with `type`, `data_length`, `payload_length`; then the data, JSON again, and the payload, raw
(https://github.com/OHF-Voice/wyoming). Answered are `describe`, `transcribe` with `audio-start`, `audio-chunk` and
`audio-stop`, `synthesize`, `ping`; others are passed over, as the protocol wants. It knows no keys: whoever reaches the
port is served, so it listens where the server does only if that asks for no key, else on this machine alone.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import orjson
from numpy.typing import NDArray

from fastembed.inference.engines.voice.kind import NAME as VOICE
from fastembed.inference.engines.voice.kind import voices_of
from fastembed.inference.serving.models import Models
from fastembed.pipeline.component import Resources
from fastembed.pipeline.errors import FastEmbedError, InvalidInput, ItemError, NotFound, TooLarge
from fastembed.pipeline.item import Outcome
from fastembed.pipeline.payload.audio import (
    AudioFrame,
    Commit,
    SpeechProblem,
    SpeechSettings,
    Transcript,
    TranscriptFailed,
)
from fastembed.pipeline.payload.voice import SpeakRequest, SpokenAudio
from fastembed.server.realtime.events import new_id
from fastembed.server.realtime.responder import SPEECH_PATH, AnswerPipelines
from fastembed.server.wire.languages import CODES
from fastembed.sources.websocket import Session, Websocket, WebsocketRoutes

_log: Final = logging.getLogger("fastembed.server.wyoming")

PORT: Final = 10_300
"""Where Home Assistant's own Whisper listens."""
MAX_CONNECTIONS: Final = 64
MAX_LINE_BYTES: Final = 1 << 16
MAX_BLOCK_BYTES: Final = 1 << 20
MAX_AUDIO_BYTES: Final = 64 << 20
MAX_CHANNELS: Final = 8
_WIDTH: Final = 2
_IDLE_S: Final = 300.0
_SEND_S: Final = 20.0
_REALTIME: Final = "/v1/realtime"
_ATTRIBUTION: Final = {"name": "FastEmbed", "url": ""}


@dataclass(frozen=True, slots=True)
class WyomingEvent:
    """One event of the protocol."""

    kind: str
    data: dict[str, Any] = field(default_factory=dict)
    payload: bytes = b""


@dataclass(frozen=True, slots=True)
class WyomingVoices:
    """What `describe` tells. listeners: models that transcribe; voices: names that speak. Asked anew each time."""

    listeners: Callable[[], list[str]] = list
    voices: Callable[[], list[str]] = list

    @classmethod
    def of(cls, models: Models) -> WyomingVoices:
        """Return those of a server's models."""

        def listeners() -> list[str]:
            here = [card.name for card in models.cards() if card.task == "transcription" and card.folder is not None]
            return here or ["whisper-base"]

        def voices() -> list[str]:
            cards = [card for card in models.cards() if card.task == VOICE and card.folder is not None]
            return [voice for card in cards if card.folder is not None for voice in voices_of(card.folder).names]

        return cls(listeners, voices)


async def read_event(reader: asyncio.StreamReader) -> WyomingEvent | None:
    """Return the next event, None at the end. InvalidInput, TooLarge: no event, the connection is of no use."""
    try:
        line = await reader.readline()
    except ValueError as error:
        raise TooLarge(f"found a line of more than {MAX_LINE_BYTES} bytes, expected an event's header") from error
    if not line.strip():
        return None
    try:
        head = orjson.loads(line)
        kind, lengths = head["type"], [int(head.get(name) or 0) for name in ("data_length", "payload_length")]
        data = dict(head.get("data") or {})
    except (orjson.JSONDecodeError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise InvalidInput(f"found {line[:40]!r}, expected a line of JSON with a type") from error
    if not all(0 <= length <= MAX_BLOCK_BYTES for length in lengths) or not isinstance(kind, str):
        raise TooLarge(f"found blocks of {lengths} bytes, expected at most {MAX_BLOCK_BYTES}")
    if lengths[0]:
        try:
            data.update(**orjson.loads(await reader.readexactly(lengths[0])))
        except (orjson.JSONDecodeError, TypeError) as error:
            raise InvalidInput(f"found data of {kind!r:.40} that is not a JSON object") from error
    payload = await reader.readexactly(lengths[1]) if lengths[1] else b""
    return WyomingEvent(kind, data, payload)


def write_event(event: WyomingEvent) -> bytes:
    """Return an event's bytes."""
    data = orjson.dumps(event.data) if event.data else b""
    head: dict[str, Any] = {"type": event.kind, "version": "1.10.2"}
    head |= {"data_length": len(data)} if data else {}
    head |= {"payload_length": len(event.payload)} if event.payload else {}
    return orjson.dumps(head) + b"\n" + data + event.payload


class WyomingServer:
    """Serves Wyoming clients. Its owner calls `start`, then `close`."""

    def __init__(self, routes: WebsocketRoutes, pipelines: AnswerPipelines, voices: WyomingVoices) -> None:
        self._routes = routes
        self._pipelines = pipelines
        self._voices = voices
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()
        self.port = 0

    @classmethod
    def of(cls, resources: Resources, pipelines: AnswerPipelines) -> WyomingServer:
        """Return that of a server."""
        return cls(resources.get(WebsocketRoutes), pipelines, WyomingVoices.of(resources.get(Models)))

    async def start(self, host: str, port: int) -> None:
        """Listen; port 0: any free one. FastEmbedError: the address cannot be had."""
        try:
            self._server = await asyncio.start_server(self._connected, host, port, limit=MAX_LINE_BYTES)
        except OSError as error:
            raise FastEmbedError(f"cannot listen for Wyoming on {host} port {port}: {error.strerror}") from error
        self.port = self._server.sockets[0].getsockname()[1]
        _log.info("Wyoming (Home Assistant) is served at tcp://%s:%d", host, self.port)

    async def close(self) -> None:
        """Serve nobody any more."""
        if self._server is not None:
            self._server.close()
        for task in list(self._connections):
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - asyncio runs each connection as a task
        self._connections.add(task)
        try:
            if len(self._connections) <= MAX_CONNECTIONS:
                await _Connection(self, reader, writer).serve()
        except (ItemError, OSError, EOFError, TimeoutError) as error:
            _log.info("a Wyoming client was cut off: %s", error)
        except asyncio.CancelledError:
            pass  # the server ends, and asyncio would log it
        finally:
            self._connections.discard(task)
            writer.close()

    def source(self) -> Websocket:
        """Return what transcribes. NotFound: nothing does."""
        source = self._routes.get(_REALTIME)
        if source is None:
            raise NotFound(f"found no pipeline on {_REALTIME}, expected one: it transcribes")
        return source

    @property
    def pipelines(self) -> AnswerPipelines:
        """What speaks."""
        return self._pipelines

    def info(self) -> dict[str, Any]:
        """Return what is served here."""
        listeners = [_described(name, languages=list(CODES)) for name in self._voices.listeners()]
        voices = [_described(name, languages=["en"]) for name in self._voices.voices()]
        found: dict[str, Any] = {}
        if listeners and self._routes.get(_REALTIME) is not None:
            found["asr"] = [_described("fastembed", models=listeners)]
        if voices and self._pipelines.speaks():
            found["tts"] = [_described("fastembed", voices=voices)]
        return found


def _described(name: str, **more: Any) -> dict[str, Any]:
    fixed = {"attribution": _ATTRIBUTION, "installed": True, "description": name, "version": None}
    return {"name": name, **fixed, **more}


class _WyomingReply:
    """The session's `fastembed.pipeline.reply.Reply`: keeps what was heard."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.problem = ""

    def send_nowait(self, value: Any) -> bool:
        match value:
            case Transcript():
                self.texts.append(value.text.strip())
            case TranscriptFailed() | SpeechProblem():
                self.problem = value.message
        return True

    async def send(self, value: Any) -> None:
        self.send_nowait(value)

    def close(self, outcome: Outcome, error: BaseException | None) -> None:
        if error is not None and outcome is not Outcome.CANCELLED:
            self.problem = str(error)


class _Connection:
    """One client: its events one after the other."""

    def __init__(self, server: WyomingServer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._server = server
        self._reader = reader
        self._writer = writer
        self._language: str | None = None
        self._session: Session | None = None
        self._reply = _WyomingReply()
        self._form = (16_000, 2, 1)
        self._bytes = 0

    async def serve(self) -> None:
        try:
            while (event := await self._next()) is not None:
                try:
                    await self._take(event)
                except ItemError as error:
                    await self._send(WyomingEvent("error", {"text": error.message, "code": error.code or error.type}))
        finally:
            if self._session is not None:
                self._session.leave()

    async def _next(self) -> WyomingEvent | None:
        async with asyncio.timeout(_IDLE_S):
            return await read_event(self._reader)

    async def _take(self, event: WyomingEvent) -> None:
        match event.kind:
            case "describe":
                await self._send(WyomingEvent("info", self._server.info()))
            case "ping":
                await self._send(WyomingEvent("pong", event.data))
            case "transcribe":
                self._language = event.data.get("language") or None
            case "audio-start":
                await self._begin(event.data)
            case "audio-chunk":
                await self._hear(event)
            case "audio-stop":
                await self._transcribed()
            case "synthesize":
                await self._synthesize(event.data)

    async def _begin(self, data: dict[str, Any]) -> None:
        if self._session is not None:
            self._session.leave()
            self._session = None
        rate_hz, width, channels = (data.get(name) for name in ("rate", "width", "channels"))
        plain = isinstance(rate_hz, int) and isinstance(channels, int) and width == _WIDTH
        if not plain or rate_hz is None or channels is None or not 1 <= channels <= MAX_CHANNELS:
            found = f"found sound of rate {rate_hz!r:.20}, width {width!r:.20}, channels {channels!r:.20}"
            raise InvalidInput(f"{found}, expected width 2 (16 bits) and 1 to {MAX_CHANNELS} channels")
        form = (rate_hz, _WIDTH, channels)
        self._form, self._bytes, self._reply = form, 0, _WyomingReply()
        self._session = self._server.source().connect(new_id("wyoming"), self._reply)
        await self._session.send(SpeechSettings(language=self._language, turn_detection=None))

    async def _hear(self, event: WyomingEvent) -> None:
        if self._session is None:
            return  # of a sound that was refused, or that nobody announced
        self._bytes += len(event.payload)
        if self._bytes > MAX_AUDIO_BYTES:
            self._session.leave()
            self._session = None
            raise TooLarge(f"found more than {MAX_AUDIO_BYTES} bytes of sound, expected less in one piece")
        await self._session.send(AudioFrame(_mono(event.payload, self._form[2]), self._form[0]))

    async def _transcribed(self) -> None:
        session, self._session = self._session, None
        if session is None:
            return
        try:
            if self._bytes > self._form[0] * self._form[2] // 5:  # 0.1 s of 16 bits: less is an empty commit
                await session.send(Commit())
            session.end()
            await session.ended.wait()
        finally:
            session.leave()
        if self._reply.problem and not self._reply.texts:
            raise InvalidInput(self._reply.problem)
        text = " ".join(filter(None, self._reply.texts))
        await self._send(WyomingEvent("transcript", {"text": text, "language": self._language}))

    async def _synthesize(self, data: dict[str, Any]) -> None:
        text, voice = data.get("text"), data.get("voice") or {}
        if not isinstance(text, str) or not text.strip():
            raise InvalidInput("found no text, expected words to say")
        name = voice.get("name") if isinstance(voice, dict) else None
        request = SpeakRequest(text, voice=name or "", quick=True)
        begun = False
        async with self._server.pipelines.submitted(SPEECH_PATH, request, None) as results:
            async for audio in results:
                form = {"rate": audio.rate_hz, "width": 2, "channels": 1}
                if not begun:
                    begun = True
                    await self._send(WyomingEvent("audio-start", form))
                for piece in _chunks(audio):
                    await self._send(WyomingEvent("audio-chunk", form, piece))
        await self._send(WyomingEvent("audio-stop"))

    async def _send(self, event: WyomingEvent) -> None:
        self._writer.write(write_event(event))
        async with asyncio.timeout(_SEND_S):
            await self._writer.drain()


def _mono(data: bytes, channels: int) -> NDArray[np.float32]:
    whole = len(data) // (2 * channels) * 2 * channels
    samples = np.frombuffer(data[:whole], "<i2").astype(np.float32) / np.float32(32_768)
    return samples if channels == 1 else samples.reshape(-1, channels).mean(axis=1, dtype=np.float32)


def _chunks(audio: SpokenAudio) -> list[bytes]:
    pcm = np.rint(np.clip(audio.samples, -1, 1) * 32767).astype("<i2").tobytes()
    size = audio.rate_hz // 5 * 2
    return [pcm[at : at + size] for at in range(0, len(pcm), size)]
