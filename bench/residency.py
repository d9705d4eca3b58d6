"""Which models to keep in memory: the planner beside other rules, on made-up days of requests.

    .venv/bin/python bench/residency.py [--seeds 12]

Every rule runs in the product's own state machine (`fastembed.inference.serving.residency.plan`) on the same requests,
and differs in who leaves when room is needed. Time is simulated: a load takes the model's load seconds, an unload none.
Nothing is loaded.
"""

from __future__ import annotations

import argparse
import heapq
import math
import random
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from fastembed.inference.serving.residency.plan import (
    Choose,
    DeviceRoom,
    ResidencyEntry,
    ResidencyPlan,
    ResidencyState,
    cheapest,
)

GIB = 2**30
HOUR_S = 3_600.0
DAY_S = 24 * HOUR_S
MODELS = {  # GiB in memory, seconds to load: chat on an NPU compiles long, embeddings and speech are quick
    "gemma-3n-4b": (5.8, 14.0),
    "gemma-3n-2b": (3.4, 8.0),
    "phi-4-mini on the NPU": (2.9, 35.0),
    "qwen3-8b": (5.2, 11.0),
    "qwen3-0.6b": (0.7, 2.0),
    "granite-docling": (0.9, 4.0),
    "whisper-large-v3-turbo": (1.9, 6.0),
    "whisper-base": (0.3, 0.8),
    "bge-base": (0.25, 0.9),
    "bge-reranker": (0.6, 1.5),
}
ROOMS_GIB = (6, 8, 12, 16)


@dataclass(frozen=True, slots=True, order=True)
class Request:
    """At a time, a model is used for so many seconds."""

    at_s: float
    model: str
    for_s: float


def zipf(dice: random.Random) -> list[Request]:
    """Independent requests for a day, 100 an hour, popularity 1/rank."""
    names = dice.sample(list(MODELS), len(MODELS))
    weights = [1 / rank for rank in range(1, len(names) + 1)]
    requests, now_s = [], 0.0
    while (now_s := now_s + dice.expovariate(100 / HOUR_S)) < DAY_S:
        requests.append(Request(now_s, dice.choices(names, weights)[0], dice.uniform(0.1, 4)))
    return requests


def daily(dice: random.Random) -> list[Request]:
    """Make a week in which each model has its hours, some two hours around one or two times of the day."""
    requests = []
    for name in MODELS:
        peaks = [dice.uniform(0, 24) for _ in range(dice.choice([1, 1, 2]))]
        hourly = dice.choice([5, 15, 40])
        now_s = 0.0
        while (now_s := now_s + dice.expovariate(hourly / HOUR_S)) < 7 * DAY_S:
            hour = now_s / HOUR_S % 24
            away = min(min(abs(hour - peak), 24 - abs(hour - peak)) for peak in peaks)
            if dice.random() < math.exp(-((away / 1.5) ** 2)) + 0.01:
                requests.append(Request(now_s, name, dice.uniform(0.1, 4)))
    return sorted(requests)


def bursts(dice: random.Random) -> list[Request]:
    """Two days of conversations, 3 to 40 requests each some seconds apart, over a murmur of embeddings."""
    requests = []
    names = list(MODELS)
    weights = [dice.uniform(0.2, 2) for _ in names]
    now_s = 0.0
    while (now_s := now_s + dice.expovariate(8 / HOUR_S)) < 2 * DAY_S:
        name, at_s = dice.choices(names, weights)[0], now_s
        for _ in range(dice.randint(3, 40)):
            requests.append(Request(at_s, name, dice.uniform(0.1, 4)))
            at_s += dice.expovariate(1 / 25)
    now_s = 0.0
    while (now_s := now_s + dice.expovariate(20 / HOUR_S)) < 2 * DAY_S:
        requests.append(Request(now_s, "bge-base", 0.1))
    return sorted(requests)


TRACES: dict[str, Callable[[random.Random], list[Request]]] = {"zipf": zipf, "daily": daily, "bursts": bursts}


