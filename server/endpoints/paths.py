"""The paths that the server answers itself, whatever its pipelines serve."""

from __future__ import annotations

from typing import Final

from starlette.routing import compile_path

from fastembed.server.endpoints.openapi import OPERATION
from fastembed.server.endpoints.registry import OWN_OPERATIONS

OWN: Final = tuple(dict.fromkeys(operation.path for operation in (*OWN_OPERATIONS, OPERATION)))
"""As Starlette writes them; the path of the metrics is a setting."""


def own_path(path: str, metrics_path: str | None) -> str | None:
    """Return the path of the server's own, as `OWN` writes it, that a pipeline on `path` would hide; None: none."""
    own = OWN if metrics_path is None else (*OWN, metrics_path)
    bare = path.rstrip("/") or "/"
    return next((known for known in own if compile_path(known)[0].match(bare)), None)
