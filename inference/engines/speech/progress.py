"""How far a growing utterance was heard: what of it is settled, so that passes cost what is new and not what was said.

Theory of operation. Whisper writes segments, mostly sentences, between timestamps. Once two passes in a row agree on
the words of a segment that has ended, and enough follows it, its words are settled: the next pass, and the last one,
begin behind it, as Whisper goes from window to window in long recordings, with the settled words as what was said
before: without them, short windows cost words. Segments' times are rough, so the cut is where it is quietest between
the two; where there is no pause, there is no cut. Up to ten seconds nothing is cut: a pass over them is cheap.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from fastembed.inference.engines.speech.agreement import bare
from fastembed.inference.engines.speech.engine import RATE_HZ, Heard, SpokenWord
from fastembed.inference.engines.speech.level import loudness
from fastembed.inference.engines.speech.vocabulary import TICK_S

_CUT_FROM_S: Final = 10.0
"""Shorter sound is heard as a whole."""
_BEHIND_S: Final = 4.0
"""What must follow a segment until its end is trusted."""
_LEAST_S: Final = 2.0  # to settle less is not worth a prompt of its own
_ROUGH_S: Final = 0.2  # what Whisper's times are wrong by, either way
_FRAME: Final = RATE_HZ // 50
_QUIET: Final = 0.01  # 20 dB below the loud frames
_SMOOTH: Final = 5  # frames: a pause is longer than a closed mouth


@dataclass(frozen=True, slots=True)
class SettledSpeech:
    """What is settled of an utterance, up to sample `at`; tokens: what the last pass said of the rest."""

    at: int = 0
    text: str = ""
    segments: tuple[SpokenWord, ...] = ()
    words: tuple[SpokenWord, ...] = ()
    tokens: tuple[int, ...] = ()
    language: str | None = None

    def behind(
        self,
        advance_s: float,
        segments: Iterable[tuple[str, float, float]],
        words: Iterable[SpokenWord],
        language: str | None,
    ) -> SettledSpeech:
        """Return the progress behind a window's next segments and words, whose times count from `at`."""
        found = list(segments)
        at_s = self.at / RATE_HZ
        return replace(
            self,
            at=self.at + int(advance_s * RATE_HZ),
            text=self.text + "".join(text for text, _, _ in found),
            segments=self.segments + tuple(SpokenWord(text.strip(), at_s + a, at_s + b) for text, a, b in found),
            words=self.words + tuple(SpokenWord(w.text, at_s + w.start_s, at_s + w.end_s) for w in words),
            tokens=(),
            language=self.language or language,
        )

    def heard(self) -> Heard:
        """Return all of it."""
        return Heard(self.text.strip(), self.words, self.language, segments=self.segments)


class TokenMeanings(Protocol):
    """What tokens mean: from first_time on they are times, below text."""

    first_time: int

    def text(self, tokens: Iterable[int]) -> str:
        """Return the words of tokens."""


@dataclass(frozen=True, slots=True)
class Cut:
    """Where to go on: behind so many tokens, at a time in the window; rest: what was said behind it, from there."""

    tokens: int
    at_s: float
    rest: tuple[int, ...]


def settled(
    tokens: Sequence[int], before: Sequence[int], samples: NDArray[np.float32], vocabulary: TokenMeanings
) -> Cut | None:
    """Return the last place up to which a pass over the samples can be settled, if there is one.

    before: the tokens of the last pass over the same beginning; marks and case, which Whisper revises until the end,
    may differ.
    """
    # From the last segment backwards: the first that two passes agree on, with enough behind it and a pause at its end,
    # settles the most. A segment's end is a time token behind a text token; times count from the window's start.
    first_time = vocabulary.first_time
    length_s = len(samples) / RATE_HZ
    if length_s < _CUT_FROM_S:
        return None
    last = bare(vocabulary.text(before))
    for place in range(len(tokens) - 1, 0, -1):
        if tokens[place] < first_time or tokens[place - 1] >= first_time:
            continue  # no segment's end
        rest = tokens[place + 1 :]
        end_s = (tokens[place] - first_time) * TICK_S
        if not (any(t < first_time for t in rest) and _LEAST_S <= end_s <= length_s - _BEHIND_S):
            continue
        said = bare(vocabulary.text(tokens[:place]))
        if len(said) < len(last) and last.startswith(said):
            next_s = (rest[0] - first_time) * TICK_S if rest[0] >= first_time else end_s
            at_s = _pause(samples, end_s - _ROUGH_S, max(end_s, next_s) + _ROUGH_S)
            if at_s is not None:
                return Cut(place + 1, at_s, _moved(rest, at_s, first_time))
    return None


def _pause(samples: NDArray[np.float32], start_s: float, end_s: float) -> float | None:
    """Return the middle of the quietest tenth of a second; None where there is speech too."""
    start = max(0, int(start_s * RATE_HZ))
    part = samples[start : int(end_s * RATE_HZ)]
    frames = part[: len(part) // _FRAME * _FRAME].reshape(-1, _FRAME)
    power = np.convolve((frames**2).mean(axis=1), np.full(_SMOOTH, 1 / _SMOOTH), "valid")
    quietest = int(power.argmin())
    if power[quietest] > _QUIET * loudness(samples) ** 2:
        return None
    return (start + (quietest + _SMOOTH / 2) * _FRAME) / RATE_HZ


def _moved(tokens: Sequence[int], by_s: float, first_time: int) -> tuple[int, ...]:
    """Return tokens whose times count from later on."""
    ticks = round(by_s / TICK_S)
    moved = [token if token < first_time else max(first_time, token - ticks) for token in tokens]
    return tuple(moved if moved[0] >= first_time else [first_time, *moved])
