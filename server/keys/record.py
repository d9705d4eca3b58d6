"""One issued API key as it is kept: who holds it, what it may do, how much. The secret itself is kept nowhere."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

SCOPES: Final = ("chat", "embeddings", "audio", "documents", "sql", "pipelines", "admin")
"""What a key may be good for; `fastembed.server.http.scopes` says which paths each opens."""
PREFIX: Final = "fe-"


@dataclass(frozen=True, slots=True)
class IssuedKey:
    """A key of the key file. digest: SHA-256 of the secret, in hex. hint: its last characters.

    requests_per_minute, tokens_per_day: None, as many as one likes. Times are Unix seconds; expires_at None: never.
    """

    id: str
    name: str
    digest: str
    hint: str
    scopes: tuple[str, ...]
    created_at: int
    expires_at: int | None = None
    requests_per_minute: int | None = None
    tokens_per_day: int | None = None

    @property
    def owner(self) -> str:
        """Return whose its requests are: a name that stays when the secret is rotated."""
        return sha256(b"fastembed owner of key " + self.id.encode()).hexdigest()[:32]


def new_secret() -> str:
    """Return a fresh secret: 256 random bits, so that one round of SHA-256 hides it as well as a slow hash would."""
    return PREFIX + secrets.token_urlsafe(32)


def new_key_id() -> str:
    """Return a fresh id, which shows nothing of the secret."""
    return f"key_{secrets.token_hex(6)}"


def digest_of(secret: str) -> str:
    """Return what is kept of a secret."""
    return sha256(secret.encode("utf-8", "surrogateescape")).hexdigest()
