"""Single decisions; `tests/property/test_folder_tracker.py` has the sequences."""

from dataclasses import replace

from fastembed.pipeline.ledger import EntryState, LedgerEntry
from fastembed.sources.watching.actions import Action, Cancel, Forget, MoveToDone, Record, Rename, Warn
from fastembed.sources.watching.files import Emission, Stamp, State
from fastembed.sources.watching.tracker import Tracker

ONE, TWO, OTHER = Stamp(1, 10, 1), Stamp(2, 20, 1), Stamp(1, 30, 2)


def entry(
    name: str = "a", sha256: str = "s1", state: EntryState = "done", stamp: Stamp = ONE, detail: str = ""
) -> LedgerEntry:
    return LedgerEntry(name, sha256, "d", state, stamp.size_bytes, stamp.mtime_ns, detail)


def tracker(*entries: LedgerEntry, keep_deleted: bool = False, move_to_done: bool = False) -> Tracker:
    made = Tracker(definition="d", settle_s=2.0, keep_deleted=keep_deleted, move_to_done=move_to_done)
    made.restore(entries)
    return made


def scan(tracker: Tracker, files: dict[str, Stamp], now: float, unreadable: tuple[str, ...] = ()) -> list[Action]:
    tracker.begin_scan(now)
    for name, stamp in files.items():
        tracker.seen(name, stamp, 0.0, now)
    tracker.end_scan(now, unreadable)
    return actions(tracker)


def actions(tracker: Tracker) -> list[Action]:
    taken = list(tracker.actions)
    tracker.actions.clear()
    return taken


def fly(tracker: Tracker, name: str, stamp: Stamp, sha256: str, now: float) -> Emission | None:
    tracker.seen(name, stamp, 99.0, now)
    tracker.advance(now)
    tracker.hashed(name, stamp, sha256)
    return tracker.next_ready()


def test_a_file_is_hashed_once_it_has_been_quiet_for_settle() -> None:
    t = tracker()
    t.seen("a", ONE, 0.0, 10.0)
    t.advance(11.9)
    assert (t.next_to_hash(), t.next_due()) == (None, 12.0)
    t.seen("a", TWO, 0.0, 11.95)  # still being written
    t.advance(12.0)
    assert t.next_to_hash() is None
    t.advance(13.95)
    assert t.next_to_hash() == ("a", TWO)
    t.hashed("a", ONE, "stale")
    assert t.next_ready() is None
    t.hashed("a", TWO, "s2")
    assert t.next_ready() == Emission("a", "s2", TWO)
    assert t.next_ready() is None


def test_what_the_file_system_calls_quiet_need_not_wait_again() -> None:
    t = tracker()
    t.seen("a", ONE, 3600.0, 10.0)
    t.advance(10.0)
    assert t.next_to_hash() == ("a", ONE)


def test_a_clock_that_runs_behind_makes_nothing_quiet_sooner() -> None:
    t = tracker()
    t.seen("a", ONE, -5.0, 10.0)
    assert t.next_due() == 12.0


def test_a_file_as_the_ledger_has_it_is_not_even_read() -> None:
    t = tracker(entry())
    assert scan(t, {"a": ONE}, 0.0) == []
    assert (t.files["a"].state, t.active) == (State.DONE, 0)


def test_a_touched_file_is_read_and_only_its_time_recorded() -> None:
    t = tracker(entry())
    later = Stamp(1, 99, 1)
    assert fly(t, "a", later, "s1", 0.0) is None
    assert actions(t) == [Record(entry(stamp=later), "s1")]


def test_a_duplicate_is_recorded_with_the_name_that_has_the_rows() -> None:
    t = tracker(entry())
    scan(t, {"a": ONE}, 0.0)
    assert fly(t, "b", OTHER, "s1", 1.0) is None
    assert actions(t) == [Record(entry("b", "s1", "duplicate", OTHER, "a"), None)]


def test_a_copy_of_a_file_in_flight_waits_for_its_end() -> None:
    t = tracker()
    assert fly(t, "a", ONE, "s1", 0.0)
    assert fly(t, "b", OTHER, "s1", 0.0) is None
    assert actions(t) == []
    t.settled("a", "delivered", 1.0)
    assert actions(t) == [Record(entry("b", "s1", "duplicate", OTHER, "a"), None)]


def test_a_copy_of_a_file_that_fails_is_tried_itself() -> None:
    t = tracker()
    assert fly(t, "a", ONE, "s1", 0.0)
    assert fly(t, "b", OTHER, "s1", 0.0) is None
    t.settled("a", "failed", 1.0, "why")
    assert actions(t) == [Record(entry("a", "s1", "failed", ONE, "why"), None)]
    assert t.next_ready() == Emission("b", "s1", OTHER)


