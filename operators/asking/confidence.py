"""How probable it is that passages hold the answer: a logistic regression over what was measured of them.

The weights are from `bench/ask.py --calibrate`: 96 questions that documents answer and 40 that they do not, of
calibration.yaml and judged.yaml; none of held_out.yaml, by which bench/README.md says how good answers are. The bias
is less by 0.2 than fitted: a wrong answer is worse than none. Cosines are put on one scale for all embedding models
first: 0 is what unrelated texts have with each other by the same model, 1 is equality.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

FLOOR: Final = 0.5
FEATURES: Final = ("sentence", "covered", "margin", "fits", "misfits", "named")
WEIGHTS: Final = (0.86, 4.11, 2.57, 1.94, -2.66, 1.62)
BIAS: Final = -5.55
"""sentence: the best one's similarity. covered: the question's words, by rarity, in its passage, in meaning. margin: by
how much the best sentence is better than the next. fits, misfits: whether it has the number, time, name or price that
is asked for. named: how near its words come, in meaning, to the one that says what is asked for (`passengers` of "how
many passengers fit")."""

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


_DOUBTS: Final = (
    ("misfits", 0.5, "the best sentence has no such thing as is asked for: a number of it, a time, a name, a price"),
    ("named", -0.5, "the best sentence does not name what is asked for"),
    ("covered", -0.6, "the best passage lacks words of the question"),
    ("sentence", -0.35, "the best sentence is about something else"),
    ("margin", -0.03, "no sentence stands out"),
)
"""A feature, from where on it speaks against an answer (negative: below that), what to say."""


def doubts(features: Sequence[float]) -> tuple[str, ...]:
    """Return what speaks against an answer, for people. features: as `FEATURES` names them; none: nothing was found."""
    if not features:
        return ("no passage was found",)
    seen = dict(zip(FEATURES, features, strict=True))
    return tuple(told for name, bound, told in _DOUBTS if (seen[name] > bound if bound > 0 else seen[name] < -bound))


def baseline(vectors: NDArray[np.float32]) -> float:
    """Return the mean cosine of unrelated texts. vectors: float32 [n, dimensions] of unit length."""
    count = len(vectors)
    return float((vectors @ vectors.T).sum() - count) / (count * (count - 1))


def scaled(cosine: float, base: float) -> float:
    """Return a cosine on the scale of all models: 0 at `base`, 1 at equality, not below 0."""
    return max(0.0, (cosine - base) / (1 - base))
