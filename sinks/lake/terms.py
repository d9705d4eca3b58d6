"""Words for BM25: the same for the chunks that are written and for the query, in any script.

Words are Unicode letters and digits, case folded (`Straße` = `STRASSE`), without Latin, Greek and Cyrillic accents
(`résumé` = `resume`). Scripts that put no spaces between words (Chinese, Japanese, Thai, Lao, Khmer, Burmese), and
Korean with its glued particles, become overlapping pairs of characters, as Lucene's CJK analyzer makes them. No
stemming and no stop words: they would have to know the language; BM25 weighs common words down by itself.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final
from zlib import crc32

MAX_TERM_CHARS: Final = 64

# Vowel signs and other marks inside words, which `\w` leaves out: Hebrew, Arabic, Indic to Tibetan, Burmese, Khmer.
_MARKS: Final = (
    "\u0591-\u05c7\u0610-\u061a\u064b-\u065f\u0670\u0900-\u0963\u0966-\u0dff\u0e00-\u0fff\u1000-\u109f\u1780-\u17ff"
)
_WORD: Final = re.compile(rf"(?:[^\W_]|[{_MARKS}])+")
_ASCII_WORD: Final = re.compile(r"[a-z0-9]+")
_ACCENTS: Final = re.compile("[\u0300-\u036f]")
_UNSPACED: Final = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1100-\u11ff\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff"
    "\U00020000-\U0003ffff]+"
)


def words(text: str) -> list[str]:
    """Return the terms of `text` in order, repeated as they are."""
    if text.isascii():
        return [word[:MAX_TERM_CHARS] for word in _ASCII_WORD.findall(text.lower())]
    folded = unicodedata.normalize("NFKD", text).casefold()
    folded = unicodedata.normalize("NFC", _ACCENTS.sub("", folded))
    found: list[str] = []
    for word in _WORD.findall(folded):
        _split(word, found)
    return found


def term_key(word: str) -> int:
    """Return the 32-bit key that stands for a term in the index.

    Half the bytes to read of a 64-bit one; among a million different words, 1 in 4300 shares its key with another, and
    then the words weigh as one.
    """
    return crc32(word.encode("utf-8", "replace"))


def _split(word: str, found: list[str]) -> None:
    """Add a word, its unspaced runs as pairs of characters."""
    at = 0
    for run in _UNSPACED.finditer(word):
        if run.start() > at:
            found.append(word[at : run.start()][:MAX_TERM_CHARS])
        characters = run[0]
        if len(characters) == 1:
            found.append(characters)
        else:
            found.extend(characters[i : i + 2] for i in range(len(characters) - 1))
        at = run.end()
    if at < len(word):
        found.append(word[at:][:MAX_TERM_CHARS])
