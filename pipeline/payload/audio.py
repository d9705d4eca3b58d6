"""What the realtime speech pipelines carry. Times are milliseconds since the session's first sample."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

AudioFormat = Literal["pcm16", "pcmu", "pcma", "webm"]


@dataclass(frozen=True, slots=True)
class TurnDetection:
    """Server-side voice activity detection (the realtime API's `server_vad`); times in milliseconds."""

    threshold: float = 0.5
    prefix_padding_ms: int = 300
    silence_duration_ms: int = 500
    idle_timeout_ms: int | None = None


@dataclass(frozen=True, slots=True)
class SpeechSettings:
    """A session's settings from now on. turn_detection None: the client commits by itself."""

    format: AudioFormat = "pcm16"
    rate_hz: int = 24_000
    model: str = "auto"
    language: str | None = None
    prompt: str | None = None
    turn_detection: TurnDetection | None = TurnDetection()


@dataclass(frozen=True, slots=True, eq=False)
class AudioBytes:
    """Encoded audio as it came over the wire, in the session's current format, cut anywhere."""

    data: bytes


@dataclass(frozen=True, slots=True, eq=False)
class AudioFrame:
    """Decoded audio: float32 [n], mono, -1 to 1, at rate_hz."""

    samples: NDArray[np.float32]
    rate_hz: int = 16_000


@dataclass(frozen=True, slots=True)
class Commit:
    """The client closes the current utterance by hand."""


@dataclass(frozen=True, slots=True)
class Clear:
    """The client throws away what is buffered."""


@dataclass(frozen=True, slots=True)
class SpeechStarted:
    """Voice activity began; audio_start_ms includes the prefix padding."""

    utterance_id: str
    audio_start_ms: int


@dataclass(frozen=True, slots=True)
class SpeechStopped:
    """Voice activity ended."""

    utterance_id: str
    audio_end_ms: int


@dataclass(frozen=True, slots=True, eq=False)
class Utterance:
    """Speech to transcribe: float32 [n] mono at rate_hz. final False: a growing partial of the same utterance."""

    utterance_id: str
    samples: NDArray[np.float32]
    start_ms: int
    end_ms: int
    final: bool
    settings: SpeechSettings
    rate_hz: int = 16_000


@dataclass(frozen=True, slots=True)
class Word:
    """One word and its times within the session."""

    text: str
    start_ms: int
    end_ms: int


@dataclass(frozen=True, slots=True)
class TranscriptDelta:
    """More text of an utterance; deltas are append-only and concatenate to the transcript."""

    utterance_id: str
    text: str
    model: str


@dataclass(frozen=True, slots=True)
class Transcript:
    """An utterance's final words."""

    utterance_id: str
    text: str
    model: str
    language: str | None = None
    start_ms: int = 0
    end_ms: int = 0
    words: tuple[Word, ...] = ()


@dataclass(frozen=True, slots=True)
class TranscriptFailed:
    """An utterance could not be transcribed; the session goes on."""

    utterance_id: str
    message: str
