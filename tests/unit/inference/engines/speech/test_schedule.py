"""Who is heard next."""

import pytest

from fastembed.inference.engines.speech.schedule import Kind, SpeechQueue, Wish


def wish(kind: Kind, stream: str | None = None, sound_s: float = 5.0) -> Wish[str]:
    return Wish(kind, stream, sound_s, f"{kind.name} {stream}")


def queue(*wishes: Wish[str], slots: int = 1) -> SpeechQueue[str]:
    made: SpeechQueue[str] = SpeechQueue(slots)
    for number, each in enumerate(wishes):
        assert made.put(each, number * 0.001) is None
    return made


def served(made: SpeechQueue[str], now_s: float = 1.0) -> list[str]:
    """Everything that waits, in the order in which it is served, each in no time."""
    found = []
    while (taken := made.take(now_s)) is not None:
        found.append(taken.content)
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
    taken = made.take(0.6)
    assert taken is new


def test_the_end_of_an_utterance_drops_its_partial() -> None:
    partial, final = wish(Kind.PARTIAL, "a"), wish(Kind.FINAL, "a")
    made = queue(partial)
    assert made.put(final, 0.5) is partial
    assert served(made) == ["FINAL a"]


def test_two_passes_over_one_utterance_never_run_at_the_same_time() -> None:
    made = queue(wish(Kind.PARTIAL, "a"), slots=2)
    running = made.take(0.0)
    assert running is not None
    made.put(wish(Kind.FINAL, "a"), 0.1)
    made.put(wish(Kind.PIECE), 0.1)
    second = made.take(0.2)
    assert second is not None
    assert second.kind is Kind.PIECE
    made.done(running, 0.2, 0.2)
    third = made.take(0.2)
    assert third is not None
    assert third.kind is Kind.FINAL


def test_no_more_run_than_there_are_slots() -> None:
    made = queue(wish(Kind.FINAL, "a"), wish(Kind.FINAL, "b"), slots=1)
    assert made.take(0.0) is not None
    assert made.take(0.0) is None


def test_partials_leave_a_share_of_the_machine_to_others() -> None:
    made = queue(wish(Kind.PARTIAL, "a"), wish(Kind.PARTIAL, "b"))
    first = made.take(0.0)
    assert first is not None
    made.done(first, 0.7, 0.7)
    assert made.take(0.8) is None
    assert made.pause_s(0.8) == pytest.approx(0.2)
    made.put(wish(Kind.FINAL, "c"), 0.8)
    final = made.take(0.8)
    assert final is not None
    assert final.kind is Kind.FINAL
    made.done(final, 0.1, 0.9)
    assert made.take(1.01) is not None


def test_the_wait_of_a_newcomer_follows_what_was_measured() -> None:
    made = queue()
    assert made.wait_s() == 0.0
    for _ in range(50):
        made.put(wish(Kind.FINAL, "a", 10.0), 0.0)
        taken = made.take(0.0)
        assert taken is not None
        made.done(taken, 2.0, 2.0)
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
    first, partial = made.take(0.0), made.take(0.0)
    assert made.in_the_way(wish(Kind.FINAL, "a")) is first
    assert made.in_the_way(wish(Kind.FINAL, "c")) is partial
    assert made.in_the_way(wish(Kind.PIECE)) is None
    assert partial is not None
    made.done(partial, 0.1, 0.1)
    assert made.in_the_way(wish(Kind.FINAL, "c")) is None
