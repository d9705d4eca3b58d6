"""Where the server is and what a client sends it: address, key, and nothing that belongs to OpenAI's service."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlsplit
from urllib.request import getproxies

from fastembed.server_address import find_server

DEFAULT_URL: Final = "http://127.0.0.1:8000"
NO_KEY: Final = "none"
"""What is sent where no key is known: OpenAI's client wants one, a server without keys ignores it."""
TIMEOUT_S: Final = 600.0
_OF_OPENAI: Final = ("organization", "project", "admin_api_key", "webhook_secret")
"""Options that OpenAI's client otherwise reads from OPENAI_...: secrets and names of another service stay at home."""


def server_root(given: str | None = None) -> str:
    """Return the server's address without `/v1`.

    given: it, else $FASTEMBED_URL, else that of the server that serves this folder, else http://127.0.0.1:8000.
    """
    found = given or os.environ.get("FASTEMBED_URL") or find_server() or DEFAULT_URL
    return found.rstrip("/").removesuffix("/v1")


def key_of(given: str | None) -> str:
    """Return the key to send: `given`, else the first of $FASTEMBED_API_KEY."""
    return given or os.environ.get("FASTEMBED_API_KEY", "").partition(",")[0].strip() or NO_KEY


def bypasses_proxy(root: str) -> bool:
    """Whether a proxy of the environment would stand between this machine and itself."""
    host = urlsplit(root).hostname or ""
    return bool(getproxies()) and (host == "localhost" or host.startswith("127.") or host == "::1")


def forget_openai(client: Any, options: Mapping[str, Any]) -> None:
    """Drop what OpenAI's client took from OPENAI_... variables and nobody passed."""
    for name in _OF_OPENAI:
        if options.get(name) is None:
            setattr(client, name, None)


def path_of(root: str, path: str) -> str:
    """Return the URL of a path such as `/v1/documents` or `/healthz`."""
    return f"{root}/{path.lstrip('/')}"
