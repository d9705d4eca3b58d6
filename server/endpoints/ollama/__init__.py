"""Ollama's API for its clients and for desktop applications: NDJSON from the pipelines that answer chats and embed.

`request` and `answer` are `/api/chat` and `/api/generate`, `embedding` is `/api/embed` and `/api/embeddings`, `library`
what it tells of models. Errors have Ollama's form (`fastembed.server.http.error_dialects`).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

from starlette.routing import BaseRoute

from fastembed.inference.library.specs import AUTO
from fastembed.inference.serving.models import Models
from fastembed.server.endpoints.context import ServerContext
from fastembed.server.endpoints.ollama import library
from fastembed.server.endpoints.ollama.answer import LINES, OllamaAnswer
from fastembed.server.endpoints.ollama.embedding import EMBED, EMBEDDINGS, answer_embed, answer_embeddings
from fastembed.server.endpoints.ollama.request import CHAT, GENERATE, OllamaRequest, decode_chat, decode_generate
from fastembed.server.endpoints.through import through
from fastembed.server.wire.chat.reply import reply
from fastembed.server.wire.exchange import Exchange
from fastembed.server.wire.fields import Fields

OPERATIONS: Final = (CHAT, GENERATE, EMBED, EMBEDDINGS, *library.OF_MODELS)


def routes(site: ServerContext) -> list[BaseRoute]:
    """Return the routes."""

    def answering(decode: Callable[[Fields], Awaitable[OllamaRequest]]) -> Callable[[Exchange], Awaitable[None]]:
        async def answer(exchange: Exchange) -> None:
            fields = await exchange.fields()
            with exchange.watched():
                asked = await decode(fields)
                encoder = OllamaAnswer(asked.name, stream=asked.stream, chat=asked.whole_chat)
                if asked.chat is None:
                    if asked.name != AUTO:
                        await site.resources.get(Models).warm(asked.name, "chat")
                    await exchange.respond(encoder.loaded(), media=LINES.media if asked.stream else b"application/json")
                else:
                    await reply(exchange, [asked.chat], encoder, stream=asked.stream, form=LINES)

        return answer

    own = library.OllamaLibrary(site)
    return [
        through(site, CHAT, answering(decode_chat)),
        through(site, GENERATE, answering(decode_generate)),
        through(site, EMBED, answer_embed),
        through(site, EMBEDDINGS, answer_embeddings),
        library.TAGS.route(own.tags),
        library.SHOW.route(own.show),
        library.PS.route(own.loaded),
        library.VERSION.route(own.version),
        library.PULL.route(own.pull),
    ]
