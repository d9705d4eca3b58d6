"""When each token was said."""

from itertools import pairwise

import numpy as np
import pytest

from fastembed.inference.engines.speech.alignment import token_times


def looking(places: list[int], positions: int, heads: int = 2) -> np.ndarray:
    """Return scores of tokens that each look at the positions from a place to the next one's."""
    scores = np.random.default_rng(1).normal(0, 0.1, (heads, len(places), positions)).astype(np.float32)
    for token, (place, end) in enumerate(pairwise([*places, positions])):
        scores[:, token, place:end] += 8
    return scores


def test_tokens_begin_where_their_heads_look() -> None:
    begins = token_times(looking([0, 20, 60, 100], 150), 2.5)
    assert begins[1:] == pytest.approx([0.4, 1.2, 2.0], abs=0.1)
    assert (np.diff(begins) >= 0).all()


def test_nothing_is_said_behind_the_end_of_the_sound() -> None:
    begins = token_times(looking([0, 20, 60, 140], 150), 1.5)
    assert begins.max() <= 1.5


def test_a_sound_shorter_than_the_filter_has_times_too() -> None:
    assert token_times(looking([0, 1], 3), 0.06).shape == (2,)
