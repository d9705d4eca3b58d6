"""How probable it is that passages hold the answer: a logistic regression over what was measured of them.

The weights are from `bench/ask.py --calibrate`: questions over documents of its own, a third of which those do not
answer, none of them used to judge. Cosines are put on one scale for all embedding models first: 0 is what unrelated
texts have with each other by the same model, 1 is equality.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

FLOOR: Final = 0.5
FEATURES: Final = ("sentence", "covered", "margin", "fits", "misfits")
WEIGHTS: Final = (4.73, 4.78, 4.63, 0.42, -2.2)
BIAS: Final = -6.25
"""sentence: the best one's similarity. covered: the question's words, by rarity, in its passage, in meaning. margin: by
how much the best sentence is better than the next. fits, misfits: whether it has the number, time, name or price that
is asked for."""

ANCHORS: Final = (
    "The kitchen needs a new lamp above the table.",
    "Parliament adjourned after the vote on fisheries.",
    "Photosynthesis turns light into sugar.",
    "He missed the last train to the coast.",
    "The committee will publish its accounts in autumn.",
    "Tighten the bolts in a star pattern.",
    "Her violin was made in Cremona.",
    "Rain is expected in the northern valleys.",
)
ANCHOR_WORDS: Final = (
    *("lamp", "parliament", "sugar", "train", "account", "bolt", "violin", "rain", "doctor", "river"),
    *("yellow", "contract", "sleep", "mountain", "password", "bread"),
)


def probability(features: Sequence[float]) -> float:
    """Return the confidence, 0 to 1. features: as `FEATURES` names them."""
    total = BIAS + sum(weight * value for weight, value in zip(WEIGHTS, features, strict=True))
    return 1 / (1 + math.exp(-total))


def baseline(vectors: NDArray[np.float32]) -> float:
    """Return the mean cosine of unrelated texts. vectors: float32 [n, dimensions] of unit length."""
    count = len(vectors)
    return float((vectors @ vectors.T).sum() - count) / (count * (count - 1))


def scaled(cosine: float, base: float) -> float:
    """Return a cosine on the scale of all models: 0 at `base`, 1 at equality, not below 0."""
    return max(0.0, (cosine - base) / (1 - base))
