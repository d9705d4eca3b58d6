"""Tables from ruled lines: full grids, and tables with horizontal rules only (booktabs)."""

# ruff: noqa: PLR2004 - thresholds have names; what is left are small counts and signs

import itertools
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from fastembed.documents.pdf.drawing import RuledLine
from fastembed.documents.pdf.geometry import Box, clustered, enclosing
from fastembed.documents.pdf.hyphens import Vocabulary
from fastembed.documents.pdf.text import Line, lines_of
from fastembed.documents.pdf.words import PdfWord

_NO_WORDS = Vocabulary(())
_SNAP: Final = 3.0  # points: rules this close are one, or meet
_SAME_EXTENT: Final = 6.0  # points by which the ends of the rules of one open table may differ
_MIN_WIDTH: Final = 60.0  # points: shorter rules are those of fractions and notes
_MAX_CELLS: Final = 4_000  # more are drawn graph paper or an attack
_MIN_RULES: Final = 3  # of an open table: above, below the head, below
_OPEN_EDGE: Final = 4 * _SNAP  # the horizontal rules reach that far beyond the outermost vertical ones: a column more
_INSIDE: Final = 0.6  # of a word's box lies in the table
_WITHIN: Final = 0.9  # of a rule's box lies in a table that was found already
_FILLED: Final = 0.25  # of the cells have text, or it is a frame or a form
_CELL_LINE_EM: Final = 0.3  # by which the baselines of one line of a cell differ at most
_ROW_EM: Final = 0.35  # by which the baselines of one row differ at most
_SPLIT: Final = 0.5  # of a strip's rows have gaps: cells, not running text
_GAP_EM: Final = 0.4  # white space between columns: more than between words
_COVERED: Final = 0.35  # of a column, or of the text itself: less is overhang


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


def ruled_tables(rules: Sequence[RuledLine], words: Sequence[PdfWord]) -> list[Grid]:
    """Return the tables that rules enclose, with the words in their cells.

    Rules that cross form a grid, whose missing inner rules merge cells. Horizontal rules of one extent with nothing
    crossing them form a table whose columns are the gaps that all rows share (the booktabs style).
    """
    horizontal = [r for r in rules if r.horizontal]
    vertical = [r for r in rules if not r.horizontal]
    grids = []
    lone: list[RuledLine] = []
    for hs, vs in _connected(horizontal, vertical):
        grid = _full_grid(hs, vs, words) if vs else None
        if grid is not None:
            grids.append(grid)
        elif not vs:
            lone += hs
    taken = [g.box.grown(2) for g in grids]
    lone = [r for r in lone if not any(r.box.share_inside(b) > _WITHIN for b in taken)]
    grids += _open_tables(lone, words)
    return sorted(grids, key=lambda g: (g.box.t, g.box.l))


def _connected(
    horizontal: list[RuledLine], vertical: list[RuledLine]
) -> Iterable[tuple[list[RuledLine], list[RuledLine]]]:
    """Yield the groups of rules that cross each other."""
    parent = list(range(len(horizontal) + len(vertical)))

    def root(i: int) -> int:
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = parent[i]
        return i

    for j, v in enumerate(vertical):
        reach = v.box.grown(_SNAP)
        for i, h in enumerate(horizontal):
            if h.box.touches(reach):
                parent[root(i)] = root(len(horizontal) + j)
    groups: dict[int, tuple[list[RuledLine], list[RuledLine]]] = {}
    for i, h in enumerate(horizontal):
        groups.setdefault(root(i), ([], []))[0].append(h)
    for j, v in enumerate(vertical):
        groups.setdefault(root(len(horizontal) + j), ([], []))[1].append(v)
    return groups.values()


