"""Which words of a growing transcript will stay: LocalAgreement-2 (Liu, Spanakis, Niehues 2020; Macháček et al. 2023).

Every pass over a growing utterance may revise the one before. A word is published once two passes in a row agree on it
and on everything before it; it is never taken back, so what is published only grows. The last word of a pass may be
half a word and is held until another follows it. When two passes, or the final one, contradict what was published, the
published words stay, and theirs follow from where the two align best, with the rest of a word that has grown (cold,
cold-hearted). So deltas only add, and may differ from the transcript, which is the final pass's own text, in a word.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Final

_UNIT: Final = re.compile(
    r"\s*(?:[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\u0e00-\u0e7f]|[^\s\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\u0e00-\u0e7f]+)"
)
_BARE: Final = re.compile(r"[\W_]+")
_MARKS: Final = ".,;:!?…。、"


def split_units(text: str) -> list[str]:
    """Return words with the space before them; scripts without spaces by the character. They concatenate to `text`."""
    return _UNIT.findall(text.strip())


def joined(texts: Iterable[str]) -> str:
    """Join transcripts that follow each other, with a space where their script has one."""
    whole = ""
    for text in filter(None, texts):
        spaced = whole and _spaced(_UNIT.findall(text)[0])
        whole += f" {text}" if spaced else text
    return whole


class Agreement:
    """One utterance's transcript as published so far."""

    __slots__ = ("_last", "finished", "published")

    def __init__(self) -> None:
        """Nothing is published."""
        self.published: list[str] = []
        self._last: list[str] = []
        self.finished = False

    @property
    def text(self) -> str:
        """Everything published: the concatenation of all deltas."""
        return "".join(self.published)

    def revise(self, text: str, unsettled: int = 1) -> str:
        """Take a pass over the utterance so far; return the words that are now certain ("" if none).

        unsettled: how many of its last words are not to be trusted yet, whatever was agreed.
        """
        # Two numbers in units of this pass: `agreed`, up to where it and the one before say the same; `at`, up to where
        # it covers what is published. What lies between them is certain and new. A pass that contradicts what was
        # published moves `at` by alignment, so that the words behind it are neither said twice nor left out.
        if self.finished:
            return ""
        units = split_units(text)
        agreed = _common_prefix(self._last, units)
        self._last = units
        at = _continuation(self.published, units)
        stable = min(agreed, len(units) - unsettled)
        if stable <= at:
            return ""
        rest = _grown(self.published[-1], units[at - 1]) if self.published and at else None
        return self._extend(rest or "") + self._publish(units[at:stable])

    def finish(self, text: str) -> str:
        """Take the last pass; return what is yet to be published of it. What comes later is ignored."""
        self.finished = True
        units = split_units(text)
        at = _continuation(self.published, units)
        rest = _grown(self.published[-1], units[at - 1]) if self.published and at else None
        return self._extend(rest or "") + self._publish(units[at:])

    def _extend(self, rest: str) -> str:
        """Add the rest of the last word."""
        if rest:
            self.published[-1] += rest
        return rest

    def _publish(self, units: list[str]) -> str:
        if not units:
            return ""
        if not self.published:
            units = [units[0].lstrip(), *units[1:]]
        elif not units[0][0].isspace() and _spaced(units[0]):
            units = [" " + units[0], *units[1:]]
        self.published += units
        return "".join(units)


def _spaced(unit: str) -> bool:
    """Whether the unit is of a script that puts spaces between words."""
    return len(unit) > 1 or unit.isascii()


@lru_cache(maxsize=4096)  # each pass over an utterance has most words of the last one, and aligns them all
def _key(unit: str) -> str:
    """Compare words, not their case and punctuation, which whisper revises until the end."""
    return bare(unit) or unit.strip()


def bare(text: str) -> str:
    """Return the letters and digits of a text, in lower case."""
    return _BARE.sub("", text).casefold()


def _common_prefix(left: list[str], right: list[str]) -> int:
    count = 0
    for a, b in zip(left, right, strict=False):
        if _key(a) != _key(b):
            break
        count += 1
    return count


def _grown(published: str, unit: str) -> str | None:
    """Return what a word has more than it was published with (`-hearted`, `'t`, a comma); None: it is another word."""
    before, now = published.strip(), unit.strip()
    for known in (before, before.rstrip(_MARKS)):
        if known and now.casefold().startswith(known.casefold()):
            return now[len(known) :]
    return "" if _key(published) == _key(unit) else None


def _continuation(published: list[str], final: list[str]) -> int:
    """Return where in `final` the words go on behind `published`: the end of their best alignment (edit distance).

    Of equally good ends the one at which the last words are the same, so that none is said twice; then the one nearest
    to as many words as were published.
    """
    # One row of the edit distance table at a time, of the whole published text against every prefix of the new one. The
    # cost is quadratic: measured 11 ms for 80 words, which is the most that 28 s of speech have.
    if not published:
        return 0
    row: list[float] = [float(j) for j in range(len(final) + 1)]
    for i, a in enumerate(published, 1):
        diagonal, row[0] = row[0], float(i)
        for j, b in enumerate(final, 1):
            diagonal, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, diagonal + _difference(a, b))
    last = published[-1]

    def preference(end: int) -> tuple[float, float, int]:
        differs = _difference(last, final[end - 1]) if end else 1.0
        return row[end], differs, abs(end - len(published))

    return min(range(len(final) + 1), key=preference)


def _difference(published: str, unit: str) -> float:
    """Return 0 for the same word, a half for one that has grown, 1 for another."""
    known, now = _key(published), _key(unit)
    if known == now:
        return 0.0
    # Almost all pairs differ in the first letter, and a word that has grown does not.
    if known[0] != now[0] and known[0].isalnum():
        return 1.0
    return 0.5 if _grown(published, unit) else 1.0
