"""Whatever happens to a folder, its files end up in the sink once a content, and nothing else does."""

from dataclasses import dataclass, field, replace

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from fastembed.pipeline.ledger import Entry
from fastembed.sources.watching.files import Cancel, Emission, Forget, Record, Rename, Stamp
from fastembed.sources.watching.tracker import Tracker

SETTLE_S = 2.0
NAMES = st.sampled_from(["a", "b", "c", "x/1", "x/2"])
CONTENTS = st.sampled_from(["p", "q", "rr", "bad", "skip"])  # p and q have one size; bad fails, skip is filtered
SIZES = {"p": 1, "q": 1, "rr": 2, "bad": 3, "skip": 4}


@dataclass
class Database:
    """What survives a crash: the ledger, and the content of each name's rows."""

    ledger: dict[str, Entry] = field(default_factory=dict)
    rows: dict[str, str] = field(default_factory=dict)

    def commit(self, entry: Entry) -> None:
        self.ledger[entry.name] = entry
        self.rows[entry.name] = entry.sha256

    def record(self, entry: Entry) -> None:
        self.ledger[entry.name] = entry
        if entry.state not in ("done", "outdated"):
            self.rows.pop(entry.name, None)

    def rename(self, old: str, new: str) -> None:
        self.forget(new)
        if old in self.ledger:
            self.ledger[new] = replace(self.ledger.pop(old), name=new)
        if old in self.rows:
            self.rows[new] = self.rows.pop(old)
        for name, entry in self.ledger.items():
            if entry.state == "duplicate" and entry.detail == old:
                self.ledger[name] = replace(entry, detail=new)

    def forget(self, name: str) -> None:
        self.ledger.pop(name, None)
        self.rows.pop(name, None)


