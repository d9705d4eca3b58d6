"""A loaded reranker: scores how well documents answer a query, in batches that all callers share."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fastembed.inference.engines.encoder.model import EncoderModel
from fastembed.inference.engines.rerank.engine import RerankEngine
from fastembed.inference.engines.rerank.pairs import PairTokenizer, check
from fastembed.inference.engines.scheduling.batcher import BatchLimits
from fastembed.inference.library.devices import Devices
from fastembed.inference.library.folders import is_pocket
from fastembed.inference.library.opening import OPENING
from fastembed.pipeline.payload.rerank import Ranked, Ranking, RerankRequest


class RerankModel(EncoderModel):
    """A cross-encoder. pocket: the small one that ships."""

    def __init__(
        self, name: str, folder: Path, devices: Devices, device: str, limits: BatchLimits | None = None
    ) -> None:
        """Load and compile: takes a second, call it off the event loop."""
        with OPENING:
            engine = RerankEngine(folder, devices, device)
            self._tokenizer = PairTokenizer(folder, engine.window)
        self.pocket = is_pocket(folder)
        super().__init__(name, folder, device, engine, limits)

    def warm(self) -> None:
        """Run a few shapes through the model, so that the first request finds everything compiled and paged in."""
        self._engine.warm(self._tokenizer.encode("a", ["a"], self.name).rows[0])

    async def rank(self, request: RerankRequest, *, priority: int = 0, deadline: float | None = None) -> Ranking:
        """Return the documents of the request in order.

        priority: higher first. deadline: loop time. Raises InvalidInput (empty, wrong type, more than 1000 documents, a
        query of more than half the window), Overloaded (with `retry_after_s`), Expired, Unavailable.
        """
        query, documents = request.query, request.documents
        check(query, documents)
        chars = sum(map(len, documents)) + len(query) * len(documents)
        pairs = await self._tokenized(chars, lambda: self._tokenizer.encode(query, documents, self.name))
        scores = scores_of(await self._compute(pairs.rows, priority=priority, deadline=deadline))
        return Ranking(
            best(scores, request.top_n),
            self.name,
            self.device,
            sum(map(len, pairs.rows)),
            pairs.truncated,
            "pocket" if self.pocket else "",
        )


def scores_of(logits: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the probability of the last label, [n], from logits [n, 1] (sigmoid) or [n, 2] (softmax)."""
    wide = logits.astype(np.float64)
    odds = wide[:, -1] - (wide[:, 0] if wide.shape[1] > 1 else 0)
    return np.asarray(np.exp(-np.logaddexp(0, -odds)))


def best(scores: Sequence[float] | NDArray[np.float64], top_n: int | None) -> tuple[Ranked, ...]:
    """Return the places of the highest scores, in order; of equal ones the first."""
    order = np.argsort(-np.asarray(scores), kind="stable")[:top_n]
    return tuple(Ranked(int(place), float(scores[place])) for place in order)
