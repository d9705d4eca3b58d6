"""Sound in a conversation: who hears it, what becomes of it, what is left alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fastembed.inference.serving.models import Models
from fastembed.inference.serving.routing.router import Router
from fastembed.inference.serving.speech.engines import SpeechEngines
from fastembed.operators.hear import Hear
from fastembed.pipeline.component import Context, OperatorKind, Resources
from fastembed.pipeline.errors import ModelNotFound
from fastembed.pipeline.payload.chat import AudioPart, ChatRequest, ImagePart, Message, TextPart
from fastembed.pipeline.spec import describe
from tests.integration.recordings import samples
from tests.integration.tones import HEARING

RED = AudioPart(samples("red-light.wav"))
SAID = 'Transcript of the attached audio: "turn on the red light please"'


@pytest.fixture
async def hear():
    engines = SpeechEngines(Models())
    operator = Hear(model="whisper-pocket")
    await operator.open(Context("chat", "hear", "hash", Path(), Resources(engines)))
    yield operator
    await engines.close()


@pytest.fixture
async def beside(tmp_path):
    """The operator beside a chat model that hears."""
    models = Models.from_sections({"models": {"ears": {"from": str(HEARING)}}}, tmp_path)
    engines = SpeechEngines(models)
    operator = Hear(model="whisper-pocket")
    await operator.open(Context("chat", "hear", "hash", tmp_path, Resources(engines, Router(models))))
    yield operator
    await engines.close()
    await models.close()


def asked(*parts, **fields) -> ChatRequest:
    return ChatRequest((Message("system", (TextPart("be brief"),)), Message("user", parts)), **fields)


def test_the_operator_is_what_the_kernel_takes_it_for():
    spec = describe(Hear, "hear")
    assert (spec.kind, spec.in_type, spec.out_type) == (OperatorKind.ASYNC_MAP, ChatRequest, ChatRequest)


async def test_sound_becomes_its_transcript_in_its_place(hear):
    picture = ImagePart(np.zeros((2, 2, 3), np.uint8))
    found = await hear(asked(TextPart("do what I say:"), RED, picture))
    before, heard, after = found.messages[1].parts
    assert (before, heard, after) == (TextPart("do what I say:"), TextPart(f"\n{SAID}\n"), picture)
    assert found.notes == ("audio transcribed by whisper-pocket",)
    assert found.messages[0].text == "be brief"


async def test_a_conversation_without_sound_is_not_touched(hear):
    request = asked(TextPart("hello"))
    assert await hear(request) is request


async def test_force_multimodal_leaves_the_sound_to_a_model_that_hears(hear):
    request = asked(RED, modality_routing="force_multimodal")
    assert await hear(request) is request


async def test_where_a_chat_model_hears_the_sound_stays_and_who_writes_it_down_for_others_is_said(beside):
    request = asked(RED)
    found = await beside(request)
    assert (found.messages, found.transcriber, found.notes) == (request.messages, "whisper-pocket", ())


async def test_force_text_has_it_written_down_whoever_hears(beside):
    found = await beside(asked(RED, modality_routing="force_text"))
    assert (found.messages[1].text, found.transcriber) == (SAID, "")


async def test_silence_is_said_to_be_silence(hear):
    found = await hear(asked(AudioPart(np.zeros(16_000, np.float32))))
    assert found.messages[1].text == "The attached audio has no words."


async def test_other_rates_and_long_sounds_are_heard(hear):
    slow = AudioPart(np.repeat(RED.samples, 3), 48_000)
    assert (await hear(asked(slow))).messages[1].text == SAID
    pause = np.zeros(16_000 * 15, np.float32)
    long = AudioPart(np.concatenate([RED.samples, pause, RED.samples, pause, RED.samples]))
    assert (await hear(asked(long))).messages[1].text.count("turn") == 3


async def test_a_model_that_is_not_there_is_said_at_the_start():
    engines = SpeechEngines(Models())
    with pytest.raises(ModelNotFound, match="found model 'nope'"):
        await Hear(model="nope").open(Context("chat", "hear", "hash", Path(), Resources(engines)))
