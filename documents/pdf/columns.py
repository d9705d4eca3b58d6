"""Reading order: which parts of a page are columns, and in which order they are read.

A recursive cut in the spirit of the XY-cut (Nagy and Seth 1984; Ha, Haralick and Phillips 1995), with one change: the
gutter is found first, by how much text covers each x, and what crosses it (titles, wide figures) splits the page into
bands. So a heading across both columns never hides the gutter, and a gap inside one column never becomes one.
"""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from fastembed.documents.pdf.geometry import Box, enclosing

_BIN: Final = 2.0  # points: the width of the bins in which a gutter is looked for, less than any gutter
_MIN_LINES: Final = 4  # on each side: fewer are a heading beside a note, or cells
_MIN_INDEX_LINES: Final = 10  # on each side of columns that are no prose (an index, a list of names)
_MIN_FREE_LINES: Final = 15  # on each side, if nothing speaks for columns but that the lines ignore each other
_MIN_SIDE_SHARE: Final = 0.16  # of the area's width: a narrower side is labels or margin notes
_MAX_DEPTH: Final = 6  # of columns within columns; bounds the recursion on pages of scattered text
_CANDIDATES: Final = 10  # gutters that are tried, those that least text covers first
_FLUSH: Final = 8.0  # points by which a band's edges may differ from the columns' edges elsewhere on the page
_HEADING: Final = 1.15  # times the middle size: larger lines may head both columns
_COVERED: Final = 0.45  # of the middle cover: an x with less may be a gutter, which titles and figures cross
_EDGE: Final = 0.1  # of the width: a gutter does not lie closer to the edge than that
_HEADING_ROOM_EM: Final = 0.8  # of white space above and below a heading on the other side too
_GUTTER_EM: Final = 0.75  # of white space between columns: more than a word space
_SHARED_HEIGHT: Final = 0.5  # of the lower side: sides that stand below each other are no columns
_UNALIGNED: Final = 0.55  # of the lines stand level with one of the other side at most: so they are no rows of cells
_ALIKE: Final = 0.6  # narrower to wider column, of columns that are no prose
_LETTERED: Final = 0.55  # of the characters are letters, or the columns hold numbers, as tables do
_FIXED: Final = 0.5  # of the lines: then it is a listing
_EVEN: Final = 0.75  # fewer to more lines, of two columns of one list
_LEVEL: Final = 0.9  # of the lines stand level in both: a table, unless the columns are even
_LABEL_EM: Final = 9  # a side narrower than this is labels
_SOLID_LINE: Final = 12  # points of a figure or table that count as one line
_FULL_LINE: Final = 0.75  # of its side's width
_PROSE: Final = ((4, 0.3), (2.5, 0.55))  # words a line at least, with this share of full lines at least
_LEVEL_POINTS: Final = 0.7  # by which the baselines of one row may differ
_MIN_FOLLOWING: Final = 3  # lines of a band that may be columns because the page has columns elsewhere
_MIN_WORDS: Final = 3  # words a line of such a band, or it is a table below the text
_CROSSING: Final = 1.0  # points that a line must reach over the gutter on both sides to cross it
_USUAL_SIZE: Final = 10.0  # points, of pieces whose type is not known


@dataclass(frozen=True, slots=True)
class LayoutPiece:
    """Something to put in order: a line, or a figure or table (`solid`).

    `words` counts the words of a line; `mono` says that it is set with fixed pitch; `size` is its type size in points.
    """

    box: Box
    words: int = 1
    size: float = _USUAL_SIZE
    mono: bool = False
    solid: bool = False
    letters: float = 1.0
    """Which share of its characters are letters."""


def reading_order(pieces: Sequence[LayoutPiece]) -> list[list[int]]:
    """Return the columns in reading order, each as indices into `pieces` from top to bottom."""
    return [region for region in _cut(pieces, list(range(len(pieces))), 0) if region]


def _cut(pieces: Sequence[LayoutPiece], own: list[int], depth: int) -> list[list[int]]:
    split = _best_split(pieces, own) if len(own) >= 2 * _MIN_LINES and depth < _MAX_DEPTH else None
    if split is None:
        return [_top_down(pieces, own)]
    out: list[list[int]] = []
    for band in split:
        if isinstance(band, tuple):
            for side in band:
                out += _cut(pieces, side, depth + 1)
        elif len(band) < len(own):
            out += _cut(pieces, band, depth + 1)
        else:
            out.append(_top_down(pieces, band))
    return out


def _top_down(pieces: Sequence[LayoutPiece], own: list[int]) -> list[int]:
    return sorted(own, key=lambda i: (pieces[i].box.t, pieces[i].box.l))


_Band = list[int] | tuple[list[int], list[int]]


