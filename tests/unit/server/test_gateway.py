from __future__ import annotations

import asyncio
import logging
import re

import pytest

from fastembed.pipeline.errors import Overloaded, StepFailed
from fastembed.pipeline.item import Item
from fastembed.pipeline.policy import QueuePolicy
from fastembed.server.app import create_app
from fastembed.server.http.lifecycle import Lifecycle
from fastembed.server.observability.http_metrics import HttpMetrics
from fastembed.server.settings import ServerSettings
from fastembed.sources.http import HttpRoutes
from tests.unit.server.asgi import call, scope_of, serving


class World:
    def __init__(self, **settings):
        self.routes = HttpRoutes()
        self.lifecycle = Lifecycle()
        self.lifecycle.serve()
        self.stats = HttpMetrics()
        self.app = create_app(
            ServerSettings(**settings), routes=self.routes, lifecycle=self.lifecycle, stats=self.stats
        )


@pytest.fixture
def world():
    return World()


async def echo(item: Item):
    await item.reply.send(item.value)


async def test_a_result_is_the_response(world):
    async with serving(world.routes, "POST /echo", echo):
        reply = await call(world.app, "POST", "/echo", body={"a": [1, None]})
    assert (reply.status, reply.json) == (200, {"a": [1, None]})
    assert reply.headers["content-type"] == "application/json"
    assert int(reply.headers["openai-processing-ms"]) >= 0
    assert reply.headers["x-ratelimit-limit-requests"] == "64"
    assert reply.headers["x-ratelimit-remaining-requests"] == "64"
    assert re.fullmatch(r"\d+(ms|s)|\d+m\d+s", reply.headers["x-ratelimit-reset-requests"])


async def test_a_get_routes_value_is_its_query(world):
    async with serving(world.routes, "GET /ask", echo):
        assert (await call(world.app, "GET", "/ask?q=a%20b&x=")).json == {"q": "a b", "x": ""}


async def test_no_result_is_204_and_several_are_a_list(world):
    async def count(item):
        for number in range(item.value["n"]):
            await item.reply.send(number)

    async with serving(world.routes, "POST /count", count):
        empty = await call(world.app, "POST", "/count", body={"n": 0})
        assert empty.status == 204
        assert "content-type" not in empty.headers
        assert "content-length" not in empty.headers
        assert (await call(world.app, "POST", "/count", body={"n": 3})).json == [0, 1, 2]


async def test_a_sane_request_id_is_kept_and_another_replaced(world):
    async with serving(world.routes, "POST /echo", echo):
        kept = await call(world.app, "POST", "/echo", body={}, headers={"x-request-id": "trace-1:2.3_4"})
        replaced = await call(world.app, "POST", "/echo", body={}, headers={"x-request-id": "a b\n"})
    assert kept.headers["x-request-id"] == "trace-1:2.3_4"
    assert re.fullmatch(r"req_[0-9a-f]{32}", replaced.headers["x-request-id"])


async def test_what_breaks_shows_its_request_id_and_nothing_else(world, caplog):
    async def breaks(_):
        raise RuntimeError("a secret path")

    async with serving(world.routes, "POST /breaks", breaks):
        reply = await call(world.app, "POST", "/breaks", body={}, headers={"x-request-id": "r1"})
    assert reply.status == 500
    assert reply.error == {
        "message": "internal error; request id r1",
        "type": "server_error",
        "param": None,
        "code": None,
    }
    assert "a secret path" in caplog.text


@pytest.mark.parametrize("traced", [True, False])
async def test_the_server_repeats_no_traceback_that_the_pipeline_has_logged(world, caplog, traced):
    async def breaks(_):
        error = StepFailed("breaks", RuntimeError("a secret path"))
        error.traced = traced
        raise error

    async with serving(world.routes, "POST /breaks", breaks):
        await call(world.app, "POST", "/breaks", body={}, headers={"x-request-id": "r1"})
    (record,) = (record for record in caplog.records if record.name == "fastembed.http")
    assert (record.request, bool(record.exc_info)) == ("r1", not traced)
    assert "a secret path" in record.getMessage()


