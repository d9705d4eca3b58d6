"""What answers' new token ids say, for all answers of an engine in one call of its tokenizer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

from inference.chat.generation import Ended, Generation, Piece, Token

News: TypeAlias = tuple[Generation, list[tuple[int, float]], Ended | Exception | None]
"""An answer, its new (id, logprob) pairs, and how it ends, if it does."""


class Decoder:
    """Makes pieces of news. keeps_marks: control tokens are shown (the marks of tool calls, in some models)."""

    def __init__(self, tokenizer: Any, stop_ids: frozenset[int]) -> None:
        """Decode with genai's Tokenizer; `stop_ids` end an answer and are no part of it."""
        self.tokenizer = tokenizer
        self.keeps_marks = False
        self._stop_ids = stop_ids
        self._ragged = _decodes_ragged(tokenizer)

    def pieces(self, news: Sequence[News]) -> list[tuple[Generation, Piece]]:
        """Return each answer's piece; what was produced is noted in it."""
        shown = [[id_ for id_, _ in fresh if id_ not in self._stop_ids] for _, fresh, _ in news]
        rows = [generation.detokenizer.rows(ids) for (generation, _, _), ids in zip(news, shown, strict=True)]
        flat = [row for answer in rows for row in answer]
        texts = iter(texts_of(self.tokenizer, flat, special=self.keeps_marks, ragged=self._ragged))
        pieces: list[tuple[Generation, Piece]] = []
        for (generation, fresh, end), ids, answer in zip(news, shown, rows, strict=True):
            added = generation.detokenizer.accept(ids, [next(texts) for _ in answer], last=end is not None)
            generation.produced += [id_ for id_, _ in fresh]
            pieces.append((generation, _piece(generation.index, fresh, self._stop_ids, added, end)))
        return pieces


def texts_of(tokenizer: Any, rows: Sequence[Sequence[int]], *, special: bool, ragged: bool) -> list[str]:
    """Decode lists of ids, in one call where the tokenizer's padding leaves no trace (`ragged`)."""
    filled = [list(row) for row in rows if row]
    if ragged and not special and len(filled) > 1:
        decoded = iter(tokenizer.decode(filled, skip_special_tokens=True))
    else:
        decoded = iter([tokenizer.decode(row, skip_special_tokens=not special) for row in filled])
    return [next(decoded) if row else "" for row in rows]


def _piece(
    index: int,
    fresh: Sequence[tuple[int, float]],
    stop_ids: frozenset[int],
    added: Sequence[str],
    end: Ended | Exception | None,
) -> Piece:
    """Give each token its text; a stop token has none. What is left is the rest of a character."""
    texts = list(added)
    tokens = [Token(id_, "" if id_ in stop_ids or not texts else texts.pop(0), logprob) for id_, logprob in fresh]
    if isinstance(end, Exception):
        return Piece(index, tokens, error=end)
    return Piece(index, tokens, ended=end, tail="".join(texts))


def _decodes_ragged(tokenizer: Any) -> bool:
    """Whether lists of different lengths decode together as they do alone."""
    rows = [[5], [5, 6, 7]]
    return bool(tokenizer.decode(rows) == [tokenizer.decode(row) for row in rows])
