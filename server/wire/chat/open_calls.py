"""Which result answers which call: chat templates would lose or misplace what has no partner, silently."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from fastembed.pipeline.payload.chat import ToolCall
from fastembed.server.wire.fields import refuse


class OpenCalls:
    """The calls of a conversation that have no result yet. answer: what the wire calls a result, for messages.

    lenient: these are some items of a conversation, which need not be whole.
    """

    __slots__ = ("_answer", "_lenient", "_places")

    def __init__(self, answer: str, *, lenient: bool = False) -> None:
        self._answer: Final = answer
        self._lenient: Final = lenient
        self._places: dict[str, str] = {}

    def __bool__(self) -> bool:
        return bool(self._places)

    def open(self, call_id: str, place: str) -> None:
        """Note a call, which stands at `place` in the request."""
        if call_id in self._places:
            refuse(f"found two calls with the id {call_id!r:.80}, expected an id of its own for each", place)
        self._places[call_id] = place

    def answer(self, call_id: str, place: str) -> None:
        """Note a result."""
        if self._places.pop(call_id, None) is None and not self._lenient:
            expected = "expected one to a call of the assistant's message before it"
            refuse(f"found an answer to {call_id!r:.80}, {expected}", place)

    def check(self) -> None:
        """Refuse calls that are without a result where the conversation goes on, or ends."""
        if self._lenient:
            return
        for call_id, place in self._places.items():
            refuse(f"found no answer to {call_id!r:.80}, expected {self._answer} after it", place)


def open_all(calls: OpenCalls, made: Sequence[ToolCall], place: str) -> None:
    """Note the calls of one message. place: of their list."""
    for index, call in enumerate(made):
        calls.open(call.id, f"{place}[{index}]")
