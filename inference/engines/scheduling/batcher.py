"""Which waiting inputs share the next model call: a pure state machine, with the time as an argument.

Theory of operation
-------------------
A transformer's cost grows with the padded size of a batch (longest input x inputs), and each call has a fixed price.
On a CPU the gain of batching is over at a few hundred tokens, while a batch of mixed lengths computes mostly padding.
So:

- Waiting entries stand in two indexes: a heap by *due* time (who is next), a list sorted by cost (who fits together).
- The entry due first leads the next batch. Its nearest neighbours in length join while the padded size stays within the
  budget and no entry is padded by more than `slack` tokens or a quarter of the batch's length.
- A batch holds no more than is expected to run for `longest_s`, by what its kind took before: others wait meanwhile.
- When there is less work than free slots could take, it is shared between them instead of filling one batch.
- due = min(deadline, submitted + patience) - priority x head start: priority first, then the deadline, then age. Being
  a fixed number, it starves no entry: one that comes later than patience + (priority difference) x head start is
  served later.
- A batch that fails is split in halves which run next, until the entry at fault stands alone and fails alone.
"""

from __future__ import annotations

import heapq
import itertools
import math
from bisect import bisect_left, insort
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Final, Generic, TypeVar

from fastembed.inference.engines.scheduling.cost import CostModel
from fastembed.pipeline.errors import Overloaded, Unavailable

P = TypeVar("P")

_MAX_PRIORITY: Final = 10  # either way: 50 s of head start at most, so that an absurd number starves no entry
_INSORT_BELOW: Final = 16  # from here one sort of the whole list, which is sorted but for its end, is cheaper
_NEWEST_WEIGHT: Final = 0.1  # in the rate behind the ETA of a 429: the last ten batches count


@dataclass(frozen=True, slots=True)
class BatchLimits:
    """What a batcher may do. Costs are tokens; times are seconds.

    batch_cost: padded size of one batch. batch_items: entries of one batch. in_flight: batches at the model at once.
    queue_items, queue_cost: what may wait; a submission to an empty queue is never refused. linger_s: how long an
    underfull batch waits while another one runs. share_cost: work below this is not split between free slots.
    longest_s: how long a batch may take, as far as its size decides that.
    slack, slack_ratio: how much an entry may be padded, in tokens or as a part of the batch's length.
    patience_s: the implied deadline of entries without one. head_start_s: what one level of priority is worth.
    """

    batch_cost: int = 512
    batch_items: int = 64
    in_flight: int = 2
    queue_items: int = 8192
    queue_cost: int = 262_144
    linger_s: float = 0.0
    share_cost: int = 64
    longest_s: float = 0.25
    slack: int = 16
    slack_ratio: float = 0.25
    patience_s: float = 1.0
    head_start_s: float = 5.0


class QueueState(Enum):
    """Where an entry is. The last four are final."""

    WAITING = auto()
    RUNNING = auto()
    DONE = auto()
    FAILED = auto()
    CANCELLED = auto()
    EXPIRED = auto()


@dataclass(slots=True, eq=False)
class QueueEntry(Generic[P]):
    """One input on its way through the model."""

    payload: P
    cost: int
    due: float
    deadline: float | None
    max_batch: int
    order: int
    submitted: float
    state: QueueState = QueueState.WAITING


@dataclass(slots=True, eq=False)
class ModelBatch(Generic[P]):
    """Entries that run together; `size` is its padded cost."""

    entries: list[QueueEntry[P]]
    started: float = 0.0
    longest: int = field(init=False)
    size: int = field(init=False)

    def __post_init__(self) -> None:
        """Work out the padded size."""
        self.longest = max(entry.cost for entry in self.entries)
        self.size = len(self.entries) * self.longest


