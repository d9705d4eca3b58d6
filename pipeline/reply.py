"""Where results go when the caller waits for them: an HTTP response, a websocket session, a test."""

from __future__ import annotations

from typing import Protocol, TypeVar

from fastembed.pipeline.item import Outcome

T_contra = TypeVar("T_contra", contravariant=True)


class Reply(Protocol[T_contra]):
    """The caller's end of an item. The `reply` sink sends; the pipeline closes it when the item's ack completes."""

    def send_nowait(self, value: T_contra) -> bool:
        """Send one result if the caller has room for it; False: it has none, use `send`."""

    async def send(self, value: T_contra) -> None:
        """Send one result; wait while the caller is slow (backpressure)."""

    def close(self, outcome: Outcome, error: BaseException | None) -> None:
        """End the results. `error` is set when the outcome is rejected, failed or expired."""
