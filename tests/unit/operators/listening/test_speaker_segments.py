"""Words by the turns of speakers."""

from __future__ import annotations

import pytest

from fastembed.operators.listening.speaker_segments import SpeakerSegment, speaker_segments
from fastembed.pipeline.payload.audio import SpeakerTurn, Word

TURNS = (SpeakerTurn("A", 0, 2_000), SpeakerTurn("B", 2_200, 3_000, ("short",)), SpeakerTurn("A", 4_000, 9_000))


def spoken(*words: tuple[str, int]) -> list[Word]:
    return [Word(text, start_ms, start_ms + 300) for text, start_ms in words]


def said(words: list[Word], turns: tuple[SpeakerTurn, ...] = TURNS) -> list[tuple[str, str]]:
    return [(part.speaker, part.text) for part in speaker_segments(words, turns)]


def test_a_segment_ends_where_the_speaker_changes() -> None:
    words = spoken(("How", 100), ("late", 900), ("is", 1_600), ("it?", 1_800), ("Ten.", 2_400), ("Thanks.", 4_100))
    assert said(words) == [("A", "How late is it?"), ("B", "Ten."), ("A", "Thanks.")]


@pytest.mark.parametrize(
    ("start_ms", "speaker"), [(1_940, "A"), (1_960, "B"), (3_200, "B"), (3_400, "A"), (20_000, "A")]
)
def test_a_word_between_two_turns_belongs_to_the_nearer_one(start_ms: int, speaker: str) -> None:
    assert said(spoken(("so", start_ms))) == [(speaker, "so")]


def test_a_pause_ends_a_segment_of_the_same_speaker() -> None:
    assert said(spoken(("One", 4_000), ("two", 4_400), ("three", 7_000))) == [("A", "One two"), ("A", "three")]


def test_a_long_speech_ends_after_a_sentence() -> None:
    words = spoken(*((f"w{place}." if place % 10 == 9 else f"w{place}", place * 500) for place in range(60)))
    found = said(words, (SpeakerTurn("A", 0, 60_000),))
    assert [text.split()[-1] for _, text in found] == ["w39.", "w59."]


def test_doubts_of_the_turn_go_with_its_words() -> None:
    found = speaker_segments(spoken(("Ten.", 2_400), ("Well", 4_500)), TURNS)
    assert [part.doubts for part in found] == [("short",), ()]
    assert found[0] == SpeakerSegment("B", "Ten.", 2_400, 2_700, ("short",))


def test_words_without_any_turn_are_of_one_speaker_and_doubtful() -> None:
    found = speaker_segments(spoken(("Hm", 0)), ())
    assert [(part.speaker, part.doubts) for part in found] == [("A", ("short",))]


def test_no_words_are_no_segments() -> None:
    assert speaker_segments([], TURNS) == []
