"""Sends items to an HTTP server."""

from __future__ import annotations

import asyncio
import hashlib
from http import HTTPStatus
from typing import Annotated, Any, Final

import httpx2
from pydantic import Field, SecretStr

from fastembed.pipeline.component import Context, sink
from fastembed.pipeline.errors import Unavailable, Unprocessable
from fastembed.pipeline.item import Item
from fastembed.pipeline.payload.json_values import to_json
from fastembed.pipeline.units import Duration

_FIRST_PAUSE_S: Final = 0.5
_LONGEST_PAUSE_S: Final = 30.0
_AGAIN: Final = frozenset({408, 425, 429})


@sink
class Webhook:
    """Post each value as JSON to a URL, until the server there takes it.

    A request carries an `idempotency-key` made of its content and its item's origin: the same for every try, also after
    a restart, so that a server that remembers keys takes it once. Tried again, with growing pauses: connections that
    fail, 408, 425, 429 (as its `retry-after` says) and 5xx; what is refused otherwise (4xx, redirects) fails the item.

    Delivery: at least once where the source repeats. Overload: the pipeline waits for the server there.

    In: what JSON can hold: dataclasses, pydantic models, mappings, lists, arrays.

    Args:
        url: where to post to; the file's author chooses it, so any address is allowed.
        headers: further headers, such as `authorization: ${TOKEN}`.
        attempts: how often one item is tried.
        timeout: how long one try may take.

    Raises:
        Unprocessable: the server there refuses the item for good.
        Unavailable: it could not be reached, or failed, at the last try.

    """

    workers = 4

    def __init__(
        self,
        url: str,
        *,
        headers: dict[str, SecretStr] | None = None,
        attempts: Annotated[int, Field(ge=1)] = 8,
        timeout: Duration = 30.0,
    ) -> None:
        parsed = httpx2.URL(url)
        if parsed.scheme not in ("http", "https") or not parsed.host:
            msg = f"found {url!r}, expected a URL that begins with http:// or https://"
            raise ValueError(msg)
        self._url = parsed
        self._headers = headers or {}
        self._attempts = attempts
        self._timeout_s = timeout
        self._client: httpx2.AsyncClient | None = None

    async def open(self, context: Context) -> None:
        """Make the client; it connects when there is something to send."""
        del context
        headers = {name: value.get_secret_value() for name, value in self._headers.items()}
        self._client = httpx2.AsyncClient(timeout=self._timeout_s, headers=headers, trust_env=False)

    async def close(self) -> None:
        """Close its connections."""
        if self._client is not None:
            await self._client.aclose()

    async def write(self, item: Item[Any]) -> None:
        """Send one value."""
        body = to_json(item.value)
        headers = {"content-type": "application/json", "idempotency-key": _key(item, body)}
        for attempt in range(1, self._attempts + 1):
            problem, pause_s = await self._try(body, headers)
            if not problem:
                return
            if attempt < self._attempts:
                await asyncio.sleep(max(pause_s, min(_LONGEST_PAUSE_S, _FIRST_PAUSE_S * 2 ** (attempt - 1))))
        raise Unavailable(f"{self._url.host} did not take the item in {self._attempts} tries: {problem}")

    async def _try(self, body: bytes, headers: dict[str, str]) -> tuple[str, float]:
        """Return why a try failed, "" if it did not, and how long the server wants to be left alone."""
        if self._client is None:
            msg = "the sink webhook is not open"
            raise RuntimeError(msg)
        try:
            response = await self._client.post(self._url, content=body, headers=headers)
        except httpx2.TransportError as error:
            return f"{type(error).__name__}: {error}", 0.0
        status = response.status_code
        if response.is_success:
            return "", 0.0
        if status in _AGAIN or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            wish = response.headers.get("retry-after", "")
            return f"status {status}", min(float(wish), 300.0) if wish.isdigit() else 0.0
        raise Unprocessable(f"{self._url.host} refused the item with status {status}: {response.text[:200]}")


def _key(item: Item[Any], body: bytes) -> str:
    """Return what tells this item from others, the same after a restart.

    An origin that names itself (a file's name, a line's number) tells apart what has the same content.
    """
    known = "\0".join(f"{name}={item.meta[name]}" for name in sorted(item.meta) if name in ("name", "line", "id"))
    return hashlib.sha256(b"\0".join([body, (item.key or "").encode(), known.encode()])).hexdigest()
