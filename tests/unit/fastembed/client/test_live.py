"""What is kept of live speech for another connection: offsets only, no socket."""

from __future__ import annotations

from fastembed.client.live import SentAudio


def sent(audio_ms: int, **options: int) -> SentAudio:
    kept = SentAudio(bytes_per_ms=2, **{"most_bytes": 10_000, **options})
    kept.add(bytes(2 * audio_ms))
    return kept


def test_what_is_transcribed_is_forgotten():
    kept = sent(1000)
    kept.begins("a")
    kept.ends("a", 400)
    assert kept.first == 0
    kept.settles("a")
    assert (kept.first, kept.end) == (800, 2000)


def test_an_utterance_whose_transcript_overtakes_another_waits_for_it():
    kept = sent(1000)
    for name, end_ms in (("a", 300), ("b", 700)):
        kept.begins(name)
        kept.ends(name, end_ms)
    kept.settles("b")
    assert kept.first == 0
    kept.settles("a")
    assert kept.first == 1400


def test_another_connection_begins_where_the_first_utterance_is_open_and_counts_from_there():
    kept = sent(1000)
    kept.begins("a")
    kept.ends("a", 400)
    kept.settles("a")
    kept.begins("b")
    assert kept.restart() == (1200, 0)
    assert not kept.open
    kept.begins("c")
    kept.ends("c", 100)  # by the clock of the new connection
    kept.settles("c")
    assert kept.first == 1000


def test_audio_that_is_not_kept_long_enough_is_lost_in_whole_samples():
    kept = sent(1000, most_bytes=501)
    assert len(kept.kept) <= 501
    assert kept.first % 2 == 0
    assert kept.restart() == (500, 0)  # nobody spoke in it
    kept = sent(1000, most_bytes=500)
    kept.begins("a")
    assert kept.restart() == (500, 1500)


def test_audio_is_given_from_an_offset_on():
    kept = SentAudio(bytes_per_ms=2, most_bytes=100)
    kept.add(b"abcdef")
    assert (kept.after(2, 3), kept.after(6, 3)) == (b"cde", b"")