def filled(ranked: Sequence[ResidencyEntry], lacking: int) -> list[ResidencyEntry]:
    """Take from the front until there is enough."""
    taken: list[ResidencyEntry] = []
    for entry in ranked:
        if lacking <= 0:
            break
        taken.append(entry)
        lacking -= entry.bytes
    return taken


def lru(idle: Sequence[ResidencyEntry], lacking: int, _now_s: float) -> Sequence[ResidencyEntry]:
    """Have the one leave that was unused for longest."""
    return filled(sorted(idle, key=lambda entry: entry.use.last_s or 0.0), lacking)


class GreedyDual:
    """GDSF as published: the clock at the last use + uses since the load * seconds / bytes; victims set the clock."""

    def __init__(self) -> None:
        self.clock = 0.0
        self.uses: dict[str, int] = {}
        self.values: dict[str, float] = {}

    def used(self, entry: ResidencyEntry, *, loaded: bool) -> None:
        """Note a use."""
        name = entry.key[0]
        self.uses[name] = self.uses.get(name, 0) + 1 if loaded else 1
        self.values[name] = self.clock + self.uses[name] * entry.load_s / (entry.bytes / GIB)

    def __call__(self, idle: Sequence[ResidencyEntry], lacking: int, _now_s: float) -> Sequence[ResidencyEntry]:
        """Have those of the lowest value leave."""
        victims = filled(sorted(idle, key=lambda entry: self.values[entry.key[0]]), lacking)
        self.clock = max([self.clock, *(self.values[entry.key[0]] for entry in victims)])
        return victims


class Foresight:
    """Whoever costs least a second until its next use, which only a simulation knows: what a rule could reach."""

    def __init__(self, requests: Sequence[Request]) -> None:
        self.times: dict[str, list[float]] = {}
        for request in reversed(requests):
            self.times.setdefault(request.model, []).append(request.at_s)

    def __call__(self, idle: Sequence[ResidencyEntry], lacking: int, now_s: float) -> Sequence[ResidencyEntry]:
        """Have those leave whose next use is far off, cheap, or never."""

        def value(entry: ResidencyEntry) -> float:
            times = self.times.get(entry.key[0], [])
            while times and times[-1] <= now_s:
                times.pop()
            return entry.load_s / (entry.bytes * (times[-1] - now_s)) if times else 0.0

        return filled(sorted(idle, key=value), lacking)


