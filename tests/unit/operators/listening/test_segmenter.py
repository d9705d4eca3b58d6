import numpy as np
import pytest

from fastembed.operators.listening.segmenter import SegmenterLimits, TurnQuestion, effective
from fastembed.pipeline.payload.audio import (
    Cleared,
    Committed,
    IdleTimeout,
    SpeechProblem,
    SpeechSettings,
    SpeechStarted,
    SpeechStopped,
    TurnDetection,
    Utterance,
)
from tests.unit.operators.listening.loudness import listening, sound

MANUAL = SpeechSettings(turn_detection=None)
FRAME_MS = 32


def kinds(events: list) -> list[type]:
    return [type(event) for event in events]


def test_an_utterance_begins_before_the_speech_and_ends_after_the_silence() -> None:
    events = list(listening().push(sound((1.024, 0), (1.024, 0.9), (1, 0))))
    assert kinds(events) == [SpeechStarted, SpeechStopped, Committed, Utterance]
    started, stopped, _, utterance = events
    assert started.audio_start_ms == 1024 - 300
    assert 2048 + 500 <= stopped.audio_end_ms < 2048 + 500 + FRAME_MS
    assert utterance.final
    assert (utterance.start_ms, utterance.end_ms) == (started.audio_start_ms, stopped.audio_end_ms)
    assert len(utterance.samples) == (utterance.end_ms - utterance.start_ms) * 16


def test_an_utterance_holds_exactly_the_samples_of_its_times() -> None:
    heard = np.arange(3 * 16_000, dtype=np.float32) / 1e9
    heard[16_384:32_768] += 0.9
    utterance = list(listening().push(heard))[-1]
    start = utterance.start_ms * 16
    assert np.array_equal(utterance.samples, heard[start : start + len(utterance.samples)])


def test_all_events_of_an_utterance_have_its_id_and_the_next_one_has_another() -> None:
    events = list(listening().push(sound((1, 0), (1, 0.9), (1, 0), (1, 0.9), (1, 0))))
    assert [event.utterance_id for event in events] == ["u1"] * 4 + ["u2"] * 4


def test_a_pause_shorter_than_the_silence_does_not_end_an_utterance() -> None:
    events = list(listening().push(sound((1, 0.9), (0.4, 0), (1, 0.9))))
    assert kinds(events) == [SpeechStarted]


def test_speech_between_the_two_thresholds_keeps_an_utterance_but_starts_none() -> None:
    segmenter = listening()
    assert list(segmenter.push(sound((1, 0.4)))) == []
    assert kinds(list(segmenter.push(sound((1, 0.9), (2, 0.4))))) == [SpeechStarted]


def test_the_padding_does_not_reach_into_the_utterance_before() -> None:
    settings = SpeechSettings(turn_detection=TurnDetection(0.5, prefix_padding_ms=1000, silence_duration_ms=200))
    events = list(listening(settings).push(sound((1, 0), (0.5, 0.9), (0.25, 0), (0.5, 0.9), (0.5, 0))))
    stopped = next(event for event in events if isinstance(event, SpeechStopped))
    second = [event for event in events if isinstance(event, SpeechStarted)][1]
    assert second.audio_start_ms == stopped.audio_end_ms


def test_partials_grow_and_come_at_an_even_pace() -> None:
    events = list(listening(limits=SegmenterLimits(partial_s=0.3, longest_s=60)).push(sound((30, 0.9))))
    lengths = [len(event.samples) / 16_000 for event in events if isinstance(event, Utterance)]
    gaps = np.diff(lengths)
    assert not any(event.final for event in events if isinstance(event, Utterance))
    assert all(gaps >= 0.3 - 1e-6)
    assert all(gaps < 0.3 + 0.032)


def test_endless_speech_is_cut_where_it_is_least_voiced() -> None:
    limits = SegmenterLimits(longest_s=10, partial_s=None)
    events = list(listening(limits=limits).push(sound((8.0, 0.9), (0.064, 0.55), (4, 0.9))))
    assert kinds(events) == [SpeechStarted, SpeechStopped, Committed, Utterance, SpeechStarted]
    assert 8000 <= events[1].audio_end_ms <= 8096
    assert events[4].audio_start_ms == events[1].audio_end_ms


def test_nothing_is_kept_of_minutes_of_silence() -> None:
    segmenter = listening()
    for _ in range(300):
        assert list(segmenter.push(sound((1, 0)))) == []
    assert segmenter.kept_samples <= 16_000 * 0.4


def test_an_idle_timeout_comes_again_and_again() -> None:
    settings = SpeechSettings(turn_detection=TurnDetection(0.5, 300, 500, idle_timeout_ms=5_000))
    events = list(listening(settings).push(sound((11, 0))))
    assert kinds(events) == [IdleTimeout, IdleTimeout]
    assert events[0].start_ms == 0
    assert 5_000 <= events[0].end_ms < 5_000 + FRAME_MS
    assert events[1].start_ms == events[0].end_ms


