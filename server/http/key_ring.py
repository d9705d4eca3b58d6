"""Checks a request's key: those of the command line, which may do everything, and those of the key file."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from starlette.types import Scope

from fastembed.pipeline.errors import Unauthenticated
from fastembed.server.http.auth import EVERYBODY, OPEN_PATHS, ApiKeys, offered_keys
from fastembed.server.http.scopes import needed_scope, require_scope
from fastembed.server.keys.client_secrets import ClientSecrets
from fastembed.server.keys.key_file import KeyFile
from fastembed.server.keys.meter import KeyMeter
from fastembed.server.keys.record import IssuedKey, digest_of
from fastembed.server.keys.usage import UsageLog

REALTIME_PATH: Final = "/v1/realtime"
"""What client secrets open."""
_EVERYTHING: Final = "key of the command line"
INTERNAL: Final = "fastembed.internal"
"""Where a request's scope says that it is of this process; no client can put anything there."""


@dataclass(frozen=True, slots=True)
class InternalCaller:
    """Whose a request of this process is. key: the id of the issued key that began it; "": none."""

    owner: str
    key: str


class KeyRing:
    """All keys of a server. file: None, there is no key file; usage: None, nothing is counted. clock: Unix seconds.

    client_secrets: short-lived keys, which open realtime sessions alone.
    """

    def __init__(
        self,
        static: ApiKeys,
        file: KeyFile | None = None,
        usage: UsageLog | None = None,
        *,
        clock: Callable[[], float] = time.time,
        client_secrets: ClientSecrets | None = None,
    ) -> None:
        self._client_secrets = client_secrets
        self._static = static
        self._file = file
        self.usage = usage
        self._clock = clock
        self._meters: dict[str, KeyMeter] = {}

    def admit(self, scope: Scope, *, by_pipeline: bool = False) -> None:
        """Let a request pass, with `owner`, `scopes` and `meter` in its scope, or raise what is wrong with its key.

        Raises Unauthenticated, Forbidden (the scope that is missing), Overloaded (a limit of the key). A websocket's
        key is taken out of its subprotocols.
        """
        if (internal := scope.get(INTERNAL)) is not None:
            self._readmit(scope, internal, by_pipeline=by_pipeline)
            return
        offered = offered_keys(scope)
        if scope["type"] == "websocket" and self._admit_by_secret(scope, offered):
            return
        if not self._asks() or (scope["path"] in OPEN_PATHS and scope["type"] == "http"):
            scope["owner"] = EVERYBODY
            return
        if not offered:
            raise Unauthenticated(
                "found no API key, expected the header `Authorization: Bearer KEY`, `x-api-key: KEY` or `api-key: KEY`"
            )
        for secret in offered:
            if (owner := self._static.owner(secret)) is not None:
                scope["owner"] = owner
                scope["meter"] = self._meter(owner, _EVERYTHING)
                break
            if (key := self._issued(secret)) is not None:
                scope["owner"], scope["scopes"], scope["key"] = key.owner, frozenset(key.scopes), key.id
                scope["meter"] = self._meter(key.id, key.name, key.requests_per_minute, key.tokens_per_day)
                websocket = scope["type"] == "websocket"
                needed = needed_scope(scope["path"], by_pipeline=by_pipeline, websocket=websocket)
                require_scope(scope, needed)
                break
        else:
            raise Unauthenticated("found an API key that this server does not know")
        meter: KeyMeter | None = scope["meter"]
        if meter is not None:
            meter.begin(time.monotonic())

    def _admit_by_secret(self, scope: Scope, offered: Sequence[str]) -> bool:
        """Whether a client secret opens the socket; its session's settings go into the scope."""
        for value in offered if self._client_secrets is not None else ():
            secret = self._client_secrets.find(value) if self._client_secrets is not None else None
            if secret is not None and scope["path"] == REALTIME_PATH:
                scope.update(secret.grants, client_secret=secret.session)
                if (meter := scope.get("meter")) is not None:
                    meter.begin(time.monotonic())
                return True
        return False

    def _readmit(self, scope: Scope, caller: InternalCaller, *, by_pipeline: bool) -> None:
        """Let a request pass whose key was checked when its work began: if the key still may do it today."""
        scope["owner"] = caller.owner
        if not caller.key:
            if caller.owner != EVERYBODY:
                scope["meter"] = self._meter(caller.owner, _EVERYTHING)
            return
        key = None if self._file is None else self._file.by_id(caller.key)
        if key is None or (key.expires_at is not None and key.expires_at <= self._clock()):
            raise Unauthenticated("the API key that began this work is not accepted any more")
        scope["scopes"] = frozenset(key.scopes)
        require_scope(scope, needed_scope(scope["path"], by_pipeline=by_pipeline))
        scope["meter"] = meter = self._meter(key.id, key.name, key.requests_per_minute, key.tokens_per_day)
        if meter is not None:
            meter.check_tokens()

    def _asks(self) -> bool:
        if self._file is not None:
            self._file.look()
            return bool(self._static) or self._file.exists
        return bool(self._static)

    def _issued(self, secret: str) -> IssuedKey | None:
        key = None if self._file is None else self._file.find(digest_of(secret))
        if key is not None and key.expires_at is not None and key.expires_at <= self._clock():
            raise Unauthenticated(f"found the API key {key.name!r}, which has expired; ask for a new one")
        return key

    def _meter(self, id_: str, name: str, rpm: int | None = None, tokens: int | None = None) -> KeyMeter | None:
        if self.usage is None:
            return None
        meter = self._meters.get(id_)
        if meter is None:
            meter = self._meters[id_] = KeyMeter(self.usage, id_, name)
        meter.name, meter.requests_per_minute, meter.tokens_per_day = name, rpm, tokens
        return meter
