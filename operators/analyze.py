"""Validates and measures a request before a model works on it."""

from __future__ import annotations

from fastembed.inference.engines.embedding.tokens import Analyzed, check_inputs
from fastembed.inference.library.catalog import AUTO
from fastembed.inference.serving.models import Models
from fastembed.pipeline.component import Context, operator
from fastembed.pipeline.payload.embedding import EmbeddingRequest


@operator
class Analyze:
    """Check a request and count its tokens, so that bad requests are refused before they enter a model's queue.

    In: `EmbeddingRequest`. Out: the same with `inputs` as `Analyzed`: short texts as the model's own token ids, so that
    nobody tokenises them again, and `inputs.estimated_tokens` for expressions and limits (exact when
    `inputs.exact`, else a quarter of the characters: long texts are tokenised by `embed`, off the event loop).

    Args:
        model: the model to measure for when a request says "auto".

    Raises:
        InvalidInput: empty, of a wrong type, more than 2048 inputs, too many tokens, unknown token ids.
        ModelNotFound: no such model, or its files are missing.

    """

    def __init__(self, *, model: str = AUTO) -> None:
        self._model = model

    async def open(self, context: Context) -> None:
        """Load the model whose tokenizer counts."""
        self._models = context.resources.get(Models)
        await self._models.warm(self._model, "embedding")

    def __call__(self, request: EmbeddingRequest) -> EmbeddingRequest:
        """Measure one request; runs on the event loop, in tens of microseconds."""
        name = self._model if request.model == AUTO else request.model
        model = self._models.loaded(name)
        if model is not None:
            return request.carrying(
                model.analyze(request.inputs, most_tokens=request.most_tokens, own_ids=request.own_ids)
            )
        self._models.catalog.place(name, "embedding")
        check_inputs(request.inputs)
        return request.carrying(Analyzed(request.inputs, None, None))
