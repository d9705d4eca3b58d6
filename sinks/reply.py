"""Sends results to callers: an HTTP response, a websocket session.

Delivery: at most once; the caller sees an error or the end of its connection when something is lost. Overload: callers
are served side by side, and one that does not read what comes is cut off. Restart: nothing is remembered.
"""

from __future__ import annotations

from typing import Any, Final

from fastembed.pipeline.component import sink
from fastembed.pipeline.errors import Unprocessable
from fastembed.pipeline.item import Item
from fastembed.pipeline.reply import Reply as Caller


@sink
class Reply:
    """Sends the item's value to the caller that its source knows."""

    workers: Final = 4096
    """Callers that may be slow at once."""
    needs_callers: Final = True

    def write_nowait(self, item: Item[Any]) -> bool:
        """Send at once if the caller has room; most have."""
        return _caller(item).send_nowait(item.value)

    async def write(self, item: Item[Any]) -> None:
        """Send, waiting for the caller's room."""
        await _caller(item).send(item.value)


def _caller(item: Item[Any]) -> Caller[Any]:
    if item.reply is None:
        raise Unprocessable(
            "found an item without a caller to reply to, expected one of a source with callers (http, websocket)"
        )
    return item.reply
