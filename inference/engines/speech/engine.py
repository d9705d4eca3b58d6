"""What every speech engine does, whatever it is made of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

RATE_HZ: Final = 16_000
FEWEST_SAMPLES: Final = 1_600
"""Less than 100 ms holds no word; whisper refuses 200 samples and less."""
_SILENCE_PEAK: Final = 1e-4  # -80 dB, three steps of 16 bits: engines make words up when they hear nothing


@dataclass(frozen=True, slots=True)
class SpokenWord:
    """A word, or a segment of several, and when it was said, in seconds from the first sample."""

    text: str
    start_s: float
    end_s: float


@dataclass(frozen=True, slots=True, eq=False)
class SpeechRequest:
    """Speech to write down: float32 [n], mono, 16 kHz.

    stream_id: the utterance that these samples are a prefix of (partial) or all of; an engine that remembers
    how far it got in the same utterance goes on from there. speaker_id: who speaks (a session), for engines
    that get used to a voice. partial: more of it will follow. language: ISO 639-1, None: detect. prompt: text
    that the speech continues, or words to expect, where the engine can use it. translate: into English. recorded: a
    piece of a recording, which waits for live speech. shown: of a partial, words of this utterance are published
    already. words: their times are wanted. voiced: of a live utterance, the samples behind which nobody speaks; a
    partial that has it ends in a pause that may be the utterance's end, and is heard as if it were.
    """

    samples: NDArray[np.float32]
    language: str | None = None
    prompt: str | None = None
    partial: bool = False
    stream_id: str | None = None
    speaker_id: str | None = None
    translate: bool = False
    recorded: bool = False
    shown: bool = False
    words: bool = True
    voiced: int | None = None

    @property
    def whole(self) -> bool:
        """Whether nothing may follow, so that it is heard with care."""
        return not self.partial or self.voiced is not None


@dataclass(frozen=True, slots=True)
class Heard:
    """What was said. words, segments: with times where the engine knows them, else empty.

    unsettled: of a partial request, how many of the last words the engine may well revise yet.
    """

    text: str = ""
    words: tuple[SpokenWord, ...] = ()
    language: str | None = None
    unsettled: int = 1
    segments: tuple[SpokenWord, ...] = ()


class SpeechEngine(Protocol):
    """Writes down speech; safe for concurrent use. label: the model's name as shown beside its words."""

    @property
    def label(self) -> str:
        """The model's name as users see it."""

    def check(self, language: str | None, *, translate: bool = False) -> None:
        """Raise InvalidInput where the engine does not know the language, or cannot translate."""

    async def warm(self) -> None:
        """Load what is needed, so that the first request does not wait."""

    async def transcribe(self, request: SpeechRequest) -> Heard | None:
        """Return what was said; None if the request is partial and the engine has more urgent work."""

    async def close(self) -> None:
        """Free what is held. Requests in flight fail."""


def audible(samples: NDArray[np.float32]) -> NDArray[np.float32] | None:
    """Return the samples as engines want them: finite. None where there is nothing to hear."""
    if len(samples) < FEWEST_SAMPLES:
        return None
    if not np.isfinite(samples).all():
        samples = np.nan_to_num(samples, nan=0.0, posinf=0.0, neginf=0.0)
    return None if float(np.abs(samples).max()) < _SILENCE_PEAK else samples
