"""How the cells of a sheet that hold something become texts and tables.

Only cells that exist count, so that a stray one far away costs nothing: rows and columns without any are passed over.
A blank row does not end a table; a block below one is a table of its own where it stands in other columns, or has a
header of its own (texts over what are numbers in it, or in the block above).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Final

from fastembed.documents.limits import DocumentLimits
from fastembed.pipeline.errors import TooLarge

_LIST_ROWS: Final = 4
"""Rows of one cell each, from which they are a table of one column, not lines of text."""


@dataclass(frozen=True, slots=True)
class SheetCell:
    """A cell that holds something: its place from 0, its text, whether that is a number, and what it covers."""

    row: int
    column: int
    text: str
    is_number: bool = False
    rows: int = 1
    columns: int = 1


Rows = dict[int, list[SheetCell]]


def regions(cells: list[SheetCell]) -> list[list[SheetCell]]:
    """Return the cells of a sheet in regions, top to bottom: a single cell is a text, more are a table."""
    rows: Rows = {row: list(some) for row, some in groupby(sorted(cells, key=_place), key=lambda cell: cell.row)}
    tables: list[Rows] = []
    for block in _blocks(rows):
        if tables and _goes_on(tables[-1], block):
            tables[-1].update(block)
        else:
            tables.append(block)
    return [region for table in tables for region in _without_lines(table)]


def compact(region: list[SheetCell], name: str, limits: DocumentLimits) -> tuple[list[SheetCell], int, int]:
    """Return a region without blank rows and columns, from 0, and how many of each it has.

    TooLarge: its cells are so scattered that the table would have more places than allowed.
    """
    rows = {row: place for place, row in enumerate(sorted({cell.row for cell in region}))}
    columns = {column: place for place, column in enumerate(sorted({cell.column for cell in region}))}
    if len(rows) * len(columns) > limits.area:
        raise TooLarge(
            f"{name}: found cells scattered over {len(rows):,} rows and {len(columns):,} columns, expected a "
            f"table of at most {limits.area:,} places",
            code="too_large",
        )
    moved = [
        SheetCell(
            rows[cell.row],
            columns[cell.column],
            cell.text,
            cell.is_number,
            _covered(rows, cell.row, cell.rows),
            _covered(columns, cell.column, cell.columns),
        )
        for cell in region
    ]
    return moved, len(rows), len(columns)


def _place(cell: SheetCell) -> tuple[int, int]:
    return cell.row, cell.column


def _covered(places: dict[int, int], first: int, count: int) -> int:
    """Return how many of the rows or columns that are left a merged cell covers."""
    if count == 1:
        return 1
    return sum(1 for place in places if first <= place < first + count)


def _blocks(rows: Rows) -> Iterator[Rows]:
    """Yield runs of rows without a blank one between them; a merged cell's rows are not blank."""
    block: Rows = {}
    end = -1
    for row, cells in rows.items():
        if block and row > end + 1:
            yield block
            block = {}
        block[row] = cells
        end = max(end, row, *(row + cell.rows - 1 for cell in cells))
    if block:
        yield block


def _goes_on(table: Rows, block: Rows) -> bool:
    """Whether a block below a blank row belongs to the table above it."""
    above, below = _columns(table), _columns(block)
    first = next(iter(block.values()))
    if len(first) == 1 and len(above) > 1 and len(block) == 1:
        return False  # a remark below the table
    if len(below) == 1 < len(above) or not below <= above:
        return False
    numbers = {cell.column for row in [*_body(table), *_body(block)] for cell in row if cell.is_number}
    is_header = len(first) > 1 and not any(cell.is_number for cell in first)
    return not (is_header and any(cell.column in numbers for cell in first))


def _body(rows: Rows) -> list[list[SheetCell]]:
    return list(rows.values())[1:]


def _columns(rows: Rows) -> set[int]:
    return {cell.column for cells in rows.values() for cell in cells}


def _without_lines(table: Rows) -> Iterator[list[SheetCell]]:
    """Yield the lines of one cell each that stand above a table, then the table."""
    rows = list(table.values())
    if all(len(cells) == 1 for cells in rows):
        if len(rows) < _LIST_ROWS or len(_columns(table)) > 1:
            yield from rows
        else:
            yield [cells[0] for cells in rows]
        return
    first = next(place for place, cells in enumerate(rows) if len(cells) > 1)
    yield from rows[:first]
    yield [cell for cells in rows[first:] for cell in cells]


def text_cells(sheet: Any, spans: dict[tuple[int, int], tuple[int, int]], show: Any) -> list[SheetCell]:
    """Return the cells of an openpyxl worksheet that hold something. spans: rows and columns of merged ones."""
    found = []
    for (row, column), cell in sheet._cells.items():  # noqa: SLF001 - the cells that exist; iterating rows makes new ones
        text = show(cell.value, cell.number_format) if cell.value is not None else ""
        if text.strip():
            rows, columns = spans.get((row - 1, column - 1), (1, 1))
            found.append(SheetCell(row - 1, column - 1, text, not isinstance(cell.value, str), rows, columns))
    return found
