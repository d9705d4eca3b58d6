"""What the embedding pipelines carry."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

EmbeddingInput = str | Sequence[int]


@dataclass(frozen=True, slots=True)
class VectorOrigin:
    """The model that made a vector: its name, and what tells its files from others under that name.

    Vectors of two origins cannot be compared, even if their lengths agree.
    """

    model: str
    revision: str

    @property
    def mark(self) -> str:
        """Return what stands for it in a pipeline's definition (`fastembed.definitions`)."""
        return hashlib.sha256(f"{self.model} {self.revision}".encode()).hexdigest()[:12]


@dataclass(frozen=True, slots=True)
class EmbeddingRequest:
    """Texts, or token id lists, to embed.

    model: a catalog name, or "auto". dimensions: keep the first n values and renormalise (Matryoshka cut), None: all.
    normalize: L2 length 1. batch_size: upper bound of inputs a model call for this request, None: the scheduler's.
    purpose: the model's own prompt for it goes before each text; None: texts stay as they are.
    most_tokens: longer inputs lose their ends; 0: what the model's window does not hold, None: they are refused.
    own_ids: token ids are the model's own; False: only those that its special tokens frame are taken for that: ids
    of another tokenizer would be other words, and nothing would show it.
    """

    inputs: Sequence[EmbeddingInput]
    model: str = "auto"
    dimensions: int | None = None
    normalize: bool = True
    batch_size: int | None = None
    purpose: Literal["query", "document"] | None = None
    most_tokens: int | None = None
    own_ids: bool = True

    def carrying(self, inputs: Sequence[EmbeddingInput]) -> EmbeddingRequest:
        """Return the same request for the same inputs in another form (`dataclasses.replace` costs 5 us more)."""
        return EmbeddingRequest(
            inputs,
            self.model,
            self.dimensions,
            self.normalize,
            self.batch_size,
            self.purpose,
            self.most_tokens,
            self.own_ids,
        )


@dataclass(frozen=True, slots=True, eq=False)
class Embeddings:
    """Vectors float32 [len(inputs), dimensions] in the order of the inputs; token_counts as the model saw."""

    vectors: NDArray[np.float32]
    token_counts: Sequence[int]
    model: str
