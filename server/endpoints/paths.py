"""The paths that the server answers itself, whatever its pipelines serve."""

from __future__ import annotations

from typing import Final

from starlette.routing import compile_path

OWN: Final = (
    "/",
    "/healthz",
    "/readyz",
    "/v1/documents",
    "/v1/documents/failed",
    "/v1/documents/replay",
    "/v1/documents/reprocess",
    "/v1/files",
    "/v1/files/{id}",
    "/v1/files/{id}/content",
    "/v1/models",
    "/v1/models/{name:path}",
    "/v1/pipelines",
    "/v1/pipelines/reload",
    "/v1/route",
    "/v1/search",
    "/v1/system/status",
)
"""As Starlette writes them; the path of the metrics is a setting."""


def own_path(path: str, metrics_path: str | None) -> str | None:
    """Return the path of the server's own, as `OWN` writes it, that a pipeline on `path` would hide; None: none."""
    own = OWN if metrics_path is None else (*OWN, metrics_path)
    bare = path.rstrip("/") or "/"
    return next((known for known in own if compile_path(known)[0].match(bare)), None)
