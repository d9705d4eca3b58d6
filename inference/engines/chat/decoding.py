"""What answers' new token ids say, for all answers of an engine in one call of its tokenizer."""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from typing import Any, Final, TypeAlias

from fastembed.inference.engines.chat.generation import Ended, GeneratedPiece, Generation, Token

News: TypeAlias = tuple[Generation, list[tuple[int, float]], Ended | Exception | None]
"""An answer, its new (id, logprob) pairs, and how it ends, if it does."""

MARKED: Final = re.compile(rb"^[<\[]\S+[>\]]$")
"""Tokens that look like marks; those that decoding skips are control tokens."""
_SAMPLE: Final = 300


class Decoder:
    """Makes pieces of news. keeps_marks: control tokens are shown (the marks of tool calls, in some models)."""

    def __init__(self, tokenizer: Any, stop_ids: frozenset[int]) -> None:
        """Decode with genai's Tokenizer; `stop_ids` end an answer and are no part of it."""
        self.tokenizer = tokenizer
        self.keeps_marks = False
        self.stop_ids = stop_ids
        self._ragged = _decodes_ragged(tokenizer)
        self._bytes = _bytes_of_tokens(tokenizer)

    def pieces(self, news: Sequence[News]) -> list[tuple[Generation, GeneratedPiece]]:
        """Return each answer's piece; what was produced is noted in it."""
        shown = [[id_ for id_, _ in fresh if id_ not in self.stop_ids] for _, fresh, _ in news]
        by_bytes = self._bytes is not None and not self.keeps_marks
        added = self._by_bytes(news, shown) if by_bytes else self._by_windows(news, shown)
        pieces: list[tuple[Generation, GeneratedPiece]] = []
        for (generation, fresh, end), texts in zip(news, added, strict=True):
            generation.produced += [id_ for id_, _ in fresh]
            pieces.append((generation, _piece(generation.index, fresh, self.stop_ids, texts, end)))
        return pieces

    def carried(self, generation: Generation) -> str:
        """Return what an answer that goes on had said, to stand behind its prompt where that is a text."""
        return str(self.tokenizer.decode(generation.carried)) if generation.carried else ""

    def _by_bytes(self, news: Sequence[News], shown: Sequence[Sequence[int]]) -> list[list[str]]:
        table = self._bytes or {}
        return [
            generation.bytes.accept([table.get(id_, b"") for id_ in ids], last=end is not None)
            for (generation, _, end), ids in zip(news, shown, strict=True)
        ]

    def _by_windows(self, news: Sequence[News], shown: Sequence[Sequence[int]]) -> list[list[str]]:
        rows = [generation.window.rows(ids) for (generation, _, _), ids in zip(news, shown, strict=True)]
        flat = [row for answer in rows for row in answer]
        texts = iter(texts_of(self.tokenizer, flat, special=self.keeps_marks, ragged=self._ragged))
        return [
            generation.window.accept(ids, [next(texts) for _ in answer], last=end is not None)
            for (generation, _, end), ids, answer in zip(news, shown, rows, strict=True)
        ]


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
) -> GeneratedPiece:
    """Give each token its text; a stop token has none. What is left is the rest of a character."""
    texts = list(added)
    tokens = [Token(id_, "" if id_ in stop_ids or not texts else texts.pop(0), logprob) for id_, logprob in fresh]
    if isinstance(end, Exception):
        return GeneratedPiece(index, tokens, error=end)
    return GeneratedPiece(index, tokens, ended=end, tail="".join(texts))


def _decodes_ragged(tokenizer: Any) -> bool:
    """Whether lists of different lengths decode together as they do alone."""
    rows = [[5], [5, 6, 7]]
    return bool(tokenizer.decode(rows) == [tokenizer.decode(row) for row in rows])


def _bytes_of_tokens(tokenizer: Any) -> dict[int, bytes] | None:
    """Return each id's bytes where decoding is nothing but joining them, as a few hundred random pairs must show."""
    table = {int(id_): bytes(token) for token, id_ in tokenizer.get_vocab().items()}
    control = [id_ for id_, token in table.items() if MARKED.match(token)]
    for id_, text in zip(
        control, texts_of(tokenizer, [[id_] for id_ in control], special=False, ragged=True), strict=True
    ):
        if not text:
            del table[id_]
    if not table:
        return None
    pick, ids = random.Random(0), sorted(table)  # noqa: S311 - a sample
    pairs = [(pick.choice(ids), pick.choice(ids)) for _ in range(_SAMPLE)]
    expected = {pair: table[pair[0]] + table[pair[1]] for pair in pairs}
    whole = [pair for pair in pairs if _is_text(expected[pair])]
    decoded = [tokenizer.decode(list(pair), skip_special_tokens=True) for pair in whole]
    joins = all(text == expected[pair].decode() for pair, text in zip(whole, decoded, strict=True))
    return table if joins and whole else None


def _is_text(value: bytes) -> bool:
    try:
        value.decode()
    except UnicodeDecodeError:
        return False
    return True
