"""Short-lived keys for realtime sessions: a web page gets one from the application's server, which has a real key.

Each may do what the key may that asked for it, for that one path and until it expires; it may be used more than once
until then. They live in memory: a restart forgets them. Beyond `MOST`, the one that expires first is forgotten.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from fastembed.pipeline.errors import Unauthenticated
from fastembed.server.keys.record import digest_of

PREFIX: Final = "ek_"
MOST: Final = 10_000
SHORTEST_S, LONGEST_S, USUAL_S = 10, 7_200, 600
_GRANTS: Final = ("owner", "scopes", "meter")  # what the check of a key leaves in a request's scope


@dataclass(frozen=True, slots=True)
class ClientSecret:
    """One key. session: the settings that its sessions begin with. grants: whose it is, and what it may do."""

    session: Mapping[str, Any]
    expires_at: int
    grants: Mapping[str, Any]


@dataclass(slots=True)
class ClientSecrets:
    """All keys of a server, by digest. describe(session): checks settings and returns them as a session shows them."""

    describe: Callable[[Any], dict[str, Any]] = lambda session: dict(session or {})
    clock: Callable[[], float] = time.time
    _issued: dict[str, ClientSecret] = field(default_factory=dict)

    def issue(self, scope: Mapping[str, Any], session: Mapping[str, Any], seconds: int) -> tuple[str, ClientSecret]:
        """Make a key for whoever sent the request of `scope`."""
        now = int(self.clock())
        for digest in [digest for digest, secret in self._issued.items() if secret.expires_at <= now]:
            del self._issued[digest]
        if len(self._issued) >= MOST:
            del self._issued[min(self._issued, key=lambda digest: self._issued[digest].expires_at)]
        value = PREFIX + secrets.token_urlsafe(32)
        made = ClientSecret(session, now + seconds, {name: scope[name] for name in _GRANTS if name in scope})
        self._issued[digest_of(value)] = made
        return value, made

    def find(self, value: str) -> ClientSecret | None:
        """Return a key, None: there is none. Unauthenticated: it has expired."""
        if not value.startswith(PREFIX):
            return None
        found = self._issued.get(digest_of(value))
        if found is not None and found.expires_at <= self.clock():
            raise Unauthenticated("found a client secret that has expired; POST /v1/realtime/client_secrets makes one")
        return found
