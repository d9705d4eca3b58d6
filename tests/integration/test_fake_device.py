"""Devices that fail, are full, do one thing at a time: requests are answered all the same, by the next device."""

import asyncio

import pytest

from fastembed.inference.engines.speech.engine import SpeechRequest
from fastembed.inference.library.sections import read_sections
from fastembed.inference.serving.models import Models
from fastembed.inference.serving.resilience.breakers import Breakers
from fastembed.inference.serving.speech.engines import SpeechEngines
from fastembed.inference.testing import FakeDevice, FakeDevices
from fastembed.operators.embed import Embed
from fastembed.operators.generate import Generate
from fastembed.pipeline.component import Context, Resources
from fastembed.pipeline.item import Item
from fastembed.pipeline.payload.chat import ChatStarted, Sampling
from fastembed.pipeline.payload.embedding import EmbeddingRequest
from fastembed.server.endpoints.system import _devices
from tests.conversation import asked, text_of
from tests.integration.recordings import LIGHT, samples

SECTIONS = {
    "models": {
        "vectors": {"task": "embedding", "from": "built-in:minilm", "on": ["npu", "cpu"]},
        "talks": {"task": "chat", "from": "built-in:chat-pocket", "on": ["npu", "cpu"]},
    }
}


@pytest.fixture
async def opened(tmp_path):
    """Return a function that opens an operator on a fake NPU before the CPU."""
    made = []

    async def opened(operator, npu):
        models = Models(read_sections(SECTIONS)[0], devices=FakeDevices(npu), base=tmp_path)
        breakers = Breakers(clock=lambda: 0.0)
        made.append(models)
        await operator.open(Context("test", "step", "hash", tmp_path, Resources(models, breakers)))
        return models, breakers

    yield opened
    for models in made:
        await models.close()


async def embedded(operator, *texts):
    return (await operator(Item(EmbeddingRequest(list(texts))))).vectors


def states(breakers):
    return [(view.model, view.device, view.state, view.failures) for view in breakers.views()]


async def test_what_a_device_fails_at_the_next_one_does_and_nobody_sees_it(opened):
    npu, operator = FakeDevice("NPU", compile_s=8.0, call_s=0.01), Embed(model="vectors")
    _, breakers = await opened(operator, npu)
    assert npu.compiled == 4  # one a static length
    assert npu.spent_s == pytest.approx(4 * 8.0 + npu.calls * 0.01)
    right = await embedded(operator, "a text")
    for fault in ("fail", "nan"):
        npu.faults = {npu.calls + 1: fault}
        assert float((await embedded(operator, "a text") @ right.T).item()) > 0.995
    assert states(breakers) == [("vectors", "NPU", "closed", 2), ("vectors", "CPU", "closed", 0)]
    npu.faults = {npu.calls + n: "fail" for n in range(1, 9)}
    for _ in range(8):
        await embedded(operator, "a text")
    assert states(breakers)[0] == ("vectors", "NPU", "open", 0)
    assert max(npu.faults) - npu.calls == 5  # the last five were not asked of it


async def test_a_device_that_does_one_thing_at_a_time_is_given_no_more(opened):
    npu, operator = FakeDevice("NPU", inflight=1), Embed(model="vectors")
    _, breakers = await opened(operator, npu)
    before = npu.calls
    await asyncio.gather(*(embedded(operator, f"text {n}", "and another") for n in range(20)))
    assert (npu.calls - before, npu.most_at_once) == (40, 1)
    assert states(breakers) == [("vectors", "NPU", "closed", 0)]


async def test_a_device_without_room_is_not_asked_again_until_its_breaker_lets_it(opened):
    npu, operator = FakeDevice("NPU", memory=30 << 20), Embed(model="vectors")
    models, breakers = await opened(operator, npu)
    assert models.at("vectors", "CPU")
    tried = npu.compiled
    for _ in range(3):
        assert (await embedded(operator, "a text")).shape == (1, 384)
    assert npu.compiled <= tried + 1
    assert states(breakers)[0][:3] == ("vectors", "NPU", "open")


def test_a_fake_device_is_there_for_everybody_who_looks():
    npu = FakeDevice("NPU", memory=4 << 30)
    devices = FakeDevices(npu)
    assert devices.available[0] == "NPU"
    assert devices.choose(["gpu", "npu", "cpu"]) == "NPU"
    shown = _devices(devices)["npu"]
    assert (shown["available"], shown["name"], shown["total_memory"]) == (True, "Fake NPU", "4.29GB")


async def test_a_prompt_over_the_npus_length_is_answered_by_the_next_device(opened):
    operator = Generate(model="talks")
    _, breakers = await opened(operator, FakeDevice("NPU", prompt=128))

    async def answered(text):
        request = asked(text, sampling=Sampling(temperature=0, max_tokens=20))
        return [event async for event in operator(Item(request))]

    short = await answered("what is 3 + 4?")
    assert text_of(short) == "3 + 4 = 7"
    assert short[0].device == "NPU"
    long = await answered("word " * 200)
    assert isinstance(long[0], ChatStarted)
    assert long[0].device == "CPU"
    assert breakers.degraded() == []


async def test_speech_that_one_device_cannot_hear_is_heard_by_the_next():
    ears = {"ears": {"task": "transcription", "from": "built-in:whisper-pocket", "on": ["gpu", "cpu"]}}
    breakers = Breakers(clock=lambda: 0.0)
    devices = FakeDevices(FakeDevice("GPU"))  # genai has a core of its own, where it is not
    engines = SpeechEngines(Models(read_sections({"models": ears})[0], devices=devices), breakers=breakers)
    for _ in range(2):
        heard = await engines.resolve("ears").transcribe(SpeechRequest(samples("red-light.wav")))
        assert heard.text == LIGHT
    assert [(view.device, view.state) for view in breakers.views()] == [("GPU", "closed"), ("CPU", "closed")]
    assert breakers.of("ears", "GPU").failures(0) == 2
    await engines.close()