def test_a_commit_in_the_middle_of_speech_closes_the_utterance_with_everything_heard() -> None:
    segmenter = listening()
    started = next(segmenter.push(sound((1, 0.9), (0.01, 0.9))))
    committed, utterance = segmenter.commit()
    assert committed == Committed(started.utterance_id, 0, 1010)
    assert utterance.final
    assert len(utterance.samples) == 16_160


def test_without_turn_detection_the_client_commits() -> None:
    segmenter = listening(MANUAL)
    assert list(segmenter.push(sound((1, 0), (1, 0.9), (2, 0)))) == []
    committed, utterance = segmenter.commit()
    assert (committed.start_ms, committed.end_ms) == (0, 4000)
    assert len(utterance.samples) == 64_000


def test_without_turn_detection_partials_come_before_the_commit_under_its_id() -> None:
    segmenter = listening(MANUAL, SegmenterLimits(partial_s=0.3))
    partials = list(segmenter.push(sound((1, 0.9))))
    assert [round(len(p.samples) / 16_000, 3) for p in partials] == [0.3, 0.6, 0.9]
    committed, utterance = segmenter.commit()
    assert {p.utterance_id for p in partials} == {committed.utterance_id} == {utterance.utterance_id}


def test_what_is_committed_by_hand_has_no_samples_where_nobody_speaks() -> None:
    segmenter = listening(MANUAL, SegmenterLimits(partial_s=1.0))
    assert list(segmenter.push(sound((3.0, 0.1)))) == []
    committed, utterance = segmenter.commit()
    assert (committed.start_ms, committed.end_ms, utterance.end_ms, len(utterance.samples)) == (0, 3000, 3000, 0)
    list(segmenter.push(sound((1.0, 0.1), (0.5, 0.9), (1.0, 0.1))))
    _, utterance = segmenter.commit()
    assert len(utterance.samples) == 2.5 * 16_000


@pytest.mark.parametrize("seconds", [0.1, 0.9, 11.3])
def test_whether_somebody_speaks_in_a_commit_does_not_depend_on_how_the_audio_was_cut(seconds: float) -> None:
    audio = sound((12.0, 0.1), (0.7, 0.9), (5.0, 0.1))
    step = round(seconds * 16_000)
    segmenter = listening(MANUAL, SegmenterLimits(longest_manual_s=10, partial_s=1.0))
    events = [event for at in range(0, len(audio), step) for event in segmenter.push(audio[at : at + step])]
    events += segmenter.commit()
    found = [(event.end_ms, len(event.samples)) for event in events if isinstance(event, Utterance)]
    assert found == [
        (10_000, 0),
        *((ms, (ms - 10_000) * 16) for ms in (13_000, 14_000, 15_000, 16_000, 17_000, 17_700)),
    ]


def test_noise_committed_by_hand_between_turns_has_no_samples() -> None:
    segmenter = listening()
    list(segmenter.push(sound((1.0, 0.1))))
    _, utterance = segmenter.commit()
    assert len(utterance.samples) == 0


def test_what_nobody_commits_is_committed_at_the_limit_and_no_sample_is_lost() -> None:
    segmenter = listening(MANUAL, SegmenterLimits(longest_manual_s=10, partial_s=None))
    heard = np.random.default_rng(0).random(25 * 16_000, dtype=np.float32)
    events = [event for start in range(0, len(heard), 7_000) for event in segmenter.push(heard[start : start + 7_000])]
    events += segmenter.commit()
    samples = np.concatenate([event.samples for event in events if isinstance(event, Utterance)])
    assert [event.end_ms for event in events if isinstance(event, Committed)] == [10_000, 20_000, 25_000]
    assert np.array_equal(samples, heard)
    assert segmenter.kept_samples == 0


def test_a_commit_of_almost_nothing_is_a_problem_that_names_the_clients_event() -> None:
    segmenter = listening(MANUAL)
    list(segmenter.push(sound((0.05, 0.9))))
    (problem,) = segmenter.commit("evt_7")
    assert isinstance(problem, SpeechProblem)
    assert problem.code == "input_audio_buffer_commit_empty"
    assert problem.ref == "evt_7"
    assert "50 ms" in problem.message
    assert "100 ms" in problem.message


def test_a_second_commit_in_a_row_is_empty() -> None:
    segmenter = listening(MANUAL)
    list(segmenter.push(sound((1, 0.9))))
    list(segmenter.commit())
    assert kinds(list(segmenter.commit())) == [SpeechProblem]


