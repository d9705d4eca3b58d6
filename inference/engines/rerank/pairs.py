"""A query and its documents on their way into a cross-encoder: checked, then as pairs of token ids."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from fastembed.inference.engines.encoder.engine import Pair
from fastembed.pipeline.errors import InvalidInput, ModelNotFound

MAX_DOCUMENTS: Final = 1000


@dataclass(frozen=True, slots=True)
class Pairs:
    """One pair a document, in their order. truncated: documents whose ends were left out."""

    rows: list[Pair]
    truncated: int


def check(query: str, documents: Sequence[str]) -> None:
    """Check what no tokenizer is needed for. InvalidInput names the place, what was found and what was expected."""
    if not isinstance(query, str) or not query.strip():
        raise InvalidInput(f"found {_shown(query)} as the query, expected some words", param="query")
    if isinstance(documents, str) or not isinstance(documents, Sequence) or not documents:
        raise InvalidInput(f"found {_shown(documents)}, expected a list of texts", param="documents")
    if len(documents) > MAX_DOCUMENTS:
        raise InvalidInput(f"found {len(documents)} documents, expected at most {MAX_DOCUMENTS}", param="documents")
    for place, document in enumerate(documents):
        if not isinstance(document, str) or not document:
            raise InvalidInput(f"found {_shown(document)} in documents[{place}], expected text", param="documents")


class PairTokenizer:
    """A folder's `tokenizer.json`. Pairs are cut to the window at the document's end."""

    def __init__(self, folder: Path, window: int) -> None:
        """Load the file. ModelNotFound if it is not there."""
        import tokenizers

        file = folder / "tokenizer.json"
        if not file.is_file():
            raise ModelNotFound(f"found no tokenizer.json in {folder}, expected one: a reranker reads pairs of texts")
        self._tokenizer = tokenizers.Tokenizer.from_file(str(file))
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()
        self._window = window
        probe = self._tokenizer.encode("a", "a").special_tokens_mask
        self._endings = next(count for count, special in enumerate(reversed(probe)) if not special)

    def encode(self, query: str, documents: Sequence[str], model: str) -> Pairs:
        """Return the pairs. InvalidInput: the query takes more than half of the window."""
        length, most = len(self._tokenizer.encode(query, add_special_tokens=False).ids), self._window // 2
        if length > most:
            raise InvalidInput(
                f"found {length} tokens in the query, expected at most {most}, half of {model}'s window",
                param="query",
                code="context_length_exceeded",
            )
        encoded = self._tokenizer.encode_batch_fast([(query, document) for document in documents])
        rows = [Pair(self._cut(encoding.ids), self._cut(encoding.type_ids)) for encoding in encoded]
        return Pairs(rows, sum(1 for encoding in encoded if len(encoding.ids) > self._window))

    def _cut(self, values: list[int]) -> list[int]:
        """Shorten to the window; the special tokens at the end stay."""
        if len(values) <= self._window:
            return values
        kept = self._window - self._endings
        return values[:kept] + values[len(values) - self._endings :]


def _shown(found: object) -> str:
    if isinstance(found, str):
        return "an empty text" if not found.strip() else "a text"
    return "an empty list" if isinstance(found, list | tuple) and not found else type(found).__name__
