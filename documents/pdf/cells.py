"""Cells: lines that stand in rows and columns, as the cells of a table."""

import itertools
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from fastembed.documents.pdf.drawing import RuledLine
from fastembed.documents.pdf.geometry import Box
from fastembed.documents.pdf.hyphens import Vocabulary
from fastembed.documents.pdf.text import Line, lines_of
from fastembed.documents.pdf.words import PdfWord

_NO_WORDS = Vocabulary(())
_CELL_LINE_EM: Final = 0.3  # by which the baselines of one line of a cell differ at most
_ROW_EM: Final = 0.35  # by which the baselines of one row differ at most
_GAP_EM: Final = 0.4  # white space between columns: more than between words
_COVERED: Final = 0.35  # of a column, or of the text itself: less is overhang
_MIN_PROSE_LINES: Final = 5  # fewer lines below each other are cells
_PROSE_WORDS: Final = 3.5  # a line of running text has at least
_PROSE_GOES_ON: Final = 0.5  # of the lines of running text start within a sentence
_WRAPPED_EM: Final = 1.35  # from baseline to baseline: a cell's next line, not the next row
_MARGIN: Final = 1.0  # points between a table's text and its edge, and by which a cell may begin before its column


@dataclass(frozen=True, slots=True)
class Cell:
    """A cell: rows and columns from 0, ends excluded."""

    text: str
    box: Box
    row: int
    column: int
    row_end: int
    column_end: int
    header: bool = False


@dataclass(frozen=True, slots=True)
class Grid:
    """A table's cells in reading order."""

    box: Box
    rows: int
    columns: int
    cells: tuple[Cell, ...]


def cell_text(words: Sequence[PdfWord]) -> str:
    """Return the words of a cell as text, line by line."""
    rows: list[list[Line]] = []
    for line in sorted(lines_of(words), key=lambda ln: (ln.baseline, ln.box.l)):
        if rows and abs(line.baseline - rows[-1][0].baseline) < _CELL_LINE_EM * line.size:
            rows[-1].append(line)
        else:
            rows.append([line])
    texts = [" ".join(ln.text for ln in sorted(row, key=lambda n: n.box.l)) for row in rows]
    return _NO_WORDS.joined(texts)


def rows_of(words: Sequence[PdfWord]) -> list[list[Line]]:
    """Return the words as lines, those that stand side by side as one row."""
    rows: list[list[Line]] = []
    for line in sorted(lines_of(words), key=lambda ln: ln.baseline):
        if rows and line.baseline - rows[-1][0].baseline < _ROW_EM * line.size:
            rows[-1].append(line)
        else:
            rows.append([line])
    for row in rows:
        row.sort(key=lambda ln: ln.box.l)
    return rows


def is_prose(rows: Sequence[Sequence[Line]], xs: Sequence[float]) -> bool:
    """Whether two or more columns hold running text, whose lines go on in the next one, instead of cells."""
    columns: list[list[Line]] = [[] for _ in xs[1:]]
    for row in rows:
        for line in row:
            columns[columns_of(line.box, list(xs))[0]].append(line)
    return sum(map(_is_running, columns)) > 1


def _is_running(lines: Sequence[Line]) -> bool:
    if len(lines) < _MIN_PROSE_LINES:
        return False
    words = statistics.mean(line.text.count(" ") + 1 for line in lines)
    goes_on = sum(line.text[:1].islower() for line in lines) / len(lines)
    return words >= _PROSE_WORDS and goes_on >= _PROSE_GOES_ON


def grid_of(
    rows: list[list[Line]],
    xs: list[float],
    outer: Box,
    *,
    head_end: float,
    partial: Sequence[RuledLine] = (),
    groups: list[list[list[Line]]] | None = None,
) -> Grid:
    """Return the table of lines that stand in rows and columns.

    Args:
        rows: the lines of each row, from left to right.
        xs: the columns' edges, from `column_edges`.
        outer: the table's box.
        head_end: the y down to which rows are heads.
        partial: rules that separate rows in some columns only.
        groups: which lines form a row, where that is known.
    """
    rows = [_split_head(row, xs) if row[0].baseline <= head_end else row for row in rows]
    placed = groups or _placed(rows, xs, head_end, partial)
    top = [rows[0][0].box.t - _MARGIN]
    ys = top + [(a[-1][0].box.b + b[0][0].box.t) / 2 for a, b in itertools.pairwise(placed)] + [outer.b]
    cells = []
    for r, group in enumerate(placed):
        cells += _open_row(r, group, xs, (ys[r], ys[r + 1]), header=group[0][0].baseline <= head_end)
    return Grid(outer, len(placed), len(xs) - 1, tuple(cells))


