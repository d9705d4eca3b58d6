"""Make a request to an embedding model of what a path of one's own takes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal

from pydantic import Field

from fastembed.pipeline.component import operator
from fastembed.pipeline.config.option_types import ValueExpression
from fastembed.pipeline.errors import InvalidInput, TooLarge
from fastembed.pipeline.item import Item
from fastembed.pipeline.payload.embedding import EmbeddingRequest

MAX_TEXTS: Final = 2048


@operator
class ToEmbedding:
    """Make a request for the vectors of a text, or of a list of texts.

    In: text, a list of texts, or what `of` makes one of those of; of a mapping without `of`, its field `input`,
    `texts` or `text`. Out: `EmbeddingRequest`, for `embed`.

    Args:
        of: an expression for the text or the texts: `value.titles`.
        model: a name of `models:`; by default what `embed` says.
        purpose: the model's own prompt for it goes before each text.
        dimensions: of a vector: the first so many values are kept, and made of length 1 again.

    Raises:
        InvalidInput: no text; the message says what was found.
        TooLarge: more than 2048 texts.

    """

    def __init__(
        self,
        of: ValueExpression | None = None,
        *,
        model: str = "auto",
        purpose: Literal["query", "document"] | None = None,
        dimensions: Annotated[int, Field(ge=1)] | None = None,
    ) -> None:
        self._of = of
        self._model = model
        self._purpose = purpose
        self._dimensions = dimensions

    def __call__(self, item: Item[str | list[Any] | dict[str, Any]]) -> EmbeddingRequest:
        """Make one request; runs on the event loop."""
        found: Any = item.value if self._of is None else self._of.evaluate(item)
        if isinstance(found, Mapping):
            found = next((found[name] for name in ("input", "texts", "text") if name in found), None)
        texts = [found] if isinstance(found, str) else found
        if not isinstance(texts, list) or not texts:
            raise InvalidInput(f"found {type(found).__name__}, expected text, or a list of texts")
        if len(texts) > MAX_TEXTS:
            raise TooLarge(f"found {len(texts)} texts, expected at most {MAX_TEXTS}")
        if wrong := next((text for text in texts if not isinstance(text, str)), None):
            raise InvalidInput(f"found {type(wrong).__name__} among the texts, expected texts only")
        return EmbeddingRequest(texts, self._model, self._dimensions, purpose=self._purpose)