class FolderMachine(RuleBasedStateMachine):
    """A folder on a virtual disk, a pipeline that may be slow, fail or crash, and a watch that may lose events."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.disk: dict[str, tuple[str, Stamp]] = {}
        self.database = Database()
        self.inodes = 0
        self.emitted: list[Emission] = []
        self.start()

    def start(self) -> None:
        self.tracker = Tracker(definition="d", settle_s=SETTLE_S)
        self.tracker.restore(self.database.ledger.values())
        self.flying: list[Emission] = []
        self.cancelled: set[str] = set()

    # The user

    @rule(name=NAMES, content=CONTENTS, hinted=st.booleans())
    def write(self, name: str, content: str, *, hinted: bool) -> None:
        inode = self.disk[name][1].inode if name in self.disk else self.next_inode()
        self.disk[name] = (content, Stamp(SIZES[content], self.tick(), inode))
        self.hint(name, hinted=hinted)

    @rule(name=NAMES, hinted=st.booleans())
    def delete(self, name: str, *, hinted: bool) -> None:
        if self.disk.pop(name, None):
            self.hint(name, hinted=hinted)

    @rule(old=NAMES, new=NAMES, hinted=st.booleans(), new_first=st.booleans())
    def rename(self, old: str, new: str, *, hinted: bool, new_first: bool) -> None:
        if old in self.disk and old != new:
            self.disk[new] = self.disk.pop(old)
            for name in (new, old) if new_first else (old, new):
                self.hint(name, hinted=hinted)

    @rule(one=NAMES, other=NAMES, hinted=st.booleans())
    def swap(self, one: str, other: str, *, hinted: bool) -> None:
        if one in self.disk and other in self.disk:
            self.disk[one], self.disk[other] = self.disk[other], self.disk[one]
            self.hint(one, hinted=hinted)
            self.hint(other, hinted=hinted)

    @rule(name=NAMES)
    def reprocess(self, name: str) -> None:
        entry = self.database.ledger.get(name)
        if entry is not None and entry.state in ("done", "skipped", "failed"):
            self.database.ledger[name] = replace(entry, state="outdated")

    # The shell

    @rule()
    def scan(self) -> None:
        self.tracker.begin_scan(self.now)
        for name, (_, stamp) in list(self.disk.items()):
            self.tracker.seen(name, stamp, 0.0, self.now)
        self.tracker.end_scan(self.now)
        self.tracker.mark_outdated([e for e in self.database.ledger.values() if e.state == "outdated"], self.now)
        self.act()

    @rule(dt=st.sampled_from([0.1, 1.0, 2.5]))
    def wait(self, dt: float) -> None:
        self.now += dt
        self.tracker.advance(self.now)
        self.act()

    @rule()
    def hash_one(self) -> None:
        wanted = self.tracker.next_to_hash()
        if wanted is None:
            return
        name, stamp = wanted
        if name not in self.disk:
            self.tracker.gone(name, self.now)
        elif self.disk[name][1] != stamp:
            self.tracker.seen(name, self.disk[name][1], 0.0, self.now)
        else:
            self.tracker.hashed(name, stamp, self.disk[name][0])
        self.act()

    @rule(name=NAMES)
    def cannot_read(self, name: str) -> None:
        self.tracker.unreadable(name, "permission denied")
        self.act()

    # The pipeline

    @rule()
    def emit(self) -> None:
        emission = self.tracker.next_ready()
        if emission is not None:
            assert all(other.name != emission.name for other in self.flying), "one item a name"
            self.flying.append(emission)
            self.emitted.append(emission)

    @precondition(lambda self: self.flying)
    @rule(which=st.integers(0, 9), heeds_cancel=st.booleans(), told=st.booleans())
    def settle(self, which: int, *, heeds_cancel: bool, told: bool) -> None:
        emission = self.flying.pop(which % len(self.flying))
        name, sha256, stamp = emission.name, emission.sha256, emission.stamp
        if heeds_cancel and name in self.cancelled:
            self.cancelled.discard(name)
            self.tracker.settled(name, "cancelled", self.now)
        elif sha256 == "bad":
            self.tracker.settled(name, "failed", self.now, "bad")
        elif sha256 == "skip":
            self.tracker.settled(name, "filtered", self.now)
        else:
            self.database.commit(Entry(name, sha256, "d", "done", stamp.size_bytes, stamp.mtime_ns))
            if not told:  # killed between the commit and the news of it
                self.start()
                return
            self.tracker.settled(name, "delivered", self.now)
        self.act()

    @rule()
    def crash(self) -> None:
        self.start()

    # The end

    @rule()
    def come_to_rest(self) -> None:
        """Let everything happen that wants to: the folder and the database agree, and a restart finds nothing to do."""
        self.run_dry()
        self.check()
        before = len(self.emitted)
        self.start()
        self.scan()
        assert not self.tracker.actions
        self.run_dry()
        self.check()
        assert len(self.emitted) == before, "a restart repeats nothing"

    def teardown(self) -> None:
        self.come_to_rest()

    def run_dry(self) -> None:
        quiet_scans = 0
        for _ in range(60):
            self.scan()
            quiet_scans = 0 if self.tracker.active else quiet_scans + 1
            if quiet_scans == 2:
                return
            self.wait(2.5)
            for _ in range(8):
                self.hash_one()
                self.emit()
            while self.flying:
                self.settle(0, heeds_cancel=True, told=True)
        raise AssertionError({name: tracked.state for name, tracked in self.tracker.files.items()})

    def check(self) -> None:
        contents = {name: content for name, (content, _) in self.disk.items()}
        good = {name: content for name, content in contents.items() if content not in ("bad", "skip")}
        rows, ledger = self.database.rows, self.database.ledger
        assert sorted(rows.values()) == sorted(set(good.values())), "every content once"
        assert all(good.get(name) == content for name, content in rows.items()), "under a name that has it"
        assert ledger.keys() == contents.keys()
        for name, entry in ledger.items():
            assert entry.sha256 == contents[name]
            assert (entry.size_bytes, entry.mtime_ns) == self.disk[name][1][:2]
            if contents[name] == "bad":
                assert entry.state == "failed"
            elif entry.state == "duplicate":
                assert ledger[entry.detail].state == ("skipped" if contents[name] == "skip" else "done")
                assert contents[entry.detail] == contents[name]
            else:
                assert entry.state == ("skipped" if contents[name] == "skip" else "done")
        assert sum(entry.state == "skipped" for entry in ledger.values()) == ("skip" in contents.values())

    # Helpers of the model

    def act(self) -> None:
        while self.tracker.actions:
            match self.tracker.actions.popleft():
                case Record(entry):
                    self.database.record(entry)
                case Rename(old, new):
                    self.database.rename(old, new)
                case Forget(name):
                    self.database.forget(name)
                case Cancel(name):
                    self.cancelled.add(name)

    def hint(self, name: str, *, hinted: bool) -> None:
        if not hinted:
            return
        if name in self.disk:
            self.tracker.seen(name, self.disk[name][1], 0.0, self.now)
        else:
            self.tracker.gone(name, self.now)
        self.act()

    def next_inode(self) -> int:
        self.inodes += 1
        return self.inodes

    def tick(self) -> int:
        self.mtime = getattr(self, "mtime", 0) + 1
        return self.mtime


FolderMachine.TestCase.settings = settings(
    max_examples=150, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)
)
TestFolder = FolderMachine.TestCase
