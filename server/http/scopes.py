"""What the holder of a key may do beyond asking models: checked here, and nowhere else.

A request's key may carry scopes (`scope["scopes"]`, a set of names, put there where keys are checked). Where it carries
none, every key may do everything, as does whoever needs no key.
"""

from __future__ import annotations

from typing import Final

from starlette.types import Scope

from fastembed.pipeline.errors import Forbidden

SQL: Final = "sql"
"""Read everything that is stored of documents, by queries, and take copies of it."""


def require_scope(scope: Scope, name: str) -> None:
    """Let the request pass, or raise Forbidden: its key does not have the scope."""
    granted = scope.get("scopes")
    if granted is not None and name not in granted:
        raise Forbidden(f"this API key may not use {scope['path']}: it needs the scope {name}", code="missing_scope")
