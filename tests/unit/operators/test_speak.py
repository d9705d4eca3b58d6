"""The operator `speak`, with a tiny voice."""

import os
import signal

import numpy as np
import pytest

from fastembed.inference.serving.models import Models
from fastembed.operators.speak import Speak
from fastembed.pipeline.component import Context, OperatorKind, Resources
from fastembed.pipeline.errors import InvalidInput, ModelNotFound
from fastembed.pipeline.item import Item
from fastembed.pipeline.payload.voice import SpeakRequest
from fastembed.pipeline.spec import describe
from tests.voices import make_voice

TEXT = "Good morning. The weather is cold and windy. Yes."


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    home = tmp_path_factory.mktemp("voices")
    make_voice(home / "kokoro")
    return home


@pytest.fixture
async def models(home, monkeypatch):
    monkeypatch.setenv("FASTEMBED_MODELS", str(home))
    models = Models()
    yield models
    await models.close()


async def opened(models, tmp_path, **options):
    operator = Speak(**options)
    await operator.open(Context("speak", "speak", "hash", tmp_path, Resources(models)))
    return operator


async def said(operator, request):
    return [audio async for audio in operator(Item(request))]


def test_the_operator_is_what_the_kernel_takes_it_for():
    assert describe(Speak, "speak").kind is OperatorKind.EXPAND


async def test_a_text_is_spoken_sentence_by_sentence_and_the_last_piece_says_so(models, tmp_path):
    found = await said(await opened(models, tmp_path), TEXT)
    assert [audio.text for audio in found] == ["Good morning.", "The weather is cold and windy.", "Yes."]
    assert [audio.final for audio in found] == [False, False, True]
    assert {(audio.model, audio.voice, audio.rate_hz) for audio in found} == {("kokoro", "af_heart", 24_000)}
    assert all(audio.samples.dtype == np.float32 and 0.4 < np.abs(audio.samples).max() < 0.6 for audio in found)
    assert found[1].seconds > found[2].seconds > 0.1


async def test_twice_as_fast_is_half_as_long(models, tmp_path):
    operator = await opened(models, tmp_path)
    (slow,) = await said(operator, SpeakRequest("The weather is cold"))
    (fast,) = await said(operator, SpeakRequest("The weather is cold", speed=2.0))
    assert fast.seconds == pytest.approx(slow.seconds / 2, rel=0.1)


async def test_a_voice_is_the_requests_else_the_steps_and_answers_to_all_its_names(models, tmp_path):
    operator = await opened(models, tmp_path, voice="fable", voices={"narrator": "af_alloy"})
    for asked, expected in (
        ("", "bm_fable"),
        ("alloy", "af_alloy"),
        ("narrator", "af_alloy"),
        ("AF_HEART", "af_heart"),
    ):
        (audio,) = await said(operator, SpeakRequest("Yes.", voice=asked))
        assert audio.voice == expected
    with pytest.raises(InvalidInput, match="found 'bob', expected one of af_alloy, af_heart, bm_fable"):
        await said(operator, SpeakRequest("Yes.", voice="bob"))


@pytest.mark.parametrize("model", ["auto", "tts-1", "gpt-4o-mini-tts", "kokoro", "kokoro-82m"])
async def test_openais_names_mean_the_voice_that_is_here(models, tmp_path, model):
    (audio,) = await said(await opened(models, tmp_path), SpeakRequest("Yes.", model=model))
    assert audio.model == "kokoro"


@pytest.mark.parametrize("text", ["", "  \n", "...", "😀", "***"])
async def test_nothing_to_say_is_refused(models, tmp_path, text):
    with pytest.raises(InvalidInput, match="input: found") as told:
        await said(await opened(models, tmp_path), SpeakRequest(text))
    assert told.value.code == "empty_string"


async def test_a_speed_out_of_range_is_refused(models, tmp_path):
    with pytest.raises(InvalidInput, match=r"speed: found 5, expected 0.25 to 4"):
        await said(await opened(models, tmp_path), SpeakRequest("Yes.", speed=5))


async def test_without_a_voice_the_error_names_the_command_that_gets_one(tmp_path, monkeypatch):
    monkeypatch.setenv("FASTEMBED_MODELS", str(tmp_path))
    models = Models()
    operator = await opened(models, tmp_path)
    with pytest.raises(ModelNotFound, match="fastembed pull kokoro"):
        await said(operator, "Hello.")
    with pytest.raises(ModelNotFound, match="fastembed pull piper-joe"):
        await said(operator, SpeakRequest("Hello.", model="piper-joe"))
    await models.close()


async def test_a_process_that_dies_is_replaced_and_its_sentence_spoken(models, tmp_path):
    operator = await opened(models, tmp_path)
    before = models.at("kokoro", "CPU").pid
    os.kill(before, signal.SIGKILL)
    (audio,) = await said(operator, "Yes.")
    assert audio.final
    assert models.at("kokoro", "CPU").pid not in (None, before)
