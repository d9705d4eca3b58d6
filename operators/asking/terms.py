"""The words of a question that say what it asks for, and whether a text has them."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping
from typing import Final

_WORD: Final = re.compile(r"[^\W_]+(?:[.,:][^\W_]+)*")
_LEAST_STEM: Final = 4
_COMMON_PREFIX: Final = 5
_SUFFIXES: Final = ("ingly", "ations", "ation", "ments", "ment", "ings", "ing", "edly", "ies", "ers", "er", "ed", "es")
_MORE_SUFFIXES: Final = ("ly", "en", "s", "e", "n")
COMMON: Final = frozenset(
    """a about after all also am an and any are as at be been before being between both but by can could did do does
    doing done during each every for from further get give given had has have having he her here him his how i if in
    into is it its itself just kind let many me more most much must my name named no nor not of off often on one only
    or other our out over own per please say says same shall she should so some such tell than that the their them
    then there these they this those through to too under until up upon us was we were what when where which while
    who whom whose why will with would you your far big large small happen happens
    happened happening mean means meant going go goes went gone take takes taking took taken right kind sort type
    called exactly usually currently now still
    der die das und oder in im ist sind war was wer wie wo wann warum welche welcher welches ein eine einen einem von
    mit für auf zu zum zur den dem des es er sie wird werden hat haben nicht als an bei aus nach viel viele
    le la les un une des du de et ou est sont qui que quoi quel quelle quels quelles où quand comment pourquoi combien
    dans sur pour par avec au aux""".split()  # noqa: SIM905 - a list of words
)


def words_of(text: str) -> list[str]:
    """Return the words of a text in lower case, without accents; numbers as they are written."""
    folded = unicodedata.normalize("NFKD", text).casefold()
    plain = "".join(letter for letter in folded if not unicodedata.combining(letter))
    return _WORD.findall(plain)


def content_words(text: str) -> list[str]:
    """Return the words that say something, each once."""
    found = [word for word in dict.fromkeys(words_of(text)) if word not in COMMON and (len(word) > 1 or word.isdigit())]
    return found or list(dict.fromkeys(words_of(text)))


def stem(word: str) -> str:
    """Return what the forms of a word have in common, roughly: English suffixes are cut off."""
    if any(letter.isdigit() for letter in word):
        return word.strip(".,:")
    for suffixes in (_SUFFIXES, _MORE_SUFFIXES):
        for suffix in suffixes:
            if word.endswith(suffix) and len(word) - len(suffix) >= _LEAST_STEM - 1:
                return word[: -len(suffix)]
    return word


def same(one: str, other: str) -> bool:
    """Whether two stems are of one word, or of words of one family (`calibrat`, `calibre`)."""
    if one == other:
        return True
    if one[:1].isdigit() or other[:1].isdigit():
        return False
    shorter, longer = sorted((one, other), key=len)
    return len(shorter) >= _COMMON_PREFIX and longer.startswith(shorter[: max(_COMMON_PREFIX, len(shorter) - 1)])


def stems(text: str) -> frozenset[str]:
    """Return the stems of a text's words."""
    return frozenset(stem(word) for word in words_of(text))


def has_word(word: str, found: Iterable[str]) -> bool:
    """Whether one of the stems is of this word."""
    wanted = stem(word)
    return any(same(wanted, other) for other in found)


def coverage(words: Iterable[str], weights: Mapping[str, float], found: frozenset[str]) -> float:
    """Return which share of the words, by weight, is among the stems."""
    listed = list(words)
    total = sum(weights.get(word, 1.0) for word in listed)
    return sum(weights.get(word, 1.0) for word in listed if has_word(word, found)) / total if total else 0.0


def numbers(text: str) -> frozenset[str]:
    """Return the numbers of a text as they are written."""
    return frozenset(word.strip(".,:") for word in words_of(text) if any(letter.isdigit() for letter in word))
