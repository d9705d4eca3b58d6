"""Letter-spaced words: `C H A P T E R` is one word, set wide."""

import itertools
import statistics
from collections.abc import Sequence
from dataclasses import replace

from fastembed.documents.pdf.geometry import enclosing
from fastembed.documents.pdf.words import PdfWord

MIN_SPACED_LETTERS = 4
"""Fewer single letters in a row are initials, variables and articles."""
_MAX_GAP_EM = 1.6
"""A wider gap ends the letters: what is spaced wider than this is set in columns."""
_WORD_GAP = 1.7
"""How many times as wide as between its letters a gap is between two words."""
_MIN_WORD = 2.5
"""How many letters the words must have on average."""


def without_letter_spacing(row: Sequence[PdfWord]) -> list[PdfWord]:
    """Return a row's words, from left to right, with letters that are set apart joined to the text that they form.

    The gaps tell: those within a word are alike, those between words wider. Letters in alphabetical order head columns.
    The text is one `PdfWord`, however many words it has, so that its wide gaps part nothing.
    """
    out: list[PdfWord] = []
    run: list[PdfWord] = []
    for word in row:
        if run and not _goes_on(run[-1], word):
            out += _joined(run)
            run = []
        run.append(word)
    return out + _joined(run)


def _goes_on(before: PdfWord, word: PdfWord) -> bool:
    gap = word.box.l - before.box.r
    alike = before.style == word.style and not word.style.mono and not word.style.math
    return alike and _is_letter(before) and _is_letter(word) and gap < _MAX_GAP_EM * word.style.size


def _is_letter(word: PdfWord) -> bool:
    """Whether a word is a letter; kerning may leave two of them close together, and a sign may follow closely."""
    letters = sum(c.isalpha() for c in word.text)
    return len(word.text) <= 2 and letters >= 1  # noqa: PLR2004 - a pair


def _joined(run: list[PdfWord]) -> list[PdfWord]:
    letters = "".join(word.text for word in run)
    single = sum(len(word.text) == 1 for word in run)
    if single < max(MIN_SPACED_LETTERS, 0.7 * len(run)) or list(letters) == sorted(letters):
        return run
    gaps = [b.box.l - a.box.r for a, b in itertools.pairwise(run)]
    usual = statistics.median_low(gaps)
    words: list[list[PdfWord]] = [[run[0]]]
    for gap, word in zip(gaps, run[1:], strict=True):
        if gap > _WORD_GAP * usual:
            words.append([word])
        else:
            words[-1].append(word)
    if len(letters) < _MIN_WORD * len(words):
        return run
    text = " ".join("".join(word.text for word in own) for own in words)
    return [replace(run[0], text=text, box=enclosing(word.box for word in run))]
