"""The speech engines on real recordings: Whisper."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np
import pytest

from fastembed.inference.engines.speech.engine import Heard, SpeechEngine, SpeechRequest
from fastembed.inference.engines.speech.whisper import WhisperEngine
from fastembed.inference.library.specs import ModelSpec
from fastembed.inference.serving.models import Models
from fastembed.inference.serving.speech.engines import POCKET, SpeechEngines
from fastembed.pipeline.errors import InvalidInput, ModelNotFound, Unavailable
from tests.integration.recordings import LIGHT, samples

WHISPER_BASE = Path(__file__).parents[2] / "models" / "whisper-base"
POCKET_FOLDER = Path(__file__).parents[2] / "models" / "whisper-pocket"


@asynccontextmanager
async def opened(engine: SpeechEngine) -> AsyncIterator[SpeechEngine]:
    try:
        yield engine
    finally:
        await engine.close()


async def test_whisper_writes_down_what_it_knows_with_times_and_language() -> None:
    engine = WhisperEngine(POCKET_FOLDER, properties={"INFERENCE_PRECISION_HINT": "f32"})
    async with opened(engine):
        heard = await engine.transcribe(SpeechRequest(samples("red-light.wav")))
        assert heard.text == LIGHT
        assert heard.language == "en"
        assert [word.text for word in heard.words] == heard.text.split()
        partial = await engine.transcribe(SpeechRequest(samples("red-light.wav")[:16_000], partial=True))
        assert partial.text.startswith("turn on")


async def test_whisper_guards_what_its_pipeline_would_fail_at() -> None:
    async with opened(WhisperEngine(POCKET_FOLDER)) as engine:
        for sound in (np.zeros(150, np.float32), np.full(16_000, np.nan, np.float32), np.zeros(80_000, np.float32)):
            assert (await engine.transcribe(SpeechRequest(sound))).text == ""
        with pytest.raises(InvalidInput, match="found language 'fr', expected one that whisper-pocket knows: de, en"):
            await engine.transcribe(SpeechRequest(samples("red-light.wav"), language="fr"))


async def test_whisper_goes_on_with_the_next_request_when_one_is_cancelled() -> None:
    async with opened(WhisperEngine(POCKET_FOLDER)) as engine:
        await engine.warm()
        first = asyncio.create_task(engine.transcribe(SpeechRequest(samples("red-light.wav"))))
        await asyncio.sleep(0)
        first.cancel()
        assert (await engine.transcribe(SpeechRequest(samples("red-light.wav")))).text


async def test_whisper_leaves_off_with_the_window_in_which_its_caller_left() -> None:
    long = np.tile(samples("red-light.wav"), 200)
    async with opened(WhisperEngine(POCKET_FOLDER)) as engine:
        await engine.warm()
        began = time.perf_counter()
        await engine.transcribe(SpeechRequest(long))
        whole_s = time.perf_counter() - began
        leaving = asyncio.create_task(engine.transcribe(SpeechRequest(long)))
        await asyncio.sleep(whole_s / 20)
        began = time.perf_counter()
        leaving.cancel()
        assert (await engine.transcribe(SpeechRequest(samples("red-light.wav")))).text == LIGHT
        assert time.perf_counter() - began < whole_s / 2


async def test_whisper_loads_on_the_next_device_where_the_first_refuses() -> None:
    async with opened(WhisperEngine(POCKET_FOLDER, devices=["NO_SUCH_DEVICE", "CPU"])) as engine:
        assert (await engine.transcribe(SpeechRequest(samples("red-light.wav")))).text == LIGHT
    async with opened(WhisperEngine(POCKET_FOLDER, devices=["NO_SUCH_DEVICE"])) as engine:
        with pytest.raises(Unavailable, match=r"whisper-pocket loads on none of its devices .*NO_SUCH_DEVICE"):
            await engine.transcribe(SpeechRequest(samples("red-light.wav")))


def test_a_folder_without_a_whisper_is_refused_by_what_it_lacks(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFound, match=r"found no openvino_encoder_model\.xml"):
        WhisperEngine(tmp_path)


async def test_auto_means_the_declared_whisper_else_the_one_that_ships() -> None:
    declared = Models({"mine": ModelSpec.model_validate({"from": str(POCKET_FOLDER), "aliases": ["ours"]})})
    engines = SpeechEngines(declared)
    assert engines.resolve("auto").label == "mine"
    assert engines.resolve("whisper-1") is engines.resolve("ours") is engines.resolve("mine")
    assert engines.resolve("whisper-base").label == "whisper-base"
    await engines.close()
    bare = SpeechEngines(Models())
    assert bare.resolve("auto") is bare.resolve("whisper-base") is bare.resolve("gpt-4o-transcribe")
    assert bare.resolve(POCKET).label == POCKET
    with pytest.raises(ModelNotFound, match=r"found model 'large', expected one of auto, whisper-base, whisper-pocket"):
        bare.resolve("large")
    await bare.close()
    with pytest.raises(Unavailable):
        bare.resolve("auto")


async def test_sessions_that_take_turns_never_hear_each_other() -> None:
    """States of the decoder that were computed for one sound must never answer for another of the same length."""
    first = samples("two-sentences.wav")[8_000:88_000]
    second = samples("committee.wav")[:80_000]
    async with opened(WhisperEngine(WHISPER_BASE)) as engine:

        async def heard(sound: np.ndarray, stream: str, length: int) -> str:
            partial = length < len(sound)
            request = SpeechRequest(sound[:length], "en", partial=partial, stream_id=stream, words=False)
            return (await engine.transcribe(request) or Heard()).text

        alone = [await heard(sound, "", len(sound)) for sound in (first, second)]
        assert "fox" in alone[0]
        assert "committee" in alone[1]
        for length in range(16_000, 80_001, 16_000):
            texts = await asyncio.gather(heard(first, "a", length), heard(second, "b", length))
        assert texts == alone