def _full_grid(hs: list[RuledLine], vs: list[RuledLine], words: Sequence[PdfWord]) -> Grid | None:
    if not hs:
        return None
    xs, ys = clustered((v.position for v in vs), _SNAP), clustered((h.position for h in hs), _SNAP)
    left, right = min(h.box.l for h in hs), max(h.box.r for h in hs)
    # Tables whose outer edges are open: the horizontal rules reach beyond the outermost vertical ones.
    if xs[0] - left > _OPEN_EDGE:
        xs.insert(0, left)
    if right - xs[-1] > _OPEN_EDGE:
        xs.append(right)
    columns, rows = len(xs) - 1, len(ys) - 1
    if columns < 2 or rows < 1 or columns * rows > _MAX_CELLS:
        return None
    inside = [w for w in words if w.box.share_inside(Box(xs[0], ys[0], xs[-1], ys[-1]).grown(2)) > _INSIDE]
    regions = _regions(xs, ys, hs, vs)
    cells = [_cell(region, xs, ys, inside) for region in regions]
    filled = [c for c in cells if c.text]
    if len(filled) < 2 or len(filled) < _FILLED * len(cells):
        return None
    return Grid(Box(xs[0], ys[0], xs[-1], ys[-1]), rows, columns, tuple(cells))


def _regions(
    xs: list[float], ys: list[float], hs: list[RuledLine], vs: list[RuledLine]
) -> list[tuple[int, int, int, int]]:
    """Return the merged cells as row, column, row end, column end."""
    rows, columns = len(ys) - 1, len(xs) - 1
    parent = {(r, c): (r, c) for r in range(rows) for c in range(columns)}

    def root(cell: tuple[int, int]) -> tuple[int, int]:
        while parent[cell] != cell:
            cell = parent[cell]
        return cell

    for r in range(rows):
        middle_y = (ys[r] + ys[r + 1]) / 2
        for c in range(columns):
            middle_x = (xs[c] + xs[c + 1]) / 2
            if c + 1 < columns and not _stands(vs, xs[c + 1], middle_y):
                parent[root((r, c + 1))] = root((r, c))
            if r + 1 < rows and not _stands(hs, ys[r + 1], middle_x):
                parent[root((r + 1, c))] = root((r, c))
    groups: dict[tuple[int, int], list[tuple[int, int]]] = {}
    for cell in parent:
        groups.setdefault(root(cell), []).append(cell)
    regions = []
    for group in groups.values():
        rs, cs = [g[0] for g in group], [g[1] for g in group]
        box = (min(rs), min(cs), max(rs) + 1, max(cs) + 1)
        if (box[2] - box[0]) * (box[3] - box[1]) == len(group):
            regions.append(box)
        else:  # not a rectangle: rules are missing by accident, so keep the cells apart
            regions += [(r, c, r + 1, c + 1) for r, c in group]
    return sorted(regions)


def _stands(rules: list[RuledLine], position: float, across: float) -> bool:
    """Whether a rule stands at `position` and covers the coordinate `across`."""
    for rule in rules:
        if abs(rule.position - position) < _SNAP:
            start, end = (rule.box.l, rule.box.r) if rule.horizontal else (rule.box.t, rule.box.b)
            if start - 2 <= across <= end + 2:
                return True
    return False


def _cell(region: tuple[int, int, int, int], xs: list[float], ys: list[float], words: Sequence[PdfWord]) -> Cell:
    row, column, row_end, column_end = region
    box = Box(xs[column], ys[row], xs[column_end], ys[row_end])
    own = [w for w in words if box.l <= (w.box.l + w.box.r) / 2 < box.r and box.t <= (w.box.t + w.box.b) / 2 < box.b]
    return Cell(cell_text(own), box, row, column, row_end, column_end, header=row == 0)


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


def _open_tables(rules: list[RuledLine], words: Sequence[PdfWord]) -> list[Grid]:
    wide = sorted((r for r in rules if r.box.width >= _MIN_WIDTH), key=lambda r: r.position)
    grids = []
    used: set[int] = set()
    for i, first in enumerate(wide):
        if i in used:
            continue
        same = [
            j
            for j in range(i, len(wide))
            if j not in used
            and abs(wide[j].box.l - first.box.l) < _SAME_EXTENT
            and abs(wide[j].box.r - first.box.r) < _SAME_EXTENT
        ]
        if len(same) < _MIN_RULES:
            continue
        used.update(same)
        for run in _tabular_runs([wide[j] for j in same], words):
            partial = [r for r in rules if r.box.width < first.box.width - _SAME_EXTENT]
            grid = _open_grid(run, partial, words)
            if grid is not None:
                grids.append(grid)
    return grids


