"""Who is heard next."""

import pytest

from fastembed.inference.engines.speech.schedule import Kind, SpeechQueue, Wish


def wish(kind: Kind, stream: str | None = None, sound_s: float = 5.0) -> Wish[str]:
    return Wish(kind, stream, sound_s, f"{kind.name} {stream}", speaker=None if kind is Kind.PIECE else stream)


def queue(*wishes: Wish[str], slots: int = 1, rows: int = 1) -> SpeechQueue[str]:
    made: SpeechQueue[str] = SpeechQueue(slots, rows)
    for number, each in enumerate(wishes):
        assert made.put(each, number * 0.001) is None
    return made


def served(made: SpeechQueue[str], now_s: float = 1.0) -> list[str]:
    """Everything that waits, in the order in which it is served, each in no time."""
    found = []
    while taken := made.take(now_s):
        found += [wish.content for wish in taken]
        made.done(taken, 0.0, now_s)
    return found


def test_the_end_of_live_speech_comes_first_then_those_who_have_nothing_to_read_then_recordings() -> None:
    kinds = (Kind.PIECE, Kind.PARTIAL, Kind.FIRST, Kind.FINAL)
    made = queue(*(wish(kind, kind.name) for kind in kinds))
    assert served(made) == ["FINAL FINAL", "FIRST FIRST", "PARTIAL PARTIAL", "PIECE PIECE"]


def test_nothing_starves_a_recording() -> None:
    made = queue(wish(Kind.PIECE))
    made.put(wish(Kind.FIRST, "a"), 2.5)
    assert served(made, 3.0) == ["PIECE None", "FIRST a"]


def test_a_newer_partial_takes_the_place_and_the_turn_of_the_older() -> None:
    old, new = wish(Kind.FIRST, "a"), wish(Kind.FIRST, "a")
    made = queue(old, wish(Kind.FIRST, "b"))
    assert made.put(new, 0.5) is old
    assert made.take(0.6) == (new,)


def test_the_end_of_an_utterance_drops_its_partial() -> None:
    partial, final = wish(Kind.PARTIAL, "a"), wish(Kind.FINAL, "a")
    made = queue(partial)
    assert made.put(final, 0.5) is partial
    assert served(made) == ["FINAL a"]


def test_two_passes_over_one_utterance_never_run_at_the_same_time() -> None:
    made = queue(wish(Kind.PARTIAL, "a"), slots=2)
    running = made.take(0.0)
    made.put(wish(Kind.FINAL, "a"), 0.1)
    made.put(wish(Kind.FINAL, "b"), 0.1)
    assert [each.stream for each in made.take(0.2)] == ["b"]
    made.done(running, 0.2, 0.2)
    assert [each.stream for each in made.take(0.2)] == ["a"]


def test_no_more_run_than_there_are_slots() -> None:
    made = queue(wish(Kind.FINAL, "a"), wish(Kind.FINAL, "b"), slots=1)
    assert made.take(0.0)
    assert not made.take(0.0)


def test_partials_leave_a_share_of_the_machine_to_others() -> None:
    made = queue(wish(Kind.PARTIAL, "a"), wish(Kind.PARTIAL, "b"))
    made.done(made.take(0.0), 0.7, 0.7)
    assert not made.take(0.8)
    assert made.pause_s(0.8) == pytest.approx(0.2)
    made.put(wish(Kind.FINAL, "c"), 0.8)
    final = made.take(0.8)
    assert [each.kind for each in final] == [Kind.FINAL]
    made.done(final, 0.1, 0.9)
    assert made.take(1.01)


def test_the_wait_of_a_newcomer_follows_what_was_measured() -> None:
    made = queue()
    assert made.wait_s() == 0.0
    for _ in range(50):
        made.put(wish(Kind.FINAL, "a", 10.0), 0.0)
        made.done(made.take(0.0), 2.0, 2.0)
    made.put(wish(Kind.FINAL, "b", 10.0), 3.0)
    made.put(wish(Kind.FIRST, "c", 10.0), 3.0)
    made.put(wish(Kind.PIECE, None, 10.0), 3.0)
    assert made.wait_s() == pytest.approx(2.0, rel=0.05)


