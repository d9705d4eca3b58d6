"""Real models that do not fit together take turns in memory; what they take is measured and remembered."""

import asyncio
import gc
from pathlib import Path

import pytest

from fastembed.inference.engines.speech.engine import SpeechRequest
from fastembed.inference.serving.models import Models
from fastembed.inference.serving.residency.footprints import Footprints
from fastembed.inference.serving.residency.memory import process_memory
from fastembed.inference.serving.speech.engines import SpeechEngines
from fastembed.pipeline.errors import ModelNotFound, Unavailable
from fastembed.pipeline.payload.chat import ChatDelta
from tests.conversation import asked
from tests.integration.recordings import LIGHT, samples

POCKET = Path(__file__).parent.parent.parent / "models"
CHAT = str(POCKET / "chat-pocket")
MIB = 2**20
HELLO = asked("hello")


class Clock:
    """Time that passes when it is told to."""

    def __init__(self):
        self.now_s = 1_000.0

    def __call__(self):
        return self.now_s


@pytest.fixture
async def made(tmp_path):
    """Return a function that makes the resource of `models:` and `devices:`."""
    all_made = []

    def made(*, memory=None, clock=None, file=None, **specs):
        sections = {"models": specs, "devices": {"cpu": {"memory": memory} if memory else {}}}
        footprints = Footprints(file)
        models = Models.from_sections(sections, tmp_path, footprints=footprints, **({"clock": clock} if clock else {}))
        all_made.append(models)
        return models

    yield made
    for models in all_made:
        await models.close()


async def embed(models, name="auto"):
    async with models.lend(name, "embedding") as model:
        vectors, _ = await model.embed(["hello"])
    return vectors.shape


async def chat(models, name="auto"):
    async with models.lend(name, "chat") as model:
        return "".join([event.text async for event in model.generate(HELLO) if isinstance(event, ChatDelta)])


def loads(models):
    return {name: resident.loads for (name, _), resident in models.residents.known.items()}


def ready(models):
    return {name for (name, _), resident in models.residents.known.items() if resident.ready}


@pytest.fixture
def pair(made):
    """Return the models of a machine that has room for one of two chat models."""
    return made(memory="100MiB", first={"from": CHAT}, second={"from": CHAT})


async def test_two_models_of_which_one_fits_take_turns_and_both_answer(pair):
    for name in ("first", "second", "first", "second"):
        assert (await chat(pair, name)).startswith("Hello")
        assert ready(pair) == {name}
    assert loads(pair) == {"first": 2, "second": 2}


async def test_both_stay_where_both_fit(made):
    models = made(memory="2GiB")
    await asyncio.gather(*(work(models) for work in (embed, chat) * 4))
    assert loads(models) == {"all-MiniLM-L6-v2": 1, "chat-pocket": 1}


async def test_a_model_in_use_is_waited_for(pair):
    async with pair.lend("first", "chat") as model:
        chatting = asyncio.create_task(chat(pair, "second"))
        for _ in range(20):
            await asyncio.sleep(0)
        assert ready(pair) == {"first"}
        assert [event async for event in model.generate(HELLO)]
    assert (await chatting).startswith("Hello")


async def test_whoever_stops_waiting_for_room_leaves_nothing_behind(pair):
    async with pair.lend("first", "chat"):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await chat(pair, "second")
        assert not pair.residents.contended
    assert loads(pair) == {"first": 1, "second": 0}
    assert (await chat(pair, "second")).startswith("Hello")


async def test_a_model_that_can_never_fit_is_refused_with_the_sizes(made):
    models = made(memory="20MiB")
    with pytest.raises(Unavailable, match=r"found all-MiniLM-L6-v2 of \d+ MiB, expected a model that fits into 20 MiB"):
        await embed(models)


async def test_a_pinned_model_stays(made):
    models = made(memory="100MiB", first={"from": CHAT, "pin": True}, second={"from": CHAT})
    await chat(models, "first")
    with pytest.raises(Unavailable, match="beside the pinned first"):
        await chat(models, "second")
    assert ready(models) == {"first"}


async def test_what_a_model_takes_is_measured_and_known_at_the_next_start(made, tmp_path):
    file = tmp_path / "footprints.json"
    first = made(file=file)
    await embed(first)
    await chat(first)
    measured = {key[0]: resident.entry.bytes for key, resident in first.residents.known.items()}
    assert 22 * MIB < measured["all-MiniLM-L6-v2"] < 200 * MIB
    assert 20 * MIB < measured["chat-pocket"] < 400 * MIB
    known = Footprints(file).of(POCKET / "minilm", "CPU")
    assert known.measured
    assert known.bytes == measured["all-MiniLM-L6-v2"]
    assert known.load_s > 0
    assert not Footprints(file).of(POCKET / "minilm", "NPU").measured


async def test_a_chat_model_that_has_grown_is_counted_as_it_is(made):
    models = made()
    await chat(models)
    resident = models.residents.known["chat-pocket", "CPU"]
    measured, resident.entry.bytes = resident.measured, MIB
    await models.residents.measure()
    assert resident.entry.bytes > measured // 2


async def test_an_idle_model_gives_its_memory_back(made):
    clock = Clock()
    models = made(clock=clock, mini={"from": str(POCKET / "minilm"), "keep_alive": "10m"})
    await embed(models, "mini")
    gc.collect()
    before = process_memory()
    clock.now_s += 599
    models.residents.remove_idle()
    assert ready(models) == {"mini"}
    clock.now_s += 1
    models.residents.remove_idle()
    assert ready(models) == set()
    await models.residents.settled()  # and without waiting for a collection of garbage
    after = process_memory()
    assert before.anonymous - after.anonymous > 15 * MIB
    assert await embed(models, "mini") == (1, 384)
    assert loads(models) == {"mini": 2}


async def test_keep_alive_ends_without_anybody_doing_anything(made):
    models = made(mini={"from": str(POCKET / "minilm"), "keep_alive": "1ms"})
    await embed(models, "mini")
    async with asyncio.timeout(10):
        while models.residents.known["mini", "CPU"].model is not None:  # noqa: ASYNC110 - its own task unloads it
            await asyncio.sleep(0.01)


async def test_a_declared_whisper_makes_room_like_any_other_model_and_comes_back(made):
    models = made(memory="100MiB", ears={"from": str(POCKET / "whisper-pocket")}, voice={"from": CHAT})
    engine = SpeechEngines(models).resolve("ears")
    heard = await engine.transcribe(SpeechRequest(samples("red-light.wav")))
    assert heard.text == LIGHT
    assert ready(models) == {"ears"}
    models.residents.known["ears", "CPU"].entry.bytes = 80 * MIB  # as large as a real one beside a small device
    await chat(models, "voice")
    assert ready(models) == {"voice"}
    assert (await engine.transcribe(SpeechRequest(samples("red-light.wav")))).text == heard.text
    await engine.close()


async def test_a_load_that_fails_is_told_and_tried_again_by_the_next(made, tmp_path):
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "openvino_model.xml").write_text("<net/>")
    models = made(broken={"task": "embedding", "from": str(broken)})
    for _ in range(2):
        with pytest.raises((RuntimeError, ModelNotFound)):
            await embed(models, "broken")
    assert models.residents.plan.taken("CPU") == 0
