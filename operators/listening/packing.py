"""Cuts a recording into utterances, as a pure state machine: samples in, utterances out.

Theory of operation. Whisper hears at most 30 s at a time, so a long recording is handed over in pieces that are nearly
so long and begin and end in pauses: the stretches of speech that the `Segmenter` finds are joined while they fit into
one piece and no long pause lies between them. What is joined is one slice of the recording, the pauses in it included,
so that times within a piece are times of the recording. Short pauses at the recording's own ends are part of it. A
recording without speech has no utterance, however short: engines make words up for noise, tones and music.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from fastembed.operators.listening.recording import Recording
from fastembed.operators.listening.segmenter import (
    RATE_HZ,
    Judge,
    Segmenter,
    SegmenterEvent,
    SegmenterLimits,
    effective,
)
from fastembed.pipeline.payload.audio import SpeechSettings, TurnDetection, Utterance

_PAUSE: Final = 3 * RATE_HZ
"""A longer one parts two pieces: engines make words up in silence."""


class Packing:
    """One recording's utterances. Every method yields them in order; iterate to the end."""

    def __init__(
        self,
        judge: Judge,
        settings: SpeechSettings,
        new_id: Callable[[], str],
        *,
        defaults: TurnDetection,
        longest_s: float,
    ) -> None:
        """Cut by `settings.turn_detection` as it says; None: as serves best, with `defaults` to find pauses."""
        self._settings = settings
        self._new_id = new_id
        self._longest = int(longest_s * RATE_HZ)
        self._joins = settings.turn_detection is None
        turns = effective(replace(settings, turn_detection=settings.turn_detection or TurnDetection()), defaults)
        self._segmenter = Segmenter(judge, turns, new_id, SegmenterLimits(longest_s=longest_s, partial_s=None))
        self._audio = Recording()
        self._piece: tuple[int, int] | None = None  # positions
        self._closed = 0  # up to which everything is in pieces that were handed over

    def push(self, samples: NDArray[np.float32]) -> Iterator[Utterance]:
        """Add samples at 16 kHz, any number."""
        self._audio.append(samples)
        yield from self._take(self._segmenter.push(samples))
        self._forget()

    def finish(self) -> Iterator[Utterance]:
        """End the recording."""
        yield from self._take(self._segmenter.flush())
        if self._piece is not None:
            start, end = self._piece
            whole = self._audio.end - end <= _PAUSE and self._audio.end - start <= self._longest
            self._piece = start, self._audio.end if whole else end
        yield from self._close()

    @property
    def kept_samples(self) -> int:
        """How much audio is in memory."""
        return self._audio.end - self._audio.start

    def _take(self, events: Iterator[SegmenterEvent]) -> Iterator[Utterance]:
        for event in events:
            if isinstance(event, Utterance):
                if self._joins:
                    yield from self._join(event.start_ms * RATE_HZ // 1000, event.end_ms * RATE_HZ // 1000)
                else:
                    yield replace(event, recorded=True)

    def _join(self, start: int, end: int) -> Iterator[Utterance]:
        if self._piece is not None and (end - self._piece[0] > self._longest or start - self._piece[1] > _PAUSE):
            yield from self._close()
        if self._piece is not None:
            self._piece = self._piece[0], end
        else:
            first = self._closed == 0 and start <= _PAUSE and end <= self._longest
            self._piece = 0 if first else start, end

    def _close(self) -> Iterator[Utterance]:
        piece, self._piece = self._piece, None
        if piece is not None:
            self._closed = piece[1]
            yield self._utterance(*piece)

    def _utterance(self, start: int, end: int) -> Utterance:
        start_ms, end_ms = start * 1000 // RATE_HZ, end * 1000 // RATE_HZ
        samples = self._audio.slice(start, end)
        return Utterance(self._new_id(), samples, start_ms, end_ms, final=True, settings=self._settings, recorded=True)

    def _forget(self) -> None:
        """Drop audio that neither the piece nor the segmenter can still need: its longest utterance and its padding."""
        oldest = self._audio.end - self._longest - 2 * RATE_HZ
        self._audio.forget(oldest if self._piece is None else min(oldest, self._piece[0]))
