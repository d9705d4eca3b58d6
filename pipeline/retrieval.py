"""What finds passages of stored documents for a question: the resource that `retrieve` asks for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fastembed.pipeline.errors import ModelNotFound, NotFound
from fastembed.pipeline.payload.asking import Passage, SearchScope
from fastembed.pipeline.payload.grounding import Grounding


@dataclass(frozen=True, slots=True, eq=False)
class FoundPassages:
    """The best passages of all tables, best first. rarity: of each word of the question, ln of how rare it is.

    model: the embedding model that found most of them, "": none did. vector: the question's by that model.
    """

    passages: tuple[Passage, ...]
    rarity: Mapping[str, float]
    model: str = ""
    vector: NDArray[np.float32] | None = None


class Retriever:
    """Searches the open databases of this process; this one has none."""

    async def find(self, question: str, scope: SearchScope, limit: int) -> FoundPassages:
        """Return passages for a question. NotFound: no database is open; InvalidInput: nothing has such a name."""
        raise NotFound(f"found no database for {question[:80]!r} in {scope} ({limit} passages)")

    async def embed(self, texts: Sequence[str], model: str) -> NDArray[np.float32]:
        """Return float32 [texts, dimensions] of L2 length 1, by an embedding model."""
        raise ModelNotFound(f"found no models, expected {model} for {len(texts)} texts")

    async def record(self, grounding: Grounding, databases: Sequence[str]) -> None:
        """Remember where an answer is from, in the databases that it cites."""
        raise NotFound(f"found no database, expected {', '.join(databases)} for {grounding.id}")
