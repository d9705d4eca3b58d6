"""Finds the start and end of utterances, as a pure state machine: probabilities of speech in, events out.

Theory of operation. Audio arrives in pieces of any size and is kept in a `Recording`; the judge (Silero) is asked about
every full 512 samples, at positions that depend on the session's length alone. All decisions are functions of those
positions, so the same audio gives the same events however it was cut.

    silent --(probability >= threshold)--> speaking       starts `prefix` earlier, never before the last cut
    speaking --(below threshold - 0.15 for 0.2 s)--> speaking         a partial that may be the whole utterance
    speaking --(below threshold - 0.15 for `silence`)--> silent       the utterance is closed
    speaking --(longer than `longest`)--> speaking        cut at the least voiced frame of the last seconds
    silent --(no speech for `idle_timeout`)--> silent     a timeout event, and the wait starts again

With an eagerness (`semantic_vad`) the silence that ends an utterance depends on how its last words sound: 0.3 s where
the sentence is complete, else the longest wait of the eagerness. Whoever iterates answers the `TurnQuestion`.

Without turn detection the client commits; what grows beyond `longest` is committed for it, so that memory stays bounded
and no word is lost. What is committed by hand is judged too, and has no samples if nobody speaks in it: engines make
words up for noise and music. Hysteresis as in Silero's own VADIterator.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from fastembed.operators.listening.recording import Recording
from fastembed.pipeline.payload.audio import (
    Cleared,
    Committed,
    Eagerness,
    IdleTimeout,
    SpeechNotice,
    SpeechProblem,
    SpeechSettings,
    SpeechStarted,
    SpeechStopped,
    TurnDetection,
    Utterance,
)

RATE_HZ: Final = 16_000
FRAME: Final = 512
VOICE: Final = 0.3
"""Probability from which a frame that is committed by hand counts as speech: low, for the client says that it is."""
HYSTERESIS: Final = 0.15
"""Speech that has begun ends only this far below the threshold."""
SHORTEST_COMMIT_MS: Final = 100
"""As in the realtime API: a commit of less is an error."""

_PAUSE: Final = 6 * FRAME
"""Silence behind which an utterance may have ended: what it said is then heard while the silence goes on."""
_CUT_WINDOW_S: Final = 3.0  # a forced cut looks this far back for the least voiced frame

_ANSWER: Final = 9 * FRAME
"""Silence after which a turn ends whose sentence sounds complete."""
_SURE: Final[Mapping[Eagerness, float]] = {"low": 0.9, "medium": 0.7, "auto": 0.7, "high": 0.5}
"""Probability from which a sentence counts as complete: bench/turns.py says what each costs and gains."""
_LONGEST_WAIT_S: Final[Mapping[Eagerness, float]] = {"low": 8.0, "medium": 4.0, "auto": 4.0, "high": 2.0}
"""Silence after which a turn ends whatever it sounded like, as in the realtime API."""
_TURN_S: Final = 8.0  # what is heard of a turn to tell


@dataclass(slots=True, eq=False)
class TurnQuestion:
    """Asks whether a speaker has finished: `finished`, 0 to 1, is set before the next event is taken; None: unknown."""

    samples: NDArray[np.float32]
    finished: float | None = None


SegmenterEvent = (
    TurnQuestion
    | SpeechStarted
    | SpeechStopped
    | Committed
    | Cleared
    | IdleTimeout
    | Utterance
    | SpeechProblem
    | SpeechNotice
)


class Judge(Protocol):
    """Says how likely speech is in the next frame of a stream."""

    def probability(self, frame: NDArray[np.float32]) -> float:
        """Return 0 to 1 for 512 samples."""

    def reset(self) -> None:
        """Reset the detector's state."""


@dataclass(frozen=True, slots=True)
class SegmenterLimits:
    """What does not depend on the session. partial_s: speech between two partial utterances; None: no partials."""

    longest_s: float = 28.0
    longest_manual_s: float = 120.0
    partial_s: float | None = 0.4


