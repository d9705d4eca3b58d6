"""Whatever happens in whatever order: memory is never over the limit, nothing in use leaves, nobody waits for ever."""

from hypothesis import given
from hypothesis import strategies as st

from fastembed.inference.serving.residency.plan import PATIENCE_S, DeviceRoom, ResidencyPlan, ResidencyState

ROOM = 20
DEVICES = ("CPU", "NPU")
SIZES = st.lists(st.tuples(st.integers(1, 24), st.floats(0.1, 30), st.booleans()), min_size=1, max_size=8)
MOVES = st.lists(
    st.tuples(
        st.sampled_from(["want", "leave", "give up", "end", "fail", "wait"]),
        st.integers(0, 15),
        st.integers(0, 2),
        st.floats(0, 5),
    ),
    max_size=80,
)


class World:
    """Models that are borrowed and given back; work that ends when the test says so."""

    def __init__(self, models):
        self.plan = ResidencyPlan(lambda _: DeviceRoom(ROOM))
        self.now_s = 0.0
        self.entries = []
        pinned = dict.fromkeys(DEVICES, 0)
        for number, (size, load_s, pin) in enumerate(models):
            entry = self.plan.entry((f"m{number}", DEVICES[number % 2]))
            entry.bytes, entry.load_s = size, load_s
            if number % 3 == 0:
                entry.least, entry.most = size, 2 * size
            entry.pinned = pin and pinned[entry.device] + size <= ROOM // 2
            pinned[entry.device] += size if entry.pinned else 0
            self.entries.append(entry)
        self.borrowed = dict.fromkeys(self.entries, 0)
        self.waiting = dict.fromkeys(self.entries, 0)
        self.work = []
        self.refused = set()

    def step(self):
        for order in self.plan.step(self.now_s):
            entry = order.entry
            if order.do == "refuse":
                self.refused.add(entry)
                entry.users -= self.waiting[entry]
                self.waiting[entry] = 0
                continue
            if order.do == "unload":
                assert entry.users == 0
                assert not entry.pinned
            self.work.append(order)
        for device in DEVICES:
            assert self.plan.taken(device) <= ROOM

    def want(self, entry, priority):
        if entry.state is ResidencyState.LOADED and not entry.closing:
            entry.users += 1
            self.borrowed[entry] += 1
            entry.use.add(self.now_s)
        elif entry.state is not ResidencyState.LEAVING and not entry.closing:
            entry.users += 1
            self.waiting[entry] += 1
            self.plan.want(entry, self.now_s, priority=priority)
        self.step()

    def leave(self, entry):
        if self.borrowed[entry]:
            self.borrowed[entry] -= 1
            entry.users -= 1
            entry.use.last_s = self.now_s
            self.step()

    def give_up(self, entry):
        if self.waiting[entry]:
            self.waiting[entry] -= 1
            entry.users -= 1
            if not entry.users:
                self.plan.withdraw(entry)
            self.step()

    def end(self, place, *, well=True):
        if not self.work:
            return
        order = self.work.pop(place % len(self.work))
        entry = order.entry
        if order.do == "load" and well:
            self.plan.loaded(entry, size=entry.bytes, load_s=entry.load_s)
            self.borrowed[entry] += self.waiting[entry]
        else:
            if order.do == "load":
                entry.users -= self.waiting[entry]
            self.plan.gone(entry)
        if order.do == "load":
            self.waiting[entry] = 0
        self.step()

    def move(self, what, place, priority, seconds):
        entry = self.entries[place % len(self.entries)]
        match what:
            case "want":
                self.want(entry, priority)
            case "leave":
                self.leave(entry)
            case "give up":
                self.give_up(entry)
            case "end" | "fail":
                self.end(place, well=what == "end")
            case _:
                self.now_s += seconds
                self.step()


@given(SIZES, MOVES)
def test_whatever_happens_the_plan_keeps_its_promises(models, moves):
    world = World(models)
    for move in moves:
        world.move(*move)
    # Nobody waits for ever, if only everybody who has something gives it back in the end.
    for _ in range(4 * len(world.entries)):
        while world.work:
            world.end(0)
        for entry in world.entries:
            while world.borrowed[entry]:
                world.leave(entry)
        world.now_s += PATIENCE_S
        world.step()
    assert not world.plan.waits()
    assert all(entry.bytes > ROOM // 2 for entry in world.refused)


@given(st.integers(0, 1_000))
def test_overlapping_uses_of_one_model_do_not_keep_another_out(seed):
    """A new user of the first always comes before the last one leaves."""
    world = World([(15, 1.0, False), (1, 1.0, False), (15, 1.0, False)])
    hot, _, other = world.entries
    world.want(hot, 2)
    world.end(0)
    world.want(other, 0)
    for second in range(2 * int(PATIENCE_S) + 4):
        world.now_s += 1 + (seed % 7) / 10
        world.want(hot, 2)
        world.leave(hot)
        while world.work:
            world.end(0)
        if other.state is ResidencyState.LOADED:
            assert second >= PATIENCE_S / 2 - 1
            return
    raise AssertionError((hot, other))
