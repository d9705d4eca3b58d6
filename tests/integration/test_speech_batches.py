"""Sounds that are heard together are heard as if each were alone."""

from __future__ import annotations

import json
import re
import threading
from pathlib import Path

import numpy as np
import pytest

from fastembed.inference.engines.speech.engine import Heard, SpeechRequest
from fastembed.inference.engines.speech.windowed import WindowedWriter
from tests.integration.recordings import samples

FOLDER = Path(__file__).parents[2] / "models" / "whisper-base"


def opened() -> WindowedWriter:
    generation = json.loads((FOLDER / "generation_config.json").read_text(encoding="utf-8"))
    return WindowedWriter(FOLDER, generation, {"INFERENCE_NUM_THREADS": 2}, 2)


@pytest.fixture(scope="module")
def writer() -> WindowedWriter:
    return opened()


def heard(writer: WindowedWriter, *requests: SpeechRequest, slot: int = 0) -> list[Heard | None]:
    return writer.write(slot, requests, [threading.Event() for _ in requests])


def ask(sound: np.ndarray, **options: object) -> SpeechRequest:
    return SpeechRequest(sound, **options)  # type: ignore[arg-type] # options of each test


@pytest.fixture(scope="module")
def sounds() -> list[np.ndarray]:
    sentence = samples("two-sentences.wav")
    return [samples("committee.wav"), sentence, sentence[:40_000]]


def plain(found: Heard | None) -> list[str]:
    """Return the words without case and marks, which near ties may change."""
    assert found
    return re.sub(r"[^\w ]", "", found.text.lower()).split()


def test_sounds_of_many_lengths_in_step_read_as_each_alone(writer: WindowedWriter, sounds: list[np.ndarray]) -> None:
    alone = [heard(writer, ask(sound))[0] for sound in sounds]
    together = heard(writer, *(ask(sound) for sound in sounds))
    assert [plain(found) for found in together] == [plain(found) for found in alone]
    assert [found and found.language for found in together] == ["en"] * 3
    for one, other in zip(alone, together, strict=True):
        assert one
        assert other
        starts = [[word.start_s for word in found.words] for found in (one, other)]
        assert starts[0] == pytest.approx(starts[1], abs=0.25)


def test_what_knows_its_language_and_what_does_not_are_heard_in_step(
    writer: WindowedWriter, sounds: list[np.ndarray]
) -> None:
    first, second = heard(writer, ask(sounds[0], language="en"), ask(sounds[1]))
    assert [plain(first), plain(second)] == [plain(found) for found in heard(writer, *map(ask, sounds[:2]))]


def test_two_sessions_by_turns_hear_themselves_and_nobody_else(
    writer: WindowedWriter, sounds: list[np.ndarray]
) -> None:
    """Of two sounds of one length, a decoder that kept the other's keys and values would answer from those."""
    length = min(len(sounds[0]), len(sounds[1]))
    lengths = range(length // 3, length + 1, length // 3)
    fresh = [[heard(writer, ask(sound[:end]))[0] for end in lengths] for sound in sounds[:2]]
    for place, end in enumerate(lengths):
        for number, sound in enumerate(sounds[:2]):
            found = heard(writer, ask(sound[:end], partial=True, stream_id=f"session {number}"), slot=place % 2)[0]
            assert plain(found)[:4] == plain(fresh[number][place])[:4]


def test_what_is_left_ends_and_the_rows_beside_it_go_on(writer: WindowedWriter, sounds: list[np.ndarray]) -> None:
    left = [threading.Event(), threading.Event()]
    left[0].set()
    gone, found = writer.write(0, [ask(sounds[0]), ask(sounds[1])], left)
    assert gone is None
    assert plain(found) == plain(heard(writer, ask(sounds[1]))[0])
