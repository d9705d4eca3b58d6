"""`RecentVectors`."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from fastembed.operators.asking.vectors import RecentVectors


async def test_a_text_is_embedded_once_a_model_while_it_is_among_the_last() -> None:
    asked: list[tuple[str, str]] = []

    async def embed(texts: Sequence[str], model: str) -> NDArray[np.float32]:
        asked.extend((model, text) for text in texts)
        return np.array([[len(text), len(model)] for text in texts], np.float32)

    vectors = RecentVectors(embed, size=2)
    assert (await vectors.of(["a", "bb", "a"], "m")).tolist() == [[1, 1], [2, 1], [1, 1]]
    assert (await vectors.of(["bb"], "m")).tolist() == [[2, 1]]
    assert (await vectors.of(["bb"], "mm")).tolist() == [[2, 2]]
    await vectors.of(["a"], "m")  # was pushed out by the second model's
    assert asked == [("m", "a"), ("m", "bb"), ("mm", "bb"), ("m", "a")]


async def test_more_texts_than_are_kept_all_get_their_vectors() -> None:
    async def embed(texts: Sequence[str], _: str) -> NDArray[np.float32]:
        return np.array([[len(text)] for text in texts], np.float32)

    found = await RecentVectors(embed, size=2).of(["a", "bb", "ccc", "dddd"], "m")
    assert found.ravel().tolist() == [1, 2, 3, 4]
