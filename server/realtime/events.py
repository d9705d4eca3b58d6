"""The server's events on the wire (OpenAI realtime, transcription sessions), as plain dicts.

Ours beyond the API: `fastembed.notice`, of which clients need to know nothing, `model` on deltas and transcripts, which
says whose words they are, and `words` with times.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import Any

from fastembed.pipeline.errors import ItemError
from fastembed.pipeline.payload.audio import (
    IdleTimeout,
    SpeechStarted,
    SpeechStopped,
    Transcript,
    TranscriptDelta,
    TranscriptFailed,
)

Event = dict[str, Any]
NewId = Callable[[str], str]

_SPEECH = "conversation.item.input_audio_transcription"


def new_id(prefix: str) -> str:
    """Return a fresh id such as `event_8c1f...`."""
    return f"{prefix}_{secrets.token_hex(10)}"


def error(
    message: str,
    *,
    code: str | None,
    param: str | None = None,
    ref: str | None = None,
    kind: str = "invalid_request_error",
) -> Event:
    """Something went wrong; ref: the id of the client's event that caused it."""
    return _error_event(message, code=code, param=param, ref=ref, kind=kind)


def _error_event(message: str, *, code: str | None, param: str | None, ref: str | None, kind: str) -> Event:
    return {
        "type": "error",
        "error": {"type": kind, "code": code, "message": message, "param": param, "event_id": ref},
    }


def speech_started(value: SpeechStarted) -> Event:
    """Voice activity began."""
    return {
        "type": "input_audio_buffer.speech_started",
        "audio_start_ms": value.audio_start_ms,
        "item_id": value.utterance_id,
    }


def speech_stopped(value: SpeechStopped) -> Event:
    """Voice activity ended."""
    return {
        "type": "input_audio_buffer.speech_stopped",
        "audio_end_ms": value.audio_end_ms,
        "item_id": value.utterance_id,
    }


def timeout_triggered(value: IdleTimeout) -> Event:
    """Nobody spoke for the session's idle timeout."""
    return {
        "type": "input_audio_buffer.timeout_triggered",
        "audio_start_ms": value.start_ms,
        "audio_end_ms": value.end_ms,
        "item_id": value.utterance_id,
    }


def committed(item_id: str, previous: str | None) -> Event:
    """Say that the audio of an item is complete."""
    return {"type": "input_audio_buffer.committed", "item_id": item_id, "previous_item_id": previous}


def refused(error: ItemError, ref: str | None) -> Event:
    """Return the error event of a refusal."""
    return _error_event(error.message, code=error.code, param=error.param, ref=ref, kind=error.type)


def notice(message: str, *, code: str, ref: str | None = None) -> Event:
    """Say what is no mistake: clients end a session at any `error`. ref: as of an error."""
    return {"type": "fastembed.notice", "code": code, "message": message, "ref": ref}


def delta(value: TranscriptDelta) -> Event:
    """Return the next text of an item."""
    return {
        "type": f"{_SPEECH}.delta",
        "item_id": value.utterance_id,
        "content_index": 0,
        "delta": value.text,
        "model": value.model,
    }


def completed(value: Transcript) -> Event:
    """Return the whole text of an item: the concatenation of its deltas."""
    return {
        "type": f"{_SPEECH}.completed",
        "item_id": value.utterance_id,
        "content_index": 0,
        "transcript": value.text,
        "usage": {"type": "duration", "seconds": round((value.end_ms - value.start_ms) / 1000, 3)},
        "languages": [{"code": value.language}] if value.language else [],
        "model": value.model,
        "words": [
            {"word": word.text, "start": word.start_ms / 1000, "end": word.end_ms / 1000} for word in value.words
        ],
    }


def failed(value: TranscriptFailed) -> Event:
    """Say that an item could not be transcribed."""
    kind = "invalid_request_error" if value.status < 500 else "server_error"  # noqa: PLR2004 - HTTP's classes
    return {
        "type": f"{_SPEECH}.failed",
        "item_id": value.utterance_id,
        "content_index": 0,
        "error": {"type": kind, "code": value.code, "message": value.message, "param": None},
    }
