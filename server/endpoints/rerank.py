"""The wire of POST /v1/rerank, which OpenAI has not: as Cohere's and Jina's clients ask for it.

JSON to `RerankRequest`, `Ranking` to JSON. A document is a string or an object with `text`; the answer's `usage` is
Jina's, its `meta` Cohere's.
"""

from __future__ import annotations

from typing import Any, Final

import orjson

from fastembed.pipeline.payload.rerank import Ranking, RerankRequest
from fastembed.server.wire.fields import Fields, refuse, shown

MAX_DOCUMENTS: Final = 1000
_KNOWN: Final = frozenset(("query", "documents", "model", "top_n", "return_documents"))
_EXPECTED: Final = "a list of strings or of objects with a text"


def decode(fields: Fields) -> tuple[RerankRequest, bool]:
    """Return the request, and whether the answer is to repeat the documents. InvalidInput names the field."""
    fields.known(_KNOWN)
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
