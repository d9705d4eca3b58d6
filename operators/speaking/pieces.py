"""Cuts a text into what a voice speaks in one go: sentences, long ones in parts, the beginning short."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain, repeat
from typing import Final

from fastembed.operators.chunking.sentences import sentences

_MOST: Final = 160
"""Letters: ten seconds of speech, three of work on two cores. A voice's context holds three times as many."""
_QUICK: Final = (24, 40, 80)
"""Letters of the first pieces where sound is waited for: each is spoken while the one before it is heard."""
_MARKS: Final = re.compile(r"[,;:—–][\"'”’)]*(?=\s)|\s[—–-](?=\s)|[.!?…][\"'”’)]*(?=\s)")
_LINKS: Final = re.compile(
    r"\s(?=(?:and|or|but|because|that|which|who|when|where|while|if|as|than|in|on|at|of|to|for|from|with|by|into|is|are"
    r"|was|were|has|have|had|will|would|can|could|should|must)\s)",
    re.IGNORECASE,
)
_SPACES: Final = re.compile(r"\s")
_LEAST: Final = 5
_WORD: Final = re.compile(r"\w")

SENTENCE_PAUSE_S: Final = 0.3
CLAUSE_PAUSE_S: Final = 0.12
WORD_PAUSE_S: Final = 0.03


@dataclass(frozen=True, slots=True)
class Piece:
    """What is spoken in one go. pause_s: the silence behind it."""

    text: str
    pause_s: float


def pieces(text: str, *, quick: bool = False, most: int = _MOST) -> Iterator[Piece]:
    """Yield the pieces of a text, in order; those without a letter or digit are left out.

    quick: someone waits for the sound, so the first ones are short. most: letters of the longest.
    """
    limits = chain(_QUICK if quick else (), repeat(most))
    limit = next(limits)
    for sentence in sentences(text):
        rest = " ".join(sentence.split())
        while rest:
            place = len(rest) if len(rest) <= _room(limit, most) else _cut(rest, limit)
            part, rest = rest[:place].strip(), rest[place:].strip()
            if _WORD.search(part):
                yield Piece(part, _pause(part, rest))
                limit = next(limits)


def _room(limit: int, most: int) -> int:
    """Return how long a sentence may be to stay whole: a rest of few letters is not worth a cut."""
    return limit if limit >= most else limit + limit // 2


def _cut(text: str, limit: int) -> int:
    """Return where to cut: behind a mark, else before a word that links, else between words, else anywhere."""
    head = text[: limit + 1]
    for kind in (_MARKS, _LINKS, _SPACES):
        found = [match.end() for match in kind.finditer(head) if _LEAST <= match.end() <= limit]
        if found:
            return found[-1]
    if place := next((match.end() for match in _SPACES.finditer(head)), 0):
        return place
    return limit


def _pause(part: str, rest: str) -> float:
    if not rest:
        return SENTENCE_PAUSE_S
    return CLAUSE_PAUSE_S if not part[-1].isalnum() else WORD_PAUSE_S
