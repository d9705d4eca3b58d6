"""POST /v1/rerank as Cohere's and Jina's clients use it; OpenAI has no such endpoint.

JSON to `RerankRequest`, `Ranking` to JSON. A document is a string or an object with `text`; the answer's `usage` is
Jina's, its `meta` Cohere's.
"""

from __future__ import annotations

from typing import Any, Final

import orjson

from fastembed.pipeline.payload.rerank import Ranking, RerankRequest
from fastembed.server.wire.exchange import Exchange
from fastembed.server.wire.fields import Fields, refuse, shown
from fastembed.server.wire.headers import model_headers
from fastembed.server.wire.operation import Operation, PipelineEndpoint
from fastembed.server.wire.schema import an_object, flag, listed, one_of, string, whole

MAX_DOCUMENTS: Final = 1000
_EXPECTED: Final = "a list of strings or of objects with a text"

OPERATION: Final = Operation(
    "POST",
    "/v1/rerank",
    "Order documents by how well they answer a query",
    body=an_object(
        {
            "query": string("a question or words to look for"),
            "documents": listed(one_of(string(), an_object({"text": string()})), most=MAX_DOCUMENTS),
            "model": string("a name from /v1/models; auto if it is left out"),
            "top_n": whole(1, MAX_DOCUMENTS, "how many of the best to return"),
            "return_documents": flag("repeat the documents in the answer"),
        },
        required=("query", "documents"),
    ),
)


async def answer_rerank(exchange: Exchange) -> None:
    """POST /v1/rerank."""
    request, return_documents = decode(await exchange.fields())
    with exchange.watched():
        async with exchange.submitted(request, whole=True) as (results,):
            ranking = await results.one()
    body = encode(ranking, request, request_id=exchange.request_id, return_documents=return_documents)
    await exchange.respond(body, headers=model_headers(ranking.model, ranking.state))


def decode(fields: Fields) -> tuple[RerankRequest, bool]:
    """Return the request, and whether the answer is to repeat the documents. InvalidInput names the field."""
    fields.known(OPERATION.fields)
    request = RerankRequest(
        query=fields.needed("query", "a question or words to look for"),
        documents=[_text(fields, *found) for found in fields.entries("documents", _EXPECTED, most=MAX_DOCUMENTS)],
        model=fields.text("model") or "auto",
        top_n=fields.whole("top_n", 1, MAX_DOCUMENTS),
    )
    return request, fields.flag("return_documents")


def encode(ranking: Ranking, request: RerankRequest, *, request_id: str, return_documents: bool) -> bytes:
    """Return the response's JSON."""
    results: list[dict[str, Any]] = [
        {"index": found.index, "relevance_score": found.score} for found in ranking.results
    ]
    if return_documents:
        for found in results:
            found["document"] = {"text": request.documents[found["index"]]}
    meta: dict[str, Any] = {"tokens": {"input_tokens": ranking.tokens}}
    if ranking.truncated:
        meta["warnings"] = [f"{ranking.truncated} documents are longer than the model's window and were cut there"]
    return orjson.dumps(
        {
            "id": request_id,
            "model": ranking.model,
            "results": results,
            "usage": {"prompt_tokens": ranking.tokens, "total_tokens": ranking.tokens},
            "meta": meta,
        }
    )


def _text(fields: Fields, place: str, document: object) -> str:
    if isinstance(document, dict):
        return fields.inner(document, place).needed("text", "the document's text")
    if not isinstance(document, str) or not document:
        refuse(f"found {shown(document)}, expected a string or an object with a text", place, "invalid_type")
    return document


ENDPOINT: Final = PipelineEndpoint(OPERATION, answer_rerank, RerankRequest, Ranking)
