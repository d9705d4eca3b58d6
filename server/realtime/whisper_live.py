"""WhisperLive's protocol: its clients transcribe at `ws://host:port/`, by the pipeline that serves /v1/realtime.

The client sends JSON first (`uid`, `language`, `task`, `model`, ...), then float32 samples at 16 kHz, at last the bytes
`END_OF_AUDIO`. Every answer carries the `uid`; `segments` are the last few sentences with their times in seconds, of
which the newest may still grow. What its clients need was measured: `backend` has to be `faster_whisper`, or they write
no subtitles; a `status` ERROR or WAIT is shown to the user.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

import numpy as np
import orjson
from starlette.websockets import WebSocket

from fastembed.pipeline.errors import InvalidInput, ItemError, Overloaded, Unavailable
from fastembed.pipeline.item import Outcome
from fastembed.pipeline.payload.audio import (
    AudioFrame,
    SpeechProblem,
    SpeechSettings,
    SpeechStarted,
    Transcript,
    TranscriptDelta,
    TranscriptFailed,
)
from fastembed.server.realtime.events import new_id
from fastembed.server.realtime.session_tasks import SessionTasks
from fastembed.server.wire.fields import Fields
from fastembed.sources.websocket import Session, Websocket

END_OF_AUDIO: Final = b"END_OF_AUDIO"
MAX_SEGMENTS: Final = 100
_RATE_HZ: Final = 16_000
_MOST_WAITING: Final = 256
_FIRST_S: Final = 20.0
_CLOSED: Final = 1000


async def serve_whisper_live(
    websocket: WebSocket, source: Websocket, *, check: Callable[[SpeechSettings], None], draining: asyncio.Event
) -> None:
    """Serve one client to its end; what is wrong is said in the protocol's own way."""
    await websocket.accept()
    uid: Any = None
    try:
        async with asyncio.timeout(_FIRST_S):
            message = await websocket.receive()
        if message["type"] == "websocket.disconnect":
            return
        fields = _read(message)
        uid = fields.raw("uid")
        settings = _settings(fields, check)
        outbox = SegmentOutbox(uid, fields.whole("send_last_n_segments", 1, MAX_SEGMENTS) or 10)
        session = source.connect(new_id("whisper"), outbox, trace=websocket.scope.get("request_id"))
    except (ItemError, TimeoutError) as error:
        await _refuse(websocket, uid, error)
        return
    try:
        outbox.put({"message": "SERVER_READY", "backend": "faster_whisper"})
        await session.send(settings)
        receive = _SampleReader(websocket, session, outbox).receive
        await SessionTasks(websocket, outbox, session, receive, done=_CLOSED).run(draining)
    finally:
        session.leave()


async def _refuse(websocket: WebSocket, uid: Any, error: Exception) -> None:
    """Say why a client is not served: to wait, for so many minutes, or what is wrong."""
    answer: dict[str, Any] = {"uid": uid, "status": "ERROR", "message": str(error) or "found no settings in time"}
    if isinstance(error, Overloaded):
        answer |= {"status": "WAIT", "message": (error.retry_after_s or 60) / 60}
    await websocket.send_text(orjson.dumps(answer).decode())
    await websocket.close(_CLOSED)


def _read(message: Any) -> Fields:
    text = message.get("text") or (message.get("bytes") or b"").decode("utf-8", "replace")
    try:
        return Fields(orjson.loads(text))
    except orjson.JSONDecodeError as error:
        raise InvalidInput(f"found {text[:40]!r} at first, expected JSON with uid and language: {error}") from error


def _settings(fields: Fields, check: Callable[[SpeechSettings], None]) -> SpeechSettings:
    """Return the session's settings. Names of sizes ("small") mean "auto" where no model here has such a name."""
    hints = [fields.text("initial_prompt", most=4_000), fields.text("hotwords", most=4_000)]
    settings = SpeechSettings(
        rate_hz=_RATE_HZ,
        model=fields.text("model", most=200) or "auto",
        language=fields.text("language", most=16) or None,
        prompt=", ".join(filter(None, hints)) or None,
        translate=fields.choice("task", ("transcribe", "translate")) == "translate",
    )
    try:
        check(settings)
    except ItemError as error:
        if error.code != "model_not_found":
            raise
        settings = replace(settings, model="auto")
        check(settings)
    return settings


