"""Sends results to whoever waits for them: an HTTP response, a websocket session.

Delivery: at most once; the caller sees an error or the end of its connection when something is lost. Overload: a slow
caller slows the pipeline down once its own buffer is full. Restart: nothing is remembered.
"""

from __future__ import annotations

from typing import Any

from pipeline.component import sink
from pipeline.errors import Unprocessable
from pipeline.item import Item


@sink
async def reply(item: Item[Any]) -> None:
    """Send the item's value to the caller that its source knows."""
    if item.reply is None:
        raise Unprocessable(
            "found an item that nobody waits for, expected one of a source with callers (http, websocket)"
        )
    await item.reply.send(item.value)