def effective(settings: SpeechSettings, defaults: TurnDetection) -> SpeechSettings:
    """Fill what the client left open with the step's defaults."""
    turns = settings.turn_detection
    if turns is None:
        return settings
    filled = TurnDetection(
        threshold=defaults.threshold if turns.threshold is None else turns.threshold,
        prefix_padding_ms=defaults.prefix_padding_ms if turns.prefix_padding_ms is None else turns.prefix_padding_ms,
        silence_duration_ms=(
            defaults.silence_duration_ms if turns.silence_duration_ms is None else turns.silence_duration_ms
        ),
        idle_timeout_ms=defaults.idle_timeout_ms if turns.idle_timeout_ms is None else turns.idle_timeout_ms,
        eagerness=turns.eagerness,
    )
    return replace(settings, turn_detection=filled)


class Segmenter:
    """One session's utterances. Every method yields the events in order; iterate to the end."""

    def __init__(
        self, judge: Judge, settings: SpeechSettings, new_id: Callable[[], str], limits: SegmenterLimits
    ) -> None:
        """Listen under `settings`, whose turn detection is complete (see `effective`)."""
        self._judge = judge
        self._settings = settings
        self._new_id = new_id
        self._limits = limits
        self._audio = Recording()
        # Positions are samples since the session began.
        self._judged = 0  # position up to which frames were judged
        self._floor = 0  # what lies before is committed or thrown away
        self._quiet_since = 0  # for the idle timeout
        self._speech: _Speech | None = None
        self._manual_id: str | None = None
        self._voice_at = -FRAME  # position of the newest frame with a voice
        self._partial_at = 0  # position of the last partial of a manual utterance

    def configure(self, settings: SpeechSettings) -> Iterator[SegmenterEvent]:
        """Apply new settings; speech in progress is closed first if turn detection goes away."""
        if settings.turn_detection is None and self._speech is not None:
            yield from self._close(self._audio.end)
        if settings.turn_detection is not None and self._settings.turn_detection is None:
            # What came while nothing was judged is the client's to commit; judging begins with what comes now.
            self._judged = self._quiet_since = self._audio.end
            self._judge.reset()
        self._settings = settings

    def push(self, samples: NDArray[np.float32]) -> Iterator[SegmenterEvent]:
        """Add samples at 16 kHz, any number."""
        self._audio.append(samples)
        if self._settings.turn_detection is None:
            yield from self._grow_manually()
            return
        # Whole frames only: the rest waits for the next push, so that how the audio is cut into messages decides
        # nothing.
        while self._audio.end - self._judged >= FRAME:
            yield from self._judge_frame(self._judge_next(), self._settings.turn_detection)
        self._forget()

    def commit(self, ref: str | None = None) -> Iterator[SegmenterEvent]:
        """Close the utterance by hand, with everything buffered."""
        start = self._speech.start if self._speech else max(self._floor, self._audio.start)
        if _ms(self._audio.end - start) < SHORTEST_COMMIT_MS:
            yield self._nothing_to_commit(_ms(self._audio.end - start), ref)
            return
        utterance_id = self._speech.id if self._speech else self._manual_id or self._new_id()
        self._judge_until(self._audio.end)
        voiced = self._speech is not None or self._voiced(start)
        self._speech = None
        yield from self._finish(utterance_id, start, self._audio.end, voiced=voiced)

    def _nothing_to_commit(self, found_ms: int, ref: str | None) -> SpeechProblem | SpeechNotice:
        """Say so. Where turns are detected, the server may just have committed what the client means: no mistake."""
        code = "input_audio_buffer_commit_empty"
        if self._settings.turn_detection is not None:
            return SpeechNotice("Nothing was left to commit: what was said is committed already.", code, ref)
        return SpeechProblem(
            message=f"Error committing input audio buffer: buffer too small. Found {found_ms:.0f} ms of audio, "
            f"expected at least {SHORTEST_COMMIT_MS} ms.",
            code=code,
            ref=ref,
        )

    def clear(self) -> Iterator[SegmenterEvent]:
        """Throw away everything buffered."""
        utterance_id = self._speech.id if self._speech else self._manual_id
        self._speech = self._manual_id = None
        self._floor = self._judged = self._quiet_since = self._audio.end
        self._judge.reset()
        self._forget()
        yield Cleared(utterance_id)

    def flush(self) -> Iterator[SegmenterEvent]:
        """Close speech in progress: the session ends. Audio that was not committed by hand is not an utterance."""
        if self._speech is not None:
            yield from self._close(self._audio.end)

    @property
    def kept_samples(self) -> int:
        """How much audio is in memory."""
        return self._audio.end - self._audio.start

    def _judge_next(self) -> float:
        """Return the probability of speech in the next frame."""
        probability = self._judge.probability(self._audio.slice(self._judged, self._judged + FRAME))
        if probability >= VOICE:
            self._voice_at = self._judged
        self._judged += FRAME
        return probability

    def _judge_until(self, end: int) -> None:
        """Judge what is yet to be judged without turn detection, whole frames up to a position."""
        while self._settings.turn_detection is None and end - self._judged >= FRAME:
            self._judge_next()

    def _voiced(self, start: int) -> bool:
        """Whether somebody speaks behind a position, as far as it was judged."""
        return self._voice_at + FRAME > start

    def _judge_frame(self, probability: float, turns: TurnDetection) -> Iterator[SegmenterEvent]:
        threshold = turns.threshold or 0.0
        now = self._judged
        # The wait for idleness begins where the last utterance ended, or the last timeout was told: one event each
        # period.
        if self._speech is None:
            if probability >= threshold:
                yield self._start(now - FRAME, turns)
            elif turns.idle_timeout_ms is not None and _ms(now - self._quiet_since) >= turns.idle_timeout_ms:
                yield IdleTimeout(self._new_id(), _ms(self._quiet_since), _ms(now))
                self._quiet_since = now
            return
        speech = self._speech
        speech.probabilities.append(probability)
        silence = speech.patience or _samples(turns.silence_duration_ms or 0)
        # Between the two thresholds nothing changes: a frame there neither ends a silence nor begins one.
        if probability >= threshold:
            speech.silent_since = speech.patience = None
        elif probability < max(threshold - HYSTERESIS, 0.01) and speech.silent_since is None:
            speech.silent_since = now - FRAME
        # The end before the cut, the cut before a partial: an utterance that is over needs no draft of itself.
        if speech.silent_since is not None and now - speech.silent_since >= silence:
            yield from self._close(now, speech.silent_since)
        elif now - speech.start >= self._limits.longest_s * RATE_HZ:
            yield from self._cut(speech, now)
        elif speech.silent_since is not None and now - speech.silent_since == _PAUSE:
            yield from self._pause(speech, turns, now)
        elif now - speech.partial_at >= self._pace():
            speech.partial_at = now
            yield self._utterance(speech.id, speech.start, now, final=False)

    def _pause(self, speech: _Speech, turns: TurnDetection, now: int) -> Iterator[SegmenterEvent]:
        """Hear ahead what may be the end, and ask how long to wait for more."""
        if self._pace() < math.inf:
            speech.partial_at = now
            yield self._utterance(speech.id, speech.start, now, final=False, voiced=speech.silent_since)
        if turns.eagerness is not None:
            question = TurnQuestion(self._audio.slice(max(speech.start, now - int(_TURN_S * RATE_HZ)), now))
            yield question
            if question.finished is not None:
                longest = int(_LONGEST_WAIT_S[turns.eagerness] * RATE_HZ)
                speech.patience = _ANSWER if question.finished >= _SURE[turns.eagerness] else longest

    def _start(self, voiced: int, turns: TurnDetection) -> SpeechStarted:
        start = max(self._floor, self._audio.start, voiced - _samples(turns.prefix_padding_ms or 0))
        self._speech = _Speech(self._new_id(), start, voiced)
        return SpeechStarted(self._speech.id, _ms(start))

    def _cut(self, speech: _Speech, now: int) -> Iterator[SegmenterEvent]:
        """Close an endless utterance at its least voiced recent frame and begin the next one there."""
        recent = list(speech.probabilities)
        behind = len(recent) - 1 - int(np.argmin(recent))
        at = max(speech.start + FRAME, now - behind * FRAME)  # at least a frame, or the cut would never advance
        yield SpeechStopped(speech.id, _ms(at))
        yield from self._finish(speech.id, speech.start, at)
        silent_since, self._speech = speech.silent_since, _Speech(self._new_id(), at, at)
        if silent_since is not None and silent_since >= at:  # a silence behind the cut goes on in the new utterance
            self._speech.silent_since = silent_since
        yield SpeechStarted(self._speech.id, _ms(at))

    def _close(self, end: int, silent_since: int | None = None) -> Iterator[SegmenterEvent]:
        speech, self._speech = self._speech, None
        if speech is not None:
            yield SpeechStopped(speech.id, _ms(end))
            yield from self._finish(speech.id, speech.start, end, silent_since=silent_since)

    def _finish(
        self, utterance_id: str, start: int, end: int, *, voiced: bool = True, silent_since: int | None = None
    ) -> Iterator[SegmenterEvent]:
        self._manual_id = None
        self._floor = self._quiet_since = end
        if self._settings.turn_detection is None:
            self._judged = end
            self._judge.reset()
        yield Committed(utterance_id, _ms(start), _ms(end))
        if self._settings.model is not None:
            utterance = self._utterance(utterance_id, start, end, final=True, voiced=silent_since)
            yield utterance if voiced else replace(utterance, samples=utterance.samples[:0])
        self._forget()

    def _grow_manually(self) -> Iterator[SegmenterEvent]:
        longest = int(self._limits.longest_manual_s * RATE_HZ)
        # One push may hold several partials and several forced commits; each round yields the next of them in order.
        while True:
            start = max(self._floor, self._audio.start)
            if self._manual_id is None:
                self._manual_id, self._partial_at = self._new_id(), start
            partial = self._partial_at + self._pace()
            if partial <= min(self._audio.end, start + longest - 1):
                self._partial_at = int(partial)
                self._judge_until(self._partial_at)
                if self._settings.model is not None and self._voiced(start):
                    yield self._utterance(self._manual_id, start, self._partial_at, final=False)
            elif self._audio.end - start >= longest:
                self._judge_until(start + longest)
                yield from self._finish(self._manual_id, start, start + longest, voiced=self._voiced(start))
            else:
                self._judge_until(self._audio.end)
                return

    def _pace(self) -> float:
        """Return after how many more samples the next partial is due."""
        if self._limits.partial_s is None or self._settings.model is None:
            return math.inf
        return self._limits.partial_s * RATE_HZ

    def _utterance(
        self, utterance_id: str, start: int, end: int, *, final: bool, voiced: int | None = None
    ) -> Utterance:
        samples = self._audio.slice(start, end)
        voiced = None if voiced is None else max(0, voiced - start)
        settings = self._settings
        return Utterance(utterance_id, samples, _ms(start), _ms(end), final=final, settings=settings, voiced=voiced)

    def _forget(self) -> None:
        """Keep only what an utterance may still need: its own audio, or the padding before the next one."""
        turns = self._settings.turn_detection
        if turns is None:
            self._audio.forget(self._floor)
        elif self._speech is not None:
            self._audio.forget(self._speech.start)
        else:
            padding = max(_samples(turns.prefix_padding_ms or 0), _samples(SHORTEST_COMMIT_MS))
            self._audio.forget(max(self._floor, self._judged - padding))


class _Speech:
    """An utterance in progress."""

    __slots__ = ("id", "partial_at", "patience", "probabilities", "silent_since", "start")

    def __init__(self, utterance_id: str, start: int, voiced: int) -> None:
        self.id = utterance_id
        self.start = start
        self.partial_at = voiced
        self.silent_since: int | None = None
        self.patience: int | None = None  # samples of silence to wait for, where the turn's sound decides
        self.probabilities: deque[float] = deque(maxlen=int(_CUT_WINDOW_S * RATE_HZ / FRAME))


def _ms(samples: int) -> int:
    return samples * 1000 // RATE_HZ


def _samples(milliseconds: int) -> int:
    return milliseconds * RATE_HZ // 1000
