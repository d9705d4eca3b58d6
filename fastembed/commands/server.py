"""The server that a command asks: where it is, and what a person is told when it does not answer."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastembed.pipeline.errors import FastEmbedError
from fastembed.server_address import find_server

if TYPE_CHECKING:
    from openai import APIError

    from fastembed.client import FastEmbedClient, SyncFastEmbedClient

DEFAULT_URL = "http://127.0.0.1:8000"


def server_url(url: str, config: Path | None = None) -> str:
    """Return the address to ask: `--url` or $FASTEMBED_URL, else that of the configuration's own server, else :8000."""
    return url or find_server(config) or DEFAULT_URL


@contextmanager
def asked_server(
    url: str, api_key: str | None = None, config: Path | None = None, *, timeout_s: float = 600.0
) -> Iterator[SyncFastEmbedClient]:
    """Give a client of the server for the time of a `with`; its errors become a line that says what to do."""
    from openai import APIError

    from fastembed.client import SyncFastEmbedClient

    with SyncFastEmbedClient(server_url(url, config), api_key, timeout=timeout_s) as client:
        try:
            yield client
        except APIError as error:
            raise FastEmbedError(reason(error)) from error


def reason(error: APIError) -> str:
    """Return what a server or a connection said, and what a person can do about it."""
    from openai import APIConnectionError, AuthenticationError

    body = error.body if isinstance(error.body, dict) else {}
    text = str(body.get("message") or error.message)
    if isinstance(error, APIConnectionError):
        return f"{text}; a server elsewhere is named with --url or FASTEMBED_URL"
    if isinstance(error, AuthenticationError):
        return f"{text}; give it with --api-key or FASTEMBED_API_KEY"
    return text


async def download(client: FastEmbedClient, path: str, body: Mapping[str, Any]) -> AsyncGenerator[bytes]:
    """Send a request whose answer is a file; yield it in pieces. Raises openai.APIError, also where it breaks off."""
    import httpx2
    from openai import APIConnectionError

    from fastembed.client.connection import path_of

    raw: Any = {"headers": {"X-Stainless-Raw-Response": "stream"}}  # OpenAI's client: leave the body to the caller
    response: Any = await client.post(path_of(client.root, path), cast_to=object, body=dict(body), options=raw)
    try:
        async for piece in response.iter_bytes():
            yield piece
    except httpx2.TransportError as error:
        message = f"the answer broke off: {error}"
        raise APIConnectionError(message=message, request=response.http_request) from error
    finally:
        await response.close()
