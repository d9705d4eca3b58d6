"""Rows: the lines of a page in reading order, each with its column and the space above it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from fastembed.documents.pdf.backdrops import without_panels
from fastembed.documents.pdf.cells import Grid
from fastembed.documents.pdf.columns import LayoutPiece, reading_order
from fastembed.documents.pdf.figures import figure_boxes, inner_lines
from fastembed.documents.pdf.geometry import Box, enclosing
from fastembed.documents.pdf.page import Page
from fastembed.documents.pdf.tables import ruled_tables
from fastembed.documents.pdf.text import Line, merged_row

_ACROSS: Final = 0.9  # of the text's width: a rule that parts what is above from what is below
_MIN_BAND: Final = 12  # lines on either side of such a rule
_REACH: Final = 2.0  # points by which text and rules may stand out of the table or figure that they belong to
_IN_TABLE: Final = 0.6  # of a line's box: then it is in the table's cells already
_IN_FIGURE: Final = 0.9  # of a rule: then it is part of a drawing
_RULES: Final = (3, 2000)  # of a table: fewer make no cells, more are a drawing
_LEVEL_EM: Final = 0.3  # by which the baselines of one row differ at most
_APART: Final = 1.0  # points by which lines that stand side by side may overlap
_MONO: Final = 0.5  # of a line's characters, in fixed pitch


@dataclass(frozen=True, slots=True)
class Figure:
    """A picture with the lines inside it."""

    box: Box
    lines: tuple[Line, ...]


@dataclass(frozen=True, slots=True)
class LayoutRow:
    """A line of text (`line`), a table or a figure in reading order.

    `column` is the box of the column it stands in; `space` the white space above it in points, infinite at the top of
    a column; `parts` the pieces of the line that wide gaps separate.
    """

    page: int
    box: Box
    column: Box
    space: float
    line: Line | None = None
    parts: tuple[Line, ...] = ()
    solid: Grid | Figure | None = None

    @property
    def text(self) -> str:
        """The line's text, empty for a table or figure."""
        return self.line.text if self.line is not None else ""


@dataclass(frozen=True, slots=True)
class PageRows:
    """A page in reading order, with its furniture apart."""

    page: Page
    rows: tuple[LayoutRow, ...]
    head: tuple[Line, ...]
    foot: tuple[Line, ...]
    margin: tuple[Line, ...]
    """Turned text outside figures."""


def page_rows(page: Page, furniture: tuple[set[int], set[int]], body: float) -> PageRows:
    """Return the page's rows in reading order.

    Args:
        page: the page.
        furniture: the indices of the lines in the running head and foot.
        body: the document's body size in points.
    """
    head, foot = furniture
    lines = [line for i, line in enumerate(page.lines) if i not in head and i not in foot]
    figures, lines = _figures(page, lines, body)
    upright = [line for line in lines if not line.turned]
    grids = _tables(page, upright, figures)
    rest = [ln for ln in upright if not any(ln.box.share_inside(g.box.grown(_REACH)) > _IN_TABLE for g in grids)]
    rows = [
        row for lines, solids in _bands(page, rest, [*figures, *grids]) for row in _ordered(page.number, lines, solids)
    ]
    return PageRows(
        page,
        tuple(rows),
        tuple(page.lines[i] for i in sorted(head)),
        tuple(page.lines[i] for i in sorted(foot)),
        tuple(line for line in lines if line.turned),
    )


def _figures(page: Page, lines: list[Line], body: float) -> tuple[list[Figure], list[Line]]:
    boxes = figure_boxes(without_panels(page, lines, body), lines, width=page.width, height=page.height, body=body)
    figures = []
    for box in boxes:
        inside = set(inner_lines(box, lines))
        figures.append(Figure(box, tuple(ln for i, ln in enumerate(lines) if i in inside)))
        lines = [ln for i, ln in enumerate(lines) if i not in inside]
    return figures, lines


def _tables(page: Page, lines: list[Line], figures: list[Figure]) -> list[Grid]:
    rules = [
        r for r in page.drawing.rules if not any(r.box.share_inside(f.box.grown(_REACH)) > _IN_FIGURE for f in figures)
    ]
    if not _RULES[0] <= len(rules) <= _RULES[1]:
        return []
    return ruled_tables(rules, [w for line in lines for w in line.words])


def _bands(
    page: Page, lines: Sequence[Line], solids: Sequence[Figure | Grid]
) -> list[tuple[list[Line], list[Figure | Grid]]]:
    """Part what stands above and below rules across the text: each band may have columns of its own.

    Only where much text stands on both sides; a rule below a title or above a note parts no columns.
    """
    bands: list[tuple[list[Line], list[Figure | Grid]]] = [(list(lines), list(solids))]
    if not lines:
        return bands
    area = enclosing(line.box for line in lines)
    across = [r.position for r in page.drawing.rules if r.horizontal and r.box.width > _ACROSS * area.width]
    for y in sorted(across):
        own, boxes = bands[-1]
        above, below = [ln for ln in own if ln.baseline <= y], [ln for ln in own if ln.baseline > y]
        if min(len(above), len(below)) < _MIN_BAND or any(s.box.t < y < s.box.b for s in boxes):
            continue
        upper, lower = [s for s in boxes if s.box.b <= y], [s for s in boxes if s.box.b > y]
        bands[-1:] = [(above, upper), (below, lower)]
    return bands


def _ordered(number: int, lines: Sequence[Line], solids: Sequence[Figure | Grid]) -> list[LayoutRow]:
    pieces = [_piece(line) for line in lines] + [LayoutPiece(s.box, solid=True) for s in solids]
    rows: list[LayoutRow] = []
    for region in reading_order(pieces):
        column = enclosing(pieces[i].box for i in region)
        bottom: float | None = None
        for group in _same_rows(lines, region):
            box = enclosing(pieces[i].box for i in group)
            space = float("inf") if bottom is None else box.t - bottom
            if rows and rows[-1].solid is not None and group[0] < len(lines) and bottom is not None:
                space = max(space, lines[group[0]].size)  # pictures bring the white space around them along
            bottom = box.b if bottom is None else max(bottom, box.b)
            if group[0] >= len(lines):
                rows.append(LayoutRow(number, box, column, space, solid=solids[group[0] - len(lines)]))
                continue
            parts = tuple(sorted((lines[i] for i in group), key=lambda ln: ln.box.l))
            line = parts[0] if len(parts) == 1 else merged_row(parts)
            rows.append(LayoutRow(number, box, column, space, line=line, parts=parts))
    return rows


def _same_rows(lines: Sequence[Line], region: list[int]) -> list[list[int]]:
    """Group the lines of a column that stand side by side."""
    groups: list[list[int]] = []
    for i in region:
        if groups and i < len(lines) and groups[-1][0] < len(lines):
            a, b = lines[groups[-1][0]], lines[i]
            level = abs(a.baseline - b.baseline) <= _LEVEL_EM * min(a.size, b.size)
            apart = all(lines[k].box.r <= b.box.l + _APART or b.box.r <= lines[k].box.l + _APART for k in groups[-1])
            if level and apart:
                groups[-1].append(i)
                continue
        groups.append([i])
    return groups


def _piece(line: Line) -> LayoutPiece:
    text = line.text
    letters = sum(c.isalpha() or c == " " for c in text) / max(1, len(text))
    return LayoutPiece(line.box, len(line.words), line.size, line.mono_share > _MONO, letters=letters)
