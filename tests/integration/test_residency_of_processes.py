"""Every kind of model shares one small memory: chat, Whisper and document models, in whatever process."""

import asyncio
from pathlib import Path

import pytest

from fastembed.inference.engines.speech.engine import SpeechRequest
from fastembed.inference.serving.models import Models
from fastembed.inference.serving.residency.footprints import Footprints
from fastembed.inference.serving.residency.memory import process_memory
from fastembed.inference.serving.residency.plan import ResidencyState
from fastembed.inference.serving.speech.engines import SpeechEngines
from fastembed.operators.parse import Parse
from fastembed.pipeline.component import Context, Resources
from fastembed.pipeline.errors import Unavailable
from fastembed.pipeline.payload.chat import ChatDelta, ChatRequest, Message, Sampling, TextPart
from fastembed.pipeline.payload.document import DocumentRequest, File
from tests.integration.recordings import samples
from training.docling_pages import Block, draw

CHAT = str(Path(__file__).parents[2] / "models" / "chat-pocket")
MIB = 2**20
ROOM = 135 * MIB
HELLO = ChatRequest((Message("user", (TextPart("hello"),)),), sampling=Sampling(temperature=0))
NOTE = [Block("section_header_level_1", (("small", "garden"),), 2)]
NOTES = [Block("text", (("solar", "power", "sales"), ("large", "profit")), 1)] * 2


class House:
    """What a server has: models of one device, speech engines, a step that parses documents."""

    def __init__(self, folder, memory=f"{ROOM}B", **models):
        sections = {"models": models, "devices": {"cpu": {"memory": memory, "inflight": 2}}}
        self.folder = folder
        self.models = Models.from_sections(sections, folder, footprints=Footprints(folder / "footprints.json"))
        self.engines = SpeechEngines(self.models)
        self.parse = Parse(ocr="never", ahead=False)

    async def open(self):
        await self.parse.open(Context("p", "parse", "d", self.folder, resources=Resources(self.models)))

    async def close(self):
        await self.parse.close()
        await self.engines.close()
        await self.models.close()

    async def chat(self, name):
        async with self.models.lend(name, "chat") as model:
            return "".join([event.text async for event in model.generate(HELLO) if isinstance(event, ChatDelta)])

    async def hear(self, name, sound="red-light.wav"):
        return (await self.engines.resolve(name).transcribe(SpeechRequest(samples(sound)))).text

    async def read(self, page=NOTE, name="docling-pocket"):
        path = self.folder / "page.png"
        draw(page)[0].save(path)
        document = await self.parse(DocumentRequest(File(path, path.name, "0" * 64, path.stat().st_size, 0), name))
        return document.parser, document.markdown

    def resident(self, name):
        return self.models.residents.known[name, "CPU"]

    def ready(self):
        return {name for (name, _), resident in self.models.residents.known.items() if resident.ready}

    def of_models(self):
        """Return what the processes take that hold models: those that this one started, but the parser."""
        return sum(memory.anonymous for pid in descendants() - set(self.parse.pids) if (memory := process_memory(pid)))


def descendants(pid="self"):
    found = set()
    for file in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in map(int, file.read_text().split()):
            found |= {child, *descendants(child)}
    return found


@pytest.fixture
async def house(tmp_path):
    made = House(tmp_path, first={"from": CHAT}, second={"from": CHAT})
    await made.open()
    yield made
    await made.close()


async def test_all_kinds_of_models_take_turns_in_a_memory_that_holds_two_at_most(house):
    taken, most = set(), 0
    for _ in range(2):
        for ask, expected in (
            (house.chat("first"), "Hello"),
            (house.hear("whisper-pocket"), "turn on the red light please"),
            (house.read(), ("png+docling-pocket", "## small garden\n")),
            (house.chat("second"), "Hello"),
        ):
            answer = await ask
            assert answer == expected or str(answer).startswith(expected)
            await house.models.residents.settled()
            assert house.models.residents.plan.taken("CPU") <= ROOM
            most = max(most, house.of_models())
            taken |= house.ready()
    assert taken == {"first", "second", "whisper-pocket", "docling-pocket"}
    assert 50 * MIB < most < ROOM
    assert all(house.resident(name).unloads for name in taken - house.ready())
    assert {resident.failures for resident in house.models.residents.known.values()} == {0}


async def test_what_leaves_gives_its_memory_back_to_the_last_process(house):
    before, tree = descendants(), house.of_models()
    for work in (house.chat("first"), house.read()):
        await work
        for resident in house.models.residents.known.values():
            resident.entry.keep_alive_s = 0.0
        held = house.of_models() - tree
        assert held > 40 * MIB
        house.models.residents.remove_idle()
        await house.models.residents.settled()
        assert descendants() - set(house.parse.pids) == before
        assert house.of_models() - tree < MIB


async def test_requests_for_all_of_them_at_once_are_all_answered(house):
    """More than fits is asked for at the same time, again and again: everybody gets a turn."""
    answers = await asyncio.gather(
        *(house.chat(name) for name in ("first", "second") * 3),
        *(house.hear("whisper-pocket") for _ in range(3)),
        house.read(),
    )
    assert all(answers)
    assert house.models.residents.plan.taken("CPU") <= ROOM


async def test_what_is_in_use_is_never_evicted(house):
    async with house.models.lend("first", "chat"), asyncio.timeout(60):
        reading = asyncio.create_task(house.read())
        while house.models.residents.known.get(("docling-pocket", "CPU")) is None:  # noqa: ASYNC110 - the parser starts
            await asyncio.sleep(0.05)
        await asyncio.sleep(0.2)
        assert house.ready() == {"first"}
    assert (await reading)[0] == "png+docling-pocket"


async def test_what_a_conversation_may_take_is_counted_before_it_does(tmp_path):
    """Two chat models that fit together: neither may cache as if it were alone."""
    house = House(tmp_path, "220MiB", first={"from": CHAT}, second={"from": CHAT})
    try:
        await house.chat("first")
        await house.chat("second")
        assert house.ready() == {"first", "second"}
        caches = [house.resident(name).model.process.cache_bytes for name in ("first", "second")]
        assert sum(caches) + house.of_models() <= 220 * MIB
        assert min(caches) >= 1024 * 2048  # a context each
        assert house.models.residents.plan.taken("CPU") <= 220 * MIB
    finally:
        await house.close()


async def test_a_document_model_that_can_never_fit_is_refused_with_the_sizes(tmp_path):
    house = House(tmp_path, "30MiB")
    await house.open()
    try:
        with pytest.raises(Unavailable, match=r"found docling-pocket of \d+ MiB, expected a model that fits into 30"):
            await house.read()
        with pytest.raises(Unavailable, match=r"found whisper-base of \d+ MiB, expected a model that fits into 30"):
            await house.hear("whisper-base")
    finally:
        await house.close()


async def test_pins_and_keep_alive_hold_for_speech_and_documents_too(tmp_path):
    models = {
        "whisper-pocket": {"from": "built-in:whisper-pocket", "pin": True},
        "docling-pocket": {"from": "built-in:docling-pocket", "keep_alive": "1ms"},
    }
    house = House(tmp_path, "400MiB", **models)
    await house.open()
    try:
        await house.hear("whisper-pocket")
        await house.read()
        async with asyncio.timeout(20):
            while house.resident("docling-pocket").entry.state is not ResidencyState.ABSENT:  # noqa: ASYNC110 - by its own task
                await asyncio.sleep(0.02)
        assert house.ready() == {"whisper-pocket"}
        assert house.resident("whisper-pocket").entry.pinned
    finally:
        await house.close()
