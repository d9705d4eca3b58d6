"""Finds stretches of speech, to tell speakers apart by, as a pure state machine: samples in, regions out.

Unlike utterances, they end at every short pause, for speakers change there.

    silent --(probability >= 0.5)--> speaking
    speaking --(below 0.35 for 0.25 s)--> silent          a region, with 50 ms on both sides, if it is 0.2 s or longer
    speaking --(60 s)--> speaking                          a region that goes on in the next one
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from fastembed.operators.listening.recording import Recording
from fastembed.operators.listening.segmenter import FRAME, RATE_HZ, Judge

_ON: Final = 0.5
_OFF: Final = 0.35
_PAUSE: Final = int(0.25 * RATE_HZ)
_SHORTEST: Final = int(0.2 * RATE_HZ)
_LONGEST: Final = 60 * RATE_HZ
_MARGIN: Final = int(0.05 * RATE_HZ)


@dataclass(frozen=True, slots=True, eq=False)
class SpeechRegion:
    """Speech without a pause: float32 [n] at 16 kHz, from `start` on, a place in the recording in samples."""

    start: int
    samples: NDArray[np.float32]


class SpeechRegions:
    """One recording's stretches of speech."""

    def __init__(self, judge: Judge) -> None:
        """Begin in silence. judge: who says how likely a frame is to hold speech."""
        self._judge = judge
        self._audio = Recording()
        self._judged = 0
        self._began: int | None = None
        self._voiced = 0

    def push(self, samples: NDArray[np.float32]) -> Iterator[SpeechRegion]:
        """Take the next samples; give the regions that they complete. Iterate to the end."""
        self._audio.append(samples)
        while self._judged + FRAME <= self._audio.end:
            start = self._judged
            self._judged += FRAME
            yield from self._step(self._judge.probability(self._audio.slice(start, self._judged)), start)
        if self._began is None:
            self._audio.forget(self._judged - _MARGIN)

    def finish(self) -> Iterator[SpeechRegion]:
        """Give the last region, if the recording ends in speech."""
        yield from self._cut()

    def _step(self, probability: float, start: int) -> Iterator[SpeechRegion]:
        if self._began is None:
            if probability >= _ON:
                self._began, self._voiced = start, self._judged
        elif probability >= _OFF:
            self._voiced = self._judged
            if self._judged - self._began >= _LONGEST:
                yield from self._cut()
                self._began = self._voiced = self._judged
        elif self._judged - self._voiced >= _PAUSE:
            yield from self._cut()

    def _cut(self) -> Iterator[SpeechRegion]:
        began, self._began = self._began, None
        if began is not None and self._voiced - began >= _SHORTEST:
            start = max(began - _MARGIN, self._audio.start)
            yield SpeechRegion(start, self._audio.slice(start, self._voiced + _MARGIN))
