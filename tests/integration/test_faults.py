"""Engines die while 200 requests are under way: nobody waits for ever, and the answers are right."""

import asyncio
import os
import shutil
import signal
from collections import Counter
from pathlib import Path

import pytest

from fastembed.inference.library.devices import DeviceLimits
from fastembed.inference.serving.models import Models
from fastembed.inference.serving.resilience.breakers import Breakers
from fastembed.inference.testing import FakeDevice, FakeDevices
from fastembed.operators.generate import Generate
from fastembed.pipeline.component import Context, Resources
from fastembed.pipeline.errors import Unavailable
from fastembed.pipeline.item import Item
from fastembed.pipeline.payload.chat import ChatDelta, ChatFinished, ChatStarted
from tests.conversation import asked, text_of

POCKET = Path(__file__).parent.parent.parent / "models" / "chat-pocket"
REQUESTS = 200
AT_ONCE = 24
COUNTED = " ".join(map(str, range(1, 31)))


@pytest.fixture
async def opened(tmp_path):
    """The operator on a model of its own files and the fallback that it declares; the models; the breakers."""
    shutil.copytree(POCKET, tmp_path / "big")
    sections = {
        "models": {"big": {"from": "big", "fallback": "small"}, "small": {"from": str(POCKET)}},
        "devices": {"cpu": {"properties": {"INFERENCE_PRECISION_HINT": "f32"}}},
    }
    models = Models.from_sections(sections, tmp_path)
    operator, breakers = await made(models, tmp_path)
    yield operator, models, breakers
    await models.close()


async def made(models, folder):
    operator, breakers = Generate(model="big"), Breakers()
    await operator.open(Context("chat", "generate", "hash", folder, Resources(models, breakers)))
    return operator, breakers


def nth(n):
    """Return the n-th request and its right answer: sums, long answers, streamed and in one piece."""
    text, right = f"what is {n % 10} + {n // 10 % 10}?", f"{n % 10} + {n // 10 % 10} = {n % 10 + n // 10 % 10}"
    if n % 4 == 0:
        text, right = "count to 30", COUNTED
    return asked(text, whole=n % 2 == 1), right


class Run:
    """200 requests, 24 at once, and what became of them."""

    def __init__(self, operator, look=len):
        """look: is called with the text of a streamed answer so far."""
        self.operator = operator
        self.look = look
        self.ended = 0
        self.wrong = []
        self.errors = []
        self.models = Counter()
        self._place = asyncio.Semaphore(AT_ONCE)
        self._progress = asyncio.Condition()

    async def all(self):
        async with asyncio.timeout(90), asyncio.TaskGroup() as tasks:
            for n in range(REQUESTS):
                tasks.create_task(self._one(n))

    async def until(self, ended):
        async with self._progress:
            await self._progress.wait_for(lambda: self.ended >= ended)

    async def _one(self, n):
        request, right = nth(n)
        async with self._place:
            try:
                events = await self._read(request)
            except Unavailable as error:
                self.errors.append(error)
            else:
                self._look(events, right)
        async with self._progress:
            self.ended += 1
            self._progress.notify_all()

    async def _read(self, request):
        events, text = [], ""
        async for event in self.operator(Item(request)):
            events.append(event)
            if isinstance(event, ChatDelta) and not request.whole:
                text += event.text
                self.look(text)
        return events

    def _look(self, events, right):
        text = text_of(events)
        kinds = Counter(type(event) for event in events)
        if text != right or kinds[ChatStarted] != 1 or kinds[ChatFinished] != 1:
            self.wrong.append((text, right))
        self.models[events[0].model] += 1


async def test_an_engine_that_is_killed_again_and_again_loses_no_answer(opened):
    operator, models, breakers = opened
    async with models.lend("big", "chat") as model:
        process = model.process
    run = Run(operator)

    async def kill():
        for at, how in ((20, signal.SIGKILL), (120, signal.SIGSEGV)):
            await run.until(at)
            os.kill(process.pid, how)

    await asyncio.gather(run.all(), kill())
    assert (run.errors, run.wrong) == ([], [])
    assert process.restarts == 2
    assert run.models == {"big": REQUESTS}
    assert breakers.degraded() == []


async def test_when_an_engine_is_gone_for_good_its_fallback_answers(opened, tmp_path):
    operator, models, breakers = opened
    async with models.lend("big", "chat") as model:
        process = model.process
    run = Run(operator)

    async def ruin():
        await run.until(40)
        shutil.rmtree(tmp_path / "big")
        os.kill(process.pid, signal.SIGKILL)

    await asyncio.gather(run.all(), ruin())
    assert run.wrong == []
    assert len(run.errors) < AT_ONCE  # whose beginning was shown
    assert all("cannot be loaded again" in error.message for error in run.errors)
    assert run.models["small"] >= REQUESTS - 40 - 2 * AT_ONCE
    assert [(view.model, view.state) for view in breakers.degraded()] == [("big", "open")]


@pytest.mark.parametrize(("dies", "goes_on"), [("NPU", "CPU"), ("CPU", "NPU")])
async def test_when_a_device_dies_for_good_in_mid_stream_the_models_next_one_goes_on(tmp_path, dies, goes_on):
    exact = DeviceLimits(inflight=1, properties={"INFERENCE_PRECISION_HINT": "f32"})
    dying = FakeDevice(dies)
    devices = FakeDevices(dying, FakeDevice(goes_on), limits={"npu": exact, "cpu": exact})
    big = {"task": "chat", "from": str(POCKET), "on": [dies.lower(), goes_on.lower()], "fallback": "small"}
    sections = {"models": {"big": big, "small": {"task": "chat", "from": str(POCKET), "on": [goes_on.lower()]}}}
    models = Models.from_sections(sections, tmp_path, devices=devices)
    operator, breakers = await made(models, tmp_path)
    broken_off = []

    def ruin(text):
        if run.ended >= 40 and not dying.broken and 20 < len(text) < 40:
            dying.broken = True
            broken_off.append(text)
            os.kill(models.at("big", dies).process.pid, signal.SIGKILL)

    run = Run(operator, ruin)
    await run.all()
    assert len(broken_off) == 1
    assert (run.errors, run.wrong) == ([], [])
    assert run.models == {"big": REQUESTS}
    assert models.at("big", goes_on)
    assert [view.device for view in breakers.degraded()] == [dies]
    await models.close()
