"""From a path to the pipeline that serves it, and the words its requests and results have on the wire."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from starlette.types import Receive, Scope, Send

from fastembed.pipeline.item import Outcome
from fastembed.pipeline.payload.audio import SpeechEvent, SpeechFile
from fastembed.pipeline.payload.chat import ChatEvent, ChatRequest
from fastembed.pipeline.payload.document import Document, DocumentRequest
from fastembed.pipeline.payload.embedding import EmbeddingRequest, Embeddings
from fastembed.pipeline.payload.rerank import Ranking, RerankRequest
from fastembed.server.caching.cached_answers import Recall
from fastembed.server.endpoints import embeddings, rerank
from fastembed.server.endpoints.analyze import answer_analysis
from fastembed.server.endpoints.audio import answer_transcriptions, answer_translations
from fastembed.server.endpoints.chat import answer_chat
from fastembed.server.endpoints.completions import answer_completions
from fastembed.server.endpoints.document_processing import answer_document
from fastembed.server.fetching.references import NOTHING, References
from fastembed.server.http.errors import MethodNotAllowed
from fastembed.server.wire.event_stream import DONE, EventStream, event
from fastembed.server.wire.exchange import Exchange
from fastembed.server.wire.headers import model_headers
from fastembed.server.wire.json_types import check_kind
from fastembed.server.wire.json_values import to_json
from fastembed.sources.http import HttpRoutes

Codec = Callable[[Exchange], Awaitable[None]]
"""Reads a request, sends it through its pipeline, writes the response."""


async def answer_embeddings(exchange: Exchange) -> None:
    """POST /v1/embeddings."""
    request, form = embeddings.decode(await exchange.fields())
    with exchange.watched():
        async with exchange.submitted(request, whole=True) as (results,):
            vectors = (await results.all())[0]
    await exchange.respond(embeddings.encode(vectors, form), headers=model_headers(vectors.model))


async def answer_rerank(exchange: Exchange) -> None:
    """POST /v1/rerank."""
    request, return_documents = rerank.decode(await exchange.fields())
    with exchange.watched():
        async with exchange.submitted(request, whole=True) as (results,):
            ranking = (await results.all())[0]
    body = rerank.encode(ranking, request, request_id=exchange.request_id, return_documents=return_documents)
    await exchange.respond(body, headers=model_headers(ranking.model, ranking.state))


async def answer_json(exchange: Exchange) -> None:
    """Any other route: the JSON body (of a GET: the query) is the item's value, its results are the response.

    A value of another kind than the pipeline's first step takes is a 400. One result is the response itself, several
    are a list, none is 204. With `?stream=true`, `"stream": true` or `Accept: text/event-stream`, each result is a
    Server-Sent Event of its own.
    """
    query = exchange.query()
    value: Any = await exchange.body() if exchange.method != "GET" else query
    check_kind(value, exchange.source.takes)
    with exchange.watched():
        if _wants_stream(exchange, query, value):
            await _stream(exchange, value)
            return
        async with exchange.submitted(value) as (results,):
            found = await results.all()
    if not found and results.outcome in (Outcome.FILTERED, Outcome.DELIVERED):
        await exchange.respond(b"", status=204)
        return
    await exchange.respond(to_json(found[0] if len(found) == 1 else found))


def _wants_stream(exchange: Exchange, query: Mapping[str, str], value: object) -> bool:
    asked = isinstance(value, dict) and value.get("stream") is True
    return asked or query.get("stream") in ("true", "1", "") or exchange.accepts(b"text/event-stream")


async def _stream(exchange: Exchange, value: object) -> None:
    async with EventStream(exchange) as out, exchange.submitted(value) as (results,):
        async for result in results:
            await out.send(event(to_json(result)))
        await out.end(DONE)


@dataclass(frozen=True, slots=True)
class Wire:
    """How a path speaks: its codec, the type of the values that requests become, and of the results it can answer."""

    answer: Codec
    takes: Any
    gives: Any


JSON: Final = dict | list | str | int | float | bool | None
"""What a request is on a path with no words of its own."""
_CHAT: Final = (ChatRequest, ChatEvent)
_SPEECH: Final = (SpeechFile, SpeechEvent)

WIRES: Final[Mapping[str, Wire]] = {
    "POST /v1/audio/transcriptions": Wire(answer_transcriptions, *_SPEECH),
    "POST /v1/audio/translations": Wire(answer_translations, *_SPEECH),
    "POST /v1/chat/completions": Wire(answer_chat, *_CHAT),
    "POST /v1/completions": Wire(answer_completions, *_CHAT),
    "POST /v1/documents/process": Wire(answer_document, DocumentRequest, Document),
    "POST /v1/embeddings": Wire(answer_embeddings, EmbeddingRequest, Embeddings),
    "POST /v1/multimodal/analyze": Wire(answer_analysis, *_CHAT),
    "POST /v1/rerank": Wire(answer_rerank, RerankRequest, Ranking),
}
_OWN: Final = Wire(answer_json, JSON, Any)
_QUERY: Final = Wire(answer_json, dict, Any)


def wire_of(route: str) -> Wire:
    """Return how `METHOD /path` speaks; a path of one's own takes and gives JSON, of a GET the query's."""
    return WIRES.get(route) or (_QUERY if route.startswith("GET ") else _OWN)


class PipelineRoute:
    """All paths that running pipelines serve, looked up at request time: a reload needs no new application."""

    def __init__(self, routes: HttpRoutes, references: References = NOTHING, recall: Recall | None = None) -> None:
        self._routes = routes
        self._references = references
        self._recall = recall

    def serves(self, path: str) -> bool:
        """Whether a pipeline serves this path, by any method; a wrong method is answered with 405."""
        return self._routes.methods(path) is not None

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        path, method = scope["path"], scope["method"]
        scope["served_path"] = path
        methods = self._routes.methods(path) or {}
        source = methods.get(method)
        if source is None:
            raise MethodNotAllowed(method, path, ", ".join(sorted(methods)))
        exchange = Exchange(
            scope,
            receive,
            send,
            routes=self._routes,
            source=source,
            references=self._references.of(scope["owner"]),
            recall=self._recall,
        )
        scope["pipeline_source"] = source
        await wire_of(f"{method} {path}").answer(exchange)
