"""Cuts a growing text into sentences: each is spoken while the next is written."""

from __future__ import annotations

from typing import Final

from fastembed.operators.chunking.sentences import sentences

_SHORTEST: Final = 8
"""Letters: a shorter sentence is spoken together with the next, which a voice does better."""


class SentenceCutter:
    """One text. What it returns, joined, is the text."""

    def __init__(self) -> None:
        self._rest = ""

    def push(self, text: str) -> list[str]:
        """Add text; return the sentences that are complete now."""
        self._rest += text
        if not text.strip() and "\n" not in text:
            return []
        found, whole, kept = list(sentences(self._rest)), [], ""
        for sentence in found[:-1]:  # the last one may go on
            kept += sentence
            if len(kept.strip()) >= _SHORTEST:
                whole.append(kept)
                kept = ""
        self._rest = kept + (found[-1] if found else self._rest)
        return whole

    def finish(self) -> list[str]:
        """Return what is left."""
        rest, self._rest = self._rest, ""
        return [rest] if rest.strip() else []
