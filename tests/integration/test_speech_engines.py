"""The speech engines on real recordings: pocketsphinx in its processes, Whisper through openvino-genai."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np
import pytest

from fastembed.inference.engines.speech.engine import SpeechEngine, SpeechRequest
from fastembed.inference.engines.speech.sphinx import LABEL, SphinxEngine
from fastembed.inference.engines.speech.whisper import WhisperEngine
from fastembed.inference.library.specs import ModelSpec
from fastembed.inference.serving.models import Models
from fastembed.inference.serving.speech.engines import POCKET, SpeechEngines
from fastembed.pipeline.errors import InvalidInput, ModelNotFound, Unavailable
from tests.integration.recordings import FIRST, LIGHT, SECOND, samples, wrong_words

POCKET_FOLDER = Path(__file__).parents[2] / "models" / "whisper-pocket"
BOTH = samples("two-sentences.wav")
SENTENCE_1 = BOTH[8_000 - 4_800 : 8_000 + 80_000]
SENTENCE_2 = BOTH[-16_000 - 24_000 - 9_600 :]


async def busy(engine: SphinxEngine) -> None:
    """Return as soon as every decoder is at work."""
    while engine._turnstile._free:  # noqa: ASYNC110 - the task that takes it runs at the next turn
        await asyncio.sleep(0)


@asynccontextmanager
async def opened(engine: SpeechEngine) -> AsyncIterator[SpeechEngine]:
    try:
        yield engine
    finally:
        await engine.close()


@pytest.fixture(scope="module")
def sphinx_loop():
    with asyncio.Runner() as runner:
        engine = SphinxEngine(workers=1)
        yield runner.run, engine
        runner.run(engine.close())


def test_pocketsphinx_writes_down_a_sentence_with_times(sphinx_loop) -> None:
    run, engine = sphinx_loop
    heard = run(engine.transcribe(SpeechRequest(SENTENCE_1)))
    assert wrong_words(FIRST, heard.text) <= 1
    assert heard.language == "en"
    assert [word.text for word in heard.words] == heard.text.split()
    assert all(a.end_s <= b.start_s + 0.011 for a, b in zip(heard.words, heard.words[1:], strict=False))
    assert 0 < heard.words[0].start_s < heard.words[-1].end_s < len(SENTENCE_1) / 16_000


def test_pocketsphinx_follows_an_utterance_as_it_grows(sphinx_loop) -> None:
    run, engine = sphinx_loop
    said = []
    for end in range(9_600, len(SENTENCE_1), 9_600):
        heard = run(engine.transcribe(SpeechRequest(SENTENCE_1[:end], partial=True, stream_id="u")))
        said.append(len(heard.words))
        assert heard.unsettled >= 1
    final = run(engine.transcribe(SpeechRequest(SENTENCE_1, stream_id="u")))
    assert said == sorted(said)
    assert said[len(said) // 2] >= 2
    assert wrong_words(FIRST, final.text) <= 1


def test_pocketsphinx_hears_an_utterance_alike_whatever_others_said_between(sphinx_loop) -> None:
    run, engine = sphinx_loop
    alone = run(engine.transcribe(SpeechRequest(SENTENCE_2)))
    run(engine.transcribe(SpeechRequest(SENTENCE_1, speaker_id="somebody")))
    run(engine.transcribe(SpeechRequest(np.clip(SENTENCE_1 * 8, -1, 1), speaker_id="somebody loud")))
    assert run(engine.transcribe(SpeechRequest(SENTENCE_2))) == alone


def test_pocketsphinx_starts_over_for_an_utterance_that_another_has_displaced(sphinx_loop) -> None:
    run, engine = sphinx_loop
    run(engine.transcribe(SpeechRequest(SENTENCE_2[:16_000], partial=True, stream_id="a")))
    run(engine.transcribe(SpeechRequest(SENTENCE_1[:16_000], partial=True, stream_id="b")))
    heard = run(engine.transcribe(SpeechRequest(SENTENCE_2, stream_id="a")))
    assert wrong_words(SECOND, heard.text) <= 1


@pytest.mark.parametrize(
    "sound",
    [
        np.zeros(0, np.float32),
        np.zeros(100, np.float32),
        np.zeros(32_000, np.float32),
        np.full(32_000, np.nan, np.float32),
        np.full(32_000, np.inf, np.float32),
    ],
    ids=["nothing", "too short", "silence", "NaN", "infinite"],
)
def test_pocketsphinx_hears_nothing_in_what_is_no_sound(sphinx_loop, sound: np.ndarray) -> None:
    run, engine = sphinx_loop
    assert run(engine.transcribe(SpeechRequest(sound))).text == ""


def test_pocketsphinx_refuses_other_languages_by_name(sphinx_loop) -> None:
    run, engine = sphinx_loop
    with pytest.raises(InvalidInput, match="found language 'de', expected 'en'"):
        run(engine.transcribe(SpeechRequest(SENTENCE_1, language="de")))
    assert run(engine.transcribe(SpeechRequest(SENTENCE_2, language="en-GB"))).text


def test_pocketsphinx_is_marked_as_of_low_accuracy(sphinx_loop) -> None:
    assert sphinx_loop[1].label == "pocketsphinx (low accuracy)"


async def test_a_decoder_that_is_killed_is_replaced_and_the_utterance_heard_all_the_same() -> None:
    async with opened(SphinxEngine(workers=1)) as engine:
        await engine.warm()
        process = engine._workers[0]._process
        pending = asyncio.create_task(engine.transcribe(SpeechRequest(SENTENCE_1)))
        await asyncio.sleep(0)
        os.kill(process.pid, signal.SIGKILL)
        heard = await pending
        assert wrong_words(FIRST, heard.text) <= 1
        assert engine._workers[0]._process.pid != process.pid


async def test_a_cancelled_request_stops_its_decoder_which_then_serves_the_next() -> None:
    async with opened(SphinxEngine(workers=1)) as engine:
        await engine.warm()
        process = engine._workers[0]._process
        long = asyncio.create_task(engine.transcribe(SpeechRequest(np.tile(SENTENCE_1, 40))))
        await busy(engine)
        long.cancel()
        async with asyncio.timeout(5):
            with pytest.raises(asyncio.CancelledError):
                await long
            heard = await engine.transcribe(SpeechRequest(SENTENCE_2))
        assert wrong_words(SECOND, heard.text) <= 1
        assert engine._workers[0]._process is process


async def test_a_partial_gives_way_to_what_is_finished() -> None:
    async with opened(SphinxEngine(workers=1)) as engine:
        await engine.warm()
        final = asyncio.create_task(engine.transcribe(SpeechRequest(SENTENCE_1)))
        await busy(engine)
        assert await engine.transcribe(SpeechRequest(SENTENCE_2, partial=True)) is None
        assert (await final).text


async def test_closing_leaves_no_process_and_refuses_what_comes_later() -> None:
    engine = SphinxEngine(workers=1)
    await engine.warm()
    process = engine._workers[0]._process
    await engine.close()
    assert process.returncode is not None
    with pytest.raises(Unavailable, match="closed"):
        await engine.transcribe(SpeechRequest(SENTENCE_1))


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
        assert await engine.transcribe(SpeechRequest(samples("red-light.wav"), partial=True)) is None
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


async def test_auto_means_the_declared_whisper_else_pocketsphinx() -> None:
    declared = Models({"mine": ModelSpec.model_validate({"from": str(POCKET_FOLDER), "aliases": ["ours"]})})
    engines = SpeechEngines(declared)
    assert engines.resolve("auto").label == "mine"
    assert engines.resolve("whisper-1") is engines.resolve("ours") is engines.resolve("mine")
    assert engines.resolve("pocketsphinx").label == LABEL
    await engines.close()
    bare = SpeechEngines(Models())
    assert bare.resolve("auto") is bare.resolve(LABEL) is bare.resolve("gpt-4o-transcribe")
    assert bare.resolve(POCKET).label == POCKET
    with pytest.raises(ModelNotFound, match=r"found model 'large', expected one of auto, pocketsphinx, whisper-pocket"):
        bare.resolve("large")
    await bare.close()
    with pytest.raises(Unavailable):
        bare.resolve("auto")
