"""Conversations go on: a chat model answers."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import replace

from inference.catalog import AUTO, Placed
from inference.models import Models
from pipeline.component import Context, operator
from pipeline.errors import ModelNotFound
from pipeline.item import Item
from pipeline.payload.chat import ChatEvent, ChatRequest


@operator
class Generate:
    """Answer a conversation, or complete a text, with a language model; the answer comes as it is written.

    In: `ChatRequest`. Out: one `ChatStarted`, then `ChatDelta`s (the pieces of all choices, in the order in which they
    came), and one `ChatFinished` a choice. A caller who leaves frees the place.

    Args:
        model: name from `models:`, or "auto", the first chat model whose files are there; else the small one that
            ships, which says so. A request that names a model gets that one.
        max_tokens: most tokens of an answer, also when the request allows more; by default what the context holds.

    Raises:
        InvalidInput: options out of range, a prompt longer than the context (context_length_exceeded), a schema that
            answers cannot be held to, images or sound for a model that reads text.
        ModelNotFound: no such model, or its files are missing.
        Overloaded: too many answers under way.
        Unavailable: the engine failed and is loaded again.

    """

    workers = 256

    def __init__(self, *, model: str = AUTO, max_tokens: int | None = None) -> None:
        self._model = model
        self._max_tokens = max_tokens

    async def open(self, context: Context) -> None:
        """Load the model."""
        self._models = context.resources.get(Models)
        await self._models.warm(self._model, "chat")

    async def __call__(self, item: Item[ChatRequest]) -> AsyncIterator[ChatEvent]:
        """Answer one request."""
        request = self._limited(item.value)
        name = self._model if request.model == AUTO else request.model
        placed = self._models.catalog.place(name, "chat")
        route = self._route(name, placed, request)
        async with (
            self._models.lend(name, "chat", priority=item.priority) as model,
            aclosing(model.generate(request, route=route)) as events,
        ):
            async for event in events:
                yield event

    def _limited(self, request: ChatRequest) -> ChatRequest:
        wanted, most = request.sampling.max_tokens, self._max_tokens
        if most is None or (wanted is not None and wanted <= most):
            return request
        return replace(request, sampling=replace(request.sampling, max_tokens=most))

    @staticmethod
    def _route(name: str, placed: Placed, request: ChatRequest) -> str:
        """Say why another model answers than was asked for. ModelNotFound if the request forbids that."""
        if name in (AUTO, placed.name, *placed.spec.aliases):
            return ""
        if request.model_fallback is False:
            raise ModelNotFound(
                f"found no files of {name} and model_fallback false, expected a model folder: fastembed pull {name}",
                param="model",
            )
        return f"{name} is not there: its fallback {placed.name}"
