"""Token ids become text as they come, never half a character.

A token may hold part of a character, and what a token looks like depends on those before it (a leading blank). So a
short window is decoded twice, without and with the new ids, and the difference is what the new ids add. A result that
ends in U+FFFD waits for the rest of its character. The decoding itself belongs to the caller, who does it for many
answers at once.
"""

from __future__ import annotations

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
