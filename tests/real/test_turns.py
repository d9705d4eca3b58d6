"""Smart Turn hears whether a sentence is complete."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from fastembed.inference.engines.turns import TurnModel
from fastembed.operators.vad import Vad
from fastembed.pipeline.component import Context
from fastembed.pipeline.payload.audio import AudioFrame, SpeechSettings, SpeechStopped, TurnDetection
from tests.real.hearing import ASSETS, LIBRIVOX, RATE_HZ, sound
from tests.unit.operators.streams import through

CUT_S = {"0870": 4.3, "0890": 3.95, "0920": 2.2}
"""Where the sentences are cut, in a word or behind one that asks for more."""


@pytest.fixture(scope="module")
def sentences() -> dict[str, np.ndarray]:
    return {name: asyncio.run(sound(ASSETS / "librivox" / f"{name}.flac")) for name in LIBRIVOX}


def with_pause(samples: np.ndarray) -> np.ndarray:
    return np.concatenate([samples, np.zeros(RATE_HZ // 5, np.float32)])


def test_whole_sentences_sound_complete_and_cut_ones_do_not(sentences: dict[str, np.ndarray]) -> None:
    model = TurnModel()
    whole = [model.finished(with_pause(sentences[name])) for name in ("0870", "0890", "0920")]
    cut = [model.finished(with_pause(sentences[name][: int(end_s * RATE_HZ)])) for name, end_s in CUT_S.items()]
    assert min(whole) > 0.5
    assert max(cut) < 0.5


async def test_a_session_waits_in_an_unfinished_sentence_and_answers_a_finished_one(
    sentences: dict[str, np.ndarray],
) -> None:
    """Two seconds of silence in the middle of a sentence end nothing; a third of a second behind it does."""
    cut = int(CUT_S["0920"] * RATE_HZ)
    first, rest = sentences["0920"][:cut], sentences["0920"][cut:]
    spoken = np.concatenate([first, np.zeros(2 * RATE_HZ, np.float32), rest, np.zeros(RATE_HZ, np.float32)])
    vad = Vad()
    await vad.open(Context("p", "vad", "", Path()))
    settings = SpeechSettings(turn_detection=TurnDetection(silence_duration_ms=800, eagerness="medium"))
    frames = [AudioFrame(spoken[begin:end]) for begin, end in pairwise(range(0, len(spoken), 1_600))]
    ends = [event.audio_end_ms for event in await through(vad, [settings, *frames]) if isinstance(event, SpeechStopped)]
    spoken_ms = (len(spoken) - RATE_HZ) // 16
    assert len(ends) == 1
    assert ends[0] - spoken_ms < 400
