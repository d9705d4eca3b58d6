"""The generate operator with the shipped model: which model answers, what it refuses, and its limits."""

import asyncio
import shutil
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fastembed.inference.serving.models import Models
from fastembed.inference.serving.speech.engines import SpeechEngines
from fastembed.operators.generate import Generate
from fastembed.pipeline.component import Context, OperatorKind, Resources
from fastembed.pipeline.errors import ConfigError, InvalidInput, ModelNotFound
from fastembed.pipeline.item import Item
from fastembed.pipeline.payload.chat import (
    ChatFinished,
    ChatRequest,
    ChatStarted,
    ImagePart,
    Sampling,
)
from fastembed.pipeline.spec import describe
from tests.conversation import asked, text_of, turn
from tests.integration.tones import HEARING, tone

POCKET = Path(__file__).parent.parent.parent.parent / "models" / "chat-pocket"
EXACT = {"cpu": {"properties": {"INFERENCE_PRECISION_HINT": "f32"}}}
HELLO = asked("hello")


@pytest.fixture
async def opened(tmp_path):
    """Return a function that opens the operator on a `models:` section."""
    made = []

    async def opened(models=None, **options):
        resource = Models.from_sections({"models": models or {}, "devices": EXACT}, tmp_path)
        speech = SpeechEngines(resource)
        made.extend((speech, resource))
        operator = Generate(**options)
        await operator.open(Context("chat", "generate", "hash", tmp_path, Resources(resource, speech)))
        return operator

    yield opened
    for resource in made:
        await resource.close()


async def events_of(operator, request):
    return [event async for event in operator(Item(request))]


def test_the_operator_is_what_the_kernel_takes_it_for():
    spec = describe(Generate, "generate")
    assert (spec.kind, spec.in_type, spec.wants_item) == (OperatorKind.EXPAND, ChatRequest, True)
    assert set(spec.options) == {"model", "max_tokens"}


@pytest.mark.parametrize("wanted", [Sampling(top_logprobs=3, logprobs=True), Sampling(logit_bias={1: 2.0})])
async def test_what_no_engine_does_is_refused_before_another_model_is_loaded_for_it(opened, wanted):
    operator = await opened()
    before = [card.name for card in operator._models.cards() if card.state == "ready"]
    with pytest.raises(InvalidInput, match="these engines"):
        await events_of(operator, replace(HELLO, sampling=wanted))
    assert [card.name for card in operator._models.cards() if card.state == "ready"] == before == ["chat-pocket"]


async def test_with_nothing_configured_the_shipped_model_answers_and_says_so(opened):
    events = await events_of(await opened(), HELLO)
    assert replace(events[0], route="") == ChatStarted("chat-pocket", "CPU", "pocket")
    assert events[0].route.startswith("chat-pocket on CPU: simple request, it is loaded; a pocket model")
    assert text_of(events) == "Hello! How can I help you?"
    assert isinstance(events[-1], ChatFinished)


@pytest.mark.parametrize(
    ("name", "what_helps"),
    [("gpt-4o", r"aliases: \{gpt-4o: auto\}"), ("phi-4-mini", "fastembed pull phi-4-mini")],
)
async def test_a_model_that_was_named_is_never_replaced_silently(opened, name, what_helps):
    operator = await opened({"phi-4-mini": {"task": "chat", "from": "missing"}})
    with pytest.raises(ModelNotFound, match=what_helps):
        await events_of(operator, replace(HELLO, model=name))


async def test_a_declared_fallback_answers_and_says_why(opened):
    operator = await opened({"phi-4-mini": {"task": "chat", "from": "missing", "fallback": "chat-pocket"}})
    events = await events_of(operator, replace(HELLO, model="phi-4-mini"))
    assert events[0].model == "chat-pocket"
    assert events[0].route.startswith("chat-pocket on CPU: the fallback of phi-4-mini: found no files of phi-4-mini")


async def test_with_force_text_pictures_are_left_out_and_the_route_says_so(opened):
    picture = ImagePart(np.zeros((2, 2, 3), np.uint8))
    messages = (turn("hello", picture),)
    request = replace(HELLO, messages=messages, model="chat-pocket", modality_routing="force_text")
    events = await events_of(await opened(), request)
    assert text_of(events) == "Hello! How can I help you?"
    assert "pictures left out (modality_routing force_text)" in events[0].route


