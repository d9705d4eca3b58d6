"""Who is heard next, where files and live sessions share one Whisper: a pure state machine, with no clock and no await.

Theory of operation. Every wish has a due time, and the wish that is due first is served next (earliest deadline first):
what waits long comes first in the end, whatever it is, so nothing starves.

    end of a live utterance      due long before it came: a person waits for it
    partial, no words yet        due when it came
    partial, words are shown     due half a second later
    piece of a recording         due two seconds later

Of a live utterance there is one partial at most: a newer one takes its place (and keeps its turn), the final one drops
it. The final one also interrupts the partial that runs, or another utterance's where no slot is free. Two passes over
one utterance never run at the same time, since the second begins with what the first said. Partials take at most 70 %
of the machine: after one that took t seconds the next waits for 0.43 t. What they do not take is there for ends,
recordings, and everything else that runs here.

The queue also measures: how long a second of sound takes, from which `wait_s` tells what a newcomer has to expect.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final, Generic, TypeVar

T = TypeVar("T")

_SHARE: Final = 0.7
"""Of the machine that partials take at most."""
_SMOOTHING: Final = 0.2  # weight of the newest pass in the cost of a second of sound: the last five count
_GUESS: Final = 0.05
"""Seconds of work that a second of sound is taken to cost before anything was measured."""


class Kind(IntEnum):
    """What a wish is, the most urgent first."""

    FINAL = 0
    FIRST = 1
    PARTIAL = 2
    PIECE = 3


# Half a second is what a reader of live words does not notice once some are shown; two seconds is what nobody notices
# of a recording. The end of an utterance is put before anything that waits for less than a quarter of an hour.
_SLACK_S: Final = {Kind.FINAL: -1000.0, Kind.FIRST: 0.0, Kind.PARTIAL: 0.5, Kind.PIECE: 2.0}


@dataclass(slots=True, eq=False)
class Wish(Generic[T]):
    """A pass that a caller waits for. stream: the utterance, None: like no other. sound_s: how much is to be heard."""

    kind: Kind
    stream: Hashable | None
    sound_s: float
    content: T
    due_s: float = field(default=0.0)

    @property
    def partial(self) -> bool:
        """Whether a newer one may take its place."""
        return self.kind in (Kind.FIRST, Kind.PARTIAL)


class SpeechQueue(Generic[T]):
    """The wishes of one engine. slots: passes that may run at the same time."""

    def __init__(self, slots: int) -> None:
        self.slots = slots
        self._waiting: list[Wish[T]] = []
        self._running: list[Wish[T]] = []
        self._partials_after_s = 0.0
        self._cost = _GUESS

    def put(self, wish: Wish[T], now_s: float) -> Wish[T] | None:
        """Add a wish; return the partial of the same utterance that it makes superfluous."""
        wish.due_s = now_s + _SLACK_S[wish.kind]
        # The newer partial keeps the older one's turn: partials that come faster than they are served would else move
        # to the end of the line for ever. The older one is handed back, and its caller told that nothing comes.
        older = next((w for w in self._waiting if w.partial and w.stream == wish.stream), None)
        if older is not None:
            self._waiting.remove(older)
            if wish.partial:
                wish.due_s = min(wish.due_s, older.due_s)
        self._waiting.append(wish)
        return older

    def take(self, now_s: float) -> Wish[T] | None:
        """Return the wish to serve now, which then runs; None: none may."""
        if len(self._running) >= self.slots:
            return None
        busy = {wish.stream for wish in self._running if wish.stream is not None}
        ready = [
            wish
            for wish in self._waiting
            if wish.stream not in busy and not (wish.partial and now_s < self._partials_after_s)
        ]
        if not ready:
            return None
        chosen = min(ready, key=lambda wish: (wish.due_s, wish.kind))
        self._waiting.remove(chosen)
        self._running.append(chosen)
        return chosen

    def in_the_way(self, wish: Wish[T]) -> Wish[T] | None:
        """Return the running partial that the end of an utterance need not wait for: its own, else a later one's."""
        if wish.kind is not Kind.FINAL:
            return None
        own = next((w for w in self._running if w.partial and w.stream == wish.stream), None)
        if own is not None or len(self._running) < self.slots:
            return own
        return next((w for w in reversed(self._running) if w.kind is Kind.PARTIAL), None)

    def done(self, wish: Wish[T], took_s: float, now_s: float) -> None:
        """Take note that a wish was served."""
        # Only whole passes teach what a second of sound costs: partials hear again what they know, from a draft.
        self._running.remove(wish)
        if wish.partial:
            self._partials_after_s = max(self._partials_after_s, now_s + took_s * (1 - _SHARE) / _SHARE / self.slots)
        else:
            self._cost += _SMOOTHING * (took_s / max(wish.sound_s, 1.0) - self._cost)

    def discard(self, wish: Wish[T]) -> None:
        """Forget a wish that waits; one that runs stays until it is done."""
        if wish in self._waiting:
            self._waiting.remove(wish)

    def pause_s(self, now_s: float) -> float | None:
        """Return after how long `take` may have something that only time holds up; None: nothing."""
        if len(self._running) >= self.slots or not any(wish.partial for wish in self._waiting):
            return None
        return max(0.0, self._partials_after_s - now_s)

    def wait_s(self) -> float:
        """Return how long the end of a live utterance that came now would wait, if nothing else came."""
        ahead = sum(wish.sound_s for wish in self._waiting if wish.kind is Kind.FINAL)
        ahead += sum(wish.sound_s for wish in self._running if not wish.partial)
        return ahead * self._cost / self.slots

    def empty(self) -> Iterator[Wish[T]]:
        """Give back everything that waits."""
        waiting, self._waiting = self._waiting, []
        yield from waiting