class SegmentOutbox:
    """The session's `fastembed.pipeline.reply.Reply`: the last segments, sent whole whenever they change."""

    def __init__(self, uid: Any, last: int) -> None:
        self.overflowed = asyncio.Event()
        self.heard_ms = 0
        """How much audio has come."""
        self._uid = uid
        self._done: deque[dict[str, Any]] = deque(maxlen=last)
        self._growing: dict[str, dict[str, Any]] = {}
        self._waiting: deque[str] = deque()
        self._changed = asyncio.Event()
        self._closed = False
        self._language: str | None = None

    def send_nowait(self, value: Any) -> bool:
        """Take a result of the pipeline."""
        match value:
            case SpeechStarted():
                self._growing[value.utterance_id] = {"start": value.audio_start_ms, "text": ""}
            case TranscriptDelta():
                growing = self._growing.setdefault(value.utterance_id, {"start": self.heard_ms, "text": ""})
                growing["text"] += value.text
                self._segments()
            case Transcript():
                self._growing.pop(value.utterance_id, None)
                self._complete(value)
            case TranscriptFailed() | SpeechProblem():
                self.put({"status": "ERROR", "message": value.message})
        return True

    async def send(self, value: Any) -> None:
        """Take a result of the pipeline; never waits."""
        self.send_nowait(value)

    def close(self, outcome: Outcome, error: BaseException | None) -> None:
        """Take note that a message has ended."""
        if outcome is Outcome.REJECTED and isinstance(error, Overloaded):
            self.put({"status": "WARNING", "message": "Audio was dropped: it comes faster than it can be processed."})

    def put(self, answer: dict[str, Any]) -> None:
        """Queue an answer. A client that does not read is cut off."""
        if self._closed or self.overflowed.is_set():
            return
        self._waiting.append(orjson.dumps({"uid": self._uid, **answer}).decode())
        if len(self._waiting) > _MOST_WAITING:
            self.overflowed.set()
        self._changed.set()

    def finish(self) -> None:
        """Send what waits, then end."""
        self._closed = True
        self._changed.set()

    async def next(self) -> str | None:
        """Return the next answer; None when all is sent after `finish`."""
        while not self._waiting:
            if self._closed:
                return None
            self._changed.clear()
            await self._changed.wait()
        return self._waiting.popleft()

    def _complete(self, value: Transcript) -> None:
        if value.language and self._language is None:
            self._language = value.language
            self.put({"language": value.language, "language_prob": 1.0})
        if value.text:
            self._done.append(_segment(value.start_ms, value.end_ms, value.text, completed=True))
            self._segments()

    def _segments(self) -> None:
        growing = [
            _segment(found["start"], max(self.heard_ms, found["start"]), found["text"], completed=False)
            for found in self._growing.values()
            if found["text"].strip()
        ]
        if found := [*self._done, *growing]:
            self.put({"segments": found})


def _segment(start_ms: int, end_ms: int, text: str, *, completed: bool) -> dict[str, Any]:
    times = {"start": f"{start_ms / 1000:.3f}", "end": f"{end_ms / 1000:.3f}"}
    return {**times, "text": text, "completed": completed}


class _SampleReader:
    """Reads a client's samples into the pipeline."""

    def __init__(self, websocket: WebSocket, session: Session, outbox: SegmentOutbox) -> None:
        self._websocket = websocket
        self._session = session
        self._outbox = outbox
        self._samples = 0

    async def receive(self) -> None:
        """Take messages until the client leaves, or says that this was all."""
        while True:
            message = await self._websocket.receive()
            if message["type"] == "websocket.disconnect":
                return
            data = message.get("bytes") or (message.get("text") or "").encode()
            if data == END_OF_AUDIO:
                self._session.end()
                await self._session.ended.wait()
                await asyncio.Event().wait()  # what was said last is on its way to the client, which then is closed
            if len(data) % 4:
                self._outbox.put({"status": "ERROR", "message": f"found {len(data)} bytes, expected float32 samples"})
                continue
            samples = np.frombuffer(data, "<f4")
            self._samples += len(samples)
            self._outbox.heard_ms = self._samples * 1000 // _RATE_HZ
            try:
                await self._session.send(AudioFrame(np.nan_to_num(samples).clip(-1, 1), _RATE_HZ))
            except Unavailable:
                await self._session.ended.wait()
                return
