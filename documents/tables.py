"""A table as Markdown: pipes, the first row (or the marked header rows) as header, merged cells once a row."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

Grid = list[list[str]]


def grid_of(data: Any, text_of: Callable[[Any], str]) -> tuple[Grid, int]:
    """Return a docling `TableData` as rows of texts, and how many of its first rows are its header.

    A merged cell's text stands in each row that it covers, so that every row can be read alone, in its first column; in
    all of its columns only where it is part of a header of several rows, which `markdown_of` joins.
    """
    rows: Grid = [[""] * data.num_cols for _ in range(data.num_rows)]
    header = max((cell.end_row_offset_idx for cell in data.table_cells if cell.column_header), default=0)
    for cell in data.table_cells:
        text = text_of(cell)
        titles = cell.column_header and header > 1
        first, end = cell.start_col_offset_idx, cell.end_col_offset_idx if titles else cell.start_col_offset_idx + 1
        for row in range(cell.start_row_offset_idx, min(cell.end_row_offset_idx, data.num_rows)):
            for column in range(first, min(end, data.num_cols)):
                rows[row][column] = text
    return rows, header


def clip_spans(data: Any) -> None:
    """Clip the cells of a docling `TableData` at its rows and columns: beyond them docling's own exports fail."""
    for cell in data.table_cells:
        cell.end_row_offset_idx = min(cell.end_row_offset_idx, data.num_rows)
        cell.end_col_offset_idx = min(cell.end_col_offset_idx, data.num_cols)
        cell.row_span = max(1, cell.end_row_offset_idx - cell.start_row_offset_idx)
        cell.col_span = max(1, cell.end_col_offset_idx - cell.start_col_offset_idx)
    data.table_cells = [
        cell
        for cell in data.table_cells
        if cell.start_row_offset_idx < data.num_rows and cell.start_col_offset_idx < data.num_cols
    ]


def markdown_of(rows: Sequence[Sequence[str]], header: int) -> str:
    """Return the rows as a Markdown table. Several header rows become one: their distinct texts joined by `/`."""
    if not rows or not rows[0]:
        return ""
    header = header if 0 < header < len(rows) else 1
    titles = [_joined(column) for column in zip(*rows[:header], strict=True)]
    lines = [line_of(titles), "|" + " --- |" * len(titles)]
    lines += [line_of(row) for row in rows[header:] if any(cell.strip() for cell in row)]
    return "\n".join(lines)


def line_of(cells: Sequence[str]) -> str:
    """Return one row; pipes and line ends inside a cell are escaped."""
    return "| " + " | ".join(_escaped(cell) for cell in cells) + " |"


def _escaped(cell: str) -> str:
    if "|" in cell:
        cell = cell.replace("\\|", "|").replace("|", "\\|")
    return " ".join(cell.split())


def _joined(texts: Sequence[str]) -> str:
    """Return the distinct texts of a column's header cells, from the top."""
    return " / ".join(dict.fromkeys(text.strip() for text in texts if text.strip()))