def _tabular_runs(rules: list[RuledLine], words: Sequence[PdfWord]) -> list[list[RuledLine]]:
    """Split rules of one extent where the strip between two of them holds running text instead of cells."""
    runs: list[list[RuledLine]] = [[rules[0]]]
    for above, below in itertools.pairwise(rules):
        if below.position - above.position < _SNAP or _is_tabular(_strip(above, below, words)):
            runs[-1].append(below)
        else:
            runs.append([below])
    return [run for run in runs if len(run) >= _MIN_RULES]


def _strip(above: RuledLine, below: RuledLine, words: Sequence[PdfWord]) -> list[PdfWord]:
    area = Box(above.box.l, above.position, above.box.r, below.position).grown(2, 1)
    return [w for w in words if w.box.share_inside(area) > _INSIDE]


def _is_tabular(words: Sequence[PdfWord]) -> bool:
    rows = _rows(words)
    if not rows:
        return False
    split = sum(len(row) > 1 for row in rows)
    return split >= _SPLIT * len(rows) or len(rows) <= 2


def _rows(words: Sequence[PdfWord]) -> list[list[Line]]:
    rows: list[list[Line]] = []
    for line in sorted(lines_of(words), key=lambda ln: ln.baseline):
        if rows and line.baseline - rows[-1][0].baseline < _ROW_EM * line.size:
            rows[-1].append(line)
        else:
            rows.append([line])
    for row in rows:
        row.sort(key=lambda ln: ln.box.l)
    return rows


def _open_grid(rules: list[RuledLine], partial: list[RuledLine], words: Sequence[PdfWord]) -> Grid | None:
    outer = enclosing(r.box for r in rules)
    inside = [w for w in words if w.box.share_inside(outer.grown(3, 1)) > _INSIDE]
    head_end = next((r.position for r in rules[1:] if r.position - rules[0].position > _SNAP), rules[-1].position)
    rows = _rows(inside)
    if len(rows) < 2:
        return None
    body_rows = [row for row in rows if row[0].baseline > head_end] or rows
    xs = column_edges(body_rows, outer)
    if len(xs) < 3:
        return None
    return grid_of(rows, xs, outer, head_end=head_end, partial=partial)


def grid_of(
    rows: list[list[Line]], xs: list[float], outer: Box, *, head_end: float, partial: Sequence[RuledLine] = ()
) -> Grid:
    """Return the table of lines that stand in rows and columns.

    Args:
        rows: the lines of each row, from left to right.
        xs: the columns' edges, from `column_edges`.
        outer: the table's box.
        head_end: the y down to which rows are heads.
        partial: rules that separate rows in some columns only.
    """
    rows = [_split_head(row, xs) if row[0].baseline <= head_end else row for row in rows]
    placed = _placed(rows, xs, head_end, partial)
    top = [rows[0][0].box.t - 1]
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
    return [min(outer.l, merged[0][0]) - 1, *inner, max(outer.r, merged[-1][1]) + 1]


def _placed(
    rows: list[list[Line]], xs: list[float], head_end: float, partial: Sequence[RuledLine]
) -> list[list[list[Line]]]:
    """Group the rows: a row that continues the cells above it joins the row above."""
    groups: list[list[list[Line]]] = []
    for row in rows:
        first_empty = row[0].box.l > xs[1] - 1
        sparse = len(row) <= max(1, (len(xs) - 1) // 2)
        goes_on = first_empty or all(line.text[:1].islower() for line in row)
        if groups and goes_on and sparse and row[0].baseline > head_end:
            above = groups[-1][-1]
            close = row[0].baseline - above[0].baseline < 1.35 * row[0].size
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
            own.setdefault(_columns_of(line.box, xs), []).extend(line.words)
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


def _columns_of(box: Box, xs: list[float]) -> tuple[int, int]:
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
