"""Which models are in memory: decided without loading any."""

import pytest

from fastembed.inference.serving.residency.plan import PATIENCE_S, DeviceRoom, ResidencyPlan, ResidencyState


class Machine:
    """A plan with one device, on which loads and unloads take no time but when they are held back."""

    def __init__(self, room, *, firm=True):
        self.plan = ResidencyPlan(lambda _: None if room is None else DeviceRoom(room, firm))
        self.now_s = 1_000.0
        self.done = []
        self.held = None

    def model(self, name, size, *, load_s=1.0, device="CPU", **options):
        entry = self.plan.entry((name, device))
        entry.bytes, entry.load_s = size, load_s
        for key, value in options.items():
            setattr(entry, key, value)
        return entry

    def want(self, entry, **options):
        entry.users += 1
        self.plan.want(entry, self.now_s, **options)
        self.step()

    def use(self, *entries, times=1):
        """Want, and give back at once."""
        for entry in entries:
            for _ in range(times):
                entry.use.add(self.now_s)
            self.want(entry)
            self.leave(entry)

    def leave(self, entry):
        entry.users -= 1
        entry.use.last_s = self.now_s
        self.step()

    def step(self):
        while orders := self.plan.step(self.now_s):
            for order in orders:
                self.done.append((order.do, order.entry.key[0]))
                if self.held is not None:
                    self.held.append(order)
                elif order.do == "load":
                    self.plan.loaded(order.entry, size=order.entry.bytes, load_s=order.entry.load_s)
                elif order.do == "unload":
                    self.plan.gone(order.entry)

    def loaded(self):
        return sorted(key[0] for key, entry in self.plan.entries.items() if entry.state is ResidencyState.LOADED)


def test_what_fits_is_loaded_and_stays():
    machine = Machine(10)
    a, b = machine.model("a", 5), machine.model("b", 5)
    machine.use(a, b, a, b)
    assert machine.done == [("load", "a"), ("load", "b")]


def test_without_a_limit_nothing_leaves():
    machine = Machine(None)
    machine.use(*(machine.model(name, 10**12) for name in "abc"))
    assert machine.loaded() == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("kept", "other", "uses", "why"),
    [
        ({}, {}, (5, 1), "frequency"),
        ({"load_s": 9.0}, {"load_s": 1.0}, (1, 1), "load cost"),
    ],
)
def test_what_costs_least_to_miss_leaves(kept, other, uses, why):
    machine = Machine(10)
    a, b, c = machine.model("a", 5, **kept), machine.model("b", 5, **other), machine.model("c", 5)
    machine.use(a, times=uses[0])
    machine.use(b, times=uses[1])
    machine.use(c)
    assert machine.loaded() == ["a", "c"], why


def test_of_two_that_are_used_as_often_the_one_unused_for_longer_leaves():
    machine = Machine(10)
    a, b, c = (machine.model(name, 5) for name in "abc")
    machine.use(a)
    machine.now_s += 60
    machine.use(b)
    machine.use(c)
    assert machine.loaded() == ["b", "c"]


def test_the_cheapest_set_leaves_not_the_cheapest_byte():
    """A small cheap one and a large dear one: both would go in order of value a byte, the large one alone is enough."""
    machine = Machine(10)
    small, large, new = machine.model("small", 2, load_s=1.0), machine.model("large", 8, load_s=5.0), None
    machine.use(small, large)
    new = machine.model("new", 8)
    machine.use(new)
    assert machine.loaded() == ["new", "small"]


def test_frequency_outlives_an_absence():
    machine = Machine(10)
    a, b, c = (machine.model(name, 5) for name in "abc")
    machine.use(a, times=20)
    machine.use(b, c)
    assert machine.loaded() == ["a", "c"]
    machine.plan.gone(a)
    machine.now_s += 5
    machine.use(a, b)
    assert machine.loaded() == ["a", "b"]


def test_models_in_use_are_waited_for():
    machine = Machine(10)
    a, b = machine.model("a", 8), machine.model("b", 8)
    assert machine.plan.outlook(b, machine.now_s) == "free"
    machine.want(a)
    assert machine.plan.outlook(b, machine.now_s) == "wait"
    machine.want(b)
    assert machine.loaded() == ["a"]
    machine.leave(a)
    assert machine.loaded() == ["b"]
    machine.leave(b)
    assert machine.plan.outlook(a, machine.now_s) == "swap"


def test_pinned_models_stay_and_what_does_not_fit_beside_them_is_refused():
    machine = Machine(10)
    a, b = machine.model("a", 8, pinned=True), machine.model("b", 8)
    machine.use(a)
    assert machine.plan.outlook(b, machine.now_s) == "never"
    machine.plan.want(b, machine.now_s)
    [order] = machine.plan.step(machine.now_s)
    assert (order.do, order.entry) == ("refuse", b)
    assert "expected a model that fits into 0 MiB on CPU beside the pinned a" in order.why


def test_a_model_larger_than_a_declared_limit_is_refused_and_tried_where_the_limit_is_an_estimate():
    machine = Machine(10)
    machine.want(machine.model("huge", 11))
    assert machine.done == [("refuse", "huge")]
    machine = Machine(10, firm=False)
    machine.use(machine.model("a", 5))
    machine.want(machine.model("huge", 11))
    assert machine.loaded() == ["huge"]


