"""From a path to the pipeline that serves it, and the words its requests and results have on the wire."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any, Final

from starlette.types import Receive, Scope, Send

from fastembed.pipeline.item import Outcome
from fastembed.server.caching.cached_answers import Recall
from fastembed.server.endpoints import embeddings, rerank
from fastembed.server.endpoints.analyze import answer_analysis
from fastembed.server.endpoints.audio import answer_transcriptions, answer_translations
from fastembed.server.endpoints.chat import answer_chat
from fastembed.server.endpoints.completions import answer_completions
from fastembed.server.endpoints.document_processing import answer_document
from fastembed.server.fetching.references import NOTHING, References
from fastembed.server.http.errors import MethodNotAllowed
from fastembed.server.wire.event_stream import model_headers
from fastembed.server.wire.exchange import Exchange, to_json
from fastembed.server.wire.json_types import check_kind
from fastembed.sources.http import HttpRoutes, Results

Codec = Callable[[Exchange], Awaitable[None]]
"""Reads a request, sends it through its pipeline, writes the response."""


async def answer_embeddings(exchange: Exchange) -> None:
    """POST /v1/embeddings."""
    request, form = embeddings.decode(await exchange.fields())
    with exchange.watched():
        results = await exchange.submit(request, whole=True)
        try:
            vectors = (await results.all())[0]
        except BaseException:
            results.cancel()
            raise
    await exchange.respond(embeddings.encode(vectors, form), headers=model_headers(vectors.model))


async def answer_rerank(exchange: Exchange) -> None:
    """POST /v1/rerank."""
    request, return_documents = rerank.decode(await exchange.fields())
    with exchange.watched():
        results = await exchange.submit(request, whole=True)
        try:
            ranking = (await results.all())[0]
        except BaseException:
            results.cancel()
            raise
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
        results = await exchange.submit(value)
        try:
            if _wants_stream(exchange, query, value):
                await exchange.stream(_events(results))
                return
            found = await results.all()
        except BaseException:
            results.cancel()
            raise
    if not found and results.outcome in (Outcome.FILTERED, Outcome.DELIVERED):
        await exchange.respond(b"", status=204)
        return
    await exchange.respond(to_json(found[0] if len(found) == 1 else found))


def _wants_stream(exchange: Exchange, query: Mapping[str, str], value: object) -> bool:
    asked = isinstance(value, dict) and value.get("stream") is True
    return asked or query.get("stream") in ("true", "1", "") or exchange.accepts(b"text/event-stream")


async def _events(results: Results[Any]) -> AsyncIterator[bytes]:
    async for result in results:
        yield to_json(result)


CODECS: Final[Mapping[str, Codec]] = {
    "POST /v1/audio/transcriptions": answer_transcriptions,
    "POST /v1/audio/translations": answer_translations,
    "POST /v1/chat/completions": answer_chat,
    "POST /v1/completions": answer_completions,
    "POST /v1/documents/process": answer_document,
    "POST /v1/embeddings": answer_embeddings,
    "POST /v1/multimodal/analyze": answer_analysis,
    "POST /v1/rerank": answer_rerank,
}


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
        scope["limits"] = exchange.limits
        await CODECS.get(f"{method} {path}", answer_json)(exchange)