def _best_split(pieces: Sequence[LayoutPiece], own: list[int]) -> list[_Band] | None:
    """Return the bands from top to bottom, columns as pairs, or None if there is no gutter."""
    area = enclosing(pieces[i].box for i in own)
    best: tuple[float, list[_Band]] | None = None
    for x in _gutters(pieces, own, area):
        bands, score = _bands(pieces, own, x, area)
        if score > 0 and (best is None or score > best[0]):
            best = (score, bands)
    return best[1] if best else None


def _gutters(pieces: Sequence[LayoutPiece], own: list[int], area: Box) -> list[float]:
    """Return the x that little text covers though much text stands on both sides, best first."""
    bins = int(area.width / _BIN) + 2
    cover = np.zeros(bins + 1)
    for i in own:
        box = pieces[i].box
        first, last = int((box.l - area.l) / _BIN), int((box.r - area.l) / _BIN)
        cover[max(0, first)] += box.height
        cover[min(bins, last + 1)] -= box.height
    cover = np.cumsum(cover)[:bins]
    limit = _COVERED * float(np.median(cover[cover > 0])) if (cover > 0).any() else 0.0
    low = cover <= limit
    runs: list[tuple[float, float, float]] = []
    start = None
    for k in range(bins):
        if low[k] and start is None:
            start = k
        if start is not None and (not low[k] or k == bins - 1):
            lowest = float(cover[start:k].min()) if k > start else float(cover[start])
            where = [j for j in range(start, max(k, start + 1)) if cover[j] <= lowest + 1e-6]
            x = area.l + _BIN * (where[0] + where[-1] + 1) / 2
            runs.append((lowest, -len(where), x))
            start = None
    margin = _EDGE * area.width
    return [x for _, _, x in sorted(runs)[:_CANDIDATES] if area.l + margin < x < area.r - margin]


def _bands(pieces: Sequence[LayoutPiece], own: list[int], x: float, area: Box) -> tuple[list[_Band], float]:
    crossing = [i for i in own if pieces[i].box.l < x - _CROSSING and pieces[i].box.r > x + _CROSSING]
    crossing = sorted(crossing + _headings_alone(pieces, own, x), key=lambda i: pieces[i].box.t)
    middles = [(pieces[i].box.t + pieces[i].box.b) / 2 for i in crossing]
    sides: list[tuple[list[int], list[int]]] = [([], []) for _ in range(len(crossing) + 1)]
    crossing_set = set(crossing)
    for i in own:
        if i not in crossing_set:
            box = pieces[i].box
            band = int(np.searchsorted(middles, (box.t + box.b) / 2))
            sides[band][0 if (box.l + box.r) / 2 < x else 1].append(i)
    strong = [_is_columns(pieces, left, right, area) for left, right in sides]
    if not any(strong):
        return [], 0.0
    bands: list[_Band] = []
    plain: list[int] = []
    score = 0.0
    edges = _edges(pieces, sides, strong)
    for k, (left, right) in enumerate(sides):
        if strong[k] or _may_follow(pieces, left, right, edges):
            if plain:
                bands.append(plain)
            plain = []
            bands.append((left, right))
            if strong[k]:
                score += min(_height(pieces, left), _height(pieces, right)) * _balance(pieces, left, right)
        else:
            plain = plain + left + right
        if k < len(crossing):
            plain = [*plain, crossing[k]]
    if plain:
        bands.append(plain)
    return bands, score


def _headings_alone(pieces: Sequence[LayoutPiece], own: list[int], x: float) -> list[int]:
    """Return the larger lines left of the gutter beside which the right side is empty, with text above and below it.

    They head both columns, though they are too short to cross the gutter.
    """
    em = statistics.median(pieces[i].size for i in own)
    right = [pieces[i].box for i in own if pieces[i].box.l > x - _CROSSING]
    found = []
    for i in own:
        piece = pieces[i]
        if piece.solid or piece.size < _HEADING * em or piece.box.r > x + _CROSSING:
            continue
        top, bottom = piece.box.t - _HEADING_ROOM_EM * em, piece.box.b + _HEADING_ROOM_EM * em
        above, below = any(b.b <= top for b in right), any(b.t >= bottom for b in right)
        if above and below and not any(b.t < bottom and b.b > top for b in right):
            found.append(i)
    return found


def _height(pieces: Sequence[LayoutPiece], own: list[int]) -> float:
    return enclosing(pieces[i].box for i in own).height if own else 0.0


def _balance(pieces: Sequence[LayoutPiece], left: list[int], right: list[int]) -> float:
    """Return how alike the widths of two sides are, 0 to 1: of several gaps, the gutter is the one in the middle."""
    a, b = enclosing(pieces[i].box for i in left).width, enclosing(pieces[i].box for i in right).width
    return min(a, b) / max(a, b, 1.0)


