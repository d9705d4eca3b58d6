"""Inputs on their way into an embedding model: as ids, and measured."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final, overload

from fastembed.pipeline.errors import InvalidInput
from fastembed.pipeline.payload.embedding import EmbeddingInput

MAX_INPUTS: Final = 2048
_CHARS_PER_TOKEN: Final = 4


class Tokens(list[int]):
    """One input as its model sees it: ids with special tokens, within the window and the vocabulary.

    model: whose ids they are. dropped: how many did not fit and were left out.
    """

    __slots__ = ("dropped", "model")

    def __init__(self, ids: Iterable[int], model: str, dropped: int = 0) -> None:
        super().__init__(ids)
        self.model = model
        self.dropped = dropped


_USUAL: Final = frozenset({str, list, Tokens})


class Analyzed(Sequence[EmbeddingInput]):
    """Inputs that were checked and measured: `Tokens` of `model` if `exact`, else as they came.

    source: as they came. estimated_tokens: of all inputs together.
    """

    __slots__ = ("_inputs", "estimated_tokens", "exact", "model", "source")

    def __init__(self, source: Sequence[EmbeddingInput], tokens: list[Tokens] | None, model: str | None) -> None:
        self.source = source
        self.exact = tokens is not None
        self.model = model
        self._inputs: Sequence[EmbeddingInput] = source if tokens is None else tokens
        self.estimated_tokens = sum(map(_estimate, source)) if tokens is None else sum(map(len, tokens))

    def for_model(self, model: str) -> Sequence[EmbeddingInput]:
        """Return the ids if they are this model's, else the inputs as they came."""
        return self._inputs if self.model == model else self.source

    def __len__(self) -> int:
        return len(self._inputs)

    def __iter__(self) -> Iterator[EmbeddingInput]:
        return iter(self._inputs)

    @overload
    def __getitem__(self, index: int) -> EmbeddingInput: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[EmbeddingInput]: ...
    def __getitem__(self, index: int | slice) -> EmbeddingInput | Sequence[EmbeddingInput]:
        return self._inputs[index]


def check_inputs(inputs: Sequence[EmbeddingInput]) -> None:
    """Check what no tokenizer is needed for. InvalidInput names the place, what was found and what was expected."""
    if isinstance(inputs, str):
        raise InvalidInput("found one text as the list of inputs, expected a list of texts", param="input")
    if not inputs:
        raise InvalidInput("found an empty list of inputs, expected at least one", param="input")
    if len(inputs) > MAX_INPUTS:
        raise InvalidInput(f"found {len(inputs)} inputs, expected at most {MAX_INPUTS}", param="input")
    for place, value in enumerate(inputs):
        if value and type(value) in _USUAL:
            continue
        if not isinstance(value, Sequence) or isinstance(value, bytes | bytearray):
            raise InvalidInput(
                f"found {type(value).__name__} in input[{place}], expected a text or a list of token ids", param="input"
            )
        if not value:
            what = "text" if isinstance(value, str) else "list of token ids"
            raise InvalidInput(f"found an empty {what} in input[{place}], expected at least one", param="input")


def check_ids(ids: Sequence[Any], place: int, vocabulary: int, model: str) -> None:
    """Check a caller's own token ids; callers send anything, hence Any."""
    if set(map(type, ids)) == {int} and min(ids) >= 0 and max(ids) < vocabulary:
        return
    if not vocabulary:
        raise InvalidInput(f"found token ids in input[{place}], expected a text: {model} takes no ids", param="input")
    wrong = next(token for token in ids if type(token) is not int or not 0 <= token < vocabulary)
    raise InvalidInput(
        f"found token id {wrong!r:.40} in input[{place}], expected whole numbers of 0 to {vocabulary - 1}, "
        f"the vocabulary of {model}",
        param="input",
    )


def foreign_ids(place: int, model: str) -> InvalidInput:
    """Return the error for token ids without the name of their tokenizer."""
    return InvalidInput(
        f"found token ids in input[{place}] that may be another tokenizer's, expected text: LangChain sends text with "
        f"check_embedding_ctx_length=False; send ids of {model} as /tokenize gives them, or with token_ids: true",
        param="input",
        code="unknown_tokenizer",
    )


def _estimate(value: EmbeddingInput) -> int:
    return max(1, len(value) // _CHARS_PER_TOKEN) if isinstance(value, str) else len(value)
