"""What the realtime speech pipelines carry. Times are milliseconds since the session's first sample.

Downwards go the client's wishes and audio: `SpeechSettings`, `AudioBytes` (decoded to `AudioFrame`), `Commit`, `Clear`.
Upwards come what was heard: `SpeechSettings` (as in force, once every step has taken them), `SpeechStarted`,
`SpeechStopped`, `Committed`, `TranscriptDelta`, `Transcript`, and what went wrong. A `SpeechMark` passes both ways.
`SpeechFile` is a recording in one piece, whose events end with `SpeechEnded`. `ref` is the client's own id of the event
that asked, so that an answer can name it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

AudioFormat = Literal["pcm16", "pcmu", "pcma", "webm", "ogg"]


Doubt = Literal["short", "mixed"]
Eagerness = Literal["low", "medium", "high", "auto"]


class Lasting:
    """An event that no later one replaces, as a newer partial utterance does an older (`latest: not item.final`)."""

    __slots__ = ()
    final: ClassVar[bool] = True


@dataclass(frozen=True, slots=True)
class TurnDetection:
    """Server-side voice activity detection (the realtime API's `server_vad`); times in milliseconds.

    None: what the pipeline's `vad` step declares. threshold: probability, 0 to 1. prefix_padding_ms: audio kept from
    before the speech. idle_timeout_ms: silence after which a timeout event is sent; None: never. eagerness: how soon a
    speaker is taken to have finished whose sentence sounds complete (`semantic_vad`); None: silence alone decides.
    """

    threshold: float | None = None
    prefix_padding_ms: int | None = None
    silence_duration_ms: int | None = None
    idle_timeout_ms: int | None = None
    eagerness: Eagerness | None = None


@dataclass(frozen=True, slots=True)
class KnownSpeaker:
    """Somebody whose voice is known. recording: a media file's bytes, in which nobody else speaks."""

    name: str
    recording: bytes


@dataclass(frozen=True, slots=True)
class SpeechSettings(Lasting):
    """A session's settings from now on.

    rate_hz: of pcm16. model: a catalog name, "auto", or None: only detect speech. turn_detection None: the client
    commits by itself. translate: write down in English what was said in another language. words: with their times.
    channels: of a recording: mix them, or split: write down each by itself, as of calls with a talker on each.
    speakers: of a recording: tell who speaks; those that are known by their names. None: do not.
    """

    format: AudioFormat = "pcm16"
    rate_hz: int = 24_000
    model: str | None = "auto"
    language: str | None = None
    prompt: str | None = None
    turn_detection: TurnDetection | None = TurnDetection()
    ref: str | None = None
    translate: bool = False
    words: bool = True
    channels: Literal["mix", "split"] = "mix"
    speakers: tuple[KnownSpeaker, ...] | None = None


@dataclass(frozen=True, slots=True, eq=False)
class AudioBytes:
    """Encoded audio as it came over the wire, cut anywhere, in the session's current format.

    sniff: it came as a binary frame, which may begin a webm or ogg stream whatever the settings say.
    """

    data: bytes
    sniff: bool = False
    ref: str | None = None

    def __len__(self) -> int:
        return len(self.data)


@dataclass(frozen=True, slots=True, eq=False)
class AudioFrame:
    """Decoded audio: float32 [n], mono, -1 to 1, at rate_hz."""

    samples: NDArray[np.float32]
    rate_hz: int = 16_000


@dataclass(frozen=True, slots=True, eq=False)
class SpeechFile:
    """A whole recording: a media file's bytes. settings.turn_detection None: it is cut where that serves best."""

    data: bytes
    settings: SpeechSettings


@dataclass(frozen=True, slots=True)
class Commit:
    """The client closes the current utterance by hand."""

    ref: str | None = None


@dataclass(frozen=True, slots=True)
class Clear:
    """The client throws away what is buffered."""

    ref: str | None = None


@dataclass(frozen=True, slots=True)
class Cleared(Lasting):
    """The input buffer was cleared. utterance_id: the unfinished utterance that went with it, if there was one."""

    utterance_id: str | None = None


@dataclass(frozen=True, slots=True)
class SpeechStarted(Lasting):
    """Voice activity began; audio_start_ms includes the prefix padding."""

    utterance_id: str
    audio_start_ms: int


@dataclass(frozen=True, slots=True)
class SpeechStopped(Lasting):
    """Voice activity ended; audio_end_ms includes the silence that ended it."""

    utterance_id: str
    audio_end_ms: int


@dataclass(frozen=True, slots=True)
class Committed(Lasting):
    """An utterance is closed: its audio is complete and no more will be added. The final transcript follows."""

    utterance_id: str
    start_ms: int
    end_ms: int


@dataclass(frozen=True, slots=True)
class IdleTimeout(Lasting):
    """Nobody spoke for `idle_timeout_ms`."""

    utterance_id: str
    start_ms: int
    end_ms: int


@dataclass(frozen=True, slots=True, eq=False)
class Utterance:
    """Speech to transcribe: float32 [n] mono at rate_hz. final False: a growing partial of the same utterance.

    samples: none where nobody speaks in what was committed by hand. recorded: a piece of a recording, which is less
    urgent than live speech. channel: of a recording that is split. voiced: the samples behind which nobody speaks,
    where that is known; a partial that has it may be the whole utterance.
    """

    utterance_id: str
    samples: NDArray[np.float32]
    start_ms: int
    end_ms: int
    final: bool
    settings: SpeechSettings
    rate_hz: int = 16_000
    recorded: bool = False
    channel: int | None = None
    voiced: int | None = None


@dataclass(frozen=True, slots=True)
class Word:
    """One word, or a segment of several, and its times within the session."""

    text: str
    start_ms: int
    end_ms: int


@dataclass(frozen=True, slots=True)
class TranscriptDelta(Lasting):
    """More text of an utterance; deltas are append-only and concatenate to the transcript."""

    utterance_id: str
    text: str
    model: str


@dataclass(frozen=True, slots=True)
class Transcript(Lasting):
    """An utterance's final words. words, segments: with their times, where the engine knows them."""

    utterance_id: str
    text: str
    model: str
    language: str | None = None
    start_ms: int = 0
    end_ms: int = 0
    words: tuple[Word, ...] = ()
    segments: tuple[Word, ...] = ()
    channel: int | None = None


@dataclass(frozen=True, slots=True)
class SpeakerTurn:
    """Who speaks from when to when, of a recording. speaker: a known name, else A, B, ... in order of appearance.

    doubts: why the name may be wrong. short: too little speech to know a voice by; mixed: the voice is between two,
    as where people speak at once.
    """

    speaker: str
    start_ms: int
    end_ms: int
    doubts: tuple[Doubt, ...] = ()


@dataclass(frozen=True, slots=True)
class SpeakerTurns(Lasting):
    """All turns of a recording, in order; they come once, when all of it was heard."""

    turns: tuple[SpeakerTurn, ...]


@dataclass(frozen=True, slots=True)
class SpeechEnded(Lasting):
    """A recording is over; every utterance of it came before."""

    duration_ms: int


@dataclass(frozen=True, slots=True)
class TranscriptFailed(Lasting):
    """An utterance could not be transcribed; the session goes on. status: see `fastembed.pipeline.errors.ItemError`."""

    utterance_id: str
    message: str
    code: str | None = None
    status: int = 500


@dataclass(frozen=True, slots=True)
class SpeechProblem(Lasting):
    """The client asked for something that cannot be; nothing else changes, the session goes on. status: as HTTP's."""

    message: str
    code: str
    param: str | None = None
    ref: str | None = None
    status: int = 400


@dataclass(frozen=True, slots=True)
class SpeechNotice(Lasting):
    """Something that the client may want to know and that is no mistake; the session goes on."""

    message: str
    code: str
    ref: str | None = None


@dataclass(frozen=True, slots=True)
class SpeechMark(Lasting):
    """Comes back as it is, behind what was heard in the audio before it. token: says what waits for it."""

    token: str


SpeechInput = SpeechSettings | AudioBytes | AudioFrame | Commit | Clear | SpeechMark
"""What a realtime source yields."""

SpeechSignal = SpeechSettings | AudioFrame | Commit | Clear | SpeechProblem | SpeechMark
"""The same, decoded."""

SpeechEvent = (
    SpeechSettings
    | SpeechStarted
    | SpeechStopped
    | Committed
    | Cleared
    | IdleTimeout
    | Utterance
    | TranscriptDelta
    | Transcript
    | SpeakerTurns
    | SpeechEnded
    | TranscriptFailed
    | SpeechProblem
    | SpeechNotice
    | SpeechMark
)
"""What was heard."""
