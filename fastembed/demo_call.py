"""The demo's caller: a WAV sent over the realtime websocket as fast as it was spoken, the words as they come back."""

from __future__ import annotations

import base64
import json
import threading
import time
import wave
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from fastembed.demo_server import DemoFailed

CHUNK_MS: Final = 100
ANSWER_WITHIN_S: Final = 20.0
BYTES_A_SAMPLE: Final = 2


@dataclass(slots=True)
class Call:
    """What a session heard: complete transcripts in order, and how long after its end each sentence was complete."""

    audio_s: float = 0.0
    model: str = ""
    transcripts: list[str] = field(default_factory=list)
    delays_s: list[float] = field(default_factory=list)
    speaking: bool = False
    waiting: set[str] = field(default_factory=set)
    ends_s: dict[str, float] = field(default_factory=dict)


def stream_call(url: str, path: Path, show: Callable[[str], object]) -> Call:
    """Stream a WAV of 16-bit mono in real time; `show` gets the words as they come. DemoFailed on an error event."""
    with wave.open(str(path)) as sound:
        rate_hz, audio = sound.getframerate(), sound.readframes(sound.getnframes())
    call = Call(audio_s=len(audio) / BYTES_A_SAMPLE / rate_hz)
    with connect(url) as connection:
        connection.send(json.dumps(session_update(rate_hz)))
        started, sent = time.perf_counter(), threading.Event()
        sender = threading.Thread(target=send_audio, args=(connection, audio, rate_hz, sent), name="demo-caller")
        sender.start()
        try:
            receive(connection, call, show, started, sent)
        finally:
            connection.close()
            sender.join()
    return call


def session_update(rate_hz: int) -> dict[str, Any]:
    """Return the event that makes the session a transcription of PCM at this rate, cut by the server's VAD."""
    detection = {"type": "server_vad", "threshold": 0.5, "prefix_padding_ms": 300, "silence_duration_ms": 500}
    audio_input = {"format": {"type": "audio/pcm", "rate": rate_hz}, "turn_detection": detection}
    return {"type": "session.update", "session": {"type": "transcription", "audio": {"input": audio_input}}}


def send_audio(connection: ClientConnection, audio: bytes, rate_hz: int, sent: threading.Event) -> None:
    """Send the audio a tenth of a second at a time, each when it would have been spoken."""
    step = rate_hz * CHUNK_MS // 1000 * BYTES_A_SAMPLE
    start = time.perf_counter()
    try:
        for number, at in enumerate(range(0, len(audio), step), start=1):
            chunk = base64.b64encode(audio[at : at + step]).decode()
            connection.send(json.dumps({"type": "input_audio_buffer.append", "audio": chunk}))
            time.sleep(max(0.0, start + number * CHUNK_MS / 1000 - time.perf_counter()))
    except ConnectionClosed:
        return  # the receiver says why
    finally:
        sent.set()


def receive(
    connection: ClientConnection, call: Call, show: Callable[[str], object], started: float, sent: threading.Event
) -> None:
    """Receive events until all speech is transcribed; DemoFailed if that takes too long."""
    deadline: float | None = None
    while True:
        if sent.is_set():
            deadline = deadline or time.perf_counter() + ANSWER_WITHIN_S
            if call.transcripts and not call.speaking and not call.waiting:
                return
            if time.perf_counter() > deadline:
                raise DemoFailed(f"{len(call.waiting)} sentences have no transcript {ANSWER_WITHIN_S:.0f} s later")
        try:
            event = json.loads(connection.recv(timeout=0.2))
        except TimeoutError:
            continue
        except ConnectionClosed as error:
            raise DemoFailed(f"the server closed the session: {error}") from error
        take(event, call, show, time.perf_counter() - started)


def take(event: dict[str, Any], call: Call, show: Callable[[str], object], now_s: float) -> None:
    """Fold one server event into the call."""
    match event:
        case {"type": "session.created" | "session.updated", "session": dict(session)}:
            audio_input = session.get("audio", {}).get("input", {})
            call.model = (audio_input.get("transcription") or {}).get("model") or session.get("model") or call.model
        case {"type": "input_audio_buffer.speech_started"}:
            call.speaking = True
        case {"type": "input_audio_buffer.speech_stopped", "item_id": str(item), "audio_end_ms": end_ms}:
            call.speaking = False
            call.waiting.add(item)
            call.ends_s[item] = float(end_ms) / 1000
        case {"type": "conversation.item.input_audio_transcription.delta", "delta": str(words)}:
            show(words)
        case {"type": "conversation.item.input_audio_transcription.completed", "item_id": str(item)}:
            call.transcripts.append(str(event.get("transcript", "")))
            call.waiting.discard(item)
            call.delays_s.append(max(0.0, now_s - call.ends_s.get(item, now_s)))
            show("\n")
        case {"type": "conversation.item.input_audio_transcription.failed" | "error", "error": error}:
            raise DemoFailed(f"the session reported {error}")
