"""Reading a request: its body within a limit, its content type, its JSON."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any, Final

import orjson
from starlette.types import Receive, Scope

from fastembed.pipeline.errors import Expired, InvalidInput, TooLarge, UnsupportedMedia

CHUNK_TIMEOUT_S: Final = 30.0
"""How long a client may pause in the middle of its body."""
LINGER_S: Final = 2.0
"""How long a body that is too large is read and thrown away, so that its sender gets to read the answer."""

BODY_TOO_LARGE: Final = "body_too_large"
"""The code of the error for it."""


class ClientDisconnected(Exception):
    """The client closed the connection before its request was answered."""


def header(scope: Scope, name: bytes) -> bytes | None:
    """Return the first header called `name` (lower case)."""
    for key, value in scope["headers"]:
        if key == name:
            return bytes(value)
    return None


async def read_json(scope: Scope, receive: Receive, *, max_bytes: int) -> Any:
    """Read the body as JSON: 413 beyond `max_bytes`, 415 for another content type, 400 for bad JSON.

    NaN, Infinity and numbers beyond float64 are not JSON (RFC 8259, section 6), so they end as 400 too.
    """
    require_json(scope)
    body = await read_body(scope, receive, max_bytes=max_bytes)
    if not body:
        raise InvalidInput("found an empty body, expected a JSON object")
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise InvalidInput(f"the body is not valid JSON: {error}", code="invalid_json") from None


def require_json(scope: Scope) -> None:
    """Refuse a declared content type that is not JSON; what a web page can send unasked (forms, text) is among them."""
    found = header(scope, b"content-type")
    if found is None:
        return
    media = found.split(b";", 1)[0].strip().lower()
    if media != b"application/json" and not (media.startswith(b"application/") and media.endswith(b"+json")):
        shown = found.decode("latin-1")[:80]
        raise UnsupportedMedia(f"found content type {shown!r}, expected application/json")


async def read_body(scope: Scope, receive: Receive, *, max_bytes: int) -> bytes:
    """Read the whole body; most arrive in one message, which is returned as it came. 415 for a compressed one."""
    await _check_declared(scope, receive, max_bytes)
    message = await receive()
    if message["type"] == "http.request" and not message.get("more_body", False):
        body: bytes = message.get("body", b"")
        return body if len(body) <= max_bytes else _refuse(len(body), max_bytes)
    async with aclosing(_pieces(message, receive, max_bytes)) as pieces:
        return b"".join([piece async for piece in pieces])


async def read_pieces(scope: Scope, receive: Receive, *, max_bytes: int) -> AsyncGenerator[bytes, None]:
    """Yield the body as it comes, for what is not to be held in memory."""
    await _check_declared(scope, receive, max_bytes)
    async with aclosing(_pieces(await receive(), receive, max_bytes)) as pieces:
        async for piece in pieces:
            yield piece


def declared_bytes(scope: Scope) -> int | None:
    """Return the length that the client declares for its body; None: it declares none."""
    declared = header(scope, b"content-length")
    return int(declared) if declared is not None and declared.isdigit() else None


async def _check_declared(scope: Scope, receive: Receive, max_bytes: int) -> None:
    encoding = header(scope, b"content-encoding")
    if encoding is not None and encoding.strip().lower() not in (b"", b"identity"):
        shown = encoding.decode("latin-1")[:80]
        raise UnsupportedMedia(f"found content encoding {shown!r}, expected a body that is not compressed")
    declared = declared_bytes(scope)
    if declared is not None and declared > max_bytes:
        await linger(receive)
        raise _too_large(declared, max_bytes)


async def _pieces(message: Any, receive: Receive, max_bytes: int) -> AsyncGenerator[bytes, None]:
    size = 0
    while message["type"] == "http.request":
        piece = message.get("body", b"")
        size += len(piece)
        if size > max_bytes:
            if message.get("more_body", False):
                await linger(receive)
            raise _too_large(size, max_bytes)
        yield piece
        if not message.get("more_body", False):
            return
        try:
            async with asyncio.timeout(CHUNK_TIMEOUT_S):
                message = await receive()
        except TimeoutError:
            raise Expired(f"the body stalled for {CHUNK_TIMEOUT_S:g} s after {size} bytes") from None
    raise ClientDisconnected


async def linger(receive: Receive) -> None:
    """Throw away what still comes for a moment: closing at once would reset the connection under the answer."""
    try:
        async with asyncio.timeout(LINGER_S):
            while True:
                message = await receive()
                if message["type"] != "http.request":
                    raise ClientDisconnected
                if not message.get("more_body", False):
                    return
    except TimeoutError:
        return  # the sender goes on and on: answer now, the server closes the connection


def _refuse(found: int, limit: int) -> bytes:
    raise _too_large(found, limit)


def _too_large(found: int, limit: int) -> TooLarge:
    return TooLarge(f"the body has at least {found} bytes, the limit is {limit}", code=BODY_TOO_LARGE)
