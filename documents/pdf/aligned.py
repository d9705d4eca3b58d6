"""Tables without rules: rows whose cells stand below each other."""

# ruff: noqa: PLR2004 - thresholds have names; what is left are small counts and signs

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from fastembed.documents.pdf.cells import Grid, column_edges, grid_of, is_prose
from fastembed.documents.pdf.geometry import enclosing
from fastembed.documents.pdf.lists import marker_of
from fastembed.documents.pdf.rows import LayoutRow, PageRows
from fastembed.documents.pdf.titles import is_number
from fastembed.documents.pdf.wrapped import has_numbers, is_figure, wrapped_table

_LEADERS = re.compile(r"[.·…_](?:\s{0,3}[.·…_]){2,}")
_PAGE = re.compile(r"(?:\d{1,4}|[ivxlcdm]{1,7})$")
_MIN_ROWS: Final = 3
_MAX_WRAPPED: Final = 0.34
"""Which share of the rows may go on with a cell; more of them are descriptions of terms, which read better as text."""
_LARGER: Final = 1.1  # times the body's size: larger rows are headings side by side
_FIXED: Final = 0.5  # of the characters in fixed pitch: a listing
_MATH: Final = 0.4  # of the characters in a mathematical font: formulas below each other
_CLOSE_EM: Final = 1.2  # white space between two rows of one table
_OTHER_SIZE: Final = 0.15  # of the first row's size
_MARKED: Final = 0.5  # of the rows begin like list items: a list
_COMPLETE: Final = 0.6  # of the rows have a cell in every column, or the gaps are accidental
_BOLD: Final = 0.8  # of the characters of a head
_PAGES: Final = 0.7  # of the rows end like page numbers: a table of contents


def with_aligned_tables(page: PageRows, body: float) -> PageRows:
    """Return the page with the tables that no rules enclose found among its rows.

    Args:
        page: the page's rows.
        body: the document's body size in points.
    """
    rows: list[LayoutRow] = []
    i = 0
    while i < len(page.rows):
        start, end = i, _end(page.rows, i, body)
        if end - i >= _MIN_ROWS and _is_columns(page.rows[i:end]):
            rows += page.rows[i:end]
            i = end
            continue
        grid = _grid(page.rows[i:end]) if end - i >= _MIN_ROWS else None
        if _is_cells(page.rows[i], body) and (found := wrapped_table(page.rows, i)) and found[2] > end:
            grid, start, end = found
        if grid is None:
            rows.append(page.rows[i])
            i += 1
        else:
            del rows[len(rows) - (i - start) :]
            first = page.rows[start]
            rows.append(LayoutRow(first.page, grid.box, first.column, first.space, solid=grid))
            i = end
    return replace(page, rows=tuple(rows))


def _end(rows: Sequence[LayoutRow], start: int, body: float) -> int:
    """Return where the rows of cells from `start` on end; `start` itself if there is none."""
    if not _is_cells(rows[start], body):
        return start
    second = rows[start].parts[1].box.l
    end = last = start + 1
    while end < len(rows) and rows[end].column == rows[start].column and _is_close(rows[end], rows[start]):
        if _is_cells(rows[end], body):
            second = min(second, rows[end].parts[1].box.l)
            last = end + 1
        elif rows[end].line is None or rows[end].box.l < second - 1 or end > last:
            break  # one row may go on with a cell before the next row starts
        end += 1
    return last


def _is_cells(row: LayoutRow, body: float) -> bool:
    line = row.line
    if (
        line is None
        or len(row.parts) < 2
        or line.size > _LARGER * body
        or line.mono_share > _FIXED
        or line.math_share > _MATH
    ):
        return False
    # Numbers start headings and the lines of listings; those of tables' rows come with numbers at their end.
    numbered = is_number(row.parts[0].text) and (len(row.parts) == 2 or not is_figure(row.parts[-1].text))
    return not (_is_marked(row, sure=True) or numbered or _LEADERS.search(row.text))


def _is_marked(row: LayoutRow, *, sure: bool) -> bool:
    """Whether a row starts like a list item; an operator alone in its cell looks like a bullet, but not `sure`ly."""
    marker = marker_of(row.parts[0].text + " x")
    return bool(marker) and not (sure and marker in "+-*–—o")


def _is_close(row: LayoutRow, first: LayoutRow) -> bool:
    if row.line is None or first.line is None:
        return False
    return (
        row.space < _CLOSE_EM * row.line.size and abs(row.line.size - first.line.size) < _OTHER_SIZE * first.line.size
    )


def _grid(rows: Sequence[LayoutRow]) -> Grid | None:
    full = [row for row in rows if len(row.parts) > 1]
    if len(full) < _MIN_ROWS or len(rows) - len(full) > _MAX_WRAPPED * len(rows) or _lists_pages(full):
        return None
    if sum(_is_marked(row, sure=False) for row in full) > _MARKED * len(full):
        return None
    lines = [list(row.parts) for row in rows]
    outer = enclosing(row.box for row in rows)
    xs = column_edges(lines, outer)
    columns = len(xs) - 1
    # Accidental gaps do not stand below each other, so that no gap is left that all rows share.
    even = sum(len(row.parts) == columns for row in full) >= _COMPLETE * len(full)
    if columns < 2 or not (even or has_numbers(lines, columns)):
        return None
    heads = [line.bold_share > _BOLD for line in (row.line for row in rows) if line is not None]
    head_end = lines[0][0].baseline if heads[0] and not all(heads) else outer.t
    return grid_of(lines, xs, outer, head_end=head_end)


def _is_columns(rows: Sequence[LayoutRow]) -> bool:
    """Whether rows are those of columns of prose, of which the last few alone would look like cells."""
    lines = [list(row.parts) for row in rows]
    return is_prose(lines, column_edges(lines, enclosing(row.box for row in rows)))


def _lists_pages(rows: Sequence[LayoutRow]) -> bool:
    """Whether the rows end in numbers that go up, as a table of contents without leaders does."""
    ends = [row.parts[-1].text for row in rows]
    numbers = [int(end) for end in ends if end.isdecimal()]
    return sum(bool(_PAGE.match(end)) for end in ends) > _PAGES * len(ends) and numbers == sorted(numbers)
