"""/v1/responses (OpenAI API 2.3.0): a conversation of items, answered by the pipeline that answers chats, and kept.

`request` decodes what comes in (`items`, `tools` and `history` are its parts), `events` encodes what goes out, in one
piece or as a stream (`answering`); `background` works while nobody waits; `stored` shows what is kept.
"""

from __future__ import annotations

from typing import Final

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from fastembed.inference.library.specs import AUTO
from fastembed.inference.serving.models import Models
from fastembed.inference.serving.tokenization import Tokenizers
from fastembed.server.endpoints.context import ServerContext
from fastembed.server.endpoints.responses.answering import answer
from fastembed.server.endpoints.responses.background import BackgroundRuns
from fastembed.server.endpoints.responses.history import ConversationHistory
from fastembed.server.endpoints.responses.request import CREATE, decode
from fastembed.server.endpoints.responses.stored import MAX_PAGE, ShowOrFollow, StoredResponses
from fastembed.server.endpoints.through import CHAT_PATH, references_of, through
from fastembed.server.wire.exchange import Exchange
from fastembed.server.wire.fields import read_fields
from fastembed.server.wire.operation import EVENTS, JSON, Operation
from fastembed.server.wire.responses import json_answer
from fastembed.server.wire.schema import an_object, choice, flag, string, whole
from fastembed.sources.http import MAX_BODY_BYTES

_COUNT: Final = Operation(
    "POST",
    "/v1/responses/input_tokens",
    "How many tokens a response's input has",
    body=CREATE.body,
    through=CHAT_PATH,
)
_SHOW: Final = Operation(
    "GET",
    "/v1/responses/{id}",
    "A stored response; with stream, its events again",
    query={"stream": flag(), "starting_after": whole(0, 2**31 - 1, "the last sequence_number that was seen")},
    answer={JSON: an_object(about="a response"), EVENTS: an_object(about="its events")},
    through=CHAT_PATH,
)
_DELETE: Final = Operation("DELETE", "/v1/responses/{id}", "Delete a stored response")
_CANCEL: Final = Operation("POST", "/v1/responses/{id}/cancel", "Stop the work on a background response")
_ITEMS: Final = Operation(
    "GET",
    "/v1/responses/{id}/input_items",
    "The items that a response was made of",
    query={"after": string("an item's id"), "limit": whole(1, MAX_PAGE), "order": choice("asc", "desc")},
)
OPERATIONS: Final = (CREATE, _COUNT, _SHOW, _DELETE, _CANCEL, _ITEMS)


def routes(site: ServerContext) -> list[BaseRoute]:
    """Return the routes; those of what is stored only where something is."""
    runs = BackgroundRuns(site.tasks)

    async def create(exchange: Exchange) -> None:
        fields = await exchange.fields()
        history = ConversationHistory(site.conversations, exchange.scope["owner"])
        with exchange.watched():
            asked = await decode(fields, exchange.references, history)
            if not asked.background:
                await answer(exchange, asked, history)
                return
            run = await runs.start(exchange, asked, history)
        if asked.stream:
            assert stored is not None  # noqa: S101 - a background response is refused where nothing is stored
            await stored.follow(exchange, run.response["id"])
        else:
            await exchange.respond(orjson.dumps(run.response))

    async def count(request: Request) -> Response:
        fields = await read_fields(request.scope, request.receive, max_bytes=MAX_BODY_BYTES)
        history = ConversationHistory(site.conversations, request.scope["owner"])
        asked = await decode(fields, references_of(site, request.scope), history)
        model = await Tokenizers(site.resources.get(Models).catalog).of(fields.text("model") or AUTO)
        ids = await model.encode(asked.chat, special=True)
        return json_answer({"object": "response.input_tokens", "input_tokens": len(ids)})

    found: list[BaseRoute] = [through(site, CREATE, create), _COUNT.route(count)]
    stored = None if site.conversations is None else StoredResponses(site.conversations, runs)
    if stored is None:
        return found

    async def follow(exchange: Exchange) -> None:
        await stored.follow(exchange, exchange.scope["path_params"]["id"])

    following = through(site, _SHOW, follow)
    show = Route(_SHOW.path, ShowOrFollow(stored.show, following.app), methods=["GET"])
    rest = (_DELETE.route(stored.delete), _CANCEL.route(stored.cancel), _ITEMS.route(stored.items))
    return [*found, show, *rest]
