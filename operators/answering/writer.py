"""Whole answers of chat models, for operators that need one in one piece."""

from __future__ import annotations

from contextlib import aclosing
from typing import Any

from fastembed.operators.generate import Generate
from fastembed.pipeline.component import Context
from fastembed.pipeline.item import Item
from fastembed.pipeline.payload.chat import ChatDelta, ChatFinished, ChatRequest


class AnswerWriter:
    """Has requests answered as `generate` does: the same models, devices and ways round what fails."""

    def __init__(self, *, model: str, max_tokens: int | None) -> None:
        """Store the options; `open` loads the model."""
        self._generate = Generate(model=model, max_tokens=max_tokens)

    async def open(self, context: Context) -> None:
        """Load the model that answers first."""
        await self._generate.open(context)

    async def write(self, item: Item[Any], request: ChatRequest) -> tuple[str, bool]:
        """Return the answer's text, without its reasoning, and whether it came to its end; else it was cut."""
        asked: Item[ChatRequest] = Item(request, key=item.key, priority=item.priority, deadline=item.deadline)
        pieces: list[str] = []
        whole = True
        events = self._generate(asked)
        async with aclosing(events):  # type: ignore[type-var]  # an async generator, as it is written
            async for event in events:
                if isinstance(event, ChatDelta):
                    pieces.append(event.text)
                elif isinstance(event, ChatFinished):
                    whole = event.reason != "length"
        return "".join(pieces), whole