def test_what_is_discarded_is_not_served() -> None:
    gone = wish(Kind.FINAL, "a")
    made = queue(gone, wish(Kind.FINAL, "b"))
    made.discard(gone)
    assert served(made) == ["FINAL b"]
    assert list(made.empty()) == []


def test_the_end_of_an_utterance_interrupts_its_own_partial_or_where_no_slot_is_free_anothers() -> None:
    made = queue(wish(Kind.FIRST, "a"), wish(Kind.PARTIAL, "b"), slots=2)
    (first,), (partial,) = made.take(0.0), made.take(0.0)
    assert list(made.in_the_way(wish(Kind.FINAL, "a"))) == [first]
    assert list(made.in_the_way(wish(Kind.FINAL, "c"))) == [partial]
    assert not made.in_the_way(wish(Kind.PIECE))
    made.done((partial,), 0.1, 0.1)
    assert not made.in_the_way(wish(Kind.FINAL, "c"))


def test_wishes_of_one_sort_are_served_together_and_divided_among_the_slots() -> None:
    made = queue(*(wish(Kind.PARTIAL, name) for name in "abcdef"), wish(Kind.FINAL, "g"), slots=2, rows=4)
    assert [each.stream for each in made.take(1.0)] == ["g"]
    assert [each.stream for each in made.take(1.0)] == ["a", "b", "c", "d"]
    assert not made.take(1.0)
    made = queue(*(wish(Kind.PARTIAL, name) for name in "abcd"), slots=2, rows=4)
    assert [[each.stream for each in made.take(1.0)] for _ in range(2)] == [["a", "b"], ["c", "d"]]


def test_what_shares_a_pass_is_not_too_long_together() -> None:
    made = queue(*(wish(Kind.PIECE, None, length_s) for length_s in (15.0, 18.0, 25.0)), rows=4)
    assert [each.sound_s for each in made.take(3.0)] == [15.0, 18.0]
    assert served(queue(wish(Kind.PIECE, None, 100.0), rows=4)) == ["PIECE None"]


def test_a_pause_comes_behind_an_end_and_becomes_one_when_it_was_the_end() -> None:
    pause, final = wish(Kind.PAUSE, "a"), wish(Kind.FINAL, "b")
    made = queue(pause, wish(Kind.FIRST, "c"), final)
    made.promote(pause)
    assert pause.kind is Kind.FINAL
    assert served(made) == ["PAUSE a", "FINAL b", "FIRST c"]


def test_recordings_leave_a_slot_to_those_who_speak() -> None:
    made = queue(wish(Kind.PIECE), wish(Kind.PIECE), wish(Kind.FIRST, "a"), slots=2)
    made.done(made.take(0.1), 0.1, 0.1)
    assert [each.kind for each in made.take(1.0)] == [Kind.PIECE]
    assert not made.take(1.0)
    assert [each.kind for each in made.take(10.0)] == [Kind.PIECE]


def test_the_interval_of_one_speaker_more_follows_what_partials_cost() -> None:
    made = queue(slots=2)
    for _ in range(200):
        made.put(wish(Kind.PARTIAL, "a"), 0.0)
        made.put(wish(Kind.PARTIAL, "b"), 0.0)
        made.done(made.take(50.0), 0.7, 0.0)
        made.discard(made._waiting[0])
    made.put(wish(Kind.PARTIAL, "b"), 9.0)
    assert made.interval_s(9.0) == pytest.approx(2 * 0.7 / 2 / 0.7, rel=0.01)
    assert made.interval_s(9.0, newcomers=2) == pytest.approx(4 * 0.7 / 2 / 0.7, rel=0.01)
    assert made.interval_s(20.0) == pytest.approx(0.5, rel=0.01)