def test_a_renamed_file_keeps_its_rows() -> None:
    t = tracker(entry())
    scan(t, {"a": ONE}, 0.0)
    t.gone("a", 1.0)
    assert fly(t, "b", ONE, "s1", 1.0) is None
    assert actions(t) == [Rename("a", "b", "s1", None)]


def test_a_deleted_file_is_forgotten_after_settle_and_a_scan() -> None:
    t = tracker(entry())
    scan(t, {"a": ONE}, 0.0)
    t.reported_deleted({"a"})
    t.gone("a", 1.0)
    t.advance(10.0)
    assert (actions(t), t.wants_scan) == ([], True)
    assert scan(t, {}, 10.0) == []
    t.advance(12.0)
    assert actions(t) == [Forget("a", "s1")]


def test_a_deleted_file_is_not_forgotten_while_a_file_of_its_size_is_unread() -> None:
    t = tracker(entry())
    scan(t, {"a": ONE}, 0.0)
    t.gone("a", 1.0)
    scan(t, {"b": OTHER}, 2.0)
    t.advance(5.0)
    assert actions(t) == []
    t.hashed("b", OTHER, "s1")
    assert actions(t) == [Rename("a", "b", "s1", None), Record(entry("b", stamp=OTHER), "s1")]


def test_a_duplicate_takes_over_when_the_first_goes() -> None:
    t = tracker(entry(), entry("b", "s1", "duplicate", OTHER, "a"), entry("c", "s1", "duplicate", OTHER, "a"))
    scan(t, {"a": ONE, "b": OTHER, "c": OTHER}, 0.0)
    t.gone("a", 1.0)
    assert actions(t) == [Rename("a", "b", "s1", "s1"), Record(entry("b", stamp=OTHER), "s1")]
    assert (t.files["b"].state, t.files["c"].state) == (State.DONE, State.DUPLICATE)


def test_a_duplicate_takes_over_before_the_first_changes() -> None:
    t = tracker(entry(), entry("b", "s1", "duplicate", OTHER, "a"))
    scan(t, {"a": ONE, "b": OTHER}, 0.0)
    assert fly(t, "a", TWO, "s2", 1.0) == Emission("a", "s2", TWO)
    assert actions(t) == [Rename("a", "b", "s1", "s1"), Record(entry("b", stamp=OTHER), "s1")]


def test_a_file_that_changes_in_flight_is_cancelled_and_comes_again() -> None:
    t = tracker()
    assert fly(t, "a", ONE, "s1", 0.0)
    assert fly(t, "a", TWO, "s2", 1.0) is None  # one item a name
    assert actions(t) == [Cancel("a")]
    t.settled("a", "cancelled", 2.0)
    assert t.next_ready() == Emission("a", "s2", TWO)


def test_a_cancelled_item_of_an_unchanged_file_comes_again_unless_the_source_stops() -> None:
    t = tracker()
    assert fly(t, "a", ONE, "s1", 0.0)
    t.settled("a", "cancelled", 1.0)
    t.advance(3.0)
    assert t.next_to_hash() == ("a", ONE)
    t = tracker()
    assert fly(t, "a", ONE, "s1", 0.0)
    t.settled("a", "cancelled", 1.0, retry=False)
    assert t.active == 0


def test_a_file_that_the_machine_cannot_process_waits_longer_each_time_and_is_known_to_wait() -> None:
    t = tracker()
    now = 0.0
    waits = []
    assert fly(t, "a", ONE, "s1", now)
    for _ in range(9):
        t.settled("a", "deferred", now, "no memory")
        assert actions(t)[-1].entry.state == "waiting"
        assert (t.counts[State.CANDIDATE], t.active) == (1, 1)
        due = t.next_due()
        waits.append(due - now - 2.0)  # it has to be quiet, besides
        t.advance(due - 0.1)
        assert t.next_to_hash() is None
        now = due
        t.advance(now)
        assert t.next_to_hash() == ("a", ONE)
        t.hashed("a", ONE, "s1")
        assert t.next_ready() == Emission("a", "s1", ONE)
    assert waits == [5.0, 10.0, 20.0, 40.0, 80.0, 160.0, 300.0, 300.0, 300.0]
    t.settled("a", "delivered", now)
    assert t.files["a"].deferrals == 0


def test_a_file_that_waits_is_tried_at_the_next_start_and_left_there_by_a_run_that_ends() -> None:
    t = tracker(entry(state="waiting"))
    scan(t, {"a": ONE}, 0.0)
    t.advance(2.0)
    assert t.next_to_hash() == ("a", ONE)
    t.hashed("a", ONE, "s1")
    assert t.next_ready() is not None
    t.settled("a", "deferred", 3.0, "no memory", retry=False)
    assert t.active == 0


