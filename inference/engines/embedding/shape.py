"""What a caller may ask of finished vectors: fewer dimensions, unit length."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fastembed.pipeline.errors import InvalidInput

_TINY = 1e-12


def normalized(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the rows scaled to L2 length 1; a zero row stays zero."""
    lengths = np.sqrt(np.vecdot(vectors, vectors))[:, None]
    return np.asarray(vectors / np.maximum(lengths, _TINY), dtype=np.float32)


def cut(vectors: NDArray[np.float32], dimensions: int | None, model: str) -> NDArray[np.float32]:
    """Keep the first `dimensions` values of each row (Kusupati et al., Matryoshka Representation Learning, 2022).

    The rows are no longer of unit length: see `normalized`. Raises InvalidInput beyond what the model gives.
    """
    available = vectors.shape[1]
    if dimensions is None:
        return vectors
    if isinstance(dimensions, bool) or not 1 <= dimensions <= available:
        raise InvalidInput(
            f"found {dimensions} dimensions, expected 1 to {available}, what {model} gives", param="dimensions"
        )
    return vectors[:, :dimensions]
