"""The writer of Server-Sent Events, as every endpoint has it."""

from __future__ import annotations

import asyncio

import orjson
import pytest

from fastembed.pipeline.errors import InvalidInput
from fastembed.pipeline.item import Item
from fastembed.pipeline.payload.chat import ChatFinished
from fastembed.server.app import create_app
from fastembed.server.http.lifecycle import Lifecycle
from fastembed.server.observability.http_metrics import HttpMetrics
from fastembed.server.settings import ServerSettings
from fastembed.server.wire.event_stream import event
from fastembed.sources.http import HttpRoutes
from tests.unit.server.asgi import call, serving
from tests.unit.server.chatting import COMPLETIONS, STARTED, chatting


@pytest.fixture
def routes():
    return HttpRoutes()


@pytest.fixture
def app(routes):
    lifecycle = Lifecycle()
    lifecycle.serve()
    return create_app(ServerSettings(), routes=routes, lifecycle=lifecycle, stats=HttpMetrics())


def test_an_event_is_a_line_of_data_and_an_empty_one():
    assert event(b"{}") == b"data: {}\n\n"


async def test_a_pipeline_without_results_is_a_stream_that_ends(app, routes):
    async def nothing(item: Item):
        pass

    async with serving(routes, "POST /none", nothing):
        reply = await call(app, "POST", "/none?stream=true", body={})
    assert (reply.status, reply.body) == (200, b"data: [DONE]\n\n")
    assert reply.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert reply.headers["cache-control"] == "no-cache"


async def test_a_client_that_leaves_a_stream_cancels_its_item(app, routes):
    leave, cancelled = asyncio.Event(), asyncio.Event()

    async def talk(item: Item):
        while not item.ack.cancelled:
            await item.reply.send("and on")
            leave.set()
            await asyncio.sleep(0)
        cancelled.set()

    async with serving(routes, "POST /talk", talk):
        await call(app, "POST", "/talk?stream=true", body={}, leave=leave)
        await asyncio.wait_for(cancelled.wait(), 5)


async def test_the_error_of_one_prompt_is_the_last_event_and_cancels_the_others():
    cancelled = asyncio.Event()

    async def answer(item: Item):
        yield STARTED
        if item.value.prompt == "bad":
            raise InvalidInput("found bad, expected good")
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    async with chatting(answer, COMPLETIONS) as served:
        reply = await served.post(COMPLETIONS, prompt=["bad", "good"], stream=True)
        await asyncio.wait_for(cancelled.wait(), 5)
    assert reply.status == 200
    last = reply.body.decode().strip().split("\n\n")[-1]
    assert orjson.loads(last.removeprefix("data: "))["error"]["message"] == "found bad, expected good"


async def test_a_prompt_that_is_not_let_in_cancels_those_that_were():
    ran = []

    async def answer(item: Item):
        ran.append(item.value.prompt)
        yield STARTED
        yield ChatFinished(0, "stop", 1, 1)

    async with chatting(answer, COMPLETIONS) as served:
        reply = await served.post(COMPLETIONS, prompt=["many"] * 128)
        assert (await served.post(COMPLETIONS, prompt="one")).status == 200
    assert reply.status == 429
    assert reply.headers["x-ratelimit-remaining-requests"].isdigit()
    assert ran == ["one"]
