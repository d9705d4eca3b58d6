"""Sort texts by what they are about, without training."""

from __future__ import annotations

from typing import Annotated, Any, Final

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from fastembed.operators.answering.fields import WorkedField
from fastembed.operators.embed import Embed
from fastembed.pipeline.component import Context, operator
from fastembed.pipeline.config.option_types import ValueExpression
from fastembed.pipeline.errors import Unavailable
from fastembed.pipeline.item import Item
from fastembed.pipeline.payload.embedding import EmbeddingRequest, Embeddings
from fastembed.pipeline.payload.plain import PlainValue

_SHARPNESS: Final = 20.0
"""Cosines of sentence models lie close together: so much steeper are the shares that are made of them."""


@operator
class Classify:
    """Give each text the label whose description is nearest to it in meaning, by an embedding model (zero-shot).

    No model is trained and none writes: a text costs what its vector costs. Where fine distinctions matter, `extract`
    with an `enum` in its schema asks a chat model.

    In: text, or a value of which `of` gives one. Out: the label; with `into`, the value with the label under that name
    and its share of the certainty, 0 to 1, under the name and `_score`.

    Args:
        labels: the labels, each with a description or example of what it is for: `{refund: the customer wants money
            back}`; a list takes the labels for their descriptions.
        of: an expression for the text: `value.body`.
        into: put the label under this name, beside the value's other fields.
        model: an embedding model of `models:`, or "auto".
        least: the share below which the label is `other`.
        other: the label of what is near to none.

    Raises:
        InvalidInput: no text.
        Unavailable: the model cannot compute it now.

    """

    workers = 64

    def __init__(
        self,
        labels: dict[str, str] | tuple[str, ...],
        *,
        of: ValueExpression | None = None,
        into: str | None = None,
        model: str = "auto",
        least: Annotated[float, Field(ge=0, le=1)] = 0.0,
        other: str = "other",
    ) -> None:
        described = labels if isinstance(labels, dict) else {label: label for label in labels}
        if len(described) < 2:  # noqa: PLR2004 - one is no choice
            msg = f"found {len(described)} labels, expected at least two to choose from"
            raise ValueError(msg)
        self._labels = tuple(described)
        self._descriptions = tuple(described.values())
        self._field = WorkedField(of, into)
        self._into = into
        self._least = least
        self._other = other
        self._embed = Embed(model=model)
        self._vectors: NDArray[np.float32] | None = None

    async def open(self, context: Context) -> None:
        """Load the model, and embed the descriptions."""
        await self._embed.open(context)
        self._vectors = await self._embedded(self._descriptions, Item(None))

    async def __call__(self, item: Item[object]) -> PlainValue:
        """Label one text."""
        if self._vectors is None:
            raise Unavailable("classify is not open yet", retry_after_s=1.0)
        vector = (await self._embedded((self._field.text(item),), item))[0]
        weights = np.exp(_SHARPNESS * (self._vectors @ vector - 1.0))
        shares = weights / weights.sum()
        best = int(shares.argmax())
        label = self._labels[best] if shares[best] >= self._least else self._other
        placed = self._field.put(item, label)
        if self._into is not None and isinstance(placed, dict):
            placed[f"{self._into}_score"] = round(float(shares[best]), 4)
        return placed

    async def _embedded(self, texts: tuple[str, ...], item: Item[Any]) -> NDArray[np.float32]:
        asked: Item[Any] = Item(EmbeddingRequest(texts, most_tokens=0), priority=item.priority, deadline=item.deadline)
        found: Embeddings = await self._embed(asked)
        return found.vectors