def test_loads_under_way_hold_their_room():
    machine = Machine(10)
    a, b = machine.model("a", 6), machine.model("b", 6)
    machine.held = []
    machine.want(a)
    machine.want(b)
    assert machine.done == [("load", "a")]
    machine.plan.loaded(a, size=6, load_s=1.0)
    machine.leave(a)
    assert machine.done == [("load", "a"), ("unload", "a")]
    assert machine.plan.taken("CPU") == 6  # until the unload has ended
    machine.plan.gone(a)
    machine.step()
    assert machine.done[-1] == ("load", "b")


def test_a_small_model_passes_one_that_waits_until_its_patience_ends():
    machine = Machine(10)
    a, big, one, two = machine.model("a", 6), machine.model("big", 9), machine.model("one", 2), machine.model("two", 2)
    machine.want(a)
    machine.want(big)
    machine.want(one)
    assert machine.loaded() == ["a", "one"]
    machine.now_s += PATIENCE_S
    machine.want(two)
    assert machine.loaded() == ["a", "one"]


def test_after_its_patience_those_in_the_way_end_and_then_leave():
    machine = Machine(10)
    a, b = machine.model("a", 8), machine.model("b", 8)
    machine.want(a)
    machine.want(b)
    assert not a.closing
    assert machine.plan.next_s(machine.now_s) == PATIENCE_S
    machine.now_s += PATIENCE_S
    machine.step()
    assert a.closing
    assert machine.loaded() == ["a"]
    machine.leave(a)
    assert machine.loaded() == ["b"]


def test_whoever_gives_up_waiting_spares_those_in_the_way():
    machine = Machine(10)
    a, b = machine.model("a", 8), machine.model("b", 8)
    machine.want(a)
    machine.want(b)
    machine.now_s += PATIENCE_S
    machine.step()
    b.users -= 1
    machine.plan.withdraw(b)
    machine.step()
    assert not a.closing


def test_the_line_is_ordered_by_priority_and_waiting_makes_up_for_it():
    machine = Machine(10)
    a, low, high = machine.model("a", 8), machine.model("low", 8), machine.model("high", 8)
    machine.want(a)
    machine.want(low)
    machine.now_s += 1
    machine.want(high, priority=1)
    machine.leave(a)
    assert machine.loaded() == ["high"]
    machine.now_s += 30
    machine.want(a, priority=1)
    machine.leave(high)
    assert machine.loaded() == ["low"]


def test_what_turns_out_larger_than_expected_drives_out_what_is_idle():
    machine = Machine(10)
    a, b = machine.model("a", 5), machine.model("b", 5)
    machine.use(a)
    machine.held = []
    machine.want(b)
    machine.held = None
    machine.plan.loaded(b, size=7, load_s=1.0)
    machine.step()
    assert machine.loaded() == ["b"]


def test_idle_models_leave_when_they_have_been_kept_long_enough():
    machine = Machine(None)
    a, b = machine.model("a", 5, keep_alive_s=60.0), machine.model("b", 5)
    c, d = machine.model("c", 5, keep_alive_s=60.0), machine.model("d", 5, keep_alive_s=60.0, pinned=True)
    machine.use(a, b, d)
    machine.want(c)
    assert machine.plan.next_s(machine.now_s) == 60
    machine.now_s += 59
    assert machine.plan.idle(machine.now_s) == []
    machine.now_s += 1
    assert machine.plan.idle(machine.now_s) == [a]
    assert a.state is ResidencyState.LEAVING


def test_devices_do_not_share_their_memory():
    machine = Machine(10)
    machine.use(machine.model("a", 8), machine.model("a", 8, device="NPU"))
    assert machine.done == [("load", "a"), ("load", "a")]


def test_the_memory_of_absent_models_is_bounded():
    machine = Machine(10)
    machine.use(machine.model("first", 8))
    for number in range(1_200):
        machine.model(f"m{number}", 8)
    assert len(machine.plan.entries) <= 1_001
    assert machine.loaded() == ["first"]


def test_a_model_that_can_use_more_than_it_needs_gets_half_of_what_is_left_and_keeps_it():
    machine = Machine(100)
    a, b = machine.model("a", 20, least=20, most=500), machine.model("b", 20, least=20, most=25)
    machine.use(a)
    assert (a.bytes, machine.plan.taken("CPU")) == (60, 60)
    machine.use(b)
    assert (b.bytes, machine.plan.taken("CPU")) == (25, 85)
    machine.use(a)
    assert a.bytes == 60


def test_nobody_leaves_for_more_than_is_needed():
    machine = Machine(100)
    a, b = machine.model("a", 50), machine.model("b", 40, least=40, most=100)
    machine.use(a, b)
    assert machine.loaded() == ["a", "b"]
    assert b.bytes == 45


def test_without_a_limit_a_model_gets_all_that_it_can_use():
    machine = Machine(None)
    a = machine.model("a", 20, least=20, most=500)
    machine.use(a)
    assert a.bytes == 500


def test_who_passes_another_gets_what_it_needs_and_no_more():
    machine = Machine(100)
    a, b, c = machine.model("a", 60), machine.model("b", 50), machine.model("c", 10, least=10, most=40)
    machine.want(a)
    machine.want(b)
    machine.want(c)
    assert machine.loaded() == ["a", "c"]
    assert c.bytes == 10


def test_what_was_given_beyond_the_need_is_not_needed_the_next_time():
    machine = Machine(100)
    a, b = machine.model("a", 20, least=20, most=500), machine.model("b", 50)
    machine.use(a)
    machine.use(b)
    assert machine.loaded() == ["b"]
    machine.use(a)
    assert machine.loaded() == ["a", "b"]
    assert a.bytes == 35