def column_edges(rows: list[list[Line]], outer: Box) -> list[float]:
    """Return the left edge, the middles of the gaps that (nearly) all rows share, and the right edge."""
    em = statistics.median(ln.size for row in rows for ln in row)
    spans = sorted((ln.box.l, ln.box.r) for row in rows if len(row) > 1 for ln in row)
    if not spans:
        return []
    merged = [list(spans[0])]
    for left, right in spans[1:]:
        if left - merged[-1][1] < _GAP_EM * em:
            merged[-1][1] = max(merged[-1][1], right)
        else:
            merged.append([left, right])
    inner = [(a[1] + b[0]) / 2 for a, b in itertools.pairwise(merged)]
    return [min(outer.l, merged[0][0]) - _MARGIN, *inner, max(outer.r, merged[-1][1]) + _MARGIN]


def _placed(
    rows: list[list[Line]], xs: list[float], head_end: float, partial: Sequence[RuledLine]
) -> list[list[list[Line]]]:
    """Group the rows: a row that continues the cells above it joins the row above."""
    groups: list[list[list[Line]]] = []
    for row in rows:
        first_empty = row[0].box.l > xs[1] - _MARGIN
        sparse = len(row) <= max(1, (len(xs) - 1) // 2)
        goes_on = first_empty or all(line.text[:1].islower() for line in row)
        if groups and goes_on and sparse and row[0].baseline > head_end:
            above = groups[-1][-1]
            close = row[0].baseline - above[0].baseline < _WRAPPED_EM * row[0].size
            ruled = any(above[0].baseline < r.position < row[0].baseline for r in partial)
            if close and not ruled and above[0].baseline > head_end:
                groups[-1].append(row)
                continue
        groups.append([row])
    return groups


def _split_head(row: list[Line], xs: list[float]) -> list[Line]:
    """Split a row of head cells that stand closely side by side, if that fills every column."""
    columns = len(xs) - 1
    if len(row) >= columns:
        return row
    cells: list[list[PdfWord]] = [[] for _ in range(columns)]
    for word in sorted((w for line in row for w in line.words), key=lambda w: w.box.l):
        middle = (word.box.l + word.box.r) / 2
        cells[max(0, min(columns - 1, sum(x <= middle for x in xs) - 1))].append(word)
    return [Line(tuple(cell)) for cell in cells] if all(cells) else row


def _open_row(r: int, group: list[list[Line]], xs: list[float], ys: tuple[float, float], *, header: bool) -> list[Cell]:
    own: dict[tuple[int, int], list[PdfWord]] = {}
    for row in group:
        for line in row:
            own.setdefault(columns_of(line.box, xs), []).extend(line.words)
    spans: list[tuple[int, int, list[PdfWord]]] = []
    for (first, last), words in sorted(own.items()):
        if spans and first < spans[-1][1]:  # cells that overlap are one
            start, end, before = spans.pop()
            spans.append((start, max(end, last), before + words))
        else:
            spans.append((first, last, list(words)))
    cells = []
    column = 0
    for first, last, words in spans:
        cells += [_blank(r, c, xs, ys, header=header) for c in range(column, first)]
        cells.append(Cell(cell_text(words), Box(xs[first], ys[0], xs[last], ys[1]), r, first, r + 1, last, header))
        column = last
    return cells + [_blank(r, c, xs, ys, header=header) for c in range(column, len(xs) - 1)]


def columns_of(box: Box, xs: list[float]) -> tuple[int, int]:
    """Return the first column that a text stands in and the one after its last; a little overhang does not count."""
    covered = [
        k
        for k, (left, right) in enumerate(itertools.pairwise(xs))
        if min(box.r, right) - max(box.l, left) >= _COVERED * min(right - left, box.width)
    ]
    if covered:
        return covered[0], covered[-1] + 1
    middle = (box.l + box.r) / 2
    nearest = max(0, min(len(xs) - 2, sum(x <= middle for x in xs) - 1))
    return nearest, nearest + 1


def _blank(r: int, c: int, xs: list[float], ys: tuple[float, float], *, header: bool) -> Cell:
    return Cell("", Box(xs[c], ys[0], xs[c + 1], ys[1]), r, c, r + 1, c + 1, header)
