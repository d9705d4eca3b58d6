"""Which hosts this server may fetch from on a caller's behalf: none, unless the operator allows them.

A caller's URL is a way into the network that the server stands in (server-side request forgery). So a host must be
named, and its address must be a public one, whatever its name says: the address is judged after the look-up, and the
connection is made to that very address (`fastembed.server.fetching.fetcher`). Private addresses are reached only
where the rules name them.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import httpx2

from fastembed.pipeline.errors import ConfigError

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

PORTS: Final = {"http": 80, "https": 443}

_NAME: Final = re.compile(r"(\*\.)?[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*|\*")
_NUMBER: Final = re.compile(r"[0-9]+|0x[0-9a-f]*", re.IGNORECASE)
_NAT64: Final = ipaddress.ip_network("64:ff9b::/96")  # RFC 6052: an IPv4 address in its last 32 bits
_UNICAST: Final = ipaddress.ip_network("2000::/3")  # all that IANA has given out of IPv6
_RESERVED: Final = tuple(
    ipaddress.ip_network(network)
    for network in (
        # IANA's IPv4 and IPv6 special-purpose registries, multicast, and 6to4 and Teredo, which tunnel to IPv4
        "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24",
        "192.0.2.0/24", "192.31.196.0/24", "192.52.193.0/24", "192.88.99.0/24", "192.168.0.0/16", "192.175.48.0/24",
        "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4",
        "2001::/23", "2001:db8::/32", "2002::/16", "2620:4f:8000::/48", "3fff::/20",
        "168.63.129.16/32",  # Azure's metadata, at a public address
    )
)  # fmt: skip


class RefusedUrl(Exception):
    """The URL may not be fetched; the message says why."""


@dataclass(frozen=True, slots=True)
class UrlRule:
    """One place. host: a name, `*.` and a name, `*` for any, or a network. port: None means 80 and 443."""

    host: str | Network
    port: int | None = None

    @classmethod
    def of(cls, text: str) -> UrlRule:
        """Read `example.org`, `*.example.org`, `*`, `10.1.2.3`, `10.0.0.0/8`, `[fd00::/8]`, each also with `:8080`."""
        found = re.fullmatch(r"(\[[^\]]+\]|[^:]+|[0-9a-f:]+(?:/\d+)?)(?::(\d{1,5}))?", text.strip().lower())
        port = int(found[2]) if found and found[2] else None
        if found is None or port == 0 or (port or 0) > 65_535:  # noqa: PLR2004 - the highest port
            raise _misread(text)
        host = found[1].strip("[]")
        try:
            return cls(ipaddress.ip_network(host), port)
        except ValueError:
            if not _NAME.fullmatch(host) or _ends_in_number(host):
                raise _misread(text) from None
            return cls(host, port)

    def opens(self, port: int) -> bool:
        """Whether this port may be used."""
        return port == self.port if self.port else port in PORTS.values()

    def names(self, host: str) -> bool:
        """Whether the rule is about this host, as it stands in a URL."""
        if isinstance(self.host, str):
            return self.host in ("*", host) or (self.host.startswith("*.") and host.endswith(self.host[1:]))
        address = _literal(host)
        return address is not None and address in self.host


@dataclass(frozen=True, slots=True)
class UrlPolicy:
    """The rules; none: nothing is fetched."""

    rules: tuple[UrlRule, ...] = ()

    @classmethod
    def of(cls, texts: Iterable[str]) -> UrlPolicy:
        """Read the rules. ConfigError names those that are none."""
        return cls(tuple(UrlRule.of(text) for text in texts))

    def __bool__(self) -> bool:
        return bool(self.rules)

    def check(self, url: httpx2.URL) -> None:
        """Refuse what is no URL of a named place; the address that its host stands for is judged by `admits`."""
        if url.scheme not in PORTS:
            raise RefusedUrl(f"found the scheme {url.scheme[:20]!r}, expected http or https")
        if url.userinfo:
            raise RefusedUrl("found a name or password in a URL, expected none")
        host, port = host_of(url), port_of(url)
        if not host or "%" in host or (_ends_in_number(host) and _literal(host) is None):
            raise RefusedUrl(f"found the host {host[:80]!r}, expected a name or an address as it is usually written")
        about = [rule for rule in self.rules if rule.names(host)]
        if not about:
            raise RefusedUrl(f"found the host {host[:80]}, expected one that --allow-url names")
        if not any(rule.opens(port) for rule in about):
            ports = sorted({number for rule in about for number in ([rule.port] if rule.port else PORTS.values())})
            raise RefusedUrl(f"found port {port} of {host[:80]}, expected {' or '.join(map(str, ports))}")

    def admits(self, address: str, port: int) -> bool:
        """Whether a connection to this address, which a look-up gave, may be made."""
        try:
            found = _plain(ipaddress.ip_address(address))
        except ValueError:  # with a zone: link-local
            return False
        named = (rule for rule in self.rules if not isinstance(rule.host, str) and found in rule.host)
        return is_public(found) or any(rule.opens(port) for rule in named)


NOTHING: Final = UrlPolicy()


def is_public(address: Address) -> bool:
    """Whether the address belongs to a machine of the public internet."""
    address = _plain(address)
    if address.version == 6 and address not in _UNICAST:  # noqa: PLR2004 - IPv6
        return False
    return not any(address in network for network in _RESERVED)


def host_of(url: httpx2.URL) -> str:
    """Return a URL's host for the resolver: ASCII, lower case, no dot at the end."""
    return url.raw_host.decode("ascii").lower().strip("[]").removesuffix(".")


def port_of(url: httpx2.URL) -> int:
    """Return a URL's port."""
    return url.port or PORTS[url.scheme]


def _plain(address: Address) -> Address:
    """Return the IPv4 address that an IPv6 one stands for, where it does (mapped, NAT64)."""
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return address.ipv4_mapped
        if address in _NAT64:
            return ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)
    return address


def _literal(host: str) -> Address | None:
    try:
        return _plain(ipaddress.ip_address(host))
    except ValueError:
        return None


def _ends_in_number(host: str) -> bool:
    """Whether resolvers may read the host as an IPv4 address (WHATWG URL, "ends in a number checker")."""
    return _NUMBER.fullmatch(host.rpartition(".")[2]) is not None


def _misread(text: str) -> ConfigError:
    expected = "expected *, a name, *.name, an address or a network, each with or without :PORT"
    return ConfigError([f"found {text!r:.80} for --allow-url, {expected}"])
