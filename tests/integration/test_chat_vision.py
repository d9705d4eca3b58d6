"""Chat with pictures on the real path: right answers, several pictures, many at once, text alone, the NPU's way."""

import asyncio
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from fastembed.inference.engines.chat.folder import read_traits
from fastembed.inference.engines.chat.local import LocalModel
from fastembed.inference.engines.chat.model import ChatModel
from fastembed.inference.engines.chat.resume import AnswerProgress, Produced
from fastembed.pipeline.errors import InvalidInput
from fastembed.pipeline.payload.chat import (
    AudioPart,
    ChatDelta,
    ChatFinished,
    ChatStarted,
    ImagePart,
    Sampling,
    VideoPart,
)
from tests.conversation import answer, asked, text_of, turn

FOLDER = Path(__file__).parent.parent.parent / "models" / "vision-pocket"
EXACT = {"INFERENCE_PRECISION_HINT": "f32"}
NPUW = {"NPUW_DEVICES": "CPU", "NPUW_ONLINE_PIPELINE": "NONE", "MAX_PROMPT_LEN": 256, "MIN_RESPONSE_LEN": 64}
RED, BLUE, GREEN = (215, 35, 35), (35, 70, 210), (30, 150, 50)


def circle(colour, side=200):
    image = Image.new("RGB", (side, side), (235, 235, 235))
    ImageDraw.Draw(image).ellipse([side * 0.2, side * 0.2, side * 0.8, side * 0.8], fill=colour)
    return ImagePart(np.asarray(image, np.uint8))


def square(colour, side=240):
    image = Image.new("RGB", (side, side), (235, 235, 235))
    ImageDraw.Draw(image).rectangle([side * 0.25, side * 0.25, side * 0.75, side * 0.75], fill=colour)
    return ImagePart(np.asarray(image, np.uint8))


async def events_of(model, *turns):
    return await answer(model, asked(*turns, sampling=Sampling(temperature=0, max_tokens=40)))


async def ask(model, *turns):
    return text_of(await events_of(model, *turns))


@pytest.fixture(scope="module")
def local():
    """The model as its process has it; each test has an event loop of its own, the engine none."""
    return LocalModel("vision-pocket", FOLDER, properties=EXACT)


async def test_a_picture_is_named(local):
    assert await ask(local, turn(circle(RED), "What is in this image?")) == "a red circle"
    assert await ask(local, turn("What colour is it?", square(BLUE))) == "blue"
    assert await ask(local, turn(square(GREEN), "What shape is it?")) == "square"


async def test_pictures_of_earlier_turns_are_remembered(local):
    turns = (turn(square(BLUE), "What is this?"), turn("a blue square", role="assistant"), turn("what colour?"))
    assert await ask(local, *turns) == "blue"


async def test_many_are_answered_at_once_each_by_its_own_picture(local):
    colours = {"red": RED, "blue": BLUE, "green": GREEN}
    answers = await asyncio.gather(
        *(ask(local, turn(circle(colour), "describe")) for _ in range(4) for colour in colours.values())
    )
    assert answers == [f"a {name} circle" for _ in range(4) for name in colours]


async def test_text_alone_is_answered_and_tags_in_it_are_only_text(local):
    assert await ask(local, turn("hello")) == "Hello! Show me a picture."
    assert await ask(local, turn("<ov_genai_image_0><start_of_image> hello"))
    assert await ask(local, turn(circle(RED), "describe <ov_genai_image_1>"))


async def test_a_picture_counts_in_the_prompt(local):
    without = await events_of(local, turn("describe"))
    with_one = await events_of(local, turn(circle(RED), "describe"))
    assert isinstance(without[-1], ChatFinished)
    assert with_one[-1].prompt_tokens - without[-1].prompt_tokens == read_traits(FOLDER).picture_tokens == 18


async def test_more_pictures_than_the_context_holds_are_refused(local):
    with pytest.raises(InvalidInput, match="tokens in the prompt, expected at most") as caught:
        await ask(local, turn(*[circle(RED)] * 60, "describe"))
    assert caught.value.code == "context_length_exceeded"


async def test_a_video_is_shown_as_frames_and_sound_is_refused(local):
    frames = np.stack([circle(RED).pixels, circle(RED).pixels])
    assert "red circle" in await ask(local, turn(VideoPart(frames, (0.0, 1.0)), "describe"))
    with pytest.raises(InvalidInput, match="expected text and pictures: vision-pocket reads no more"):
        await ask(local, turn(AudioPart(np.zeros(16_000, np.float32)), "describe"))


async def test_the_engines_process_answers_in_pieces_and_says_that_it_is_a_pocket_model():
    model = await asyncio.to_thread(ChatModel, "vision-pocket", FOLDER, properties=EXACT)
    events = await events_of(model, turn(circle(RED, side=900), "What is in this image?"))
    assert events[0] == ChatStarted("vision-pocket", "CPU", "pocket")
    assert text_of(events) == "a red circle"
    assert len([event for event in events if isinstance(event, ChatDelta)]) > 1
    await model.close()


async def test_the_npus_way_answers_too():
    model = await asyncio.to_thread(LocalModel, "vision-pocket", FOLDER, device="NPU", properties=NPUW | EXACT)
    assert await ask(model, turn(circle(RED), "What is in this image?")) == "a red circle"
    assert await ask(model, turn("hello")) == "Hello! Show me a picture."
    await model.close()


async def test_an_answer_that_broke_off_goes_on_from_one_device_to_the_other_with_its_picture(local):
    request = asked(turn(circle(RED), "What is in this image?"))
    npu = await asyncio.to_thread(LocalModel, "vision-pocket", FOLDER, device="NPU", properties=NPUW | EXACT)
    whole = []
    async for event in npu.generate(request, produced=whole.append):
        whole.append(event)  # noqa: PERF401 - what was produced is put between the events
    places = [place for place, one in enumerate(whole) if isinstance(one, Produced)]
    assert len(places) > 2
    for model in (local, npu):
        for place in places:
            progress = AnswerProgress()
            for one in whole[:place]:
                progress.note(one)
            rest = [event async for event in model.generate(request, so_far=progress.so_far())]
            deltas = [event for event in whole[:place] + rest if isinstance(event, ChatDelta)]
            assert "".join(event.text for event in deltas) == "a red circle"
            assert rest[-1] == whole[-1]
    await npu.close()
