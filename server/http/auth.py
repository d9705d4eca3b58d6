"""Who may use this server: API keys, and the origins that a browser may send requests for.

A server on the loopback interface needs no key, but a browser on the same machine would let any web page talk to it.
Two checks stop that. `Host` must name this server (an attacker's name that resolves to 127.0.0.1, "DNS rebinding",
carries the attacker's name in it), and an `Origin`, which browsers send and scripts cannot forge, must be this server's
own or one that was allowed.
"""

from __future__ import annotations

import hmac
import ipaddress
import socket
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import sha256
from typing import Final

from starlette.types import Scope

from fastembed.pipeline.errors import Forbidden
from fastembed.server.http.page_files import PAGE_PATHS

KEY_PROTOCOL: Final = "openai-insecure-api-key."
"""Subprotocol prefix by which a browser, which can set no header, sends its key (OpenAI's realtime API)."""

_KEY_HEADERS: Final = frozenset((b"authorization", b"x-api-key", b"api-key"))

EVERYBODY: Final = "everybody"
"""Whose the requests are where no key is asked for."""

OPEN_PATHS: Final = frozenset({"/", "/docs", "/healthz", "/readyz", "/version", *PAGE_PATHS})
"""What answers without a key: they show nothing but whether the server lives, and the page, which asks for a key."""


@dataclass(frozen=True, slots=True)
class ApiKeys:
    """The API keys, as digests; empty: no key is asked for."""

    digests: tuple[bytes, ...] = ()

    @classmethod
    def of(cls, keys: Iterable[str]) -> ApiKeys:
        """Take these keys; blank ones are dropped."""
        return cls(tuple(sha256(key.encode()).digest() for key in (k.strip() for k in keys) if key))

    def __bool__(self) -> bool:
        return bool(self.digests)

    def accept(self, offered: str) -> bool:
        """Compare with every key, in a time that depends neither on the offer nor on which key matches."""
        digest = sha256(offered.encode("utf-8", "surrogateescape")).digest()
        found = False
        for known in self.digests:
            found |= hmac.compare_digest(digest, known)
        return found

    def owner(self, offered: str) -> str | None:
        """Return whose requests come with a key: a name that stands for it. None: the key is none of these."""
        return _owner(offered) if self.accept(offered) else None


def offered_keys(scope: Scope) -> list[str]:
    """Return the keys that a request offers; a websocket's is taken out of its subprotocols."""
    offered = _keys(scope)
    return [*_subprotocol_keys(scope), *offered] if scope["type"] == "websocket" else offered


def _owner(key: str) -> str:
    """Return a name for the holder of a key, which does not show it; it is the same after a restart."""
    return sha256(b"fastembed owner " + key.encode("utf-8", "surrogateescape")).hexdigest()[:32]


def _keys(scope: Scope) -> list[str]:
    """Return the keys in the headers of OpenAI's, Anthropic's and docling's, and Azure's clients, one each at most."""
    found: dict[bytes, str] = {}
    for name, value in scope["headers"]:
        if name in _KEY_HEADERS:
            found.setdefault(name, value.decode("latin-1"))
    scheme, _, key = found.pop(b"authorization", "").partition(" ")
    bearer = [key.strip()] if scheme.lower() == "bearer" else []
    return [*bearer, *(key.strip() for key in found.values())]


def _subprotocol_keys(scope: Scope) -> list[str]:
    """Remove the key from the offered subprotocols: accepting the socket must not echo it."""
    offered: list[str] = list(scope.get("subprotocols", ()))
    keys = [name.removeprefix(KEY_PROTOCOL) for name in offered if name.startswith(KEY_PROTOCOL)]
    if keys:
        scope["subprotocols"] = [name for name in offered if not name.startswith(KEY_PROTOCOL)]
    return keys[:1]


def is_loopback(host: str) -> bool:
    """Whether binding to `host` reaches this machine only."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


@dataclass(frozen=True, slots=True)
class BrowserGuard:
    """Refuses requests that a browser sends for a foreign web page (CSRF, DNS rebinding).

    allowed_origins: "https://example.org", or "*" for every page. allowed_hosts: names of this server beyond its
    addresses, `localhost` and the machine's own name. check_host: off where a key is asked for: no page knows it.
    """

    allowed_origins: frozenset[str] = frozenset()
    allowed_hosts: frozenset[str] = frozenset()
    check_host: bool = True
    _own_names: frozenset[str] = field(default_factory=lambda: _own_names())  # noqa: PLW0108 - defined below

    def check(self, scope: Scope) -> None:
        """Let the request pass or raise `Forbidden`."""
        host = origin = b""
        for key, value in scope["headers"]:
            if key == b"host":
                host = value
            elif key == b"origin":
                origin = value
        host_text = host.decode("latin-1").lower()
        if self.check_host and not self.knows(host_text):
            raise Forbidden(
                f"found Host {host_text[:80]!r}, which is not a name of this server; allow it with --allow-host",
                code="unknown_host",
            )
        if origin and not self.admits(origin.decode("latin-1").lower(), host_text):
            shown = origin.decode("latin-1")[:80]
            raise Forbidden(
                f"web pages of {shown!r} may not use this server; allow them with --allow-origin",
                code="unknown_origin",
            )

    def knows(self, host: str) -> bool:
        """Whether a Host header's value names this server: any address does, a name must be its own."""
        name = _hostname(host)
        known = name in self._own_names or name in self.allowed_hosts
        return not name or known or name.endswith(".localhost") or _is_address(name)

    def admits(self, origin: str, host: str) -> bool:
        """Whether pages of `origin` may talk to the server that they reach as `host`."""
        return origin.partition("://")[2] == host or origin in self.allowed_origins or "*" in self.allowed_origins


def _hostname(host: str) -> str:
    """Return the name of `name:port` or `[v6]:port`."""
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0].rstrip(".")


@lru_cache(maxsize=256)
def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _own_names() -> frozenset[str]:
    own = socket.gethostname().lower()
    return frozenset({"localhost", own, own.partition(".")[0], f"{own.partition('.')[0]}.local"})
