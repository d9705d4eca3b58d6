"""What is in which device's memory, and what has to leave it: the decisions, without any of the work.

Theory of operation. An entry is absent, waiting (a request wants it), loading, loaded, or leaving. Bytes are taken from
the moment that a load starts until an unload has ended; `step` is called whenever anything changed and gives the orders
to carry out: unload this, load that, refuse that. On each device the entries that wait stand in a line, by priority and
by the time that they have waited. The first of them loads as soon as it fits; if it does not, the idle models are
evicted whose reload costs least, once all that must leave can. Others may pass it only where they fit as it is.

What a reload costs is what the next use would wait, times how soon that use is to be expected: seconds to load times
uses a second. Of all sets that free enough bytes the cheapest leaves. That is GreedyDual-Size-Frequency (Cao & Irani,
"Cost-aware WWW proxy caching algorithms", 1997; Cherkasova, "Improving WWW proxies performance with
Greedy-Dual-Size-Frequency caching policy", 1998) with two differences: its ageing by the last victim's value is
replaced by frequencies that fade, which absent models keep too; and the set is searched, as there are few and large
models, not filled in order of value a byte.

Some models work with more memory than they need: a chat model caches longer and more conversations. Such a one gets, as
it loads, half of what is left beside what it needs, up to what it can use; the other half is for the next model. It
holds that until it leaves. Nothing leaves for more than what a model needs.

A model in use is never evicted, nor a pinned one. So that a stream of overlapping uses cannot keep others out for
ever, those in the way of an entry that has waited for `patience_s` are closed to new requests, and leave when they are
idle. Two models that do not fit together thus take turns of at least that length under load.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from enum import Enum
from itertools import combinations
from typing import Final, Literal

from fastembed.inference.serving.residency.use import Use

Key = tuple[str, str]
"""A model's name, and OpenVINO's name of the device."""
Outlook = Literal["free", "swap", "wait", "never"]
"""There is room; there is after unloading idle models; others use it; it does not fit."""
PATIENCE_S: Final = 2.0
AGEING_S: Final = 10.0
"""Waiting so long counts as much as one step of priority."""
_SOON_S: Final = 1.0
_SEARCHED: Final = 10
"""Of so many idle models every set is tried, 1,023 of ten; of more they are taken by value a byte."""
_REMEMBERED: Final = 1_000
"""Absent models whose frequency of use is remembered."""


class ResidencyState(Enum):
    """Where an entry is in its life."""

    ABSENT = "absent"
    WAITING = "waiting"
    LOADING = "loading"
    LOADED = "loaded"
    LEAVING = "leaving"


# ABSENT -> WAITING -> LOADING -> LOADED -> LEAVING -> ABSENT, and back to ABSENT from WAITING (refused, withdrawn) and
# LOADING (failed). `step` makes the transitions that need a decision, in the moment in which it orders the work; the
# shell reports the two that take time, `loaded` and `gone`. So bytes are promised to one entry only, however long it
# takes until they are really free.
_TAKES_ROOM: Final = (ResidencyState.LOADING, ResidencyState.LOADED, ResidencyState.LEAVING)


@dataclass(frozen=True, slots=True)
class DeviceRoom:
    """What models may take of a device's memory together. firm: declared, so never exceeded; else an estimate."""

    bytes: int
    firm: bool = True


@dataclass(slots=True, eq=False)
class ResidencyEntry:
    """One model on one device. users: requests that use it or wait for it.

    closing: it takes no new requests, and leaves. bytes: what it takes, or would need. least, most: what it needs and
    what it can use, of one that works with more.
    """

    key: Key
    bytes: int = 0
    least: int = 0
    most: int = 0
    load_s: float = 1.0
    pinned: bool = False
    keep_alive_s: float | None = None
    users: int = 0
    use: Use = field(default_factory=Use)
    state: ResidencyState = ResidencyState.ABSENT
    closing: bool = False
    priority: int = 0
    asked_s: float = 0.0

    @property
    def device(self) -> str:
        """OpenVINO's name."""
        return self.key[1]

    def cost(self, now_s: float) -> float:
        """Return the seconds of loading a second that evicting it is expected to cost."""
        return self.load_s * self.use.rate(now_s)


