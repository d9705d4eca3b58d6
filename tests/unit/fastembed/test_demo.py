"""What the demo calls right and wrong: a demo that cannot fail shows nothing."""

from __future__ import annotations

import wave
from typing import Any

import numpy as np
import pytest

from fastembed.demo import ASSETS, DOCUMENTS, QUESTIONS, check_answer, check_neighbours, word_recall
from fastembed.demo_call import Call, take
from fastembed.demo_server import DemoFailed

HIT: dict[str, Any] = {"document": QUESTIONS[0].document, "text": f"so take the {QUESTIONS[0].words}"}


def test_all_that_was_said_is_a_recall_of_one() -> None:
    assert word_recall("Good morning, valley.", "good  MORNING valley") == 1.0


def test_a_word_said_twice_must_be_heard_twice() -> None:
    assert word_recall("no no", "no yes") == 0.5


def test_words_that_nobody_said_do_not_help() -> None:
    assert word_recall("cold and clear", "") == 0.0


def test_the_expected_document_with_the_expected_words_is_right() -> None:
    check_answer(QUESTIONS[0], [HIT])


@pytest.mark.parametrize(
    ("found", "message"),
    [
        ([], "found nothing"),
        ([{**HIT, "document": "other.pdf"}], "found other.pdf first, expected"),
        ([{**HIT, "text": "nothing of the kind"}], "expected it to say"),
    ],
)
def test_any_other_answer_is_wrong(found: list[dict[str, Any]], message: str) -> None:
    with pytest.raises(DemoFailed, match=message):
        check_answer(QUESTIONS[0], found)


def test_sentences_of_like_meaning_must_be_nearest() -> None:
    right = np.eye(5, dtype=np.float32)
    right[0, 1] = right[1, 0] = right[2, 3] = right[3, 2] = 0.7
    check_neighbours(right)
    wrong = right.copy()
    wrong[0, 4] = 0.9
    with pytest.raises(DemoFailed, match="is nearest to"):
        check_neighbours(wrong)


def test_deltas_are_shown_and_the_transcript_kept() -> None:
    call, shown = Call(), list[str]()
    for event in (
        {"type": "input_audio_buffer.speech_started", "item_id": "a"},
        {"type": "input_audio_buffer.speech_stopped", "item_id": "a", "audio_end_ms": 1500},
        {"type": "conversation.item.input_audio_transcription.delta", "item_id": "a", "delta": "good morning"},
        {
            "type": "conversation.item.input_audio_transcription.completed",
            "item_id": "a",
            "transcript": "good morning",
        },
    ):
        take(event, call, shown.append, now_s=2.0)
    assert shown == ["good morning", "\n"]
    assert (call.transcripts, call.delays_s, call.speaking, call.waiting) == (["good morning"], [0.5], False, set())


def test_an_error_event_ends_the_demo() -> None:
    with pytest.raises(DemoFailed, match="no model"):
        take({"type": "error", "error": {"message": "no model"}}, Call(), print, now_s=0.0)


def test_every_document_that_is_dropped_or_asked_for_is_shipped() -> None:
    shipped = {path.name for path in ASSETS.iterdir()}
    assert {*DOCUMENTS, "morning-call.wav", "morning-call.txt"} <= shipped
    assert {question.document for question in QUESTIONS} == set(DOCUMENTS)


def test_the_shipped_files_stay_small() -> None:
    assert sum(path.stat().st_size for path in ASSETS.iterdir()) < 1_000_000


def test_the_call_is_a_wav_that_realtime_sessions_take() -> None:
    with wave.open(str(ASSETS / "morning-call.wav")) as sound:
        assert (sound.getframerate(), sound.getnchannels(), sound.getsampwidth()) == (16000, 1, 2)
