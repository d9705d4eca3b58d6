"""An ASGI client without sockets, and the smallest pipeline that answers requests."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from fastembed.pipeline.component import Context, Resources
from fastembed.pipeline.item import Ack, Item, Outcome
from fastembed.pipeline.policy import QueuePolicy
from fastembed.server.http.disconnect import DISCONNECT, DisconnectSignal
from fastembed.sources.http import Http, HttpRoutes


@dataclass
class Reply:
    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    chunks: list[bytes] = field(default_factory=list)

    @property
    def json(self) -> Any:
        return orjson.loads(self.body)

    @property
    def error(self) -> dict[str, Any]:
        assert set(self.json) == {"error"}
        assert set(self.json["error"]) == {"message", "type", "param", "code"}
        return self.json["error"]


def scope_of(method: str, path: str, headers: dict[str, str] | None = None, **more: Any) -> dict[str, Any]:
    path, _, query = path.partition("?")
    sent = {"host": "127.0.0.1:8000", **(headers or {})}
    return {
        "type": "http",
        "method": method,
        "path": path,
        "raw_path": path.encode(),
        "root_path": "",
        "query_string": query.encode(),
        "headers": [(k.encode(), v.encode("latin-1")) for k, v in sent.items()],
        "client": ("127.0.0.1", 1234),
        "server": ("127.0.0.1", 8000),
        "scheme": "http",
        **more,
    }


async def call(
    app: Any,
    method: str,
    path: str,
    *,
    body: Any = b"",
    headers: dict[str, str] | None = None,
    leave: asyncio.Event | None = None,
    chunks: list[bytes] | None = None,
) -> Reply:
    """Send one request. leave: the client closes its connection when it is set. chunks: the body in pieces."""
    if not isinstance(body, bytes):
        body = orjson.dumps(body)
    pieces = [body] if chunks is None else chunks
    sent = {"content-type": "application/json"} if method != "GET" else {}
    messages = [
        {"type": "http.request", "body": piece, "more_body": index < len(pieces) - 1}
        for index, piece in enumerate(pieces)
    ]
    reply = Reply()

    async def receive() -> dict[str, Any]:
        if messages:
            return messages.pop(0)
        await (leave or asyncio.Event()).wait()
        return {"type": "http.disconnect"}

    async def send(message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start":
            reply.status = message["status"]
            reply.headers = {k.decode(): v.decode() for k, v in message["headers"]}
        else:
            reply.body += message.get("body", b"")
            if message.get("body"):
                reply.chunks.append(message["body"])

    disconnect = DisconnectSignal()
    scope = scope_of(method, path, {**sent, **(headers or {})}, extensions={DISCONNECT: disconnect})
    leaving = asyncio.create_task(_leave(leave, disconnect)) if leave else None
    await app(scope, receive, send)
    if leaving is not None:
        leaving.cancel()
    return reply


async def _leave(when: asyncio.Event, disconnect: DisconnectSignal) -> None:
    await when.wait()
    disconnect.set()


@asynccontextmanager
async def serving(
    routes: HttpRoutes,
    route: str,
    work: Callable[[Item[Any]], Awaitable[None]],
    *,
    queue: QueuePolicy | None = None,
    pipeline: str = "p",
    **options: Any,
):
    """Run a source with `work` as its pipeline, one item at a time. `work` sends to `item.reply`; may raise."""

    def ended(ack: Ack) -> None:
        assert ack.outcome is not None
        ack.origin.reply.close(ack.outcome, ack.error)

    def admit(item: Item[Any]) -> None:
        item.ack = Ack(item, ended)

    context = Context(
        pipeline, "http", "", Path(), Resources(routes), queue=queue or QueuePolicy(overflow="reject"), admit=admit
    )
    http = Http(route, **options)
    await http.open(context)

    async def pump() -> None:
        async for item in http.items():
            try:
                await work(item)
            except Exception as error:  # noqa: BLE001 - stands for the runner
                item.settle(Outcome.FAILED, error)
            else:
                item.settle(Outcome.CANCELLED if item.ack.cancelled else Outcome.DELIVERED)

    task = asyncio.create_task(pump())
    try:
        yield http
    finally:
        http.stop()
        task.cancel()
        await asyncio.wait([task])
        if not task.cancelled() and (error := task.exception()) is not None:
            raise error
