"""Tables from ruled lines: full grids, and tables with horizontal rules only (booktabs)."""

# ruff: noqa: PLR2004 - thresholds have names; what is left are small counts and signs

import itertools
from collections.abc import Iterable, Sequence
from typing import Final

from fastembed.documents.pdf.cells import Cell, Grid, cell_text, column_edges, columns_of, grid_of, is_prose, rows_of
from fastembed.documents.pdf.drawing import RuledLine
from fastembed.documents.pdf.geometry import Box, clustered, enclosing
from fastembed.documents.pdf.words import PdfWord

_SNAP: Final = 3.0  # points: rules this close are one, or meet
_SAME_EXTENT: Final = 6.0  # points by which the ends of the rules of one open table may differ
_MIN_WIDTH: Final = 60.0  # points: shorter rules are those of fractions and notes
_MAX_CELLS: Final = 4_000  # more are drawn graph paper or an attack
_MIN_RULES: Final = 3  # of an open table: above, below the head, below
_OPEN_EDGE: Final = 4 * _SNAP  # the horizontal rules reach that far beyond the outermost vertical ones: a column more
_INSIDE: Final = 0.6  # of a word's box lies in the table
_WITHIN: Final = 0.9  # of a rule's box lies in a table that was found already
_FILLED: Final = 0.25  # of the cells have text, or it is a frame or a form
_SPLIT: Final = 0.5  # of a strip's rows have gaps: cells, not running text
_BAR_EM: Final = 3.0  # how high a bar behind one row may be
_MIN_UNRULED: Final = 3  # lines between two rules of a grid that may be rows of their own; fewer are cells that go on
_MOST: Final = 0.6  # of the columns such a row fills


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
        elif not vs or _is_bar(hs, vs, words):
            lone += hs
    taken = [g.box.grown(2) for g in grids]
    lone = [r for r in lone if not any(r.box.share_inside(b) > _WITHIN for b in taken)]
    grids += _open_tables(lone, words)
    return sorted(grids, key=lambda g: (g.box.t, g.box.l))


def _is_bar(hs: Sequence[RuledLine], vs: Sequence[RuledLine], words: Sequence[PdfWord]) -> bool:
    """Whether rules are the edges of a bar behind a row, as behind heads and totals, not a frame around a listing."""
    box = enclosing(r.box for r in (*hs, *vs))
    inside = [w for w in words if w.box.share_inside(box) > _INSIDE]
    if not inside or len(clustered((v.position for v in vs), _SNAP)) > 2 or any(w.style.mono for w in inside):
        return False
    return box.height < _BAR_EM * max(w.style.size for w in inside) and len(rows_of(inside)[0]) > 1


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
    if rows <= 2 and is_prose(rows_of(inside), xs):
        return None  # columns of text in a frame
    between = [y for band in itertools.pairwise(ys) for y in _unruled(band, xs, inside)]
    hs = hs + [RuledLine(Box(xs[0], y, xs[-1], y), horizontal=True) for y in between]
    ys = sorted([*ys, *between])
    rows = len(ys) - 1
    regions = _regions(xs, ys, hs, vs)
    cells = [_cell(region, xs, ys, inside) for region in regions]
    filled = [c for c in cells if c.text]
    if len(filled) < 2 or len(filled) < _FILLED * len(cells):
        return None
    return Grid(Box(xs[0], ys[0], xs[-1], ys[-1]), rows, columns, tuple(cells))


def _unruled(band: tuple[float, float], xs: list[float], words: Sequence[PdfWord]) -> list[float]:
    """Return the y between the rows that stand between two rules: each fills most columns, one column is of numbers."""
    rows = rows_of([w for w in words if band[0] <= (w.box.t + w.box.b) / 2 < band[1]])
    if len(rows) < _MIN_UNRULED:
        return []
    filled = [{columns_of(line.box, xs)[0] for line in row} for row in rows]
    numbers = [
        {columns_of(line.box, xs)[0] for line in row if line.text[:1].isdigit() and line.text[-1:].isdigit()}
        for row in rows
    ]
    if min(map(len, filled)) < _MOST * (len(xs) - 1) or not set.intersection(*numbers):
        return []
    return [(a[0].box.b + b[0].box.t) / 2 for a, b in itertools.pairwise(rows)]


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
    rows = rows_of(words)
    if not rows:
        return False
    split = sum(len(row) > 1 for row in rows)
    return split >= _SPLIT * len(rows) or len(rows) <= 2


def _open_grid(rules: list[RuledLine], partial: list[RuledLine], words: Sequence[PdfWord]) -> Grid | None:
    outer = enclosing(r.box for r in rules)
    inside = [w for w in words if w.box.share_inside(outer.grown(3, 1)) > _INSIDE]
    head_end = next((r.position for r in rules[1:] if r.position - rules[0].position > _SNAP), rules[-1].position)
    rows = rows_of(inside)
    if len(rows) < 2:
        return None
    body_rows = [row for row in rows if row[0].baseline > head_end] or rows
    xs = column_edges(body_rows, outer)
    if len(xs) < 3:
        return None
    if is_prose(rows, xs):
        return None
    return grid_of(rows, xs, outer, head_end=head_end, partial=partial)
