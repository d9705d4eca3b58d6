"""POST /v1/route: explain the routing decision for a request without running it. No model is loaded.

The body is that of a chat request, or `{"endpoint": ..., "request": {...}}` with the body that the endpoint takes. For
endpoints that take no JSON, the body describes their input: `{"model", "seconds"}` of a recording,
`{"model", "bytes", "pages"}` of a document.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from fastembed.inference.library.specs import AUTO
from fastembed.inference.serving.models import Models
from fastembed.inference.serving.routing.analysis import (
    ContentProfile,
    Preferences,
    of_document,
    of_speech,
    of_texts,
    preferences,
    profile,
)
from fastembed.inference.serving.routing.decision import Decision
from fastembed.inference.serving.routing.router import Explanation, Router
from fastembed.inference.serving.speech.engines import OPENAI_NAMES
from fastembed.pipeline.errors import ItemError
from fastembed.server.endpoints import analyze as analysis
from fastembed.server.endpoints import chat, completions, embeddings
from fastembed.server.endpoints.context import ServerContext
from fastembed.server.fetching.references import References
from fastembed.server.wire.fields import Fields, read_fields
from fastembed.server.wire.operation import Operation
from fastembed.server.wire.responses import json_answer
from fastembed.server.wire.schema import an_object
from fastembed.sources.http import MAX_BODY_BYTES

CHAT: Final = "/v1/chat/completions"
SPEECH: Final = "/v1/audio/transcriptions"
_WRAPPER: Final = frozenset(("endpoint", "request"))
_RERANK: Final = frozenset(("query", "documents", "top_n", "return_documents", "model", "model_fallback"))
_SPEECH: Final = frozenset(("seconds", "model", "model_fallback"))
_DOCUMENT: Final = frozenset(("bytes", "pages", "model", "model_fallback"))
_MAX_TEXTS: Final = 4096
_MAX_SECONDS: Final = 86_400
_MAX_PAGES: Final = 100_000

Understood = tuple[ContentProfile, Preferences]


_OPERATION: Final = Operation(
    "POST",
    "/v1/route",
    "Explain which model would answer a request, without running it",
    body=an_object(about="a chat request, or {endpoint, request}"),
)
OPERATIONS: Final = (_OPERATION,)


def routes(site: ServerContext) -> list[BaseRoute]:
    """Return the route."""

    async def route(request: Request) -> Response:
        endpoint, asked = _unwrapped(await read_fields(request.scope, request.receive, max_bytes=MAX_BODY_BYTES))
        found, wishes = await _READERS[endpoint](asked, References(files=site.files, owner=request.scope["owner"]))
        if endpoint == SPEECH and wishes.model in OPENAI_NAMES and not _declared(site, wishes.model):
            wishes = replace(wishes, model=AUTO)  # as the endpoint itself takes them
        default = site.running.default_model(endpoint)
        return json_answer(_shown(endpoint, site.resources.get(Router).explain_profile(found, wishes, default=default)))

    return [_OPERATION.route(route)]


def _declared(site: ServerContext, name: str) -> bool:
    """Whether a name belongs to a model that is here, or is an alias."""
    known = {other for offer in site.resources.get(Router).offers() for other in (offer.name, *offer.aliases)}
    return name in known or name in site.resources.get(Models).catalog.aliases


def _unwrapped(fields: Fields) -> tuple[str, Fields]:
    """Return the endpoint and the request's own body."""
    if not any(map(fields.has, _WRAPPER)):
        return CHAT, fields
    fields.known(_WRAPPER)
    endpoint = fields.choice("endpoint", tuple(_READERS)) or CHAT
    return endpoint, fields.inner(fields.mapping("request") or {}, "")


async def _chat(fields: Fields, references: References) -> Understood:
    request, _ = await chat.decode(fields, references)
    return profile(request), preferences(request)


async def _analysis(fields: Fields, references: References) -> Understood:
    request, _ = await analysis.decode(fields, references)
    return profile(request), preferences(request)


async def _completion(fields: Fields, _: References) -> Understood:
    """Read the first of several prompts: they differ in nothing else."""
    requests = completions.decode(fields)[0]
    return profile(requests[0]), preferences(requests[0])


async def _embedding(fields: Fields, _: References) -> Understood:
    request = embeddings.decode(fields)[0]
    return profile(request), preferences(request)


async def _rerank(fields: Fields, _: References) -> Understood:
    fields.known(_RERANK)
    query = fields.needed("query", "a question")
    documents = [
        entry if isinstance(entry, str) else fields.inner(entry, place).needed("text", "a text")
        for place, entry in fields.entries("documents", "a list of texts", most=_MAX_TEXTS)
    ]
    return of_texts("rerank", [f"{query} {document}" for document in documents]), _model(fields)


async def _speech(fields: Fields, _: References) -> Understood:
    fields.known(_SPEECH)
    return of_speech(fields.number("seconds", 0, _MAX_SECONDS, default=0.0)), _model(fields)


async def _document(fields: Fields, _: References) -> Understood:
    fields.known(_DOCUMENT)
    size = fields.whole("bytes", 0, MAX_BODY_BYTES) or 0
    return of_document(size, fields.whole("pages", 1, _MAX_PAGES) or 0), _model(fields)


def _model(fields: Fields) -> Preferences:
    return Preferences(
        fields.text("model", most=512) or AUTO,
        model_fallback=fields.flag("model_fallback") if fields.has("model_fallback") else None,
    )


_READERS: Final[Mapping[str, Callable[[Fields, References], Awaitable[Understood]]]] = {
    CHAT: _chat,
    "/v1/completions": _completion,
    "/v1/multimodal/analyze": _analysis,
    "/v1/embeddings": _embedding,
    "/v1/rerank": _rerank,
    SPEECH: _speech,
    "/v1/documents/process": _document,
}


def _shown(endpoint: str, found: Explanation) -> dict[str, Any]:
    return {
        "object": "route",
        "endpoint": endpoint,
        "profile": found.profile,
        "requirements": found.requirements,
        "preferences": found.preferences,
        "decision": _decision(found.decision),
    }


def _decision(found: Decision) -> dict[str, Any]:
    return {
        "summary": found.summary,
        "candidates": found.candidates,
        "reasons": found.reasons,
        "rejected": found.rejected,
        "wanted": found.wanted,
        "substitute": found.substitute,
        "transcriber": found.transcriber,
        "left_out": found.left_out,
        "refusal": _refusal(found.refusal),
    }


def _refusal(error: ItemError | None) -> dict[str, Any] | None:
    """Return what the request itself would be answered with."""
    if error is None:
        return None
    return {
        "status": error.status,
        "type": error.type,
        "code": error.code,
        "message": error.message,
        "retry_after_s": error.retry_after_s,
    }
