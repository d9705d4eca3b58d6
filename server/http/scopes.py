"""What the holder of a key may do: which scope a path needs is said here, and nowhere else.

A request's key may carry scopes (`scope["scopes"]`, a set of names, put there where keys are checked). Where it carries
none, as keys of `--api-key` do, it may do everything, as does whoever needs no key. A path that is in no table needs no
scope: lists of models, one's own files and usage. Paths of a pipeline's own need `pipelines`.
"""

from __future__ import annotations

from typing import Final

from starlette.types import Scope

from fastembed.pipeline.errors import Forbidden
from fastembed.server.http.path_aliases import near_paths

ADMIN: Final = "admin"
CHAT: Final = "chat"
EMBEDDINGS: Final = "embeddings"
AUDIO: Final = "audio"
DOCUMENTS: Final = "documents"
SQL: Final = "sql"
"""Read everything that is stored of documents, by queries, and take copies of it."""
PIPELINES: Final = "pipelines"

_NEEDS: Final = (
    ("/v1/chat/", CHAT),
    ("/v1/completions", CHAT),
    ("/v1/responses", CHAT),
    ("/v1/conversations", CHAT),
    ("/v1/messages", CHAT),
    ("/v1/multimodal/", CHAT),
    ("/v1/ask", DOCUMENTS),
    ("/v1/answers", DOCUMENTS),
    ("/api/chat", CHAT),
    ("/api/generate", CHAT),
    ("/api/embed", EMBEDDINGS),
    ("/v1/embeddings", EMBEDDINGS),
    ("/v1/rerank", EMBEDDINGS),
    ("/v1/audio/", AUDIO),
    ("/v1/realtime", AUDIO),
    ("/v1/documents/replay", ADMIN),
    ("/v1/documents/reprocess", ADMIN),
    ("/v1/documents/reembed", ADMIN),
    ("/v1/documents/forget", ADMIN),
    ("/v1/documents", DOCUMENTS),
    ("/v1/convert/", DOCUMENTS),
    ("/v1/chunk/", DOCUMENTS),
    ("/v1/status/", DOCUMENTS),
    ("/v1/result/", DOCUMENTS),
    ("/v1/search", DOCUMENTS),
    ("/v1/folders", DOCUMENTS),
    ("/v1/sql", SQL),
    ("/v1/export", SQL),
    ("/v1/pipelines", ADMIN),
    ("/v1/system", ADMIN),
    ("/v1/models/load", ADMIN),
    ("/v1/models/unload", ADMIN),
    ("/v1/models/pull", ADMIN),
    ("/metrics", ADMIN),
)
"""The first prefix that fits counts."""


def needed_scope(path: str, *, by_pipeline: bool = False, websocket: bool = False) -> str | None:
    """Return the scope that a path needs; None: none. by_pipeline: a running pipeline serves it.

    A websocket's path is resolved later, so any way to write it counts.
    """
    if websocket and path == "/":  # WhisperLive's clients know no other
        return AUDIO
    if websocket:
        return next((found for near in near_paths(path) if (found := needed_scope(near))), PIPELINES)
    for prefix, name in _NEEDS:
        if path.startswith(prefix):
            return name
    return PIPELINES if by_pipeline else None


def has_scope(scope: Scope, name: str | None) -> bool:
    """Whether a request's key may do what needs this scope."""
    granted = scope.get("scopes")
    return granted is None or name is None or name in granted


def require_scope(scope: Scope, name: str | None, what: str = "") -> None:
    """Let the request pass, or raise Forbidden: its key does not have the scope. what: it wants; "": its path."""
    if not has_scope(scope, name):
        held = ", ".join(sorted(scope["scopes"])) or "none"
        raise Forbidden(
            f"this API key may not use {what or scope['path']}: it needs the scope {name}, and has {held}",
            code="missing_scope",
        )