def test_a_file_that_changes_while_it_waits_comes_at_once() -> None:
    t = tracker()
    assert fly(t, "a", ONE, "s1", 0.0)
    t.settled("a", "deferred", 0.0, "no memory")
    assert fly(t, "a", TWO, "s2", 3.0) == Emission("a", "s2", TWO)


def test_what_is_below_an_unreadable_folder_is_not_gone() -> None:
    t = tracker(entry("x/a"), entry("y", "s2"))
    scan(t, {}, 0.0, unreadable=("x",))
    assert t.files["x/a"].state is State.UNSEEN
    assert t.files["y"].state is State.MISSING


def test_an_unreadable_file_is_complained_about_once_and_tried_after_each_scan() -> None:
    t = tracker()
    complaints = []
    for now in (0.0, 10.0, 20.0):
        scan(t, {"a": ONE}, now)
        t.advance(now + 2.0)
        assert t.next_to_hash() == ("a", ONE)
        t.unreadable("a", "permission denied")
        complaints += actions(t)
    assert complaints == [Warn("a", "permission denied")]
    assert t.active == 0


def test_a_failed_file_is_not_tried_again_by_a_restart_but_by_a_change() -> None:
    t = tracker(entry(state="failed"))
    scan(t, {"a": ONE}, 0.0)
    assert (t.files["a"].state, t.active) == (State.FAILED, 0)
    assert fly(t, "a", TWO, "s1", 1.0)


def test_what_is_marked_outdated_is_emitted_again() -> None:
    t = tracker(entry(state="outdated"))
    scan(t, {"a": ONE}, 0.0)
    assert fly(t, "a", ONE, "s1", 5.0) == Emission("a", "s1", ONE)


def test_finished_files_are_stowed_and_their_leaving_is_no_deletion() -> None:
    t = tracker(move_to_done=True)
    assert fly(t, "a", ONE, "s1", 0.0)
    t.settled("a", "delivered", 1.0)
    assert actions(t) == [MoveToDone(entry())]
    t.gone("a", 2.0)
    scan(t, {}, 3.0)
    t.advance(99.0)
    assert (actions(t), t.active) == ([], 0)
    assert fly(t, "b", OTHER, "s1", 100.0) is None
    copy = entry("b", "s1", "duplicate", OTHER, "a")
    assert actions(t) == [Record(copy, None), MoveToDone(copy)]


def test_a_file_of_another_definition_is_not_emitted() -> None:
    t = tracker(LedgerEntry("a", "s1", "before", "done", *ONE[:2]))
    assert scan(t, {"a": ONE}, 0.0) == []
    assert t.active == 0


def test_rows_are_not_handed_to_a_name_in_flight() -> None:
    t = tracker(entry("b"))
    scan(t, {"b": ONE}, 0.0)
    assert fly(t, "a", TWO, "s2", 1.0)
    assert fly(t, "a", OTHER, "s1", 2.0) is None  # a copy of b by now, while s2 is on its way under its name
    t.reported_deleted({"b"})
    t.gone("b", 3.0)
    assert actions(t) == [Cancel("a")]
    t.settled("a", "delivered", 4.0)
    assert actions(t) == [Rename("b", "a", "s1", "s2"), Record(entry("a", stamp=OTHER), "s1")]


def test_what_the_ledger_holds_instead_is_looked_at_again() -> None:
    t = tracker(entry(), entry("b", "s2", stamp=TWO))
    scan(t, {"a": ONE, "b": TWO}, 0.0)
    assert t.reconcile("b", None, 1.0)
    assert t.reconcile("a", entry("a", "s2"), 1.0)
    assert t.wants_scan
    t.advance(1.0)
    t.hashed("b", TWO, "s2")
    t.hashed("a", ONE, "s1")
    assert actions(t) == [Rename("a", "b", "s2", None), Record(entry("b", "s2", stamp=TWO), "s2")]
    assert t.next_ready() == Emission("a", "s1", ONE)
    assert not t.reconcile("a", None, 2.0), "in flight"


def test_a_file_that_failed_under_another_definition_is_tried_again() -> None:
    t = tracker(LedgerEntry("a", "s1", "before", "failed", *ONE[:2], "why"))
    scan(t, {"a": ONE}, 0.0)
    assert fly(t, "a", ONE, "s1", 3.0) == Emission("a", "s1", ONE)


