"""Right-to-left text: from the order in which it stands on the page to the order in which it is read.

PDF files hold glyphs at places, so what is certain is the visual order. The logical one follows by the implicit part of
the Unicode bidirectional algorithm (UAX #9, rules W and N), applied to the visual order: reordering what was reordered
gives back the text, except where two texts look the same.
"""

# ruff: noqa: PLR2004 - code points of scripts

import itertools
import unicodedata
from collections.abc import Iterable, Sequence

FIRST_RIGHT_TO_LEFT = 0x590
"""The first code point of Hebrew: nothing before it is written from right to left."""
_FINAL = frozenset("םןץףךةىےں")
"""Letters that only end words: the final forms of Hebrew, teh marbuta and alef maksura, yeh barree and noon ghunna."""
_ARTICLE = "ال"
_AFFIXES = (("می", True), ("های", False), ("ها", False))
"""Persian syllables that start (true) or end words."""
_OPENING, _CLOSING = "([{«", ")]}»"
_TURNED = str.maketrans(_OPENING + _CLOSING, _CLOSING + _OPENING)
_STRONG = {"L", "R", "AL"}
_RESOLVED = {"L", "R", "EN", "AN"}


def is_right_to_left(code: int) -> bool:
    """Whether a code point is of a script written from right to left, or a presentation form of one."""
    return FIRST_RIGHT_TO_LEFT <= code <= 0x8FF or 0xFB1D <= code <= 0xFDFF or 0xFE70 <= code <= 0xFEFC


def letter_counts(texts: Iterable[str]) -> tuple[int, int]:
    """Return how many letters run from right to left, and how many from left to right."""
    right = left = 0
    for c in itertools.chain.from_iterable(texts):
        if c.isalpha():
            if is_right_to_left(ord(c)):
                right += 1
            else:
                left += 1
    return right, left


def stands_in_reading_order(words: Iterable[str]) -> bool:
    """Whether a page's words, each from left to right, already read so: some makers draw the letters unturned.

    Letters and syllables that only start or only end words tell.
    """
    return sum(_sense(word) - _sense(word[::-1]) for word in words) > 0


def _sense(word: str) -> int:
    word = word.strip(".,:;!?()[]{}\"'،؛؟«»-–")
    if len(word) < 2 or not is_right_to_left(ord(word[0])):  # one letter has no order
        return 0
    score = (word[-1] in _FINAL) - (word[0] in _FINAL) + word.startswith(_ARTICLE)
    return score + sum(word.startswith(a) if first else word.endswith(a) for a, first in _AFFIXES)


def logical(visual: str, *, right_to_left: bool) -> str:
    """Return a line in reading order.

    Args:
        visual: its characters from left to right as they stand on the page; combining marks before their letter.
        right_to_left: the direction of the paragraph.
    """
    levels = _levels(visual, base=int(right_to_left))
    order = list(range(len(visual)))
    for level in range(max(levels, default=0), 0, -1):
        start = 0
        while start < len(order):
            end = start
            while end < len(order) and levels[order[end]] >= level:
                end += 1
            order[start:end] = reversed(order[start:end])
            start = max(end, start + 1)
    return with_brackets_right("".join(visual[i] for i in order))


def _levels(text: str, *, base: int) -> list[int]:
    classes = _resolved([unicodedata.bidirectional(c) or "L" for c in text])
    outer = "R" if base else "L"
    start = 0
    while start < len(classes):
        end = start
        while end < len(classes) and classes[end] == "ON":
            end += 1
        if end > start:
            before = _side(classes[start - 1]) if start else outer
            after = _side(classes[end]) if end < len(classes) else outer
            classes[start:end] = [before if before == after else outer] * (end - start)
        start = max(end, start + 1)
    if base:
        return [1 if c == "R" else 2 for c in classes]
    return [{"L": 0, "R": 1}.get(c, 2) for c in classes]


def _side(kind: str) -> str:
    return "L" if kind == "L" else "R"


def _resolved(classes: list[str]) -> list[str]:
    """Return the classes with the weak ones resolved: L, R, EN, AN and ON remain."""
    for i in range(len(classes) - 2, -1, -1):  # visual order: a mark takes the class of the letter after it
        if classes[i] == "NSM":
            classes[i] = classes[i + 1]
    _after_strong(classes, next((c for c in classes if c in _STRONG), "R"), "AL", "AN")
    for i in range(1, len(classes) - 1):
        before, kind, after = classes[i - 1 : i + 2]
        if before == after and ((kind == "ES" and before == "EN") or (kind == "CS" and before in {"EN", "AN"})):
            classes[i] = before
    for order in (range(1, len(classes)), range(len(classes) - 2, -1, -1)):
        for i in order:
            if classes[i] == "ET" and classes[i - order.step] == "EN":
                classes[i] = "EN"
    _after_strong(classes, "R", "L", "L")
    names = {"AL": "R"}
    return [c if c in _RESOLVED else names.get(c, "ON") for c in classes]


def _after_strong(classes: list[str], strong: str, wanted: str, becomes: str) -> None:
    """Change the European numbers whose last strong character is `wanted`."""
    for i, kind in enumerate(classes):
        if kind in _STRONG:
            strong = kind
        elif kind == "EN" and strong == wanted:
            classes[i] = becomes


def with_brackets_right(text: str) -> str:
    """Turn those brackets of a line that open after a word or close before one.

    Files say either what is seen or what is meant, and PDFium turns some of them.
    """
    return "".join(_bracket(text, i) if c in _OPENING or c in _CLOSING else c for i, c in enumerate(text))


def _bracket(text: str, i: int) -> str:
    starts = i == 0 or text[i - 1].isspace()
    ends = i + 1 == len(text) or not text[i + 1].isalnum()
    wrong = (starts and not ends and text[i] in _CLOSING) or (ends and not starts and text[i] in _OPENING)
    return text[i].translate(_TURNED) if wrong else text[i]


_LIGATURES = frozenset(
    expanded
    for code in (*range(0xFB1D, 0xFE00), *range(0xFE70, 0xFEFD))
    if len(expanded := unicodedata.normalize("NFKC", chr(code))) > 1
)


def ligature(letters: Sequence[str]) -> str:
    """Return the letters of one glyph in reading order; PDFium turns round those that the font joins."""
    text = "".join(letters)
    return text if text in _LIGATURES else text[::-1]
