"""Token ids become text as they come, never half a character.

Where tokens are plain pieces of UTF-8 (byte-level BPE: most models), a table and an incremental decoder will do, which
takes a microsecond a token: `BytesDetokenizer`. Elsewhere `Detokenizer`: a token may hold part of a character, and what
it looks like depends on those before it (a leading blank). So a short window is decoded twice, without and with the new
ids, and the difference is what the new ids add. A result that ends in U+FFFD waits for the rest of its character. The
decoding itself belongs to the caller, who does it for many answers at once.
"""

from __future__ import annotations

import codecs
from collections.abc import Sequence
from typing import Final

_INCOMPLETE: Final = "\N{REPLACEMENT CHARACTER}"
_LONGEST_CHARACTER: Final = 8
"""Tokens that a character may take (four bytes, and some byte-fallback marks): then U+FFFD is what the model wrote."""


class Detokenizer:
    """The window of one answer: `rows(new)` says what to decode, `accept(new, texts)` what each id adds."""

    __slots__ = ("_ids", "_shown")

    def __init__(self) -> None:
        """Start before the first id."""
        self._ids: list[int] = []
        self._shown = 0

    @property
    def pending(self) -> bool:
        """Whether ids wait for the rest of their character."""
        return len(self._ids) > self._shown

    def rows(self, new: Sequence[int]) -> list[list[int]]:
        """Return the id lists to decode: what is shown of the window, then with each of the new ids."""
        rows = [self._ids[: self._shown]]
        window = self._ids
        for one in new:
            window = [*window, one]
            rows.append(window)
        return rows if new else [*rows, window]

    def accept(self, new: Sequence[int], texts: Sequence[str], *, last: bool = False) -> list[str]:
        """Return the text that each new id adds, given the texts of `rows`; one text when there are no new ids.

        last: nothing follows, so what is incomplete is shown as it is.
        """
        shown, added, start = texts[0], [], self._shown
        for place, text in enumerate(texts[1:], 1):
            if place <= len(new):
                self._ids.append(new[place - 1])
            waits = text.endswith(_INCOMPLETE) and len(self._ids) - self._shown < _LONGEST_CHARACTER
            if waits and not (last and place == len(texts) - 1):
                added.append("")
                continue
            added.append(text[len(shown) :])
            shown, self._shown = text, len(self._ids)
        if self._shown > start:  # the next window starts with what is shown by now, without what was before
            self._ids, self._shown = self._ids[start:], self._shown - start
        return added


class BytesDetokenizer:
    """One answer's bytes on their way to text."""

    __slots__ = ("_decoder",)

    def __init__(self) -> None:
        """Start before the first byte."""
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def accept(self, pieces: Sequence[bytes], *, last: bool = False) -> list[str]:
        """Return the text that each token's bytes add, and with `last` one more: what was incomplete."""
        added = [self._decoder.decode(piece) for piece in pieces]
        return [*added, self._decoder.decode(b"", final=True)] if last else added
