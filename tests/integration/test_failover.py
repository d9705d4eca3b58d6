"""A device dies for good in the middle of answers: OpenAI's client reads them to their end, as if nothing had been."""

import asyncio
import os
import signal
from contextlib import asynccontextmanager
from pathlib import Path

import openai
import pytest

from fastembed.assembly import read_configuration
from fastembed.inference.library.devices import DeviceLimits
from fastembed.inference.serving.models import Models
from fastembed.inference.serving.resilience.breakers import Breakers
from fastembed.inference.testing import FakeDevice, FakeDevices
from fastembed.runtime import Process
from fastembed.server.settings import ServerSettings

POCKET = Path(__file__).parent.parent.parent / "models" / "chat-pocket"
COUNTED = " ".join(map(str, range(1, 31)))
LIST = {"type": "array", "items": {"type": "integer"}, "minItems": 40}
EXACT = DeviceLimits(inflight=1, properties={"INFERENCE_PRECISION_HINT": "f32"})
PIPELINES = """
version: 1
models:
  talks: {{task: chat, from: "built-in:chat-pocket", on: {on}, fallback: other}}
  other: {{task: chat, from: {pocket}, on: [cpu]}}
pipelines:
  chat: {{source: {{http: POST /v1/chat/completions}}, operators: [generate: {{model: talks}}], sink: reply}}
  completions: {{source: {{http: POST /v1/completions}}, operators: [generate: {{model: talks}}], sink: reply}}
"""


class Server:
    """A real server on a loopback socket, whose NPU is a fake one, and a client of it."""

    def __init__(self, process, npu, url):
        self.npu = npu
        self.models = process.resources.get(Models)
        self.breakers = process.resources.get(Breakers)
        self.client = openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0)

    def break_npu(self, *, mends=False):
        """Kill what runs on the NPU; unless it mends, nothing runs there ever again."""
        self.npu.broken = not mends
        os.kill(self.models.at("talks", "NPU").process.pid, signal.SIGKILL)

    async def chat(self, *turns, **options):
        roles = ("user", "assistant") * len(turns)
        messages = [{"role": role, "content": text} for role, text in zip(roles, turns, strict=False)]
        options = {"temperature": 0, "stream_options": {"include_usage": True}, **options}
        return await self.client.chat.completions.create(model="talks", messages=messages, stream=True, **options)


@pytest.fixture
def serve(tmp_path):
    @asynccontextmanager
    async def serve(*on, prompt=256):
        file = tmp_path / "pipelines.yaml"
        file.write_text(PIPELINES.format(on=f"[{', '.join(on)}]", pocket=POCKET))
        npu = FakeDevice("NPU", prompt=prompt)
        devices = FakeDevices(npu, limits={"npu": EXACT, "cpu": EXACT})
        process = Process(ServerSettings(port=0), read_configuration(file), devices=devices)
        ready = asyncio.get_running_loop().create_future()
        serving = asyncio.create_task(process.serve(ready=ready.set_result))
        await asyncio.wait((ready, serving), return_when=asyncio.FIRST_COMPLETED)
        server = Server(process, npu, ready.result())
        try:
            yield server
        finally:
            await server.client.close()
            process.stop()
            await serving

    return serve


class Read:
    """What a client has of a streamed chat."""

    def __init__(self):
        self.texts = {}
        self.roles = 0
        self.ends = {}
        self.usage = None
        self.fingerprints = set()

    def take(self, chunk):
        self.fingerprints.add(chunk.system_fingerprint)
        self.usage = chunk.usage or self.usage
        for choice in chunk.choices:
            self.texts[choice.index] = self.texts.get(choice.index, "") + (choice.delta.content or "")
            self.roles += choice.delta.role is not None
            if choice.finish_reason:
                self.ends[choice.index] = choice.finish_reason

    @property
    def all(self):
        return self.texts, self.roles, self.ends, self.usage, self.fingerprints


async def read(stream, found=None, *, after=0, then=lambda: None):
    """Read a chat to its end; when `after` pieces of text have come, do something."""
    found, pieces = found or Read(), 0
    async for chunk in stream:
        found.take(chunk)
        pieces += any(choice.delta.content for choice in chunk.choices)
        if pieces == after:
            then()
            after = -1
    assert after <= 0
    return found


