"""Words and lines: the text of a page before its reading order is known."""

import itertools
import statistics
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from fastembed.documents.pdf.geometry import Box, enclosing
from fastembed.documents.pdf.spacing import MIN_SPACED_LETTERS, without_letter_spacing
from fastembed.documents.pdf.style import Style
from fastembed.documents.pdf.words import PdfWord

SPACE_EM: Final = 0.12
"""A gap wider than this share of the size is a space (poppler's is 0.1; TeX's tightest space is 0.2)."""

_SAME_BASELINE_EM: Final = 0.18  # by which the baselines of one line differ at most
_JOIN_EM: Final = 0.85  # a wider gap ends a line: justified text has gaps of up to 0.7, columns of 1 and more
_JOIN_MONO_EM: Final = 3.0  # the same in fixed pitch, where runs of spaces align code
_SCRIPT_SIZE: Final = 0.86  # times the size of the text around it: a script is smaller
_SCRIPT_GAP_EM: Final = 0.35  # between a script and the text that it belongs to, at most
_SCRIPT_SHARED: Final = 0.25  # of a script's height lies within that text's at least
_SCRIPT_REACH_EM: Final = 3.0  # lines whose tops are further apart, by this and the points below, do not touch
_SCRIPT_REACH: Final = 4.0
_LOWERED_SHARED: Final = 0.6  # of the height of a lowered letter of full size (the E of TeX) lies within its word's
_HOST_WIDTH: Final = 1.5  # times the letter's width: what it is lowered in is a word
_RAISED: Final = 0.5  # points above the baseline of the text that follows it: a footnote's mark
_OPEN_EM: Final = 2.0  # words come by baseline: a row so far above a new word gets no more
_USUAL_SIZE: Final = 10.0  # points, of a document without text


@dataclass(frozen=True)
class Line:
    """Words on one baseline, from left to right, that nothing wider than a word space separates."""

    words: tuple[PdfWord, ...]
    turned: bool = False
    """Set for text that runs upwards, downwards or upside down."""

    @cached_property
    def box(self) -> Box:
        """The box around all words."""
        return enclosing(w.box for w in self.words)

    @cached_property
    def text(self) -> str:
        """The words with single spaces where there is one."""
        return joined(self.words)

    @cached_property
    def style(self) -> Style:
        """The style of most of its characters."""
        if len(self.words) == 1:
            return self.words[0].style
        count: Counter[Style] = Counter()
        for w in self.words:
            count[w.style] += len(w.text)
        return count.most_common(1)[0][0]

    @cached_property
    def baseline(self) -> float:
        """The y of most of its characters' feet."""
        count: Counter[float] = Counter()
        for w in self.words:
            count[w.baseline] += len(w.text)
        return count.most_common(1)[0][0]

    @property
    def size(self) -> float:
        """The size of most of its characters, in points."""
        return self.style.size

    @cached_property
    def mono_share(self) -> float:
        """Which share of its characters has a fixed pitch."""
        return _share(self.words, lambda s: s.mono)

    @cached_property
    def bold_share(self) -> float:
        """Which share of its characters is bold."""
        return _share(self.words, lambda s: s.bold)

    @cached_property
    def italic_share(self) -> float:
        """Which share of its characters is slanted."""
        return _share(self.words, lambda s: s.italic)

    @cached_property
    def math_share(self) -> float:
        """Which share of its characters is set in a mathematical font."""
        return _share(self.words, lambda s: s.math)


def joined(words: Sequence[PdfWord]) -> str:
    """Return the words as text, with a space where the file writes one or where the gap is one."""
    parts = [words[0].text]
    for i, (before, word) in enumerate(itertools.pairwise(words)):
        gap = word.box.l - before.box.r
        # A raised mark that starts a line is a footnote's number, not part of its first word.
        smaller = before.style.size < _SCRIPT_SIZE * word.style.size
        mark = i == 0 and smaller and before.baseline < word.baseline - _RAISED
        if word.spaced or mark or gap > SPACE_EM * min(before.style.size, word.style.size):
            parts.append(" ")
        parts.append(word.text)
    return "".join(parts)