async def test_a_full_queue_is_429_with_the_time_to_come_back(world):
    held, taken = asyncio.Event(), asyncio.Event()

    async def hold(item):
        taken.set()
        await held.wait()
        await item.reply.send({})

    async with serving(world.routes, "POST /hold", hold, queue=QueuePolicy(max_items=1, overflow="reject")) as http:
        running = [asyncio.create_task(call(world.app, "POST", "/hold", body={}))]
        await taken.wait()
        running.append(asyncio.create_task(call(world.app, "POST", "/hold", body={})))
        while not http.waiting:  # noqa: ASYNC110 - a few turns
            await asyncio.sleep(0)
        refused = await call(world.app, "POST", "/hold", body={})
        held.set()
        answered = await asyncio.gather(*running)
    assert (refused.status, refused.error["type"], refused.error["code"]) == (
        429,
        "rate_limit_error",
        "rate_limit_exceeded",
    )
    assert int(refused.headers["retry-after"]) >= 1
    assert int(refused.headers["retry-after-ms"]) >= 1
    assert refused.headers["x-ratelimit-limit-requests"] == "1"
    assert refused.headers["x-ratelimit-remaining-requests"] == "0"
    assert [reply.status for reply in answered] == [200, 200]


async def test_a_client_that_leaves_cancels_its_item_and_gets_no_answer(world):
    seen, left = asyncio.Event(), asyncio.Event()
    cancelled = asyncio.Event()

    async def wait(item):
        item.ack.on_cancel(item, cancelled.set)
        seen.set()
        await cancelled.wait()

    async with serving(world.routes, "POST /wait", wait):
        request = asyncio.create_task(call(world.app, "POST", "/wait", body={}, leave=left))
        await seen.wait()
        left.set()
        reply = await request
        await cancelled.wait()
    assert reply.status == 0
    assert world.lifecycle.in_flight == 0


async def test_a_stream_sends_each_result_and_ends_with_done(world):
    async def count(item):
        for number in range(3):
            await item.reply.send({"n": number})

    async with serving(world.routes, "POST /count", count):
        reply = await call(world.app, "POST", "/count", body={"stream": True})
        asked = await call(world.app, "POST", "/count", body={}, headers={"accept": "text/event-stream"})
    assert reply.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert reply.chunks == [b'data: {"n":0}\n\n', b'data: {"n":1}\n\n', b'data: {"n":2}\n\n', b"data: [DONE]\n\n"]
    assert asked.body == reply.body


async def test_an_error_before_the_first_event_is_a_status_and_after_it_an_event(world):
    async def fails(item):
        if item.value["first"]:
            await item.reply.send(1)
        raise Overloaded("found too much, expected less")

    async with serving(world.routes, "POST /fails", fails):
        before = await call(world.app, "POST", "/fails?stream", body={"first": False})
        after = await call(world.app, "POST", "/fails?stream", body={"first": True})
    assert before.status == 429
    assert after.status == 200
    assert after.chunks[0] == b"data: 1\n\n"
    assert b'{"error":{"message":"found too much, expected less","type":"rate_limit_error"' in after.chunks[1]


async def test_unknown_paths_and_methods_are_error_objects(world):
    async with serving(world.routes, "POST /echo", echo):
        unknown = await call(world.app, "GET", "/v1/nothing")
        wrong = await call(world.app, "DELETE", "/echo")
    assert (unknown.status, unknown.error["code"]) == (404, "unknown_url")
    assert (wrong.status, wrong.headers["allow"]) == (405, "POST")
    assert wrong.error["message"] == "found DELETE /echo, expected POST"


@pytest.mark.parametrize(
    "path",
    [
        *("/v1/echo/", "/echo", "/echo/", "/v1/v1/echo", "/v1/echo//", "/openai/v1/echo", "/api/v1/echo"),
        *("/openai/deployments/gpt-4o/echo", "/v1/v1/v1/echo"),
    ],
)
async def test_a_slip_in_the_base_url_gets_what_was_meant(world, path):
    async with serving(world.routes, "POST /v1/echo", echo):
        assert (await call(world.app, "POST", path, body={"a": 1})).json == {"a": 1}


