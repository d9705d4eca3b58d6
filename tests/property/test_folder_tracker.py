"""Whatever happens to a folder, its files end up in the sink once a content, and nothing else does."""

from dataclasses import dataclass, field, replace

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from fastembed.pipeline.ledger import LedgerEntry
from fastembed.sources.watching.actions import Cancel, Forget, Record, Rename
from fastembed.sources.watching.files import Emission, Stamp
from fastembed.sources.watching.tracker import Tracker

SETTLE_S = 2.0
NAMES = st.sampled_from(["a", "b", "c", "x/1", "x/2"])
CONTENTS = st.sampled_from(["p", "q", "rr", "bad", "skip"])  # p and q have one size; bad fails, skip is filtered
SIZES = {"p": 1, "q": 1, "rr": 2, "bad": 3, "skip": 4}


ANCHOR = LedgerEntry(
    "anchor", "anchor", "d", "done", 9, 1
)  # always there: a folder that is empty at once is another matter
HOLDING = ("done", "outdated", "skipped")


@dataclass
class Database:
    """What survives a crash: the ledger, and the content of each name's rows. It refuses what it is wrongly told."""

    ledger: dict[str, LedgerEntry] = field(default_factory=lambda: {ANCHOR.name: ANCHOR})
    rows: dict[str, str] = field(default_factory=lambda: {ANCHOR.name: ANCHOR.sha256})

    def held(self, name: str) -> str | None:
        return self.ledger[name].sha256 if name in self.ledger else None

    def holds(self, name: str, sha256: str) -> bool:
        entry = self.ledger.get(name)
        if entry is None or entry.sha256 != sha256 or entry.state not in HOLDING:
            return False
        return self.rows.get(name) == sha256 or (name not in self.rows and entry.state != "done")

    def commit(self, entry: LedgerEntry) -> None:
        self.ledger[entry.name] = entry
        self.rows[entry.name] = entry.sha256

    def record(self, entry: LedgerEntry, expected: str | None) -> list[str]:
        known = self.ledger.get(entry.name)
        if known is None or (known.sha256, known.state) != (entry.sha256, entry.state):
            if self.held(entry.name) != expected:
                return [entry.name]
            if entry.state == "duplicate" and not self.holds(entry.detail, entry.sha256):
                return [entry.name, entry.detail]
        self.ledger[entry.name] = entry
        if entry.state not in ("done", "outdated"):
            self.rows.pop(entry.name, None)
        return []

    def rename(self, old: str, new: str, sha256: str, replaces: str | None) -> list[str]:
        if not self.holds(old, sha256) or self.held(new) != replaces:
            return [old, new]
        self.rows.pop(new, None)
        self.ledger[new] = replace(self.ledger.pop(old), name=new)
        if old in self.rows:
            self.rows[new] = self.rows.pop(old)
        for name, entry in self.ledger.items():
            if entry.state == "duplicate" and entry.detail == old:
                self.ledger[name] = replace(entry, detail=new)
        return []

    def forget(self, name: str, expected: str | None) -> list[str]:
        if self.held(name) not in (expected, None):
            return [name]
        self.ledger.pop(name, None)
        self.rows.pop(name, None)
        return []

    def repair(self) -> None:
        for name in [name for name in self.rows if name not in self.ledger]:
            del self.rows[name]
        for name, entry in self.ledger.items():
            rows = self.rows.get(name)
            if entry.state == "duplicate":
                if rows is not None or not self.holds(entry.detail, entry.sha256):
                    self.rows.pop(name, None)
                    self.ledger[name] = replace(entry, state="outdated", detail="")
            elif rows != (entry.sha256 if entry.state == "done" else None) and (
                entry.state != "outdated" or rows != entry.sha256
            ):
                self.rows.pop(name, None)
                if entry.state == "done":
                    self.ledger[name] = replace(entry, state="outdated")