def _gap(pieces: Sequence[LayoutPiece], left: list[int], right: list[int]) -> float:
    return min(pieces[i].box.l for i in right) - max(pieces[i].box.r for i in left)


def _edges(
    pieces: Sequence[LayoutPiece], sides: list[tuple[list[int], list[int]]], strong: list[bool]
) -> tuple[float, float]:
    """Return the left edges of the two columns, as the bands that surely are columns show them."""
    own = [side for side, sure in zip(sides, strong, strict=True) if sure]
    return (
        min(pieces[i].box.l for left, _ in own for i in left),
        min(pieces[i].box.l for _, right in own for i in right),
    )


def _may_follow(pieces: Sequence[LayoutPiece], left: list[int], right: list[int], edges: tuple[float, float]) -> bool:
    """Whether a band is columns too, given that the gutter is one elsewhere on the page with these left edges."""
    if not left or not right or _gap(pieces, left, right) <= 0:
        return False
    if any(pieces[i].solid for i in left + right):
        return True
    if len(left) + len(right) < _MIN_FOLLOWING:
        return False
    words = statistics.median(pieces[i].words for i in left + right)
    starts = (min(pieces[i].box.l for i in left), min(pieces[i].box.l for i in right))
    flush = abs(starts[0] - edges[0]) < _FLUSH and abs(starts[1] - edges[1]) < _FLUSH
    return words >= _MIN_WORDS or (flush and min(len(left), len(right)) >= _MIN_LINES)


def _is_columns(  # noqa: PLR0911 - a list of decisions, each with its result
    pieces: Sequence[LayoutPiece], left: list[int], right: list[int], area: Box
) -> bool:
    """Whether two sides are columns of text to be read one after the other, not cells, labels or a listing."""
    if not left or not right:
        return False
    a, b = enclosing(pieces[i].box for i in left), enclosing(pieces[i].box for i in right)
    em = statistics.median(pieces[i].size for i in left + right)
    if b.l - a.r < _GUTTER_EM * em or min(a.width, b.width) < _MIN_SIDE_SHARE * area.width:
        return False
    shared = min(a.b, b.b) - max(a.t, b.t)
    if shared < _SHARED_HEIGHT * min(a.height, b.height):
        return False
    counts = (_line_count(pieces, left), _line_count(pieces, right))
    if min(counts) < _MIN_LINES:
        return False
    if _is_prose(pieces, left, a) and _is_prose(pieces, right, b):
        return True
    aligned = _aligned(pieces, left, right)
    if min(counts) >= _MIN_FREE_LINES and aligned < _UNALIGNED and not _is_gap_within_cells(a, b, em):
        return True  # two sides whose lines ignore each other are no rows
    alike = _ALIKE < a.width / max(b.width, 1) < 1.0 / _ALIKE
    lettered = min(_letters(pieces, left), _letters(pieces, right)) > _LETTERED
    mono = sum(pieces[i].mono for i in left + right) > _FIXED * (len(left) + len(right))
    even = _EVEN < len(left) / len(right) < 1.0 / _EVEN
    return alike and lettered and not mono and min(counts) >= _MIN_INDEX_LINES and (even or aligned < _LEVEL)


def _is_gap_within_cells(a: Box, b: Box, em: float) -> bool:
    """Whether one side is as narrow as labels are."""
    return min(a.width, b.width) < _LABEL_EM * em


def _line_count(pieces: Sequence[LayoutPiece], own: list[int]) -> float:
    return sum(max(1.0, pieces[i].box.height / _SOLID_LINE) if pieces[i].solid else 1.0 for i in own)


def _letters(pieces: Sequence[LayoutPiece], own: list[int]) -> float:
    return statistics.mean(pieces[i].letters for i in own)


def _is_prose(pieces: Sequence[LayoutPiece], own: list[int], box: Box) -> bool:
    lines = [pieces[i] for i in own if not pieces[i].solid]
    if not lines:
        return True
    # A side may be columns itself: then its lines fill one of them, not the side.
    width = min(box.width, max(p.box.width for p in lines))
    full = sum(p.box.width > _FULL_LINE * width for p in lines) / len(lines)
    words = statistics.mean(p.words for p in lines)
    return any(words >= least and full >= share for least, share in _PROSE)


def _aligned(pieces: Sequence[LayoutPiece], left: list[int], right: list[int]) -> float:
    """Return which share of the side with fewer lines stands on a line of the other side."""
    few, many = sorted((left, right), key=len)
    bottoms = np.array(sorted(pieces[i].box.b for i in many))
    hits = 0
    for i in few:
        k = int(np.searchsorted(bottoms, pieces[i].box.b - _LEVEL_POINTS))
        hits += k < len(bottoms) and bottoms[k] - pieces[i].box.b < _LEVEL_POINTS
    return hits / len(few)
