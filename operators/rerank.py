"""Rank documents by how well they answer a query.

Why this is not a `Batch` operator: pairs are batched where the model is, over all requests, as `embed`'s texts are.
"""

from __future__ import annotations

from collections.abc import Awaitable
from time import perf_counter

from fastembed.inference.engines.rerank.model import RerankModel
from fastembed.inference.library.catalog import AUTO
from fastembed.inference.serving.models import Models
from fastembed.inference.serving.resilience.breakers import Breakers
from fastembed.inference.serving.resilience.lending import OwnDevices
from fastembed.pipeline.component import Context, operator
from fastembed.pipeline.item import Item
from fastembed.pipeline.payload.rerank import Ranking, RerankRequest


@operator
class Rerank:
    """Rank documents by how well they answer a query, with a cross-encoder that reads both together.

    In: `RerankRequest` (up to 1000 documents; what is longer than the model's window is read up to there).
    Out: `Ranking`: places and scores of 0 to 1, the best first.

    Args:
        model: name from `models:`, or "auto", the first reranker. A request that names a model gets that one.

    Raises:
        InvalidInput: no query, no documents or too many, a query of more than half the window.
        ModelNotFound: no such model, or its files are missing.
        Overloaded: the model's queue is full.
        Unavailable: no device of the model can compute it now.

    """

    workers = 256

    def __init__(self, *, model: str = AUTO) -> None:
        self._model = model

    async def open(self, context: Context) -> None:
        """Load and warm the model."""
        models = context.resources.get(Models)
        self._models = OwnDevices(models, context.resources.find(Breakers) or Breakers(), "rerank")
        self._usage = models.usage
        await models.warm(self._model, "rerank")

    async def __call__(self, item: Item[RerankRequest]) -> Ranking:
        """Rank the documents of one request."""
        request = item.value
        name = self._model if request.model == AUTO else request.model

        def rank(model: RerankModel) -> Awaitable[Ranking]:
            return model.rank(request, priority=item.priority, deadline=item.deadline)

        begun_s = perf_counter()
        ranking = await self._models.use(name, rank, priority=item.priority)
        self._usage.of(ranking.model).answered(perf_counter() - begun_s, prompt_tokens=ranking.tokens)
        return ranking
