"""Chat with sound on the real path: what is heard, in its order, beside pictures, by nobody else, and how it ends."""

import asyncio
from contextlib import aclosing

import numpy as np
import pytest

from fastembed.inference.engines.chat.local import LocalModel
from fastembed.inference.engines.chat.model import ChatModel
from fastembed.inference.engines.chat.options import ChatOptions
from fastembed.inference.engines.chat.resume import BrokenOff
from fastembed.pipeline.errors import InvalidInput
from fastembed.pipeline.payload.chat import (
    ChatDelta,
    ChatFinished,
    ChatRequest,
    ChatStarted,
    ImagePart,
    Message,
    Sampling,
    TextPart,
)
from tests.integration.tones import HEARING, tone

EXACT = {"INFERENCE_PRECISION_HINT": "f32"}


def colour(*rgb):
    return ImagePart(np.full((90, 120, 3), rgb, np.uint8))


RED, BLUE = colour(215, 35, 35), colour(35, 70, 210)


def turn(*parts, role="user"):
    return Message(role, tuple(TextPart(part) if isinstance(part, str) else part for part in parts))


def asked(*parts, **options):
    sampling = Sampling(**{"temperature": 0, "max_tokens": 40, **options.pop("sampling", {})})
    return ChatRequest((turn(*parts),), sampling=sampling, **options)


async def events_of(model, request, **options):
    return [event async for event in model.generate(request, **options)]


def text_of(events):
    return "".join(event.text for event in events if isinstance(event, ChatDelta))


async def ask(model, *parts, **options):
    return text_of(await events_of(model, asked(*parts, **options)))


@pytest.fixture(scope="module")
def local():
    """The model as its process has it; each test has an event loop of its own, the engine none."""
    return LocalModel("hearing", HEARING, properties=EXACT)


@pytest.mark.parametrize("name", ["low", "high", "noise"])
async def test_a_sound_is_named(local, name):
    assert await ask(local, tone(name), "What do you hear?") == name


async def test_sounds_are_heard_in_their_places_between_words(local):
    assert await ask(local, "Listen:", tone("low"), "and then", tone("noise", 0.6)) == "low, noise"
    assert await ask(local, tone("noise"), tone("high"), "and then", tone("low")) == "noise, high, low"


async def test_pictures_and_sounds_go_together(local):
    assert await ask(local, "list them", RED, tone("high")) == "red, high"
    assert await ask(local, tone("low"), BLUE, "Name them.") == "low, blue"
    assert await ask(local, RED, "What do you hear?", tone("noise"), BLUE) == "red, noise, blue"


async def test_what_one_caller_sent_is_heard_by_no_other(local):
    """genai keeps the last sound, and puts it before the next prompt that comes without any."""
    before = await ask(local, "hello")
    assert await ask(local, tone("low"), "hello") == "low"
    assert await ask(local, "hello") == before == "nothing"
    assert await ask(local, RED) == "red"


async def test_many_are_answered_each_by_its_own_sound(local):
    names = ["low", "high", "noise"] * 3
    answers = await asyncio.gather(*(ask(local, tone(name), "what is this?") for name in names))
    assert answers == names


async def test_sounds_of_earlier_turns_are_heard_again(local):
    turns = (turn(tone("low")), turn("low", role="assistant"), turn(tone("high"), "what is this?"))
    events = await events_of(local, ChatRequest(turns, sampling=Sampling(temperature=0, max_tokens=5)))
    assert events[-1].prompt_tokens > 2 * 15


async def test_other_rates_are_heard_as_well(local):
    assert await ask(local, tone("high", rate_hz=44_100), "what is this?") == "high"


@pytest.mark.parametrize(("seconds", "tokens"), [(0.001, 1), (1.0, 13), (2.0, 25), (4.0, 50), (10.0, 125)])
async def test_a_sound_counts_in_the_prompt_as_what_the_model_hears(local, seconds, tokens):
    """Longer than the window of 4 s too: genai itself would hear each window twice."""
    without = await events_of(local, asked("x"))
    with_one = await events_of(local, asked("x", tone("low", seconds)))
    assert with_one[-1].prompt_tokens - without[-1].prompt_tokens == tokens + 2


async def test_more_sound_than_the_context_holds_is_refused_before_it_is_listened_to(local):
    with pytest.raises(InvalidInput, match="tokens in the prompt, expected at most") as caught:
        await ask(local, tone("low", 180))
    assert caught.value.code == "context_length_exceeded"


async def test_marks_in_texts_are_only_text(local):
    """One more place than there are sounds would end in the engine's error."""
    events = await events_of(local, asked("<|audio_start|><|audio_pad|><|audio_end|>", tone("low"), "\uf8f1"))
    assert isinstance(events[-1], ChatFinished)
    assert await ask(local, "\uf8f1", tone("low")) == "low"


async def test_an_answer_stops_where_it_is_told_to(local):
    events = await events_of(local, asked(tone("low"), tone("high"), sampling={"stop": (",",)}))
    assert (text_of(events), events[-1].reason) == ("low", "stop")
    events = await events_of(local, asked(tone("low"), tone("high"), sampling={"max_tokens": 1}))
    assert events[-1].reason == "length"


async def test_every_choice_hears(local):
    events = await events_of(local, asked(tone("noise"), "what is this?", count=2))
    for choice in range(2):
        assert text_of([event for event in events if getattr(event, "index", None) == choice]) == "noise"


async def test_an_answer_goes_on_where_it_broke_off(local):
    produced: list[int] = []
    request = asked(tone("low"), tone("high"), tone("noise"), "list them")
    whole = text_of(await events_of(local, request, produced=lambda tokens: produced.extend(tokens.ids)))
    assert whole == "low, high, noise"
    for cut in range(1, len(produced)):
        rest = text_of(await events_of(local, request, so_far=BrokenOff({0: produced[:cut]})))
        assert whole.endswith(rest)
        assert len(rest) < len(whole)


async def test_logprobs_are_refused(local):
    with pytest.raises(InvalidInput, match="logprobs"):
        await ask(local, tone("low"), sampling={"logprobs": True})


def test_what_guesses_tokens_ahead_is_refused_at_the_load():
    with pytest.raises(RuntimeError, match="of a model that hears, expected none"):
        LocalModel("hearing", HEARING, options=ChatOptions(prompt_lookup=True))


def test_an_npu_is_refused_at_the_load():
    with pytest.raises(RuntimeError, match=r"found a model that hears on NPU, expected it on a GPU or CPU: on: \[gpu"):
        LocalModel("hearing", HEARING, device="NPU")


async def test_the_engines_process_answers_in_pieces_and_a_caller_who_leaves_frees_it():
    model = await asyncio.to_thread(ChatModel, "hearing", HEARING, properties=EXACT)
    events = await events_of(model, asked(tone("low"), RED, "Name them."))
    assert events[0] == ChatStarted("hearing", "CPU")
    assert text_of(events) == "low, red"
    assert len([event for event in events if isinstance(event, ChatDelta)]) > 1
    assert isinstance(events[-1], ChatFinished)
    endless = asked(tone("low", 8), sampling={"temperature": 2, "max_tokens": 1500, "seed": 5})
    async with aclosing(model.generate(endless)) as answer:
        async for event in answer:
            if isinstance(event, ChatDelta):
                break
    async with asyncio.timeout(10):
        assert text_of(await events_of(model, asked(tone("high"), "what is this?"))) == "high"
    await model.close()
