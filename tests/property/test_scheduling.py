"""Whatever arrives, leaves, fails and expires: what the batcher promises."""

import math

from hypothesis import given, settings
from hypothesis import strategies as st

from fastembed.inference.engines.scheduling.batcher import Batcher, BatchLimits, QueueState

COSTS = st.integers(1, 300)
LIMITS = st.builds(
    BatchLimits,
    batch_cost=st.sampled_from([64, 256, 512]),
    batch_items=st.sampled_from([1, 4, 64]),
    in_flight=st.integers(1, 3),
    linger_s=st.sampled_from([0.0, 0.5]),
    queue_items=st.just(10_000),
    queue_cost=st.just(10_000_000),
)
SUBMIT = st.tuples(
    st.just("submit"),
    st.lists(COSTS, min_size=1, max_size=20),
    st.integers(-2, 2),
    st.none() | st.floats(0.1, 5.0),
    st.none() | st.integers(1, 4),
)
EVENTS = st.lists(
    st.one_of(
        SUBMIT,
        st.tuples(st.just("take")),
        st.tuples(st.just("complete"), st.integers(0, 2)),
        st.tuples(st.just("fail"), st.integers(0, 2)),
        st.tuples(st.just("cancel"), st.integers(0, 400)),
        st.tuples(st.just("expire")),
    ),
    max_size=60,
)


class Run:
    """Plays events against a batcher; counts how each entry ends."""

    def __init__(self, limits):
        self.batcher = Batcher(limits)
        self.limits = limits
        self.now = 0.0
        self.entries = []
        self.running = []
        self.ends = {}

    def submit(self, costs, priority, within_s, max_batch):
        deadline = None if within_s is None else self.now + within_s
        self.entries += self.batcher.submit(
            costs, costs, self.now, priority=priority, deadline=deadline, max_batch=max_batch
        )

    def take(self):
        batch = self.batcher.take(self.now)
        if batch is None:
            return
        self.check(batch)
        self.running.append(batch)

    def check(self, batch):
        longest = max(entry.cost for entry in batch.entries)
        shortest = min(entry.cost for entry in batch.entries)
        assert len(batch.entries) == 1 or batch.size <= self.limits.batch_cost
        assert len(batch.entries) <= min(self.limits.batch_items, *(entry.max_batch for entry in batch.entries))
        assert longest - shortest <= max(self.limits.slack, self.limits.slack_ratio * longest)
        assert all(entry.state is QueueState.RUNNING for entry in batch.entries)
        assert self.batcher.in_flight <= self.limits.in_flight

    def complete(self, index):
        if self.running:
            batch = self.running.pop(index % len(self.running))
            self.ended(self.batcher.complete(batch, self.now), QueueState.DONE)

    def fail(self, index):
        if self.running:
            batch = self.running.pop(index % len(self.running))
            self.ended(self.batcher.fail(batch), QueueState.FAILED)

    def cancel(self, index):
        if self.entries:
            entry = self.entries[index % len(self.entries)]
            before = entry.state
            self.batcher.cancel(entry)
            if before in (QueueState.WAITING, QueueState.RUNNING):
                self.ended([entry], QueueState.CANCELLED)

    def expire(self):
        self.ended(self.batcher.expire(self.now), QueueState.EXPIRED)

    def ended(self, entries, state):
        for entry in entries:
            assert entry not in self.ends
            assert entry.state is state
            self.ends[entry] = state

    def drain(self):
        for _ in range(10_000):
            self.now += 0.5
            self.take()
            if not self.running and self.batcher.idle:
                return
            self.complete(0)
        raise AssertionError("the batcher never became idle")


@settings(max_examples=300, deadline=None)
@given(limits=LIMITS, events=EVENTS)
def test_every_entry_ends_exactly_once_and_no_batch_breaks_its_limits(limits, events):
    run = Run(limits)
    for name, *arguments in events:
        run.now += 0.1
        getattr(run, name)(*arguments)
        assert run.batcher.waiting_items == sum(entry.state is QueueState.WAITING for entry in run.entries)
        assert run.batcher.waiting_cost == sum(e.cost for e in run.entries if e.state is QueueState.WAITING)
    run.drain()
    assert set(run.ends) == set(run.entries)


@settings(max_examples=150, deadline=None)
@given(
    arrivals=st.lists(
        st.tuples(COSTS, st.integers(-3, 3), st.floats(0, 2), st.none() | st.floats(0.0, 20.0)), max_size=60
    )
)
def test_nobody_leads_a_batch_before_one_that_is_due_earlier(arrivals):
    """The age bound: who comes later than patience + (priority difference) x head start never overtakes."""
    batcher = Batcher(BatchLimits(in_flight=1, batch_cost=1))
    now, order = 0.0, []
    for cost, priority, pause, within_s in arrivals:
        now += pause
        deadline = None if within_s is None else now + within_s
        [entry] = batcher.submit([priority], [cost], now, priority=priority, deadline=deadline)
        order.append(entry)
    served = []
    while batch := batcher.take(now):
        served += batcher.complete(batch, now)
    limits = batcher.limits
    for place, entry in enumerate(served):
        for later in served[place + 1 :]:
            assert later.due >= entry.due
            gap = limits.patience_s + (entry.payload - later.payload) * limits.head_start_s
            assert entry.submitted <= later.submitted + gap


@settings(max_examples=150, deadline=None)
@given(costs=st.lists(COSTS, min_size=1, max_size=200))
def test_padding_is_bounded_and_far_below_that_of_arrival_order(costs):
    limits = BatchLimits(in_flight=1)
    batcher = Batcher(limits)
    batcher.submit(costs, costs, 0.0)
    computed = 0
    while batch := batcher.take(0.0):
        computed += batch.size
        batcher.complete(batch, 0.0)
    assert computed <= sum(math.floor(max(cost + limits.slack, cost / (1 - limits.slack_ratio))) for cost in costs)
    by_arrival = sum(max(costs[i : i + 32]) * len(costs[i : i + 32]) for i in range(0, len(costs), 32))
    assert computed <= max(by_arrival, sum(costs) + limits.slack * len(costs))
