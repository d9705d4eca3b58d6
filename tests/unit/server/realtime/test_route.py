"""Websockets that are not served, and requests that are none: each is told why."""

import contextlib
from pathlib import Path
from typing import Any

import orjson
import pytest
from starlette.types import Message

from fastembed.pipeline.component import Context, Resources
from fastembed.server.http.errors import UpgradeRequired, error_response
from fastembed.server.realtime.session import RealtimeRoute
from fastembed.sources.websocket import Websocket, WebsocketRoutes


async def serving() -> WebsocketRoutes:
    routes = WebsocketRoutes()
    source = Websocket("/v1/realtime")
    await source.open(Context("speech", "", "", Path(), resources=Resources(routes)))
    return routes


async def refused(route: RealtimeRoute, path: str, query: str = "", **more: Any) -> tuple[int, dict[str, Any]]:
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    async def receive() -> Message:
        return {"type": "websocket.connect"}

    extensions: dict[str, Any] = {"websocket.http.response": {}}
    scope = {"type": "websocket", "path": path, "headers": [], "extensions": extensions, "request_id": "req_1", **more}
    scope["query_string"] = query.encode()
    await route.handle(scope, receive, send)
    assert scope.get("served_path") in (None, "/v1/realtime")  # what a client types is no label of a metric
    assert scope["refused_with"] == sent[0]["status"]
    return sent[0]["status"], orjson.loads(sent[1]["body"])["error"]


async def test_a_path_that_no_pipeline_serves_is_not_found() -> None:
    status, error = await refused(RealtimeRoute(await serving()), "/v1/realtme")
    assert status == 404
    assert error["message"] == "found no websocket /v1/realtme, expected one of /v1/realtime"


@pytest.mark.parametrize(
    ("query", "status", "word"),
    [
        ("", 404, "POST /v1/chat/completions"),  # conversations, which no pipeline answers here
        ("model=gpt-realtime", 404, "intent=transcription"),
        ("intent=translation", 400, "intent"),
        ("call_id=rtc_1", 400, "call_id"),
    ],
)
async def test_a_kind_of_session_that_is_not_served_is_refused_before_it_begins(query, status, word) -> None:
    found, error = await refused(RealtimeRoute(await serving()), "/v1/realtime", query)
    assert found == status
    assert word in error["message"]


async def test_a_slip_in_the_path_of_a_websocket_reaches_it() -> None:
    route = RealtimeRoute(await serving())

    async def receive() -> Message:
        return {"type": "websocket.disconnect", "code": 1001}

    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    scope = {"type": "websocket", "path": "/realtime/", "headers": [], "extensions": {}, "subprotocols": []}
    scope["query_string"] = b"intent=transcription"
    with contextlib.suppress(RuntimeError):  # the client leaves before it is let in
        await route.handle(scope, receive, send)
    assert scope["served_path"] == "/v1/realtime"


async def test_before_the_pipelines_are_warm_a_client_is_told_to_come_back() -> None:
    status, error = await refused(RealtimeRoute(WebsocketRoutes(), starting=lambda: True), "/v1/realtime")
    assert status == 503
    assert error["message"] == "the server is starting; /v1/realtime may be served soon, try again"


async def test_a_plain_request_to_a_websocket_is_told_so() -> None:
    route = RealtimeRoute(await serving())
    scope = {"type": "http", "method": "GET", "path": "/v1/realtime", "headers": []}
    with pytest.raises(UpgradeRequired, match="found GET /v1/realtime, expected a websocket handshake") as found:
        await route.handle(scope, None, None)  # type: ignore[arg-type]  # nothing is read or sent
    what = error_response(found.value, "req_1")
    assert what.status == 426
    assert (b"upgrade", b"websocket") in what.headers


async def test_a_conversation_wants_the_scope_of_chats() -> None:
    class Answers:
        def answers(self) -> bool:
            return True

    route = RealtimeRoute(await serving(), answers=Answers())  # type: ignore[arg-type] # never asked for an answer
    status, error = await refused(route, "/v1/realtime", scopes=frozenset({"audio"}))
    assert (status, error["code"]) == (403, "missing_scope")
    assert "conversations: it needs the scope chat, and has audio" in error["message"]