def test_clear_throws_away_what_was_said() -> None:
    segmenter = listening()
    (started,) = segmenter.push(sound((1, 0), (1, 0.9)))
    assert list(segmenter.clear()) == [Cleared(started.utterance_id)]
    assert segmenter.kept_samples == 0
    assert list(segmenter.push(sound((2, 0)))) == []


def test_the_end_of_a_session_closes_speech_in_progress_only() -> None:
    assert list(listening().flush()) == []
    segmenter = listening()
    list(segmenter.push(sound((1, 0.9))))
    assert kinds(list(segmenter.flush())) == [SpeechStopped, Committed, Utterance]


def test_turning_detection_off_closes_speech_in_progress() -> None:
    segmenter = listening()
    list(segmenter.push(sound((1, 0.9))))
    assert kinds(list(segmenter.configure(MANUAL))) == [SpeechStopped, Committed, Utterance]
    assert list(segmenter.push(sound((5, 0.9)))) == []


def test_with_no_model_speech_is_detected_but_not_handed_on() -> None:
    settings = SpeechSettings(model=None, turn_detection=TurnDetection(0.5, 300, 500))
    events = list(listening(settings, SegmenterLimits(partial_s=0.3)).push(sound((1, 0.9), (1, 0))))
    assert kinds(events) == [SpeechStarted, SpeechStopped, Committed]


def test_a_session_gets_the_steps_defaults_for_what_it_leaves_open() -> None:
    defaults = TurnDetection(0.6, 100, 700)
    asked = SpeechSettings(turn_detection=TurnDetection(silence_duration_ms=900))
    assert effective(asked, defaults).turn_detection == TurnDetection(0.6, 100, 900)
    assert effective(MANUAL, defaults).turn_detection is None


def pauses(eagerness: str, finished: float | None, silence_s: float) -> list:
    """Speak for a second, be silent, and answer what is asked."""
    settings = SpeechSettings(turn_detection=TurnDetection(0.5, 300, 800, eagerness=eagerness))
    events = []
    for event in listening(settings).push(sound((1, 0), (1.024, 0.9), (silence_s, 0))):
        if isinstance(event, TurnQuestion):
            event.finished = finished
        events.append(event)
    return events


def test_a_complete_sentence_ends_the_turn_at_once() -> None:
    events = pauses("auto", 0.9, 0.4)
    assert kinds(events) == [SpeechStarted, TurnQuestion, SpeechStopped, Committed, Utterance]
    assert events[2].audio_end_ms - 2_024 < 350


@pytest.mark.parametrize(("eagerness", "longest_s"), [("low", 8.0), ("medium", 4.0), ("auto", 4.0), ("high", 2.0)])
def test_an_unfinished_sentence_is_waited_for_as_long_as_the_eagerness_says(eagerness: str, longest_s: float) -> None:
    assert SpeechStopped not in kinds(pauses(eagerness, 0.1, longest_s - 0.1))
    assert SpeechStopped in kinds(pauses(eagerness, 0.1, longest_s + 0.1))


def test_eagerness_says_how_sure_the_end_of_a_turn_must_be() -> None:
    ends = {eagerness: SpeechStopped in kinds(pauses(eagerness, 0.8, 0.4)) for eagerness in ("low", "medium", "high")}
    assert ends == {"low": False, "medium": True, "high": True}
    assert SpeechStopped in kinds(pauses("high", 0.6, 0.4))
    assert SpeechStopped not in kinds(pauses("medium", 0.6, 0.4))


def test_silence_decides_where_nothing_can_tell_how_a_sentence_sounds() -> None:
    assert SpeechStopped not in kinds(pauses("auto", None, 0.7))
    assert SpeechStopped in kinds(pauses("auto", None, 0.9))


def test_who_goes_on_is_asked_again_at_the_next_pause() -> None:
    settings = SpeechSettings(turn_detection=TurnDetection(0.5, 300, 800, eagerness="low"))
    asked = []
    for event in listening(settings).push(sound((1, 0.9), (1, 0), (1, 0.9), (0.4, 0))):
        if isinstance(event, TurnQuestion):
            asked.append(event)
            event.finished = len(asked) - 1.0
        ended = isinstance(event, Utterance) and event.final
    assert len(asked) == 2
    assert len(asked[1].samples) > len(asked[0].samples)
    assert ended


def test_what_may_be_the_whole_utterance_is_heard_while_the_silence_lasts() -> None:
    limits = SegmenterLimits(partial_s=5.0)
    events = list(listening(limits=limits).push(sound((1, 0), (1.024, 0.9), (1, 0))))
    ahead, final = [event for event in events if isinstance(event, Utterance)]
    assert (ahead.final, final.final) == (False, True)
    assert ahead.voiced == final.voiced
    assert 1.2 < (ahead.voiced or 0) / 16_000 < 1.4
    assert ahead.voiced < len(ahead.samples) < len(final.samples)