async def test_a_path_of_ones_own_comes_before_every_other_name(world):
    async def mine(item: Item):
        await item.reply.send("mine")

    async with serving(world.routes, "POST /health", mine), serving(world.routes, "POST /echo/", echo):
        assert (await call(world.app, "POST", "/health", body={})).json == "mine"
        assert (await call(world.app, "POST", "/echo/", body=1)).json == 1


async def test_a_path_that_nobody_serves_lists_those_that_are(world):
    async with serving(world.routes, "POST /v1/echo", echo), serving(world.routes, "GET /ask", echo):
        refused = await call(world.app, "GET", "/v1/nothing")
    assert refused.error["message"] == (
        "found GET /v1/nothing, which is not served here; expected one of GET /ask, POST /v1/echo"
    )


async def test_another_name_asks_for_the_same_key():
    world = World(api_keys=("secret",))
    async with serving(world.routes, "POST /v1/echo", echo):
        assert (await call(world.app, "POST", "/echo/", body=1)).status == 401
        assert (await call(world.app, "POST", "/echo/", body=1, headers={"x-api-key": "secret"})).json == 1


async def test_a_path_that_is_not_served_yet_is_503_while_the_server_starts(world):
    world.lifecycle.phase = "starting"
    reply = await call(world.app, "POST", "/v1/embeddings", body={})
    assert (reply.status, reply.headers["retry-after"]) == (503, "1")
    assert "/v1/embeddings may be served soon" in reply.error["message"]


async def test_a_path_that_is_served_a_moment_later_is_503_too(world):
    world.lifecycle.phase = "starting"
    asyncio.get_running_loop().call_soon(setattr, world.lifecycle, "phase", "serving")
    assert (await call(world.app, "POST", "/v1/embeddings", body={})).status == 503


@pytest.mark.parametrize(
    ("body", "headers", "status", "message"),
    [
        (b"", {}, 400, "found an empty body"),
        (b'{"a": NaN}', {}, 400, "the body is not valid JSON"),
        (b'{"a": 1e999}', {}, 400, "the body is not valid JSON"),
        (b"\xff", {}, 400, "the body is not valid JSON"),
        (b"[" * 2000, {}, 400, "the body is not valid JSON"),
        (
            b"\x1f\x8b",
            {"content-encoding": "gzip"},
            415,
            "found content encoding 'gzip', expected a body that is not compressed",
        ),
        (b"{}", {"content-type": "text/plain"}, 415, "found content type 'text/plain', expected application/json"),
        (b"\x1f\x8b", {"content-encoding": "gzip"}, 415, "found content encoding 'gzip', expected a body that is not"),
        (b"a=1", {"content-type": "application/x-www-form-urlencoded"}, 415, "expected application/json"),
    ],
)
async def test_a_body_that_is_no_json_is_refused(world, body, headers, status, message):
    async with serving(world.routes, "POST /echo", echo):
        reply = await call(world.app, "POST", "/echo", body=body, headers=headers)
    assert reply.status == status
    assert message in reply.error["message"]


@pytest.mark.parametrize("declared", [True, False])
async def test_a_body_beyond_the_limit_is_413_declared_or_not(world, declared):
    headers = {"content-length": "20"} if declared else {}
    async with serving(world.routes, "POST /echo", echo, max_body=10):
        reply = await call(world.app, "POST", "/echo", chunks=[b"[1,2,3,4,", b"5,6,7,8,9]"], headers=headers)
    assert (reply.status, reply.error["code"]) == (413, "body_too_large")
    assert reply.headers["connection"] == "close"


async def test_a_body_in_pieces_is_put_together(world):
    async with serving(world.routes, "POST /echo", echo):
        reply = await call(world.app, "POST", "/echo", chunks=[b"[1", b",2", b"]"])
    assert reply.json == [1, 2]


async def test_a_draining_server_refuses_all_but_health(world):
    world.lifecycle.drain()
    async with serving(world.routes, "POST /echo", echo):
        refused = await call(world.app, "POST", "/echo", body={})
    assert (refused.status, refused.headers["retry-after"]) == (503, "5")
    assert (await call(world.app, "GET", "/healthz")).status == 404  # let in; this application has no such endpoint


