"""Who is heard next, where files and live sessions share one Whisper: a pure state machine, with no clock and no await.

Theory of operation. Every wish has a due time, and the wish that is due first is served next (earliest deadline first):
what waits long comes first in the end, whatever it is, so nothing starves.

    end of a live utterance      due long before it came: a person waits for it
    pause that may be the end    due a little later than any end: if it is one, its text is there when that is sure
    partial, no words yet        due when it came
    partial, words are shown     due half a second later
    piece of a recording         due two seconds later

Those that are of one sort are served together, as many as share a pass well (`batch`): ends and pauses, partials,
pieces. The slots divide what waits, so that every core has its share.

Of a live utterance there is one partial at most: a newer one takes its place (and keeps its turn), the final one drops
it. The final one also interrupts the partial that runs, or others' where no slot is free. Two passes over one utterance
never run at the same time, since the second begins with what the first said. Partials take at most 70 % of the machine:
after some that took t seconds the next wait for 0.43 t. What they do not take is there for ends, recordings, and
everything else that runs here. Recordings leave a slot to live speech while there is any.

The queue also measures what a second of sound costs, and a partial, and for how many speakers: so `wait_s` tells how
late the end of a newcomer would be, and `interval_s` how often the machine could listen to one speaker more.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final, Generic, TypeVar

T = TypeVar("T")

_SHARE: Final = 0.7
"""Of the machine that partials take at most."""
_SMOOTHING: Final = 0.2  # weight of the newest pass in the cost of a second of sound: the last five count
_GUESS: Final = 0.05
"""Seconds of work that a second of sound is taken to cost before anything was measured."""
_GUESS_PARTIAL: Final = 0.1
"""The same of a partial, which is heard from what is settled on, however long the utterance is."""
_SLOW: Final = 0.05  # weight of the newest: it decides on who is let in
_OUTLIER: Final = 3.0
_GUESS_TURN_S: Final = 5.0
_LIVE_S: Final = 3.0
"""A session speaks, of which something live came in the last seconds."""


class Kind(IntEnum):
    """What a wish is, the most urgent first."""

    FINAL = 0
    PAUSE = 1
    FIRST = 2
    PARTIAL = 3
    PIECE = 4


# Half a second is what a reader of live words does not notice once some are shown; two seconds is what nobody notices
# of a recording. The end of an utterance is put before anything that waits for less than a quarter of an hour.
_SLACK_S: Final = {Kind.FINAL: -1000.0, Kind.PAUSE: -500.0, Kind.FIRST: 0.0, Kind.PARTIAL: 0.5, Kind.PIECE: 2.0}
_SORT: Final = {Kind.FINAL: 0, Kind.PAUSE: 0, Kind.FIRST: 1, Kind.PARTIAL: 1, Kind.PIECE: 2}
_TOGETHER_S: Final = 48.0
"""Sound of a pass: its keys and values lie side by side in memory, and ends that come meanwhile wait for it."""


@dataclass(slots=True, eq=False)
class Wish(Generic[T]):
    """A pass that a caller waits for.

    stream: the utterance, None: like no other. sound_s: how much is to be heard. speaker: who speaks live.
    """

    kind: Kind
    stream: Hashable | None
    sound_s: float
    content: T
    speaker: Hashable | None = None
    due_s: float = field(default=0.0)

    @property
    def partial(self) -> bool:
        """Whether a newer one may take its place."""
        return self.kind in (Kind.PAUSE, Kind.FIRST, Kind.PARTIAL)


class SpeechQueue(Generic[T]):
    """The wishes of one engine. slots: passes that may run at the same time; rows: wishes that share one."""

    def __init__(self, slots: int, rows: int = 1) -> None:
        self.slots = slots
        self.rows = rows
        self._waiting: list[Wish[T]] = []
        self._running: list[tuple[Wish[T], ...]] = []
        self._partials_after_s = 0.0
        self._cost = _GUESS
        self._partial_cost = _GUESS_PARTIAL
        self._turn = _GUESS_TURN_S
        self._spoke_s: OrderedDict[Hashable, float] = OrderedDict()

    def put(self, wish: Wish[T], now_s: float) -> Wish[T] | None:
        """Add a wish; return the partial of the same utterance that it makes superfluous."""
        wish.due_s = now_s + _SLACK_S[wish.kind]
        self._note(wish, now_s)
        older = next((w for w in self._waiting if w.partial and w.stream == wish.stream), None)
        if older is not None:
            self._waiting.remove(older)
            if wish.partial:
                wish.due_s = min(wish.due_s, older.due_s)
        self._waiting.append(wish)
        return older

    def take(self, now_s: float) -> tuple[Wish[T], ...]:
        """Return the wishes to serve now, which then run together; none: none may."""
        free = self.slots - len(self._running)
        ready = sorted(self._ready(now_s), key=lambda wish: (wish.due_s, wish.kind)) if free > 0 else []
        if not ready:
            return ()
        alike = [wish for wish in ready if _SORT[wish.kind] == _SORT[ready[0].kind]]
        share = min(self.rows, -(-len(alike) // free))
        chosen = _fitting(alike[:share])
        for wish in chosen:
            self._waiting.remove(wish)
        self._running.append(chosen)
        return chosen

    def promote(self, wish: Wish[T]) -> None:
        """Take a pause for the end that it was."""
        if wish in self._waiting:
            wish.kind, wish.due_s = Kind.FINAL, wish.due_s + _SLACK_S[Kind.FINAL]

    def in_the_way(self, wish: Wish[T]) -> Sequence[Wish[T]]:
        """Return running partials that the end of an utterance need not wait for: its own, else others' of one slot."""
        if wish.kind is not Kind.FINAL:
            return ()
        own = [w for together in self._running for w in together if w.partial and w.stream == wish.stream]
        if own or len(self._running) < self.slots:
            return own
        return next((wishes for wishes in reversed(self._running) if wishes[0].kind in (Kind.FIRST, Kind.PARTIAL)), ())

    def done(self, wishes: Sequence[Wish[T]], took_s: float, now_s: float) -> None:
        """Take note that wishes were served together."""
        self._running.remove(tuple(wishes))
        if wishes[0].kind in (Kind.FIRST, Kind.PARTIAL):
            self._partials_after_s = max(self._partials_after_s, now_s + took_s * (1 - _SHARE) / _SHARE / self.slots)
            cost = min(took_s / len(wishes), _OUTLIER * self._partial_cost)  # kernels are prepared at new lengths
            self._partial_cost += _SLOW * (cost - self._partial_cost)
        else:
            sound_s = sum(max(wish.sound_s, 1.0) for wish in wishes)
            self._cost += _SMOOTHING * (took_s / sound_s - self._cost)

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
        ahead += sum(wish.sound_s for wishes in self._running for wish in wishes if not wish.partial)
        return ahead * self._cost / self.slots

    def interval_s(self, now_s: float, newcomers: int = 0) -> float:
        """Return how often the machine could listen to each speaker, if one more came.

        newcomers: sessions that were let in and have not spoken yet. The cost of a partial is measured; partials get
        their share of the machine.
        """
        while self._spoke_s and next(iter(self._spoke_s.values())) < now_s - _LIVE_S:
            self._spoke_s.popitem(last=False)
        return (len(self._spoke_s) + newcomers + 1) * self._partial_cost / self.slots / _SHARE

    @property
    def turn_s(self) -> float:
        """How long an utterance is: so soon a speaker may have finished."""
        return self._turn

    def empty(self) -> Iterator[Wish[T]]:
        """Give back everything that waits."""
        waiting, self._waiting = self._waiting, []
        yield from waiting

    def _ready(self, now_s: float) -> Iterator[Wish[T]]:
        busy = {wish.stream for wishes in self._running for wish in wishes if wish.stream is not None}
        pieces = sum(wishes[0].kind is Kind.PIECE for wishes in self._running)
        spared = bool(self._spoke_s) and max(self._spoke_s.values()) > now_s - _LIVE_S and pieces == self.slots - 1 > 0
        for wish in self._waiting:
            held = wish.kind in (Kind.FIRST, Kind.PARTIAL) and now_s < self._partials_after_s
            if not (held or wish.stream in busy or (wish.kind is Kind.PIECE and spared)):
                yield wish

    def _note(self, wish: Wish[T], now_s: float) -> None:
        if wish.kind is not Kind.PIECE and wish.speaker is not None:
            self._spoke_s.pop(wish.speaker, None)
            self._spoke_s[wish.speaker] = now_s
        if wish.kind is Kind.FINAL:
            self._turn += _SMOOTHING * (wish.sound_s - self._turn)


def _fitting(wishes: Sequence[Wish[T]]) -> tuple[Wish[T], ...]:
    """Return the first, and as many more as share a pass with it."""
    count = 1
    while count < len(wishes) and (count + 1) * max(wish.sound_s for wish in wishes[: count + 1]) <= _TOGETHER_S:
        count += 1
    return tuple(wishes[:count])
