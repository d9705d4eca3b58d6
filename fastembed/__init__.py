"""FastEmbed: a private multimodal server and a reactive stream processor in one process.

`FastEmbedClient` talks to a server, `FastEmbedServer` runs one in this process.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastembed.client import FastEmbedClient

if TYPE_CHECKING:
    from fastembed.server import FastEmbedServer

__all__ = ["FastEmbedClient", "FastEmbedServer"]


def __getattr__(name: str) -> Any:
    """Load the server only where it is asked for: a client needs none of it."""
    if name == "FastEmbedServer":
        from fastembed.server import FastEmbedServer

        return FastEmbedServer
    raise AttributeError(f"module 'fastembed' has no attribute {name!r}")
