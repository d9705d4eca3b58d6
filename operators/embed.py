"""Embed texts.

Why this is not a `Batch` operator: inputs are batched where the model is, over all pipelines and requests, by length
and urgency (`fastembed.inference.engines.scheduling`). Handing the operator batches would make every item of a batch
wait for the batch's longest one, and an item whose caller left could not give its place back. One coroutine an item
does neither.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from time import perf_counter
from typing import Any, overload

import numpy as np

from fastembed.inference.engines.embedding.model import EmbeddingModel
from fastembed.inference.engines.embedding.shape import cut, normalized
from fastembed.inference.engines.embedding.tokens import Analyzed
from fastembed.inference.library.catalog import AUTO
from fastembed.inference.serving.models import Models
from fastembed.inference.serving.resilience.breakers import Breakers
from fastembed.inference.serving.resilience.lending import OwnDevices
from fastembed.operators.embedding.advice import LanguageAdvice
from fastembed.pipeline.component import Context, operator
from fastembed.pipeline.config.option_types import ValueExpression
from fastembed.pipeline.errors import InvalidInput
from fastembed.pipeline.item import Item
from fastembed.pipeline.payload.document import Chunk, Document
from fastembed.pipeline.payload.embedding import EmbeddingRequest, Embeddings

log = logging.getLogger("fastembed.embed")

Embeddable = EmbeddingRequest | Chunk | Document | str | dict[str, Any]


@operator
class Embed:
    """Embed texts with a sentence embedding model.

    In: `EmbeddingRequest` (up to 2048 texts or token id lists), `Chunk`, a plain `str`, a mapping of which `of` is the
    text; a `Document` passes untouched.
    Out: `Embeddings`, float32 [n, dimensions] of L2 length 1 unless the request asks otherwise; a `Chunk` with its
    `embedding` float32 [dimensions] and `model`; a mapping with its vector, float32 [dimensions], under `into`. A chunk
    longer than the model's window is cut there, logged and counted in `truncated`; any other text that is too long is
    refused.

    Args:
        model: name from `models:`, or "auto", the first embedding model. A request that names a model gets that one.
        of: of a mapping, an expression for the text to embed: `value.title + ' ' + value.body`.
        into: the name under which a mapping gets its vector.

    Raises:
        InvalidInput: an empty text, too many tokens, unknown token ids, more dimensions than the model has.
        ModelNotFound: no such model, or its files are missing.
        Overloaded: the model's queue is full.
        Unavailable: no device of the model can compute it now; another model never takes its place, since vectors of
            two models cannot be compared.

    """

    workers = 256

    def __init__(self, *, model: str = AUTO, of: ValueExpression | None = None, into: str = "vector") -> None:
        self._model = model
        self._of = of
        self._into = into
        self.truncated = 0

    async def open(self, context: Context) -> None:
        """Load and warm the model."""
        breakers = context.resources.find(Breakers) or Breakers()
        models = context.resources.get(Models)
        self._models = OwnDevices(models, breakers, "embedding")
        self._usage = models.usage
        await models.warm(self._model, "embedding")
        # Chunks of one run are of the model in the definition, though "auto" may soon mean one that was pulled.
        self._chunk_model = models.catalog.place(self._model, "embedding").name
        self._advice = LanguageAdvice(context, self._chunk_model)

    @overload
    async def __call__(self, item: Item[Document]) -> Document: ...
    @overload
    async def __call__(self, item: Item[Chunk]) -> Chunk: ...
    @overload
    async def __call__(self, item: Item[dict[str, Any]]) -> dict[str, Any]: ...
    @overload
    async def __call__(self, item: Item[EmbeddingRequest | str]) -> Embeddings: ...
    async def __call__(self, item: Item[Any]) -> Embeddings | Chunk | Document | dict[str, Any]:
        """Embed one item's texts."""
        value = item.value
        if isinstance(value, Document):
            self._advice.look_at(value)
            return value
        if isinstance(value, Chunk):
            return await self._embed_chunk(value, item)
        if isinstance(value, dict):
            return {**value, self._into: (await self._embed(self._text_of(item), item)).vectors[0]}
        return await self._embed(value, item)

    def _text_of(self, item: Item[dict[str, Any]]) -> str:
        """Return the text of a mapping. InvalidInput: there is none, or `of` does not say which it is."""
        if self._of is None:
            raise InvalidInput(
                "found a mapping, expected text, or the option `of`, which says what of it: embed: {of: value.text}"
            )
        text = self._of.evaluate(item)
        if not isinstance(text, str):
            raise InvalidInput(f"found {type(text).__name__} by `of`, expected text")
        return text

    async def _embed(self, value: EmbeddingRequest | str, item: Item[Any]) -> Embeddings:
        request = EmbeddingRequest([value]) if isinstance(value, str) else value
        name = self._model if request.model == AUTO else request.model
        begun_s = perf_counter()
        embedded = await self._models.use(
            name, lambda model: _embed_request(request, model, item), priority=item.priority
        )
        tokens = sum(embedded.token_counts)
        self._usage.of(embedded.model).answered(perf_counter() - begun_s, prompt_tokens=tokens)
        return embedded

    async def _embed_chunk(self, chunk: Chunk, item: Item[Embeddable]) -> Chunk:
        return await self._models.use(
            self._chunk_model, lambda model: self._embed_text(chunk, model, item), priority=item.priority
        )

    async def _embed_text(self, chunk: Chunk, model: EmbeddingModel, item: Item[Embeddable]) -> Chunk:
        tokens = await model.tokenize([model.prompts.before(chunk.embedding_text, "document")], most_tokens=0)
        if tokens[0].dropped:
            self.truncated += 1
            log.warning(
                "%s, chunk %d of %d: found %d tokens, expected at most %d for %s: the rest is not in its vector",
                chunk.document.file.name,
                chunk.index + 1,
                chunk.count,
                len(tokens[0]) + tokens[0].dropped,
                model.window,
                model.name,
            )
        begun_s = perf_counter()
        vectors, counts = await model.embed(tokens, priority=item.priority, deadline=item.deadline)
        self._usage.of(model.name).answered(perf_counter() - begun_s, prompt_tokens=sum(counts))
        return replace(chunk, embedding=normalized(vectors)[0], model=model.name, model_revision=model.revision)


async def _embed_request(request: EmbeddingRequest, model: EmbeddingModel, item: Item[Embeddable]) -> Embeddings:
    if request.dimensions is not None:
        cut(np.empty((0, model.dimensions), np.float32), request.dimensions, model.name)  # refuse before computing
    inputs = request.inputs
    if (purpose := request.purpose) is not None:
        plain = inputs.source if isinstance(inputs, Analyzed) else inputs
        inputs = [model.prompts.before(text, purpose) if isinstance(text, str) else text for text in plain]
    vectors, counts = await model.embed(
        inputs,
        priority=item.priority,
        deadline=item.deadline,
        batch_size=request.batch_size,
        most_tokens=request.most_tokens,
        own_ids=request.own_ids,
    )
    vectors = cut(vectors, request.dimensions, model.name)
    return Embeddings(normalized(vectors) if request.normalize else vectors, counts, model.name)
