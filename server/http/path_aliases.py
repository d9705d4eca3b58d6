"""Other ways to write a path: what base URLs with a slip, and the clients of other servers, ask for.

A base URL is written with `/v1` or without, twice, with a slash at its end, or with the prefix that some hosted service
has (`/openai/v1`, `/api/v1`, Azure's `/openai/deployments/NAME`). All of them mean one path here, so they get it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Final

_OTHER_NAMES: Final = {
    "/health": "/healthz",
    "/v1/health": "/healthz",
    "/livez": "/healthz",
    "/ping": "/healthz",
    "/ready": "/readyz",
    "/v2/rerank": "/v1/rerank",
}
"""What vLLM, TGI, llama.cpp, Kubernetes and Cohere call it."""
_PREFIXED: Final = re.compile(r"(?:/openai|/api)?(?:/v1)+(?P<rest>/.*)|/openai/deployments/[^/]+(?P<deployed>/.*)")


def near_paths(path: str) -> Iterator[str]:
    """Yield the paths that this one may have been meant as, the likeliest first; the first is without a slash."""
    bare = path.rstrip("/") or "/"
    yield bare
    if bare in _OTHER_NAMES:
        yield _OTHER_NAMES[bare]
    if found := _PREFIXED.fullmatch(bare):
        yield f"/v1{found['rest'] or found['deployed']}"
    yield f"/v1{bare}"
    yield bare.removeprefix("/v1")


def resolve(path: str, served: Callable[[str], bool]) -> str:
    """Return the path that is served in place of this one; the path itself where it is served, or nothing is."""
    if served(path):
        return path
    return next(filter(served, near_paths(path)), path)
