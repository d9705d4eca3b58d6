"""How the server is deployed: its address, who may use it, its limits."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from fastembed.pipeline.errors import ConfigError
from fastembed.server.caching.response_cache import CacheLimits
from fastembed.server.conversations.store import MOST_BYTES
from fastembed.server.fetching.url_policy import UrlPolicy
from fastembed.server.files.store import QUOTA_BYTES
from fastembed.server.http.auth import ApiKeys, BrowserGuard, is_loopback
from fastembed.server.http.tls import TlsFiles
from fastembed.server.keys.key_file import read_keys
from fastembed.server.wire.unknown_fields import UnknownFieldRule


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """host, port: where it listens; port 0: any free one. api_keys: keys that may do everything.

    keys_file: those of `fastembed keys`, which have scopes and limits. Without either no key is asked for.
    allow_origins: web pages that may use it, as `https://example.org` or `*`. allow_hosts: names it goes by besides its
    addresses and the machine's own name. allow_urls: the places that it may fetch from when a request names a URL, as
    `UrlPolicy` reads them; none: it fetches nothing. cache: how many answers it keeps to give them
    again; None: none. files_bytes: how much uploaded files may take together; stored_bytes: stored responses and
    conversations, 0: none are stored. insecure: serve other machines without a
    key all the same. unknown_fields: whether a request's field that its endpoint does not have is ignored or refused.
    pull: whether models that are named and not here are fetched. metrics_path: where the metrics are; None: nowhere.
    drain_s: how long running requests may take once it stops. wyoming_port: where Home Assistant is served; 0: any free
    one, None: nowhere. tls: the certificate to encrypt with; None: plain HTTP.
    """

    host: str = "127.0.0.1"
    port: int = 8000
    api_keys: tuple[str, ...] = ()
    keys_file: Path | None = None
    allow_origins: tuple[str, ...] = ()
    allow_hosts: tuple[str, ...] = ()
    allow_urls: tuple[str, ...] = ()
    cache: CacheLimits | None = None
    files_bytes: int = QUOTA_BYTES
    stored_bytes: int = MOST_BYTES
    insecure: bool = False
    unknown_fields: UnknownFieldRule = "ignore"
    access_log: bool = False
    pull: bool = False
    metrics_path: str | None = "/metrics"
    drain_s: float = 20.0
    wyoming_port: int | None = None
    tls: TlsFiles | None = None

    def __post_init__(self) -> None:
        """Refuse to serve other machines without a key by accident, and rules that cannot be read."""
        UrlPolicy.of(self.allow_urls)
        issued = read_keys(self.keys_file) is not None if self.keys_file is not None else False
        if not self.keys and not issued and not self.insecure and not is_loopback(self.host):
            found = f"found the address {self.host} and no API key"
            expected = "expected a key (--api-key, FASTEMBED_API_KEY, `fastembed keys add`): other machines reach it"
            raise ConfigError([f"{found}, {expected}; --insecure serves them without one"])
        if self.wyoming_port is not None and not self.insecure and not is_loopback(self.host):
            found = f"found --wyoming-port and the address {self.host}"
            expected = "expected 127.0.0.1: Wyoming knows no keys, so whoever reaches the port is served"
            raise ConfigError([f"{found}, {expected}; --insecure serves other machines all the same"])

    @property
    def keys(self) -> ApiKeys:
        """The keys, hashed."""
        return ApiKeys.of(self.api_keys)

    @property
    def urls(self) -> UrlPolicy:
        """Where it may fetch from."""
        return UrlPolicy.of(self.allow_urls)

    @property
    def guard(self) -> BrowserGuard:
        """The guard against foreign web pages."""
        return BrowserGuard(
            allowed_origins=frozenset(origin.lower().rstrip("/") for origin in self.allow_origins),
            allowed_hosts=frozenset(name.lower() for name in self.allow_hosts),
            check_host=not self.keys,
        )