@dataclass(frozen=True, slots=True)
class PlanStep:
    """What the shell has to do. why: of a refusal."""

    do: Literal["load", "unload", "refuse"]
    entry: ResidencyEntry
    why: str = ""


Choose = Callable[[Sequence[ResidencyEntry], int, float], Sequence[ResidencyEntry]]
"""Takes idle entries, the bytes that are lacking, and the time; returns those to evict, with that many bytes."""


class ResidencyPlan:
    """The state machine. room: what a device's models may take now, or None for no limit; asked at each step."""

    def __init__(
        self, room: Callable[[str], DeviceRoom | None], *, patience_s: float = PATIENCE_S, choose: Choose | None = None
    ) -> None:
        """Start with nothing loaded. choose: which models to evict, by default `cheapest`."""
        self._room = room
        self._choose = choose or cheapest
        self._patience_s = patience_s
        self.entries: dict[Key, ResidencyEntry] = {}

    def entry(self, key: Key) -> ResidencyEntry:
        """Return a model's entry, a new one at its first request."""
        found = self.entries.get(key)
        if found is None:
            self._forget()
            found = self.entries[key] = ResidencyEntry(key)
        return found

    def want(self, entry: ResidencyEntry, now_s: float, *, priority: int = 0) -> None:
        """Put an entry, whose bytes are what is expected, in the line, or move it forward there."""
        if entry.state is ResidencyState.ABSENT:
            entry.state, entry.asked_s, entry.priority = ResidencyState.WAITING, now_s, priority
        entry.priority = max(entry.priority, priority)

    def withdraw(self, entry: ResidencyEntry) -> None:
        """Take an entry out of the line: no request waits for it any more."""
        if entry.state is ResidencyState.WAITING:
            entry.state = ResidencyState.ABSENT

    def loaded(self, entry: ResidencyEntry, *, size: int, load_s: float) -> None:
        """Note that a load has ended, and what it took."""
        entry.state, entry.bytes, entry.load_s = ResidencyState.LOADED, size, load_s

    def gone(self, entry: ResidencyEntry) -> None:
        """Note that a load has failed or an unload has ended: its room is free."""
        entry.state, entry.closing = ResidencyState.ABSENT, False
        entry.bytes = entry.least or entry.bytes

    def taken(self, device: str) -> int:
        """Return the bytes that are taken or reserved on a device."""
        return sum(entry.bytes for entry in self._on(device, *_TAKES_ROOM))

    def waits(self) -> bool:
        """Whether anything stands in a line."""
        return bool(self._of(ResidencyState.WAITING))

    def outlook(self, entry: ResidencyEntry, now_s: float) -> Outlook:
        """Tell what would come of wanting an entry, without doing anything."""
        room = self._room(entry.device)
        if room is None or entry.state in _TAKES_ROOM:
            return "free"
        need = self._need(entry, room)
        if need is None:
            return "never"
        ahead = [other for other in self._on(entry.device, ResidencyState.WAITING) if other is not entry]
        lacking = self.taken(entry.device) + need - room.bytes
        if ahead or (victims := self._victims(entry.device, lacking, now_s)) is None:
            return "wait"
        return "swap" if victims else "free"

    def step(self, now_s: float) -> list[PlanStep]:
        """Return what to do now, in this order; entries are in their new states already."""
        orders: list[PlanStep] = []
        for device in {entry.device for entry in self.entries.values() if entry.state is not ResidencyState.ABSENT}:
            orders += self._step(device, now_s)
        return orders

    def idle(self, now_s: float) -> list[ResidencyEntry]:
        """Return what has been idle for longer than it is to be kept; they are leaving then."""
        found = [
            entry for entry in self.entries.values() if (left := self._left_s(entry, now_s)) is not None and left <= 0
        ]
        for entry in found:
            entry.state = ResidencyState.LEAVING
        return found

    def next_s(self, now_s: float) -> float | None:
        """Return in how many seconds something is due though nothing changes: an idle model, or a patience's end."""
        due = [self._due_s(entry, now_s) for entry in self.entries.values()]
        return min((max(0.0, left) for left in due if left is not None), default=None)

    def _step(self, device: str, now_s: float) -> Iterable[PlanStep]:
        # Closed models reopen when no entry waits any more: the reason for closing them has gone.
        waited_for = bool(self._on(device, ResidencyState.WAITING))
        for entry in self._on(device, ResidencyState.LOADED):
            entry.closing = entry.closing and waited_for
            if entry.closing and not entry.users:
                entry.state = ResidencyState.LEAVING
                yield PlanStep("unload", entry)
        room = self._room(device)
        first: ResidencyEntry | None = None
        for entry in self._line(device, now_s):
            need = entry.bytes if room is None else self._need(entry, room)
            if need is None:
                entry.state = ResidencyState.ABSENT
                yield PlanStep("refuse", entry, self._why(entry, room))
            elif room is None or self.taken(device) + need <= room.bytes:
                more = self._more(entry, need, room) if first is None else 0
                entry.state, entry.bytes = ResidencyState.LOADING, need + more
                yield PlanStep("load", entry)
            elif first is None:
                # The first that does not fit has room made for it. The loop goes on: those behind it that fit as it is
                # may pass, until it has waited for `patience_s`; then they would only keep it waiting.
                first = entry
                yield from self._make_way(entry, self.taken(device) + need - room.bytes, now_s)
                if now_s - entry.asked_s >= self._patience_s:
                    return  # no other passes it any more
        if first is None and room is not None and room.firm:  # what was measured is more than was expected
            for entry in self._victims(device, self.taken(device) - room.bytes, now_s) or ():
                entry.state = ResidencyState.LEAVING
                yield PlanStep("unload", entry)

    def _make_way(self, first: ResidencyEntry, lacking: int, now_s: float) -> Iterable[PlanStep]:
        """Evict the models in the way of the first in the line, as far as they are idle."""
        # What is leaving already will be free: without this line each step would evict one more for the same bytes.
        lacking -= sum(entry.bytes for entry in self._on(first.device, ResidencyState.LEAVING))
        victims = self._victims(first.device, lacking, now_s)
        if victims is None and now_s - first.asked_s >= self._patience_s:
            lacking -= sum(e.bytes for e in self._on(first.device, ResidencyState.LOADED) if e.closing)
            for entry in self._victims(first.device, lacking, now_s, busy=True) or ():
                entry.closing = True
            victims = [
                entry for entry in self._on(first.device, ResidencyState.LOADED) if entry.closing and not entry.users
            ]
        for entry in victims or ():
            entry.state = ResidencyState.LEAVING
            yield PlanStep("unload", entry)

    def _victims(
        self, device: str, lacking: int, now_s: float, *, busy: bool = False
    ) -> Sequence[ResidencyEntry] | None:
        """Return the cheapest set of loaded models whose bytes are at least `lacking`; None: there is not enough."""
        if lacking <= 0:
            return ()
        found = [
            entry
            for entry in self._on(device, ResidencyState.LOADED)
            if not entry.pinned and not entry.closing and (busy or not entry.users)
        ]
        return self._choose(found, lacking, now_s) if sum(entry.bytes for entry in found) >= lacking else None

    def _need(self, entry: ResidencyEntry, room: DeviceRoom) -> int | None:
        """Return the bytes that it needs; None: it will never fit. Where the room is an estimate, it is tried alone."""
        # Pinned models never leave, so what they take is no room. An estimate (a device that tells nothing) may be
        # wrong: there a model that seems too large is tried alone, and the device says no itself.
        rest = room.bytes - sum(other.bytes for other in self._on(entry.device, *_TAKES_ROOM) if other.pinned)
        if entry.bytes <= rest:
            return entry.bytes
        return None if room.firm else max(0, rest)

    def _more(self, entry: ResidencyEntry, need: int, room: DeviceRoom | None) -> int:
        """Return the bytes that it gets beyond what it needs."""
        wanted = max(0, entry.most - need)
        return wanted if room is None else min(wanted, (room.bytes - self.taken(entry.device) - need) // 2)

    def _why(self, entry: ResidencyEntry, room: DeviceRoom | None) -> str:
        pinned = [other.key[0] for other in self._on(entry.device, *_TAKES_ROOM) if other.pinned]
        beside = f" beside the pinned {', '.join(pinned)}" if pinned else ""
        most = room.bytes if room else 0
        return (
            f"found {entry.key[0]} of {entry.bytes / 2**20:,.0f} MiB, expected a model that fits into "
            f"{most / 2**20:,.0f} MiB on {entry.device}{beside} (devices: memory)"
        )

    def _line(self, device: str, now_s: float) -> list[ResidencyEntry]:
        # Both terms in the same unit: ten seconds of waiting are worth one step of priority, so no entry waits for
        # ever.
        def place(entry: ResidencyEntry) -> tuple[float, float]:
            return (-entry.priority - (now_s - entry.asked_s) / AGEING_S, entry.asked_s)

        return sorted(self._on(device, ResidencyState.WAITING), key=place)

    def _of(self, state: ResidencyState) -> list[ResidencyEntry]:
        return [entry for entry in self.entries.values() if entry.state is state]

    def _on(self, device: str, *states: ResidencyState) -> list[ResidencyEntry]:
        return [entry for entry in self.entries.values() if entry.device == device and entry.state in states]

    @staticmethod
    def _left_s(entry: ResidencyEntry, now_s: float) -> float | None:
        """Return in how many seconds an idle model may leave; None: it stays."""
        if entry.state is not ResidencyState.LOADED or entry.users or entry.pinned or entry.keep_alive_s is None:
            return None
        return (entry.use.last_s or 0.0) + entry.keep_alive_s - now_s

    def _due_s(self, entry: ResidencyEntry, now_s: float) -> float | None:
        if entry.state is ResidencyState.WAITING:
            left = entry.asked_s + self._patience_s - now_s
            return left if left > 0 else None
        if entry.users and entry.keep_alive_s is not None:  # not before it has been given back and kept
            return max(_SOON_S, entry.keep_alive_s)
        return self._left_s(entry, now_s)

    def _forget(self) -> None:
        """Keep the memory of absent models bounded: the longest unused goes."""
        absent = [entry for entry in self.entries.values() if entry.state is ResidencyState.ABSENT and not entry.users]
        if len(absent) >= _REMEMBERED:
            del self.entries[min(absent, key=lambda entry: entry.use.last_s or 0.0).key]


def cheapest(idle: Sequence[ResidencyEntry], lacking: int, now_s: float) -> Sequence[ResidencyEntry]:
    """Return the set whose absence costs least of those that free enough; there is one."""
    found = [(entry.cost(now_s), entry) for entry in idle]
    found.sort(key=lambda pair: (pair[0] / max(1, pair[1].bytes), pair[1].use.last_s or 0.0))
    return _searched(found, lacking) if len(found) <= _SEARCHED else _filled(found, lacking)


def _searched(found: list[tuple[float, ResidencyEntry]], lacking: int) -> list[ResidencyEntry]:
    """Return the cheapest set of at most ten that frees enough; the smaller set of two that cost the same."""
    enough = (
        chosen
        for count in range(1, len(found) + 1)
        for chosen in combinations(found, count)
        if sum(entry.bytes for _, entry in chosen) >= lacking
    )
    return [entry for _, entry in min(enough, key=lambda chosen: sum(cost for cost, _ in chosen))]


def _filled(found: list[tuple[float, ResidencyEntry]], lacking: int) -> list[ResidencyEntry]:
    """Take the cheapest a byte until there is enough, then keep what was taken in excess, the dearest first."""
    taken: list[tuple[float, ResidencyEntry]] = []
    for pair in found:
        if lacking <= 0:
            break
        taken.append(pair)
        lacking -= pair[1].bytes
    for pair in sorted(taken, key=lambda pair: -pair[0]):
        if pair[1].bytes <= -lacking:
            taken.remove(pair)
            lacking += pair[1].bytes
    return [entry for _, entry in taken]