def test_an_empty_folder_at_the_start_keeps_its_rows_until_one_of_its_files_is_back() -> None:
    t = tracker(entry(), entry("b", "s2"), entry("c", "s1", "duplicate", detail="a"), entry("d", "s3", "failed"))
    for now in (0.0, 10.0, 20.0):
        assert scan(t, {}, now) == []
        t.advance(now + 5.0)
    assert (t.suspended, t.kept, t.active, actions(t)) == (True, 4, 0, [])
    assert scan(t, {"b": ONE}, 30.0) == []
    assert not t.suspended
    t.advance(35.0)
    assert sorted(action.name for action in actions(t) if isinstance(action, Forget)) == ["a", "c", "d"]


def test_a_new_file_in_the_place_of_an_unmounted_folder_is_no_evidence_that_it_is_back() -> None:
    t = tracker(entry(), entry("b", "s2"))
    scan(t, {}, 0.0)
    assert fly(t, "new", OTHER, "s9", 1.0)
    t.settled("new", "delivered", 2.0)
    assert fly(t, "a", OTHER, "s8", 3.0)  # a name that was there before, with another content
    t.settled("a", "delivered", 4.0)
    assert scan(t, {"new": OTHER, "a": OTHER}, 5.0) == []
    t.advance(10.0)
    assert (t.suspended, actions(t)) == (True, [])


def test_another_folder_without_any_of_the_files_keeps_the_rows_and_one_with_them_is_the_same() -> None:
    for files, suspended in (({"a": TWO}, True), ({"a": ONE}, False)):
        t = tracker(entry(), entry("b", "s2"))
        scan(t, {"a": ONE, "b": ONE}, 0.0)
        t.begin_scan(1.0)
        for name, stamp in files.items():
            t.seen(name, stamp, 0.0, 1.0)
        t.end_scan(1.0, replaced=True)
        assert t.suspended is suspended


def test_files_that_the_watch_saw_deleted_are_forgotten_although_none_is_left() -> None:
    t = tracker(entry(), entry("b", "s2"))
    scan(t, {"a": ONE, "b": ONE}, 0.0)
    scan(t, {}, 1.0)  # before the watch told
    assert t.suspended
    t.reported_deleted({"a"})
    t.gone("a", 2.0)
    t.reported_deleted({"b"})
    t.gone("b", 2.0)
    assert t.wants_scan
    scan(t, {}, 3.0)
    t.advance(6.0)
    assert (t.suspended, actions(t)) == (False, [Forget("a", "s1"), Forget("b", "s2")])


def test_files_that_moved_within_the_folder_while_nobody_looked_take_their_rows_along() -> None:
    t = tracker(entry(), entry("b", "s2", stamp=TWO))
    scan(t, {"x/a": ONE, "x/b": TWO}, 0.0)
    assert t.suspended
    t.advance(2.0)
    t.hashed("x/a", ONE, "s1")
    t.hashed("x/b", TWO, "s2")
    assert actions(t) == [Rename("a", "x/a", "s1", None), Rename("b", "x/b", "s2", None)]
    scan(t, {"x/a": ONE, "x/b": TWO}, 3.0)
    assert not t.suspended


def test_where_deletions_are_kept_an_empty_folder_is_no_matter() -> None:
    t = tracker(entry(), keep_deleted=True)
    scan(t, {}, 0.0)
    t.advance(9.0)
    assert (t.suspended, actions(t), t.files["a"].state) == (False, [], State.AWAY)


def test_a_file_that_changed_after_its_row_was_written_is_read_although_size_and_time_are_the_same() -> None:
    recorded = replace(entry(), recorded_at_ns=5_000_000_000)
    for changed_ns, state in ((4_800_000_000, State.DONE), (4_950_000_000, State.CANDIDATE)):
        t = tracker(recorded)
        scan(t, {"a": Stamp(1, 10, 7, changed_ns)}, 0.0)
        assert t.files["a"].state is state
    t.advance(2.0)
    t.hashed("a", Stamp(1, 10, 7, changed_ns), "s1")
    assert actions(t) == [Record(entry(), "s1")], "so that the next start need not read it"


def test_another_file_of_the_same_size_and_time_under_a_name_that_was_gone_is_read() -> None:
    t = tracker()
    assert fly(t, "a", ONE, "s1", 0.0)
    t.settled("a", "delivered", 0.0)
    t.gone("a", 1.0)
    t.seen("a", ONE._replace(inode=9), 0.0, 1.0)
    assert t.files["a"].state is State.CANDIDATE


def test_what_is_processed_again_and_cannot_be_now_keeps_its_rows() -> None:
    t = tracker(entry(state="outdated"))
    assert fly(t, "a", ONE, "s1", 0.0)
    t.settled("a", "deferred", 1.0, "no memory")
    assert actions(t) == []