async def test_a_request_that_is_cut_off_by_the_end_of_a_drain_is_answered_and_is_no_crash(world):
    seen = asyncio.Event()

    async def wait(_):
        seen.set()
        await asyncio.Event().wait()

    async with serving(world.routes, "POST /wait", wait):
        request = asyncio.create_task(call(world.app, "POST", "/wait", body={}))
        await seen.wait()
        world.lifecycle.drain()
        request.cancel()
        reply = await request
    assert (reply.status, reply.headers["retry-after"]) == (503, "5")
    assert reply.error["message"] == "the server stopped before the request ended; send it again"


async def test_a_missing_key_is_401():
    world = World(api_keys=("k",))
    async with serving(world.routes, "POST /echo", echo):
        refused = await call(world.app, "POST", "/echo", body={})
        let_in = await call(world.app, "POST", "/echo", body={}, headers={"authorization": "Bearer k"})
    assert (refused.status, refused.error["type"], refused.error["code"]) == (
        401,
        "authentication_error",
        "invalid_api_key",
    )
    assert refused.headers["www-authenticate"] == "Bearer"
    assert let_in.status == 200


async def test_an_allowed_page_gets_its_preflight_and_may_read_the_answer():
    world = World(allow_origins=("https://app.example",), api_keys=("k",))
    asked = {"origin": "https://app.example", "access-control-request-method": "POST"}
    async with serving(world.routes, "POST /echo", echo):
        preflight = await call(world.app, "OPTIONS", "/echo", headers=asked)
        answered = await call(
            world.app,
            "POST",
            "/echo",
            body={},
            headers={"origin": "https://app.example", "authorization": "Bearer k"},
        )
    assert preflight.status == 200
    assert answered.headers["access-control-allow-origin"] == "https://app.example"
    assert "retry-after" in answered.headers["access-control-expose-headers"]


async def test_a_websocket_of_a_foreign_page_is_denied_before_it_is_accepted(world):
    sent = []

    async def send(message):
        sent.append(message)

    scope = {
        **scope_of("GET", "/v1/realtime", {"origin": "http://evil.example"}),
        "type": "websocket",
        "subprotocols": [],
    }
    await world.app({**scope, "extensions": {"websocket.http.response": {}}}, None, send)
    await world.app({**scope, "extensions": {}}, None, send)
    assert sent[0]["status"] == 403
    assert sent[-1] == {"type": "websocket.close", "code": 1008}


async def test_every_request_is_logged_where_asked_for_and_counted_by_route(caplog):
    world = World(access_log=True)
    caplog.set_level(logging.INFO, "fastembed.access")
    async with serving(world.routes, "POST /echo", echo):
        await call(world.app, "POST", "/echo", body={}, headers={"x-request-id": "r9"})
        await call(world.app, "GET", "/typed/by/someone")
    (record, other) = caplog.records
    assert (record.request, record.status, record.client) == ("r9", 200, "127.0.0.1:1234")
    assert other.status == 404
    (requests, _) = world.stats.collect()
    assert {sample.labels["route"] for sample in requests.samples} == {"/echo", "other"}


async def test_refused_requests_are_logged_in_any_case(world, caplog):
    caplog.set_level(logging.INFO, "fastembed.access")
    async with serving(world.routes, "POST /echo", echo):
        await call(world.app, "POST", "/echo", body={})
        await call(world.app, "GET", "/nothing")
    assert [record.status for record in caplog.records] == [404]


async def test_a_successor_takes_the_route_over_when_the_running_source_stops(world):
    async def say(word):
        async def answer(item):
            await item.reply.send(word)

        return answer

    async with (
        serving(world.routes, "POST /say", await say("old")) as old,
        serving(world.routes, "POST /say", await say("new")),
    ):
        before = await call(world.app, "POST", "/say", body={})
        old.stop()
        after = await call(world.app, "POST", "/say", body={})
    assert (before.json, after.json) == ("old", "new")
    assert world.routes.paths() == []


async def test_a_source_that_broke_answers_503_until_it_is_built_anew(world):
    async with serving(world.routes, "POST /say", echo) as http:
        await call(world.app, "POST", "/say", body={})
        await http.close()
        broken = await call(world.app, "POST", "/say", body={})
        async with serving(world.routes, "POST /say", echo):
            again = await call(world.app, "POST", "/say", body={})
    assert (broken.status, again.status) == (503, 200)