class FolderMachine(RuleBasedStateMachine):
    """A folder on a virtual disk, a pipeline that may be slow, fail or crash, and a watch that may lose events.

    Actions lag behind: between a decision and its execution items are committed, the user goes on, the process is
    killed. The ledger itself may be wrong, as by an older version.
    """

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.disk: dict[str, tuple[str, Stamp]] = {ANCHOR.name: (ANCHOR.sha256, Stamp(9, 1, 0))}
        self.database = Database()
        self.inodes = 0
        self.clock_ns = 0
        self.emitted: list[Emission] = []
        self.replaced = False
        self.start()

    def start(self) -> None:
        self.database.repair()
        self.tracker = Tracker(definition="d", settle_s=SETTLE_S)
        self.tracker.restore(self.database.ledger.values())
        self.in_flight: list[Emission] = []
        self.cancelled: set[str] = set()
        self.doubtful: set[str] = set()

    # The user

    @rule(name=NAMES, content=CONTENTS, hinted=st.booleans())
    def write(self, name: str, content: str, *, hinted: bool) -> None:
        inode = self.disk[name][1].inode if name in self.disk else self.next_inode()
        self.disk[name] = (content, Stamp(SIZES[content], self.clock_ns, inode, self.clock_ns))
        self.hint(name, hinted=hinted)

    @rule(name=NAMES, hinted=st.booleans())
    def delete(self, name: str, *, hinted: bool) -> None:
        if self.disk.pop(name, None):
            self.hint(name, hinted=hinted)

    @rule(old=NAMES, new=NAMES, hinted=st.booleans(), new_first=st.booleans())
    def rename(self, old: str, new: str, *, hinted: bool, new_first: bool) -> None:
        if old in self.disk and old != new:
            content, stamp = self.disk.pop(old)
            self.disk[new] = content, stamp._replace(changed_ns=self.clock_ns)
            for name in (new, old) if new_first else (old, new):
                self.hint(name, hinted=hinted)

    @rule(old=NAMES, new=NAMES, hinted=st.booleans(), keeps_time=st.booleans())
    def copy(self, old: str, new: str, *, hinted: bool, keeps_time: bool) -> None:
        if old in self.disk and old != new:
            content, stamp = self.disk[old]
            mtime_ns = stamp.mtime_ns if keeps_time else self.clock_ns
            inode = self.disk[new][1].inode if new in self.disk else self.next_inode()
            self.disk[new] = (content, Stamp(stamp.size_bytes, mtime_ns, inode, self.clock_ns))
            self.hint(new, hinted=hinted)

    @rule(one=NAMES, other=NAMES, hinted=st.booleans())
    def swap(self, one: str, other: str, *, hinted: bool) -> None:
        if one in self.disk and other in self.disk:
            for name, (content, stamp) in ((one, self.disk[other]), (other, self.disk[one])):
                self.disk[name] = content, stamp._replace(changed_ns=self.clock_ns)
            self.hint(one, hinted=hinted)
            self.hint(other, hinted=hinted)

    @rule(name=NAMES)
    def reprocess(self, name: str) -> None:
        entry = self.database.ledger.get(name)
        if entry is not None and entry.state in ("done", "skipped", "failed"):
            self.database.ledger[name] = replace(entry, state="outdated")

    @rule(name=NAMES, content=st.sampled_from(["p", "q", None]))
    def spoil(self, name: str, content: str | None) -> None:
        """Have the rows say something else than the ledger."""
        if content is None:
            self.database.rows.pop(name, None)
        else:
            self.database.rows[name] = content

    # The shell

    @rule()
    def scan(self) -> None:
        self.tracker.begin_scan(self.now)
        for name, (_, stamp) in list(self.disk.items()):
            self.tracker.seen(name, stamp, 0.0, self.now)
        self.tracker.end_scan(self.now, replaced=self.replaced)
        self.database.repair()
        self.tracker.mark_outdated([e for e in self.database.ledger.values() if e.state == "outdated"], self.now)

    @rule(dt=st.sampled_from([0.1, 1.0, 2.5]))
    def wait(self, dt: float) -> None:
        self.now += dt
        self.tick()
        self.tracker.advance(self.now)

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
            self.tick()  # it was quiet before, so what changes it later comes with a later time

    @rule(name=NAMES)
    def cannot_read(self, name: str) -> None:
        self.tracker.unreadable(name, "permission denied")

    # The pipeline

    @rule()
    def emit(self) -> None:
        self.act_all()
        emission = self.tracker.next_ready()
        if emission is not None:
            assert all(other.name != emission.name for other in self.in_flight), "one item a name"
            self.in_flight.append(emission)
            self.emitted.append(emission)

    @precondition(lambda self: self.in_flight)
    @rule(which=st.integers(0, 9), heeds_cancel=st.booleans(), told=st.booleans(), machine_fails=st.booleans())
    def settle(self, which: int, *, heeds_cancel: bool, told: bool, machine_fails: bool = False) -> None:
        emission = self.in_flight.pop(which % len(self.in_flight))
        name, sha256, stamp = emission.name, emission.sha256, emission.stamp
        if heeds_cancel and name in self.cancelled:
            self.cancelled.discard(name)
            self.tracker.settled(name, "cancelled", self.now)
        elif machine_fails:
            self.tracker.settled(name, "deferred", self.now, "no memory")
        elif sha256 == "bad":
            self.tracker.settled(name, "failed", self.now, "bad")
        elif sha256 == "skip":
            self.tracker.settled(name, "filtered", self.now)
        else:
            entry = LedgerEntry(name, sha256, "d", "done", stamp.size_bytes, stamp.mtime_ns)
            self.database.commit(self.recorded(entry))
            if not told:  # killed between the commit and the news of it
                self.start()
                return
            self.tracker.settled(name, "delivered", self.now)

    @rule()
    def crash(self) -> None:
        self.start()

    # The shell's actions, which come later

    @rule()
    def act_one(self) -> None:
        if not self.tracker.actions:
            self.reconcile()
            return
        match self.tracker.actions.popleft():
            case Record(entry, expected):
                self.doubtful.update(self.database.record(self.recorded(entry), expected))
            case Rename(old, new, sha256, replaces):
                self.doubtful.update(self.database.rename(old, new, sha256, replaces))
            case Forget(name, expected):
                self.doubtful.update(self.database.forget(name, expected))
            case Cancel(name):
                self.cancelled.add(name)

    def act_all(self) -> None:
        for _ in range(1000):
            if not self.tracker.actions and not self.reconcile():
                return
            self.act_one()
        raise AssertionError(self.tracker.actions)

    def reconcile(self) -> bool:
        names, self.doubtful = self.doubtful, set()
        if names:
            self.database.repair()
        self.doubtful = {n for n in names if not self.tracker.reconcile(n, self.database.ledger.get(n), self.now)}
        return self.doubtful != names

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

    @rule(restarted=st.booleans(), name=NAMES, content=st.none() | CONTENTS)
    def unmount_and_mount_again(self, name: str, content: str | None, *, restarted: bool) -> None:
        """Another folder lies in the place of the right one for a while, empty or with one file of its own."""
        self.come_to_rest()
        disk, rows = self.disk, set(self.database.rows.values())
        if name in disk and disk[name][0] == content:
            return  # a file that the folder holds makes it the right one
        self.disk = {} if content is None else {name: (content, self.new_stamp(content))}
        if restarted:
            self.start()
        self.replaced = not restarted
        replaced = {self.database.rows.get(name)} if content else set()
        self.run_dry()
        assert self.tracker.suspended
        assert rows - replaced <= set(self.database.rows.values()), "rows are kept"
        self.disk, self.replaced = disk, False
        self.come_to_rest()
        assert not self.tracker.suspended

    def teardown(self) -> None:
        self.come_to_rest()

    def run_dry(self) -> None:
        quiet_scans = 0
        for _ in range(300):
            self.scan()
            self.act_all()
            quiet_scans = 0 if self.tracker.active else quiet_scans + 1
            if quiet_scans == 2:
                return
            self.wait(2.5)
            for _ in range(8):
                self.hash_one()
                self.emit()
            while self.in_flight:
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

    def hint(self, name: str, *, hinted: bool) -> None:
        if not hinted:
            return
        if name in self.disk:
            self.tracker.seen(name, self.disk[name][1], 0.0, self.now)
        else:
            self.tracker.reported_deleted({name})
            self.tracker.gone(name, self.now)

    def next_inode(self) -> int:
        self.inodes += 1
        return self.inodes

    def new_stamp(self, content: str) -> Stamp:
        return Stamp(SIZES[content], self.tick(), self.next_inode(), self.clock_ns)

    def recorded(self, entry: LedgerEntry) -> LedgerEntry:
        """Return an entry as the ledger gives it back: what changes a file later comes with a later time."""
        self.tick()
        return replace(entry, recorded_at_ns=self.clock_ns)

    def tick(self) -> int:
        """Let the file system's clock go on; what happens between two ticks has the same time."""
        self.clock_ns += 1_000_000_000
        return self.clock_ns


FolderMachine.TestCase.settings = settings(
    max_examples=150, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)
)
TestFolder = FolderMachine.TestCase


def test_a_copy_in_whose_name_another_content_is_in_flight_gets_no_rows() -> None:
    """b goes while its copy a has another item on its way; the item is committed before what was decided is done."""
    for lagging in (True, False):
        m = FolderMachine()

        def look(m: FolderMachine = m, *, lagging: bool = lagging) -> None:
            m.wait(2.5)
            for _ in range(4):
                m.hash_one()
            if not lagging:
                m.act_all()

        m.write(name="b", content="p", hinted=True)
        look()
        m.emit()
        m.settle(0, heeds_cancel=False, told=True)
        m.write(name="a", content="q", hinted=True)
        look()
        m.emit()
        m.write(name="a", content="p", hinted=True)
        look()
        m.write(name="c", content="q", hinted=True)
        look()
        m.delete(name="b", hinted=True)
        look()
        m.settle(0, heeds_cancel=False, told=True)
        m.come_to_rest()
        assert m.database.rows == {"c": "q", "a": "p", "anchor": "anchor"}
