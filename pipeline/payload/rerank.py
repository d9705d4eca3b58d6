"""What the reranking pipelines carry."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RerankRequest:
    """Documents to put in order, by how well they answer a query.

    model: a catalog name, or "auto". top_n: how many of the best are wanted, None: all.
    """

    query: str
    documents: Sequence[str]
    model: str = "auto"
    top_n: int | None = None


@dataclass(frozen=True, slots=True)
class Ranked:
    """A document's place in the request, and how well it answers: 0 to 1."""

    index: int
    score: float


@dataclass(frozen=True, slots=True)
class Ranking:
    """The wanted documents, the best first; of equal ones the first that came.

    model, device: what scored them. tokens: that the model read. truncated: documents that were longer than its window
    and were read up to there. state: "pocket" if a small model answers that ships for trying things out.
    """

    results: tuple[Ranked, ...]
    model: str
    device: str
    tokens: int
    truncated: int = 0
    state: str = ""
