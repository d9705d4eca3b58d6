"""Keeps the vectors of texts that were embedded lately: follow-up questions meet the same sentences again."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

MAX_TEXTS: Final = 8_192
"""12 MB at 384 dimensions."""


class RecentVectors:
    """Embeds texts, each once while it is among the last that were asked for. One event loop's."""

    def __init__(
        self, embed: Callable[[Sequence[str], str], Awaitable[NDArray[np.float32]]], *, size: int = MAX_TEXTS
    ) -> None:
        self._embed = embed
        self._size = size
        self._kept: OrderedDict[tuple[str, str], NDArray[np.float32]] = OrderedDict()

    async def of(self, texts: Sequence[str], model: str) -> NDArray[np.float32]:
        """Return float32 [texts, dimensions] of L2 length 1, by a model."""
        known = {text: self._kept[model, text] for text in texts if (model, text) in self._kept}
        missing = [text for text in dict.fromkeys(texts) if text not in known]
        if missing:
            known.update(zip(missing, await self._embed(missing, model), strict=True))
        for text, vector in known.items():
            self._kept[model, text] = vector.copy()  # not a part of the batch, which would stay as a whole
            self._kept.move_to_end((model, text))
        while len(self._kept) > self._size:
            self._kept.popitem(last=False)
        return np.stack([known[text] for text in texts])