class Batcher(Generic[P]):
    """Queue and batch former of one model. The caller runs what `take` gives and reports with `complete` or `fail`."""

    def __init__(self, limits: BatchLimits | None = None) -> None:
        """Start empty."""
        self.limits = limits or BatchLimits()
        self.in_flight = 0
        self.waiting_items = 0
        self.waiting_cost = 0
        # Invariants. `_by_cost` holds exactly the waiting entries: it forms batches, and must not propose a dead one.
        # The two heaps may hold dead entries besides, which are dropped when they surface: cancelling stays O(log n).
        # `waiting_items` and `waiting_cost` are the sums over `_by_cost`. What is in `_again` is RUNNING, not waiting:
        # it has had its turn, holds no place in the queue, and cannot expire.
        self._by_due: list[tuple[float, int, QueueEntry[P]]] = []
        self._by_cost: list[tuple[int, int, QueueEntry[P]]] = []
        self._by_deadline: list[tuple[float, int, QueueEntry[P]]] = []
        self._again: deque[ModelBatch[P]] = deque()
        self._orders = itertools.count()
        self._seconds_per_cost: float | None = None
        self._took = CostModel()
        self._closed = False

    def submit(
        self,
        payloads: Sequence[P],
        costs: Sequence[int],
        now: float,
        *,
        priority: int = 0,
        deadline: float | None = None,
        max_batch: int | None = None,
    ) -> list[QueueEntry[P]]:
        """Queue all of these or none. Raises Overloaded with the time it takes to serve what waits, or Unavailable."""
        self._admit(len(payloads), sum(costs))
        implied = now + self.limits.patience_s
        head_start = max(-_MAX_PRIORITY, min(_MAX_PRIORITY, priority)) * self.limits.head_start_s
        due = (implied if deadline is None else min(implied, deadline)) - head_start
        alone = max_batch or self.limits.batch_items
        entries = [
            QueueEntry(payload, max(1, cost), due, deadline, alone, next(self._orders), now)
            for payload, cost in zip(payloads, costs, strict=True)
        ]
        self._index(entries)
        return entries

    def take(self, now: float) -> ModelBatch[P] | None:
        """Return what to run now, or None: no free slot, nothing waits, or it is worth waiting for company."""
        if self.in_flight >= self.limits.in_flight:
            return None
        batch = self._retried() or self._formed(now)
        if batch is None:
            return None
        batch.started = now
        self.in_flight += 1
        for entry in batch.entries:
            entry.state = QueueState.RUNNING
        return batch

    def complete(self, batch: ModelBatch[P], now: float) -> list[QueueEntry[P]]:
        """Take the batch's results; return the entries that still want theirs."""
        self.in_flight -= 1
        self._took.learn(batch.size, batch.longest, now - batch.started)
        per_cost = (now - batch.started) / batch.size
        known = self._seconds_per_cost
        self._seconds_per_cost = per_cost if known is None else known + _NEWEST_WEIGHT * (per_cost - known)
        done = [entry for entry in batch.entries if entry.state is QueueState.RUNNING]
        for entry in done:
            entry.state = QueueState.DONE
        return done

    def fail(self, batch: ModelBatch[P]) -> list[QueueEntry[P]]:
        """Split a failed batch in halves that run next; return the entries that failed alone, for good."""
        # An entry fails only after it failed alone: one whose companions were cancelled meanwhile runs once more by
        # itself, since they may have been at fault. A bad entry among n costs about 2 log2(n) calls.
        self.in_flight -= 1
        left = [entry for entry in batch.entries if entry.state is QueueState.RUNNING]
        if len(left) == 1 == len(batch.entries):
            left[0].state = QueueState.FAILED
            return left
        middle = (len(left) + 1) // 2
        self._again.extend(ModelBatch(half) for half in (left[:middle], left[middle:]) if half)
        return []

    def cancel(self, entry: QueueEntry[P]) -> None:
        """Free the entry's place; its result, if it is being computed, is dropped. Final entries stay as they are."""
        # A running call cannot be interrupted, and its other entries want their results: only this result is dropped.
        if entry.state is QueueState.WAITING:
            self._unindex(entry)
            entry.state = QueueState.CANCELLED
        elif entry.state is QueueState.RUNNING:
            entry.state = QueueState.CANCELLED

    def expire(self, now: float) -> list[QueueEntry[P]]:
        """Take out the waiting entries whose deadline has passed."""
        late: list[QueueEntry[P]] = []
        heap = self._by_deadline
        while heap and (heap[0][0] <= now or heap[0][2].state is not QueueState.WAITING):
            entry = heapq.heappop(heap)[2]
            if entry.state is QueueState.WAITING:
                self._unindex(entry)
                entry.state = QueueState.EXPIRED
                late.append(entry)
        return late

    def wake_at(self, now: float) -> float | None:
        """When to call `expire` and `take` again although nothing else happened; None: never."""
        times = [self._by_deadline[0][0]] if self._by_deadline else []
        if self.waiting_items and self.in_flight < self.limits.in_flight:
            times.append(self._leader().submitted + self.limits.linger_s)
        return max(now, min(times)) if times else None

    def eta_s(self) -> float:
        """Seconds to serve everything that waits, at the measured rate; 1 before anything was measured."""
        if self._seconds_per_cost is None:
            return 1.0
        return self.waiting_cost * self._seconds_per_cost / self.limits.in_flight

    def close(self) -> None:
        """Admit nothing more; what waits is still served."""
        self._closed = True

    @property
    def idle(self) -> bool:
        """Whether nothing waits and nothing runs."""
        return not (self.waiting_items or self.in_flight or self._again)

    def _admit(self, items: int, cost: int) -> None:
        if self._closed:
            raise Unavailable("the model is closing and takes no new inputs")
        # An empty queue takes any submission: one that is larger than the whole queue would else never be served.
        limits = self.limits
        if self.waiting_items and (
            self.waiting_items + items > limits.queue_items or self.waiting_cost + cost > limits.queue_cost
        ):
            raise Overloaded(
                f"found {self.waiting_items} inputs of {self.waiting_cost} tokens waiting and {items} more of {cost}, "
                f"expected at most {limits.queue_items} of {limits.queue_cost}",
                retry_after_s=max(1.0, math.ceil(self.eta_s())),
            )

    def _index(self, entries: list[QueueEntry[P]]) -> None:
        self.waiting_items += len(entries)
        self.waiting_cost += sum(entry.cost for entry in entries)
        for entry in entries:
            heapq.heappush(self._by_due, (entry.due, entry.order, entry))
            if entry.deadline is not None:
                heapq.heappush(self._by_deadline, (entry.deadline, entry.order, entry))
        keyed = [(entry.cost, entry.order, entry) for entry in entries]
        if len(keyed) < _INSORT_BELOW:
            for key in keyed:
                insort(self._by_cost, key)
        else:
            self._by_cost.extend(keyed)
            self._by_cost.sort()

    def _unindex(self, entry: QueueEntry[P]) -> None:
        """Take one waiting entry out; the heaps drop theirs when it surfaces, or when most of them are dead."""
        del self._by_cost[bisect_left(self._by_cost, (entry.cost, entry.order))]
        self.waiting_items -= 1
        self.waiting_cost -= entry.cost
        if len(self._by_due) > 2 * self.waiting_items + 64:
            self._by_due = [key for key in self._by_due if key[2].state is QueueState.WAITING and key[2] is not entry]
            heapq.heapify(self._by_due)
            self._by_deadline = [key for key in self._by_deadline if key[2].state is QueueState.WAITING]
            heapq.heapify(self._by_deadline)

    def _retried(self) -> ModelBatch[P] | None:
        while self._again:
            left = [entry for entry in self._again.popleft().entries if entry.state is QueueState.RUNNING]
            if left:
                return ModelBatch(left)
        return None

    def _leader(self) -> QueueEntry[P]:
        while self._by_due[0][2].state is not QueueState.WAITING:
            heapq.heappop(self._by_due)
        return self._by_due[0][2]

    def _formed(self, now: float) -> ModelBatch[P] | None:
        if not self.waiting_items:
            return None
        # Three bounds on the batch, the tightest counts: the configured budget, what runs for `longest_s` by
        # measurement (a call blocks the next one), and an equal share of the work for each free slot.
        leader = self._leader()
        most = self._took.most(self.limits.longest_s, leader.cost)
        budget = self.limits.batch_cost if most is None else min(self.limits.batch_cost, most)
        # Only while another batch runs: an idle engine never waits for company.
        lingers = self.in_flight and self.waiting_cost < budget and now < leader.submitted + self.limits.linger_s
        if lingers:
            return None
        free = self.limits.in_flight - self.in_flight
        share = max(self.limits.share_cost, math.ceil(self.waiting_cost / free))
        low, high = self._window(leader, min(budget, share))
        batch = ModelBatch([key[2] for key in self._by_cost[low:high]])
        del self._by_cost[low:high]
        self.waiting_items -= len(batch.entries)
        self.waiting_cost -= sum(entry.cost for entry in batch.entries)
        return batch

    def _window(self, leader: QueueEntry[P], budget: int) -> tuple[int, int]:
        """Return the slice of `_by_cost` around the leader that makes the batch: nearest lengths first."""
        # Greedy from the leader outwards. The padded size is (longest in the window) x (entries), so a neighbour above
        # raises the price of all, one below only adds itself; both are judged by `_fits` with the window they would
        # make.
        queue = self._by_cost
        low = bisect_left(queue, (leader.cost, leader.order))  # the prefix sorts just before the entry's own key
        high = low + 1
        most = min(self.limits.batch_items, leader.max_batch)
        while high - low < most:
            below = queue[low - 1][2] if low and self._fits(queue, low - 1, high, budget) else None
            above = queue[high][2] if high < len(queue) and self._fits(queue, low, high + 1, budget) else None
            if below and (not above or leader.cost - below.cost < above.cost - leader.cost):
                low, most = low - 1, min(most, below.max_batch)
            elif above:
                high, most = high + 1, min(most, above.max_batch)
            else:
                break
        return low, high

    def _fits(self, queue: list[tuple[int, int, QueueEntry[P]]], low: int, high: int, budget: int) -> bool:
        longest, shortest, count = queue[high - 1][0], queue[low][0], high - low
        padding_allowed = max(self.limits.slack, self.limits.slack_ratio * longest)
        newest_allows = count <= min(queue[low][2].max_batch, queue[high - 1][2].max_batch)
        return newest_allows and longest * count <= budget and longest - shortest <= padding_allowed
