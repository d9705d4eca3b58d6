import itertools

import numpy as np
import pytest

from fastembed.operators.listening.packing import Packing
from fastembed.pipeline.payload.audio import SpeechSettings, TurnDetection, Utterance
from tests.unit.operators.listening.loudness import Loudness, numbered, sound

AUTO = SpeechSettings(turn_detection=None)
TURNS = TurnDetection(threshold=0.5, prefix_padding_ms=300, silence_duration_ms=200)


def packing(settings: SpeechSettings = AUTO, longest_s: float = 10) -> Packing:
    return Packing(Loudness(), settings, numbered(), defaults=TURNS, longest_s=longest_s)


def cut(heard: np.ndarray, settings: SpeechSettings = AUTO, size: int = 4_000) -> list[Utterance]:
    machine = packing(settings)
    pieces = [heard[at : at + size] for at in range(0, len(heard), size)]
    return [found for piece in pieces for found in machine.push(piece)] + list(machine.finish())


def spans(utterances: list[Utterance]) -> list[tuple[int, int]]:
    return [(utterance.start_ms, utterance.end_ms) for utterance in utterances]


def test_a_short_recording_is_one_utterance_silence_and_all() -> None:
    heard = sound((2, 0), (1, 0.9), (2, 0))
    (whole,) = cut(heard)
    assert (whole.start_ms, whole.end_ms, whole.final) == (0, 5_000, True)
    assert np.array_equal(whole.samples, heard)


def test_an_empty_recording_has_no_utterance() -> None:
    assert cut(np.empty(0, np.float32)) == []


def test_stretches_of_speech_are_joined_while_they_fit_and_cut_in_pauses() -> None:
    heard = sound(*[(3, 0.9), (1, 0)] * 6)
    found = cut(heard)
    assert len(found) == 3
    for utterance in found:
        assert 6_000 < utterance.end_ms - utterance.start_ms <= 10_000
        at = utterance.start_ms * 16
        assert np.array_equal(utterance.samples, heard[at : at + len(utterance.samples)])
    assert all(a.end_ms <= b.start_ms for a, b in itertools.pairwise(found))


def test_no_speech_is_lost_between_the_pieces() -> None:
    heard = sound(*[(2.5, 0.9), (0.5, 0)] * 8)
    taken = np.zeros(len(heard), bool)
    for utterance in cut(heard):
        taken[utterance.start_ms * 16 : utterance.end_ms * 16] = True
    assert taken[heard > 0.5].mean() > 0.995


def test_a_long_pause_parts_two_pieces_and_is_in_neither() -> None:
    found = cut(sound((1, 0.9), (5, 0), (1, 0.9), (8, 0)))
    assert [(round(a, -3), round(b, -3)) for a, b in spans(found)] == [(0, 1_000), (6_000, 7_000)]


def test_speech_without_a_pause_is_cut_all_the_same() -> None:
    found = cut(sound((35, 0.9)))
    assert all(end - start <= 10_100 for start, end in spans(found))
    assert sum(end - start for start, end in spans(found)) >= 34_900


def test_with_turn_detection_every_stretch_is_its_own() -> None:
    settings = SpeechSettings(turn_detection=TurnDetection(silence_duration_ms=400))
    found = cut(sound(*[(1, 0.9), (0.6, 0)] * 3), settings)
    assert len(found) == 3


def test_the_cuts_do_not_depend_on_how_the_sound_came() -> None:
    heard = sound(*[(3, 0.9), (0.7, 0)] * 8)
    assert spans(cut(heard, size=len(heard))) == spans(cut(heard, size=777))


@pytest.mark.parametrize("level", [0.0, 0.9])
def test_memory_is_bounded_however_long_the_recording_is(level: float) -> None:
    machine = packing()
    most = 0
    for _ in range(120):
        list(machine.push(sound((1, level))))
        most = max(most, machine.kept_samples)
    assert most <= 22 * 16_000
