"""Tables without rules whose cells go on over several lines, at the top, middle or foot of their row."""

import itertools
import re
import statistics
from collections.abc import Sequence
from typing import Final

from fastembed.documents.pdf.cells import Grid, grid_of, is_prose
from fastembed.documents.pdf.geometry import enclosing
from fastembed.documents.pdf.rows import LayoutRow
from fastembed.documents.pdf.text import Line

_MIN_COLUMNS: Final = 3  # of two columns, the second is often the description of a term, which reads better as text
_MIN_ANCHORS: Final = 3  # rows that fill all columns; fewer stand below each other by accident
_GAP_EM: Final = 0.4  # between columns
_FULL: Final = 0.6  # of the rows of several cells fill all columns
_CLOSE_EM: Final = 1.2  # white space between the lines of a table
_SAME_SIZE: Final = 0.15  # by which the type of a table may differ
_TWO_SPACES_EM: Final = 0.25  # by which the space between rows is wider than that between the lines of a cell
_NUMBERS: Final = 0.7  # of the cells of a column of numbers are some
_NUMBER = re.compile(r"^[-+(€$£¥]{0,2}\s?\d[\d.,'’ ]*\)?\s?(?:%|[€$£¥]|[A-Z]{3})?$")


def wrapped_table(rows: Sequence[LayoutRow], start: int) -> tuple[Grid, int, int] | None:
    """Return the table whose first full row is `rows[start]`, and its first and last row, the end excluded."""
    if len(rows[start].parts) < _MIN_COLUMNS:
        return None
    end = start + 1
    while end < len(rows) and _belongs(rows[end], rows[start]):
        end += 1
    for _ in range(2):  # a row that stands across the columns ends the table; without what is below, they may differ
        cores = _spans([row for row in rows[start:end] if len(row.parts) > 1])
        across = next((i for i in range(start, end) if _crosses(rows[i], cores)), end)
        if across == end:
            break
        end = across
    spans = _spans(rows[start:end])
    xs = [spans[0][0] - 1, *((a[1] + b[0]) / 2 for a, b in itertools.pairwise(spans)), spans[-1][1] + 1]
    columns = len(xs) - 1
    several = [row for row in rows[start:end] if len(row.parts) > 1]
    full = sum(len(row.parts) == columns for row in several)
    if columns < _MIN_COLUMNS or full < max(_MIN_ANCHORS, _FULL * len(several)) or len(several) == end - start:
        return None
    while start > 0 and _belongs(rows[start - 1], rows[start]) and _is_continued(rows[start - 1], spans):
        start -= 1
    groups = _groups(rows[start:end], xs)
    lines = [line for group in groups for line in group]
    if is_prose(lines, xs):
        return None
    outer = enclosing(row.box for row in rows[start:end])
    head_end = groups[0][-1][0].baseline if _is_head(groups) else outer.t
    return grid_of(lines, xs, outer, head_end=head_end, groups=groups), start, end


def has_numbers(rows: Sequence[Sequence[Line]], columns: int) -> bool:
    """Whether the rows end in a column of numbers, as those of invoices do, and one of them fills all columns."""
    ends = [row[-1].text for row in rows if len(row) > 1]
    numbers = sum(map(is_figure, ends))
    return columns >= _MIN_COLUMNS and max(map(len, rows)) == columns and numbers >= _NUMBERS * len(ends)


def is_figure(text: str) -> bool:
    """Whether a cell holds a number, an amount or a percentage."""
    return bool(_NUMBER.match(text))


def _belongs(row: LayoutRow, first: LayoutRow) -> bool:
    if row.line is None or first.line is None or row.column != first.column:
        return False
    alike = abs(row.line.size - first.line.size) < _SAME_SIZE * first.line.size
    return alike and row.space < _CLOSE_EM * row.line.size


def _spans(rows: Sequence[LayoutRow]) -> list[tuple[float, float]]:
    """Return from where to where the columns reach, as the cells of the rows show them."""
    merged: list[tuple[float, float]] = []
    for part in sorted((part for row in rows for part in row.parts), key=lambda part: part.box.l):
        if merged and part.box.l - merged[-1][1] < _GAP_EM * part.size:
            merged[-1] = (merged[-1][0], max(merged[-1][1], part.box.r))
        else:
            merged.append((part.box.l, part.box.r))
    return merged


def _crosses(row: LayoutRow, spans: Sequence[tuple[float, float]]) -> bool:
    """Whether a cell of the row stands in more than one column."""
    return any(sum(left < part.box.r and part.box.l < right for left, right in spans) > 1 for part in row.parts)


def _is_continued(row: LayoutRow, spans: Sequence[tuple[float, float]]) -> bool:
    """Whether a row holds only lines of cells behind the first column."""
    return row.box.l > spans[0][1] and row.box.r <= spans[-1][1] + 1 and not _crosses(row, spans)


def _groups(rows: Sequence[LayoutRow], xs: Sequence[float]) -> list[list[list[Line]]]:
    """Group the lines that form a row: by the wider space between rows, else by the cell in the first column."""
    spaces = [row.space for row in rows[1:]]
    size = statistics.median(row.line.size for row in rows if row.line is not None)
    middle = (min(spaces) + max(spaces)) / 2
    if max(spaces) - min(spaces) > _TWO_SPACES_EM * size:
        groups = _split(rows, [space > middle for space in spaces])
        if all(sum(line[0].box.l < xs[1] - 1 for line in group) == 1 for group in groups):
            return groups
    return _split(rows, [row.box.l < xs[1] - 1 for row in rows[1:]])


def _split(rows: Sequence[LayoutRow], starts: Sequence[bool]) -> list[list[list[Line]]]:
    groups: list[list[list[Line]]] = [[list(rows[0].parts)]]
    for row, new in zip(rows[1:], starts, strict=True):
        if new:
            groups.append([])
        groups[-1].append(list(row.parts))
    return groups


def _is_head(groups: Sequence[Sequence[Sequence[Line]]]) -> bool:
    """Whether the first row differs from the others: bold, or without figures where all others have some."""
    bold = [all(line.bold_share > _NUMBERS for row in group for line in row) for group in groups]
    figures = [any(c.isdigit() for line in itertools.chain(*group) for c in line.text) for group in groups]
    return (bold[0] and not all(bold)) or (not figures[0] and all(figures[1:]))
