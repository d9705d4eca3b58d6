"""Who said what: the words of a transcript, by the turns of its speakers."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from fastembed.inference.engines.speech.agreement import joined
from fastembed.pipeline.payload.audio import SpeakerTurn, Word

_PAUSE_MS: Final = 1_500
_LONG_MS: Final = 15_000
_ENDS: Final = (".", "?", "!", "\u2026", "\u3002", "\uff1f", "\uff01")
_NOBODY: Final = SpeakerTurn("A", 0, 0, ("short",))


@dataclass(frozen=True, slots=True)
class SpeakerSegment:
    """What one speaker says without a long pause. doubts: why the name may be wrong (`SpeakerTurn`)."""

    speaker: str
    text: str
    start_ms: int
    end_ms: int
    doubts: tuple[str, ...] = ()


def speaker_segments(words: Sequence[Word], turns: Sequence[SpeakerTurn]) -> list[SpeakerSegment]:
    """Return the segments of a transcript: each word belongs to the turn at its middle, or to the nearest one.

    A segment ends where the speaker changes, where a pause is, and after a sentence once it is long.
    """
    return [_segment(run) for run in _runs([(word, _turn_of(word, turns)) for word in words])]


def _turn_of(word: Word, turns: Sequence[SpeakerTurn]) -> SpeakerTurn:
    middle_ms = (word.start_ms + word.end_ms) / 2
    after = bisect_right(turns, middle_ms, key=lambda turn: turn.start_ms)
    near = turns[max(0, after - 1) : after + 1]
    return min(near, key=lambda turn: max(turn.start_ms - middle_ms, middle_ms - turn.end_ms), default=_NOBODY)


_Spoken = tuple[Word, SpeakerTurn]


def _runs(spoken: Sequence[_Spoken]) -> Iterator[list[_Spoken]]:
    run: list[_Spoken] = []
    for word, turn in spoken:
        if run and _ends(run, word, turn):
            yield run
            run = []
        run.append((word, turn))
    if run:
        yield run


def _ends(run: Sequence[_Spoken], word: Word, turn: SpeakerTurn) -> bool:
    last, before = run[-1]
    long = last.end_ms - run[0][0].start_ms >= _LONG_MS and last.text.endswith(_ENDS)
    return long or turn.speaker != before.speaker or word.start_ms - last.end_ms > _PAUSE_MS


def _segment(run: Sequence[_Spoken]) -> SpeakerSegment:
    turn = Counter(turn for _, turn in run).most_common(1)[0][0]
    start_ms = run[0][0].start_ms
    return SpeakerSegment(
        turn.speaker,
        joined(word.text for word, _ in run),
        start_ms,
        max(start_ms, *(word.end_ms for word, _ in run)),
        turn.doubts,
    )
