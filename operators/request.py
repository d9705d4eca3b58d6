"""Sends a request to an endpoint of this server, behind everybody who waits for an answer."""

from __future__ import annotations

import asyncio
from typing import Final

import orjson

from fastembed.pipeline.component import Context, operator
from fastembed.pipeline.errors import FastEmbedError, Overloaded, Unavailable
from fastembed.pipeline.item import Item
from fastembed.pipeline.payload.endpoint import EndpointAnswer, EndpointCaller, EndpointRequest
from fastembed.pipeline.units import Duration

_LOOK_S: Final = 0.02
_BUSY: Final = {429: Overloaded, 503: Unavailable}
_QUOTA: Final = b"insufficient_quota"


@operator
class Request:
    """Answer requests by this server's own endpoints: same checks, same answers, errors too.

    A request waits while its endpoint's pipeline answers others, for `patience` at most: so live requests overtake, and
    under constant load work still goes on. In the models' queues it stands behind theirs. Raises Overloaded or
    Unavailable where the endpoint answers 429 or 503: the request is right, it is to be sent again.

    In: EndpointRequest.
    Out: EndpointAnswer.

    Args:
        patience: how long a request gives way to live ones.

    """

    workers: Final = 4

    def __init__(self, *, patience: Duration = 10.0) -> None:
        self._patience_s = patience
        self._caller: EndpointCaller | None = None

    async def open(self, context: Context) -> None:
        """Find the server. FastEmbedError: there is none in this process."""
        self._caller = context.resources.find(EndpointCaller)  # type: ignore[type-abstract] # the server's own
        if self._caller is None:
            raise FastEmbedError("found no server in this process, expected `fastembed serve`: it answers requests")

    async def __call__(self, item: Item[EndpointRequest]) -> EndpointAnswer:
        """Answer one request."""
        assert self._caller is not None  # noqa: S101 - opened
        await self._give_way(self._caller, item.value.path)
        answer = await self._caller.call(item.value, priority=item.priority)
        if answer.status in _BUSY and _QUOTA not in answer.body:
            message = str(orjson.loads(answer.body)["error"]["message"])
            raise _BUSY[answer.status](message, retry_after_s=answer.retry_after_s)
        return answer

    async def _give_way(self, caller: EndpointCaller, path: str) -> None:
        loop = asyncio.get_running_loop()
        until_s = loop.time() + self._patience_s
        while caller.live(path) and loop.time() < until_s:  # noqa: ASYNC110 - a counter, nobody's event
            await asyncio.sleep(_LOOK_S)