@dataclass
class Run:
    """A trace through a plan: requests that wait, loads under way, and what it cost."""

    plan: ResidencyPlan
    keep_alive_s: float | None
    greedy: GreedyDual | None = None
    load_s: float = 0.0
    hits: int = 0
    waited_s: float = 0.0
    _events: list[tuple[float, int, str, ResidencyEntry, Request | None]] = field(default_factory=list)
    _waiting: dict[ResidencyEntry, list[Request]] = field(default_factory=dict)
    _number: int = 0

    def requests(self, requests: Sequence[Request]) -> Run:
        """Run them all."""
        for request in requests:
            self._at(request.at_s, "ask", self._entry(request.model), request)
        while self._events:
            now_s, _, what, entry, request = heapq.heappop(self._events)
            for idle in self.plan.idle(now_s):
                self.plan.gone(idle)
            if what == "ask" and request:
                self._ask(entry, request, now_s)
            elif what == "loaded":
                self.plan.loaded(entry, size=entry.bytes, load_s=entry.load_s)
                for waiter in self._waiting.pop(entry):
                    self._use(entry, waiter, now_s)
            elif what == "end":
                entry.users -= 1
                entry.use.last_s = now_s
            self._step(now_s)
        return self

    def _ask(self, entry: ResidencyEntry, request: Request, now_s: float) -> None:
        loaded = entry.state is ResidencyState.LOADED and not entry.closing
        entry.use.add(now_s)
        if self.greedy:
            self.greedy.used(entry, loaded=loaded)
        if loaded:
            self.hits += 1
            entry.users += 1
            self._use(entry, request, now_s)
        elif entry.closing:
            self._at(now_s + 0.5, "ask", entry, request)
        else:
            entry.users += 1
            self._waiting.setdefault(entry, []).append(request)
            self.plan.want(entry, now_s)

    def _use(self, entry: ResidencyEntry, request: Request, now_s: float) -> None:
        self.waited_s += now_s - request.at_s
        self._at(now_s + request.for_s, "end", entry, request)

    def _step(self, now_s: float) -> None:
        while orders := self.plan.step(now_s):
            for order in orders:
                if order.do == "unload":
                    self.plan.gone(order.entry)
                elif order.do == "load":
                    self.load_s += order.entry.load_s
                    self._at(now_s + order.entry.load_s, "loaded", order.entry, None)
        if self.plan.waits() and (due_s := self.plan.next_s(now_s)) is not None:
            self._at(now_s + due_s + 1e-6, "step", next(iter(self.plan.entries.values())), None)

    def _entry(self, name: str) -> ResidencyEntry:
        entry = self.plan.entry((name, "NPU"))
        gib, entry.load_s = MODELS[name]
        entry.bytes, entry.keep_alive_s = int(gib * GIB), self.keep_alive_s
        return entry

    def _at(self, at_s: float, what: str, entry: ResidencyEntry, request: Request | None) -> None:
        self._number += 1
        heapq.heappush(self._events, (at_s, self._number, what, entry, request))


def run(rule: str, requests: Sequence[Request], room_gib: float) -> Run:
    """Run a trace under a rule."""
    greedy = GreedyDual() if rule == "GDSF" else None
    choose: dict[str, Choose | None] = {"planner": cheapest, "GDSF": greedy, "foresight": Foresight(requests)}
    keep_alive_s = 300.0 if rule == "keep-alive 5 m" else None
    plan = ResidencyPlan(lambda _: DeviceRoom(int(room_gib * GIB)), choose=choose.get(rule, lru))
    return Run(plan, keep_alive_s, greedy).requests(requests)


RULES = ("planner", "LRU", "keep-alive 5 m", "GDSF", "foresight")


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=12)
    seeds = range(parser.parse_args().seeds)
    print(f"load-seconds an hour (standard deviation) and hits, means of {len(seeds)} seeds; wins of the planner")
    print("trace   GiB" + "".join(f"{rule:>20}" for rule in RULES) + "   than LRU, GDSF")
    for trace, make in TRACES.items():
        traces = [make(random.Random(seed)) for seed in seeds]  # noqa: S311 - a simulation
        for room in ROOMS_GIB:
            runs = {rule: [run(rule, requests, room) for requests in traces] for rule in RULES}
            cells = "".join(cell(runs[rule], traces) for rule in RULES)
            print(f"{trace:<8}{room:>3}{cells}   {wins(runs, 'LRU')}, {wins(runs, 'GDSF')}", flush=True)


def cell(runs: Sequence[Run], traces: Sequence[Sequence[Request]]) -> str:
    """Return mean and spread of the load-seconds an hour, and the mean share of hits."""
    loads = [one.load_s / (requests[-1].at_s / HOUR_S) for one, requests in zip(runs, traces, strict=True)]
    hits = [100 * one.hits / len(requests) for one, requests in zip(runs, traces, strict=True)]
    return f"{statistics.mean(loads):7.0f} ({statistics.stdev(loads):3.0f}) {statistics.mean(hits):4.1f}%"


def wins(runs: dict[str, list[Run]], other: str) -> str:
    """Return on how many of the traces the planner loads for fewer seconds."""
    pairs = list(zip(runs["planner"], runs[other], strict=True))
    return f"{sum(ours.load_s < theirs.load_s for ours, theirs in pairs)}/{len(pairs)}"


if __name__ == "__main__":
    main()
