"""Finds where a text may be cut: after sentences, else between words, inside a word only if it is very long."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

MAX_WORD_CHARS: Final = 1000
"""A run without white space longer than this (base64, a minified file) is no word: it is cut here and there."""

_ABBREVIATIONS: Final = frozenset(
    {
        "al",
        "approx",
        "art",
        "bsp",
        "bzw",
        "ca",
        "cf",
        "ch",
        "dept",
        "dr",
        "e.g",
        "ed",
        "eds",
        "eq",
        "eqs",
        "etc",
        "fig",
        "figs",
        "i.e",
        "inc",
        "jr",
        "ltd",
        "mr",
        "mrs",
        "ms",
        "mt",
        "no",
        "nos",
        "nr",
        "p",
        "pp",
        "prof",
        "resp",
        "sec",
        "sect",
        "sr",
        "st",
        "tab",
        "usw",
        "u.a",
        "v",
        "vgl",
        "vol",
        "vs",
        "z.b",
    }
)
_CJK: Final = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uff66-\uff9f"
_END: Final = re.compile(r"[.!?…]+[\"'”’»)\]]*(?=\s)|[。！？]+[」』”）]*")
_WORD: Final = re.compile(rf"\s*(?:[{_CJK}]|[^\s{_CJK}]+)")
_OPENS: Final = re.compile(r"\s*[\"'“‘«(\[]*[^\Wa-z_]")


def sentences(text: str) -> Iterator[str]:
    """Yield the sentences of a text; their concatenation is the text. Line ends end a sentence, too."""
    start = 0
    for match in re.finditer(rf"{_END.pattern}|\n+", text):
        if text[match.start()] != "\n" and not _ends(text, match.start(), match.end()):
            continue
        if text[start : match.end()].strip():
            yield text[start : match.end()]
            start = match.end()
    if start < len(text):
        yield text[start:]


def words(text: str) -> Iterator[str]:
    """Yield the words of a text, each with the white space before it; where there are no spaces (CJK), its characters.

    Their concatenation is the text without its trailing white space.
    """
    for match in _WORD.finditer(text):
        word = match[0]
        for start in range(0, len(word), MAX_WORD_CHARS):
            yield word[start : start + MAX_WORD_CHARS]


def _ends(text: str, stop: int, after: int) -> bool:
    """Whether a full stop ends a sentence: a capital, digit or other script follows, and it abbreviates nothing."""
    if text[stop] in "。！？":
        return True
    if not _OPENS.match(text, after):
        return False
    if text[stop] != "." or text[stop : stop + 2] == "..":
        return True
    before = text[max(0, stop - 12) : stop].split()
    last = before[-1].lstrip("(\"'“").lower() if before else ""
    return not (last in _ABBREVIATIONS or (len(last) == 1 and last.isalpha()) or _is_enumeration(text, stop, last))


def _is_enumeration(text: str, stop: int, last: str) -> bool:
    """Whether the stop belongs to a number at the start of a line: `1. First`."""
    return last.isdigit() and not text[:stop].rstrip("0123456789").strip()