async def test_a_request_can_forbid_the_fallback(opened):
    operator = await opened({"phi-4-mini": {"task": "chat", "from": "missing", "fallback": "chat-pocket"}})
    with pytest.raises(ModelNotFound, match="found no files of phi-4-mini"):
        await events_of(operator, replace(HELLO, model="phi-4-mini", model_fallback=False))


async def test_a_folder_is_a_model_under_its_name_and_aliases(opened):
    operator = await opened({"mine": {"from": str(POCKET), "aliases": ["gpt-4o-mini"]}})
    for name in ("mine", "gpt-4o-mini", "auto"):
        events = await events_of(operator, replace(HELLO, model=name))
        assert (events[0].model, events[0].device) == ("mine", "CPU")


async def test_a_model_for_code_answers_chats(opened):
    operator = await opened({"coder": {"task": "code", "from": str(POCKET)}})
    for name in ("coder", "auto"):
        assert (await events_of(operator, replace(HELLO, model=name)))[0].model == "coder"


async def test_a_model_of_another_task_is_refused(opened):
    with pytest.raises(ModelNotFound, match="a model for embedding, expected one for chat"):
        await events_of(await opened(), replace(HELLO, model="all-MiniLM-L6-v2"))


async def test_the_steps_limit_holds_for_requests_that_allow_more(opened):
    operator = await opened(max_tokens=2)
    for allowed in (None, 50):
        events = await events_of(operator, replace(HELLO, sampling=Sampling(temperature=0, max_tokens=allowed)))
        assert (text_of(events), events[-1].reason) == ("Hello!", "length")
    events = await events_of(operator, replace(HELLO, sampling=Sampling(temperature=0, max_tokens=1)))
    assert text_of(events) == "Hello"


async def test_what_is_wrong_with_a_request_is_said(opened):
    with pytest.raises(InvalidInput, match="found no messages"):
        await events_of(await opened(), ChatRequest())


async def test_a_caller_who_leaves_frees_the_place(opened):
    operator = await opened()
    long = Item(replace(HELLO, sampling=Sampling(temperature=2, max_tokens=900)))
    async with operator._models.lend("auto", "chat") as model, aclosing(operator(long)) as events:
        await anext(events)
        assert model.process.busy == 1
    async with asyncio.timeout(5):
        while model.process.busy:  # noqa: ASYNC110 - the engine's own thread counts
            await asyncio.sleep(0)


def heard(**fields):
    return replace(HELLO, messages=(turn(tone("low"), "what is this?"),), **fields)


async def test_a_model_that_hears_gets_the_sound_and_the_route_says_so(opened):
    operator = await opened({"ears": {"from": str(HEARING)}, "mine": {"from": str(POCKET)}})
    events = await events_of(operator, heard(transcriber="whisper-pocket"))
    assert (events[0].model, text_of(events)) == ("ears", "low")
    assert events[0].route.startswith("audio heard by ears; ears on CPU: simple request")
    assert "it hears the sound" in events[0].route


async def test_another_one_that_was_named_gets_the_transcript(opened):
    operator = await opened({"ears": {"from": str(HEARING)}, "mine": {"from": str(POCKET)}})
    events = await events_of(operator, heard(model="mine", transcriber="whisper-pocket"))
    assert events[0].model == "mine"
    assert events[0].route.startswith("audio transcribed by whisper-pocket; mine on CPU: asked for by name")


async def test_the_fallback_of_a_model_that_hears_gets_the_transcript(opened, tmp_path):
    broken = shutil.copytree(HEARING, tmp_path / "broken")
    (broken / "openvino_language_model.bin").write_bytes(b"")
    models = {"ears": {"from": str(broken), "fallback": "mine"}, "mine": {"from": str(POCKET)}}
    operator = await opened(models, model="mine")
    events = await events_of(operator, heard(model="ears", transcriber="whisper-pocket"))
    assert events[0].model == "mine"
    assert events[0].route.startswith("audio transcribed by whisper-pocket; ears on CPU: ")


async def test_sound_for_a_model_that_reads_is_refused_where_nobody_writes_it_down(opened):
    with pytest.raises(InvalidInput, match="found audio in messages"):
        await events_of(await opened({"mine": {"from": str(POCKET)}}), heard(model="mine"))


def test_an_unknown_option_of_a_device_is_an_error(tmp_path):
    with pytest.raises(ConfigError, match="property"):
        Models.from_sections({"devices": {"cpu": {"property": {}}}}, tmp_path)