@pytest.mark.parametrize("after", [1, 5])  # the engine is ahead of the client, and must not be done
async def test_the_answer_goes_on_on_the_next_device_without_a_seam(serve, after):
    async with serve("npu", "cpu") as server:
        whole = await read(await server.chat("count to 30"))
        assert whole.texts == {0: COUNTED}
        broken = await read(await server.chat("count to 30"), after=after, then=server.break_npu)
        assert broken.all == whole.all
        assert server.models.at("talks", "CPU")
        assert server.breakers.of("talks", "NPU").failures(server.breakers.clock()) == 1


async def test_each_choice_goes_on_from_its_own_place(serve):
    async with serve("npu", "cpu") as server:
        whole = await read(await server.chat("count to 30", n=3))
        assert whole.texts == dict.fromkeys(range(3), COUNTED)
        pieces = len(COUNTED.split())  # the NPU answers one after the other: the second is under way
        broken = await read(await server.chat("count to 30", n=3), after=pieces + 9, then=server.break_npu)
        assert broken.all == whole.all


async def test_a_text_that_is_completed_is_echoed_once(serve):
    async def completed(after):
        asked = {"prompt": "the weather is", "echo": True, "max_tokens": 60, "temperature": 0, "stream": True}
        text, pieces = "", 0
        async for chunk in await server.client.completions.create(model="talks", **asked):
            text += chunk.choices[0].text
            pieces += 1
            if pieces == after:
                server.break_npu()
        return text

    async with serve("npu", "cpu") as server:
        whole = await completed(after=0)
        assert whole.startswith("the weather is")
        assert await completed(after=1) == whole


async def test_a_device_that_mends_goes_on_itself(serve):
    async with serve("npu", "cpu") as server:
        found = await read(await server.chat("count to 30"), after=1, then=lambda: server.break_npu(mends=True))
        assert found.texts == {0: COUNTED}
        assert server.models.at("talks", "NPU").process.restarts == 1
        assert server.models.at("talks", "CPU") is None


async def test_an_answer_too_long_for_the_npu_that_broke_off_there_goes_on_elsewhere(serve):
    turns = [*("hello", "Hello! How can I help you?") * 8, "count to 30"]
    async with serve("npu", "cpu", prompt=165) as server:
        whole = await read(await server.chat(*turns))
        assert whole.texts == {0: COUNTED}
        assert whole.usage.prompt_tokens == 165  # not a token more
        broken = await read(await server.chat(*turns), after=1, then=lambda: server.break_npu(mends=True))
        assert broken.all == whole.all
        assert server.models.at("talks", "CPU")


async def test_with_no_device_left_a_clear_error_ends_the_stream_and_no_other_model_goes_on(serve):
    async with serve("npu") as server:
        stream, found = await server.chat("count to 30"), Read()
        with pytest.raises(openai.APIError, match="the chat model cannot be loaded again") as told:
            await read(stream, found, after=1, then=server.break_npu)
        assert told.value.type == "server_error"
        assert "src/" not in told.value.message  # OpenVINO's words are for the log
        assert COUNTED.startswith(found.texts[0])
        assert found.ends == {}
        answered = await server.client.chat.completions.with_raw_response.create(
            model="talks", messages=[{"role": "user", "content": "what is 3 + 4?"}], temperature=0
        )
        assert answered.headers["x-fastembed-model"] == "other"  # a new answer may come from its fallback


async def test_what_is_held_to_a_form_and_was_not_shown_begins_again(serve):
    form = {"type": "json_schema", "json_schema": {"name": "list", "schema": LIST}}
    messages = [{"role": "user", "content": "count to 30"}]
    async with serve("npu") as server:
        asked = {"messages": messages, "response_format": form, "extra_body": {"model_fallback": False}}
        answering = asyncio.create_task(server.client.chat.completions.create(model="talks", **asked))
        process = server.models.at("talks", "NPU").process
        while not any(one._progress.so_far().produced for one in process._asked.values()):  # noqa: ASYNC110 - nothing tells of it
            await asyncio.sleep(0.001)
        server.break_npu(mends=True)
        assert (await answering).choices[0].message.content.startswith("[")
        assert process.restarts == 1


async def test_what_is_held_to_a_form_is_not_continued_and_the_error_says_why(serve):
    form = {"type": "json_schema", "json_schema": {"name": "list", "schema": LIST}}
    async with serve("npu", "cpu") as server:
        stream = await server.chat("count to 30", response_format=form)
        with pytest.raises(openai.APIError, match=r"held to a form .* cannot go on in the middle"):
            await read(stream, after=1, then=server.break_npu)
        assert server.models.at("talks", "CPU") is None
