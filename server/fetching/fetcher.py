"""Fetching the URLs in requests: only from hosts that `UrlPolicy` admits, bounded in size and time.

A name is looked up once, every address that it has is judged, and the connection is made to one of these addresses:
a second look-up, which could answer otherwise (DNS rebinding), never happens. TLS is checked against the name. Each
redirect is judged as the first URL was. Proxies, cookies, credentials and compression are not used.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import httpcore2
import httpx2

from fastembed.pipeline.errors import InvalidInput, TooLarge
from fastembed.server.fetching.url_policy import NOTHING, RefusedUrl, UrlPolicy, host_of, port_of

TOTAL_S: Final = 20.0
CONNECT_S: Final = 5.0
MAX_REDIRECTS: Final = 3
AT_ONCE: Final = 16
"""Fetches under way, over all requests."""

_ADDRESSES: Final = 4
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_OK: Final = 200
_HEADERS: Final = [(b"accept", b"*/*"), (b"accept-encoding", b"identity"), (b"user-agent", b"fastembed")]

Resolve = Callable[[str, int], Awaitable[Sequence[str]]]
"""From a host and a port to addresses, as text."""


@dataclass(frozen=True, slots=True)
class FetchedContent:
    """What was fetched. media: the content type that was declared, which may be wrong."""

    data: bytes
    media: str


async def look_up(host: str, port: int) -> Sequence[str]:
    """Ask the system's resolver."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


class Fetcher:
    """Fetches on a caller's behalf; without a policy it refuses everything."""

    def __init__(
        self,
        policy: UrlPolicy = NOTHING,
        *,
        resolve: Resolve = look_up,
        total_s: float = TOTAL_S,
    ) -> None:
        self._policy = policy
        self._resolve = resolve
        self._total_s = total_s
        self._turns = asyncio.Semaphore(AT_ONCE)
        self._tls: ssl.SSLContext | None = None

    async def get(self, url: str, *, most_bytes: int, place: str, code: str = "invalid_url") -> FetchedContent:
        """Return the content of the URL. Raises InvalidInput, with `code` and the field `place`."""
        if not self._policy:
            raise InvalidInput(
                "found a URL, but this server fetches none: send the bytes as a data: URL, or start the server with "
                "`fastembed serve --allow-url HOST`",
                param=place,
                code=code,
            )
        try:
            async with self._turns, asyncio.timeout(self._total_s):
                return await self._follow(httpx2.URL(url), most_bytes, place)
        except (RefusedUrl, httpx2.InvalidURL) as error:
            raise InvalidInput(str(error), param=place, code=code) from error
        except (httpcore2.TimeoutException, TimeoutError) as error:
            raise InvalidInput(
                f"no answer from {url:.200} within {self._total_s:g} s", param=place, code=code
            ) from error
        except (httpcore2.NetworkError, httpcore2.ProtocolError, OSError, UnicodeError) as error:
            why = str(error) or type(error).__name__
            raise InvalidInput(f"{url:.200} cannot be fetched: {why:.200}", param=place, code=code) from error

    async def _follow(self, url: httpx2.URL, most_bytes: int, place: str) -> FetchedContent:
        for _ in range(MAX_REDIRECTS + 1):
            self._policy.check(url)
            found = await self._one(url, most_bytes, place)
            if isinstance(found, FetchedContent):
                return found
            url = found
        raise RefusedUrl(f"found more than {MAX_REDIRECTS} redirects, expected fewer")

    async def _one(self, url: httpx2.URL, most_bytes: int, place: str) -> FetchedContent | httpx2.URL:
        """Return what is at the URL, or where it has gone."""
        if url.scheme == "https" and self._tls is None:
            self._tls = await asyncio.to_thread(httpx2.create_ssl_context, trust_env=False)
        target = httpcore2.URL(
            scheme=url.raw_scheme, host=host_of(url).encode(), port=port_of(url), target=url.raw_path
        )
        backend = _PinnedBackend(self._policy, self._resolve)
        timeouts = {"connect": CONNECT_S, "read": self._total_s, "write": self._total_s}
        headers = [(b"host", url.netloc), *_HEADERS]
        async with (
            httpcore2.AsyncConnectionPool(ssl_context=self._tls, network_backend=backend) as pool,
            pool.stream("GET", target, headers=headers, extensions={"timeout": timeouts}) as response,
        ):
            if response.status in _REDIRECTS:
                return url.join(_header(response, b"location") or str(url))
            if response.status != _OK:
                raise RefusedUrl(f"found status {response.status} at {url!s:.200}, expected 200")
            if (coding := _header(response, b"content-encoding").lower()) not in ("", "identity"):
                raise RefusedUrl(f"found content encoding {coding!r:.40}, expected none")
            return FetchedContent(await _body(response, most_bytes, place), _header(response, b"content-type"))


class _PinnedBackend(httpcore2.AsyncNetworkBackend):
    """Connects to an address that the policy admits, and to nothing that a second look-up might give."""

    def __init__(self, policy: UrlPolicy, resolve: Resolve) -> None:
        self._policy = policy
        self._resolve = resolve
        self._plain = httpcore2.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - the signature is httpcore2's
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,  # httpcore2's own type is private
    ) -> httpcore2.AsyncNetworkStream:
        """Look the host up, judge all its addresses, connect to the first that answers."""
        addresses = await self._resolve(host, port)
        if not addresses or not all(self._policy.admits(address, port) for address in addresses):
            hint = "--allow-url must name a private one by its address"
            raise RefusedUrl(f"found the host {host:.80}, which has no public address; {hint}")
        for address in addresses[:_ADDRESSES]:
            try:
                return await self._plain.connect_tcp(address, port, timeout, local_address, socket_options)
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout) as error:
                refusal = error
        raise refusal


def _header(response: httpcore2.Response, name: bytes) -> str:
    return next((value.decode("latin-1") for key, value in response.headers if key.lower() == name), "")


async def _body(response: httpcore2.Response, most_bytes: int, place: str) -> bytes:
    """Read the body; TooLarge as soon as it is, by what it declares or by what has come."""
    declared = _header(response, b"content-length")
    if declared.isdigit() and int(declared) > most_bytes:
        raise _too_large(int(declared), most_bytes, place)
    pieces, size = [], 0
    async for piece in response.aiter_stream():
        size += len(piece)
        if size > most_bytes:
            raise _too_large(size, most_bytes, place)
        pieces.append(piece)
    return b"".join(pieces)


def _too_large(found: int, most: int, place: str) -> TooLarge:
    return TooLarge(f"found at least {found} bytes at the URL, expected at most {most}", param=place)


NOWHERE: Final = Fetcher()
"""Fetches nothing."""
