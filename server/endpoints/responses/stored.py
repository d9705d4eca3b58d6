"""Stored responses: shown, streamed again, cancelled, deleted, and the items that they were made of."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from fastembed.pipeline.errors import InvalidInput
from fastembed.server.conversations.record import Json, StoredRecord
from fastembed.server.conversations.store import ConversationStore, page
from fastembed.server.endpoints.responses.background import RUNNING, BackgroundRun, BackgroundRuns
from fastembed.server.endpoints.responses.events import ResponseEvents
from fastembed.server.endpoints.responses.trace import unpack
from fastembed.server.wire.event_stream import EventStream, StreamForm
from fastembed.server.wire.exchange import Exchange
from fastembed.server.wire.responses import json_answer, listing, whole_parameter

MAX_PAGE: Final = 100
_STOPPED: Final = {
    "code": "server_error",
    "message": "the server stopped before the response was complete; create it again",
}


class StoredResponses:
    """The handlers of what is stored. runs: those that are not complete yet."""

    def __init__(self, store: ConversationStore, runs: BackgroundRuns) -> None:
        self._store = store
        self._runs = runs

    async def show(self, request: Request) -> Response:
        """GET /v1/responses/{id}."""
        return json_answer(self._current(await self._find(request)))

    async def delete(self, request: Request) -> Response:
        """DELETE /v1/responses/{id}; one that is worked on is cancelled."""
        found = await self._find(request)
        if (run := self._runs.find(found.id)) is not None:
            await run.cancel()
        await asyncio.to_thread(self._store.delete, found.owner, found.id, "response")
        return json_answer({"id": found.id, "object": "response", "deleted": True})

    async def cancel(self, request: Request) -> Response:
        """POST /v1/responses/{id}/cancel."""
        found = await self._find(request)
        if not found.body["response"].get("background"):
            raise InvalidInput(
                f"found {found.id}, which was not created with background: true, expected one that was", param="id"
            )
        if (run := self._runs.find(found.id)) is not None:
            await run.cancel()
            return json_answer(run.response)
        return json_answer(self._current(found))

    async def items(self, request: Request) -> Response:
        """GET /v1/responses/{id}/input_items: what the response was made of, that which it went on from included."""
        found = await self._find(request)
        response = found.body["response"]
        before = await asyncio.to_thread(self._context, found.owner, response, found.body["position"])
        own = await asyncio.to_thread(self._store.items, found.owner, found.id)
        return item_page(request, [*before, *(item.body for item in own if item.role == "input")])

    async def follow(self, exchange: Exchange, id_: str) -> None:
        """GET /v1/responses/{id}?stream=true: its events again, and then those that come."""
        query = exchange.query()
        after = query.get("starting_after", "-1")
        if not (after == "-1" or (after.isascii() and after.isdigit())):
            raise InvalidInput(f"found {after[:40]!r}, expected a sequence_number", param="starting_after")
        owner = exchange.scope["owner"]
        found = await asyncio.to_thread(self._store.find, owner, id_, "response")
        run = self._runs.find(id_)
        response = run.response if run is not None else self._current(found)
        events = ResponseEvents(
            response, summarize=_summarizes(response), logprobs=_has_logprobs(found), after=int(after[:12])
        )
        with exchange.watched():
            async with EventStream(exchange, form=StreamForm(failure=events.failure)) as out:
                await out.send(events.begin())
                async with aclosing(_replay(found, run)) as chat:
                    async for event in chat:
                        await out.send(events.take(event))
                final = run.response if run is not None else response
                last = events.close(None) if final["status"] in ("completed", "incomplete") else b""
                events.response = final
                await out.end(last + events.end())

    async def _find(self, request: Request) -> StoredRecord:
        owner, id_ = request.scope["owner"], request.path_params["id"]
        return await asyncio.to_thread(self._store.find, owner, id_, "response")

    def _current(self, found: StoredRecord) -> Json:
        """Return a response as it is now. What a server that was killed had begun has failed."""
        run = self._runs.find(found.id)
        if run is not None:
            return run.response
        response: Json = found.body["response"]
        if response["status"] in RUNNING:
            return {**response, "status": "failed", "error": _STOPPED}
        return response

    def _context(self, owner: str, response: Json, position: int) -> list[Json]:
        if previous := response.get("previous_response_id"):
            return [item.body for item in self._store.chain(owner, previous, param="id")]
        if conversation := response.get("conversation"):
            return [item.body for item in self._store.items(owner, conversation["id"], before=position)]
        return []


async def _replay(found: StoredRecord, run: BackgroundRun | None) -> AsyncGenerator[Any]:
    """Yield the events of the chat, those that are stored or those that come."""
    if run is None:
        for event in unpack(found.body["trace"]):
            yield event
        return
    seen = 0
    while True:
        for event in run.events[seen:]:
            seen += 1
            yield event
        if run.done and seen == len(run.events):
            return
        await run.wait(seen)


def item_page(request: Request, items: list[Json]) -> Response:
    """Return a page of items, as the query asks for it: `after`, `limit`, `order`."""
    order = request.query_params.get("order", "desc")
    if order not in ("asc", "desc"):
        raise InvalidInput(f"found {order[:40]!r}, expected asc or desc for order", param="order")
    limit = whole_parameter(request, "limit", default=20, most=MAX_PAGE)
    after = request.query_params.get("after", "")
    found, more = page(items, after=after, limit=limit, newest_first=order == "desc")
    ends = {"first_id": found[0]["id"], "last_id": found[-1]["id"]} if found else {"first_id": None, "last_id": None}
    return listing(found, has_more=more, **ends)


def _summarizes(response: Json) -> bool:
    return response["reasoning"]["summary"] not in (None, "none")


def _has_logprobs(found: StoredRecord) -> bool:
    return any(isinstance(entry, list) and entry[0] == "delta" and entry[-1] for entry in found.body["trace"])


class ShowOrFollow:
    """The ASGI application of GET /v1/responses/{id}: JSON, or with `stream=true` the events."""

    def __init__(self, show: Any, follow: Any) -> None:
        self._show = show
        self._follow = follow

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        request = Request(scope, receive)
        if request.query_params.get("stream") in ("true", "True", "1"):
            await self._follow(scope, receive, send)
        else:
            response = await self._show(request)
            await response(scope, receive, send)
