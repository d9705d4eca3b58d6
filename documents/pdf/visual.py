"""Lines of right-to-left scripts: glyphs in the order in which they stand, lines in that in which they are read."""

import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import replace

from fastembed.documents.pdf.bidi import (
    is_right_to_left,
    letter_counts,
    ligature,
    logical,
    stands_in_reading_order,
    with_brackets_right,
)
from fastembed.documents.pdf.geometry import enclosing
from fastembed.documents.pdf.text import SPACE_EM, Line
from fastembed.documents.pdf.words import PdfWord

Glyph = tuple[int, float, float, float, float, float, float, bool, int]
"""Code point, loose box (left, bottom, right, top), origin, whether a space precedes it, its run's index."""
_BASELINE = 1.0
"""How far, in points, the origins of the glyphs of one line may differ."""
_HARD = "\u00a0"
_EMBEDDED = 4
"""A line reads from left to right though its page does not, if it has more than so many times as many Latin letters."""


def in_visual_order(
    glyphs: Sequence[Glyph], place: Callable[[Glyph], tuple[float, float, float] | None]
) -> list[Glyph]:
    """Return the glyphs with those of lines that hold right-to-left letters from left to right, marks before letters.

    Args:
        glyphs: a page's glyphs as PDFium sorts them.
        place: gives a glyph's baseline, left and right as shown; None for a turned one.
    """
    rows: dict[int, list[tuple[float, float, Glyph]]] = {}
    others: list[Glyph] = []
    for glyph in glyphs:
        at = place(glyph)
        if at is None:
            others.append(glyph)
            continue
        baseline, left, right = at
        key = round(baseline / _BASELINE)
        row = rows.setdefault(next((k for k in (key, key - 1, key + 1) if k in rows), key), [])
        row.append((left, right, glyph))
    out: list[Glyph] = []
    for row in rows.values():
        if any(is_right_to_left(glyph[0]) for _, _, glyph in row):
            out += _turned(row)
        else:
            out += [glyph for _, _, glyph in row]
    return out + others


def _turned(row: Sequence[tuple[float, float, Glyph]]) -> list[Glyph]:
    marks = [item for item in row if unicodedata.combining(chr(item[2][0]))]
    letters: list[tuple[float, float, list[Glyph]]] = []
    for left, right, glyph in row:
        if unicodedata.combining(chr(glyph[0])):
            continue
        if letters and (left, right) == letters[-1][:2] and is_right_to_left(glyph[0]):
            letters[-1][2].append(glyph)
        else:
            letters.append((left, right, [glyph]))
    letters = [(left, right, _letters(own)) for left, right, own in letters]
    for left, right, glyph in reversed(marks):
        middle = (left + right) / 2
        _, _, own = min(letters, key=lambda item: abs((item[0] + item[1]) / 2 - middle), default=(0, 0, []))
        own.insert(0, glyph)
    letters.sort(key=lambda item: item[:2])
    return [(*glyph[:7], False, glyph[8]) for _, _, own in letters for glyph in own]


def _letters(own: list[Glyph]) -> list[Glyph]:
    """Return what one glyph stands for, from left to right."""
    chars = [_plain(chr(g[0])) for g in own]
    text = ligature(chars) if len(own) > 1 else chars[0]
    return [(ord(c), *own[0][1:]) for c in (reversed(text) if is_right_to_left(ord(text[0])) else text)]


def _plain(char: str) -> str:
    """Return a letter for its presentation form."""
    return unicodedata.normalize("NFKC", char).replace(" ", "") or char if is_right_to_left(ord(char)) else char


def reading_lines(lines: Sequence[Line], width: float) -> tuple[list[Line], bool]:
    """Return the lines with their words in reading order, and whether the page reads from right to left.

    Such a page is mirrored: x counts from its right edge, so that its columns, indents and cells are in reading order.

    Args:
        lines: the page's lines, words from left to right as they stand.
        width: the page's width in points.
    """
    words = [w.text for line in lines for w in line.words]
    if stands_in_reading_order(words):
        return [_with_brackets(line) for line in lines], False
    right, left = letter_counts(words)
    mirror = right > left
    return [_reading(line, mirror_at=width if mirror else None) for line in lines], mirror


def _reading(line: Line, *, mirror_at: float | None) -> Line:
    right, left = letter_counts(w.text for w in line.words)
    groups = _unspaced(line.words)
    texts = ["".join(w.text for w in group) for group in groups]
    if right and not line.turned:
        backwards = right >= left or (mirror_at is not None and _EMBEDDED * right >= left)
        whole = " ".join(text.replace(" ", _HARD) for text in texts)
        texts = [text.replace(_HARD, " ") for text in logical(whole, right_to_left=backwards).split(" ")]
    boxes = [enclosing(w.box for w in group) for group in groups]
    if mirror_at is not None:
        boxes = sorted(box.mirrored(mirror_at) for box in boxes)
    styles = [max(group, key=lambda w: len(w.text)) for group in groups]
    return Line(
        tuple(
            replace(word, text=text, box=box, spaced=k > 0)
            for k, (word, text, box) in enumerate(zip(styles, texts, boxes, strict=True))
        ),
        line.turned,
    )


def _with_brackets(line: Line) -> Line:
    if line.turned or not any(is_right_to_left(ord(c)) for w in line.words for c in w.text):
        return line
    whole = " ".join(w.text.replace(" ", _HARD) for w in line.words)
    texts = [text.replace(_HARD, " ") for text in with_brackets_right(whole).split(" ")]
    return Line(tuple(replace(word, text=text) for word, text in zip(line.words, texts, strict=True)))


def _unspaced(words: Sequence[PdfWord]) -> list[list[PdfWord]]:
    """Group the words that no space separates."""
    groups: list[list[PdfWord]] = []
    for word in words:
        before = groups[-1][-1] if groups else None
        if (
            before is None
            or word.spaced
            or word.box.l - before.box.r > SPACE_EM * min(before.style.size, word.style.size)
        ):
            groups.append([word])
        else:
            groups[-1].append(word)
    return groups
