"""POST /v1/messages and /v1/messages/count_tokens (Anthropic API 2026-10-21), from the pipeline that answers chats.

`request` decodes what comes in (`turns` its messages), `answer` encodes what goes out. Errors have Anthropic's form
(`fastembed.server.http.error_dialects`). Fields without effect are checked; `thread` is refused in the way that makes
Anthropic's tool runner send whole conversations.
"""

from __future__ import annotations

from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from fastembed.inference.library.specs import AUTO
from fastembed.inference.serving.models import Models
from fastembed.inference.serving.tokenization import Tokenizers
from fastembed.server.endpoints.context import ServerContext
from fastembed.server.endpoints.messages.answer import AnthropicAnswer, failure
from fastembed.server.endpoints.messages.request import COUNT, CREATE, decode
from fastembed.server.endpoints.through import references_of, through
from fastembed.server.wire.chat.reply import reply
from fastembed.server.wire.event_stream import StreamForm
from fastembed.server.wire.exchange import Exchange
from fastembed.server.wire.fields import read_fields
from fastembed.server.wire.responses import json_answer
from fastembed.sources.http import MAX_BODY_BYTES

OPERATIONS: Final = (CREATE, COUNT)
_FORM: Final = StreamForm(failure=failure)


def routes(site: ServerContext) -> list[BaseRoute]:
    """Return the routes."""

    async def create(exchange: Exchange) -> None:
        fields = await exchange.fields()
        with exchange.watched():
            request, stream = await decode(fields, exchange.references)
            await reply(exchange, [request], AnthropicAnswer(stream=stream), stream=stream, form=_FORM)

    async def count(request: Request) -> Response:
        fields = await read_fields(request.scope, request.receive, max_bytes=MAX_BODY_BYTES)
        asked, _ = await decode(fields, references_of(site, request.scope), COUNT)
        model = await Tokenizers(site.resources.get(Models).catalog).of(fields.text("model") or AUTO)
        return json_answer({"input_tokens": len(await model.encode(asked, special=True))})

    return [through(site, CREATE, create), COUNT.route(count)]
