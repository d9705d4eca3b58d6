"""FastEmbed: a private multimodal server and a reactive stream processor in one process.

`FastEmbedClient` talks to a server (`SyncFastEmbedClient` without async), `FastEmbedServer` runs one in this process.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fastembed.client import EnhancedFastEmbedClient, FastEmbedClient, SyncFastEmbedClient
    from fastembed.embedded import FastEmbedServer

__all__ = ["EnhancedFastEmbedClient", "FastEmbedClient", "FastEmbedServer", "SyncFastEmbedClient"]

_HOMES = {
    "EnhancedFastEmbedClient": "fastembed.client",
    "FastEmbedClient": "fastembed.client",
    "FastEmbedServer": "fastembed.embedded",
    "SyncFastEmbedClient": "fastembed.client",
}
_OF_THE_OTHER = frozenset({"TextEmbedding", "SparseTextEmbedding", "ImageEmbedding", "LateInteractionTextEmbedding"})


def __getattr__(name: str) -> Any:
    """Load what is asked for and no more: every floor's import runs this file first."""
    if name in _HOMES:
        from importlib import import_module

        return getattr(import_module(_HOMES[name]), name)
    if (
        name in _OF_THE_OTHER
    ):  # an AttributeError's text is lost in `from fastembed import ...`, an ImportError's is not
        raise ImportError(
            f"found fastembed-multimodal, which has no {name}, expected the distribution fastembed: both own the "
            "module fastembed; install each in an environment of its own"
        )
    raise AttributeError(f"module 'fastembed' has no attribute {name!r}")