def lines_of(words: Iterable[PdfWord]) -> list[Line]:
    """Return the lines that the words form, top to bottom; a wide gap ends a line, so columns and cells stay apart."""
    rows: list[list[PdfWord]] = []
    open_rows: list[tuple[float, list[PdfWord]]] = []
    for word in sorted(words, key=lambda w: w.baseline):
        reach = _SAME_BASELINE_EM * word.style.size
        for baseline, row in reversed(open_rows):
            if word.baseline - baseline <= min(reach, _SAME_BASELINE_EM * row[0].style.size):
                row.append(word)
                break
        else:
            row = [word]
            rows.append(row)
            open_rows = [(b, r) for b, r in open_rows if word.baseline - b < _OPEN_EM * word.style.size]
            open_rows.append((word.baseline, row))
    pieces = [piece for row in rows for piece in _pieces(row)]
    pieces = _with_scripts(pieces)
    return sorted((Line(tuple(p)) for p in pieces), key=lambda line: (line.box.t, line.box.l))


def merged_row(lines: Sequence[Line]) -> Line:
    """Return one line of those that stand side by side."""
    return Line(tuple(sorted((w for line in lines for w in line.words), key=lambda w: w.box.l)))


def body_size(lines: Iterable[Line]) -> float:
    """Return the size of most characters, in points; 10 for no text."""
    count: Counter[float] = Counter()
    for line in lines:
        count[max(0.5, round(line.size * 2) / 2)] += len(line.text)
    return count.most_common(1)[0][0] if count else _USUAL_SIZE


def _share(words: Sequence[PdfWord], wanted: Callable[[Style], bool]) -> float:
    total = sum(len(w.text) for w in words)
    return sum(len(w.text) for w in words if wanted(w.style)) / total if total else 0.0


def _pieces(row: list[PdfWord]) -> list[list[PdfWord]]:
    row.sort(key=lambda w: w.box.l)
    if sum(len(w.text) == 1 for w in row) >= MIN_SPACED_LETTERS:
        row = without_letter_spacing(row)
    pieces = [[row[0]]]
    for word in row[1:]:
        before = pieces[-1][-1]
        em = max(before.style.size, word.style.size)
        reach = _JOIN_MONO_EM if before.style.mono and word.style.mono else _JOIN_EM
        if word.box.l - before.box.r > reach * em:
            pieces.append([word])
        else:
            pieces[-1].append(word)
    return pieces


def _with_scripts(pieces: list[list[PdfWord]]) -> list[list[PdfWord]]:
    """Put superscripts and subscripts into the line that they touch."""
    sizes = [statistics.median(w.style.size for w in p) for p in pieces]
    boxes = [enclosing(w.box for w in p) for p in pieces]
    order = sorted(range(len(pieces)), key=lambda i: boxes[i].t)
    merged: dict[int, int] = {}
    for position, i in enumerate(order):
        host = _host(i, position, order, sizes, boxes)
        if host is not None and _root(merged, host) != i:
            merged[i] = host
    out: dict[int, list[PdfWord]] = {}
    for i, piece in enumerate(pieces):
        out.setdefault(_root(merged, i), []).extend(piece)
    for piece in out.values():
        piece.sort(key=lambda w: w.box.l)
    return list(out.values())


def _root(merged: dict[int, int], i: int) -> int:
    while i in merged:
        i = merged[i]
    return i


def _host(i: int, position: int, order: list[int], sizes: list[float], boxes: list[Box]) -> int | None:
    size, box = sizes[i], boxes[i]
    best, best_gap = None, _SCRIPT_GAP_EM
    for step in (-1, 1):
        k = position + step
        while 0 <= k < len(order):
            j = order[k]
            other = boxes[j]
            if abs(other.t - box.t) > _SCRIPT_REACH_EM * size + _SCRIPT_REACH:
                break
            shared = (min(box.b, other.b) - max(box.t, other.t)) / max(box.height, 0.1)
            # A script is smaller; TeX's logos lower a single letter of full size between its neighbours.
            lowered = (
                box.width < size
                and other.width > _HOST_WIDTH * box.width
                and shared > _LOWERED_SHARED
                and other.l < box.l < other.r
            )
            if lowered or (size < _SCRIPT_SIZE * sizes[j] and shared > _SCRIPT_SHARED):
                gap = max(box.l - other.r, other.l - box.r, 0.0) / sizes[j]
                if gap < best_gap:
                    best, best_gap = j, gap
            k += step
    return best
