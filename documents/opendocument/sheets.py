"""Spreadsheets of OpenDocument: each sheet as one table, its cells as the sheet shows them."""

from __future__ import annotations

from typing import Any, Final

from fastembed.documents.opendocument.package import OpenDocument, number, q, tag
from fastembed.documents.opendocument.text import CellCount, TextWalk, comment_of, has_content, table_rows
from fastembed.documents.outline import Outline, TextCell

HIDDEN: Final = "(hidden)"
_VALUES: Final = ("string-value", "date-value", "time-value", "boolean-value", "value")
_NAMED: Final = 5
_LETTERS: Final = 26


def write_sheets(body: Any, source: OpenDocument, outline: Outline, name: str, remarks: list[str]) -> None:
    """Write every sheet: its name, its table without blank rows and columns, its comments, its shapes."""
    count = CellCount(name, source)
    walk = TextWalk(source, outline, name, count)
    for table in body.iter(q("table:table")):
        if table.getparent() is body:
            _Sheet(table, source, outline, walk, count).write(remarks)


class _Sheet:
    """One sheet."""

    def __init__(self, table: Any, source: OpenDocument, outline: Outline, walk: TextWalk, count: CellCount) -> None:
        self._table = table
        self._source = source
        self._outline = outline
        self._walk = walk
        self._count = count
        self._comments: list[str] = []
        self._frames: list[Any] = []
        self._lacking: list[str] = []

    def write(self, remarks: list[str]) -> None:
        """Write it into the outline."""
        name = self._table.get(q("table:name"), "")
        style = self._table.get(q("table:style-name"), "")
        hidden = self._source.property("table", style, "table-properties", "table:display") == "false"
        self._outline.start_page(sheet=f"{name} {HIDDEN}" if hidden else name)
        rows = self._rows()
        used = sorted({column for row in rows for column in row})
        place = {column: index for index, column in enumerate(used)}
        self._outline.table([_filled(row, place) for row in rows])
        for comment in self._comments:
            self._outline.footnote(comment)
        shapes = self._table.find(q("table:shapes"))
        for frame in [*(() if shapes is None else shapes), *self._frames]:
            self._walk.frame(frame)
        if self._lacking:
            some = ", ".join(self._lacking[:_NAMED]) + (", ..." if len(self._lacking) > _NAMED else "")
            remarks.append(
                f"sheet {name}: {len(self._lacking)} formulas without a stored result ({some}): their cells are empty "
                "here; open and save the file in a spreadsheet program to store them"
            )

    def _rows(self) -> list[dict[int, TextCell]]:
        """Return the rows that hold something: their cells by column."""
        rows = []
        at = 0
        for row, _ in _numbered(self._table, self._count):
            cells = self._cells(row, at)
            at += 1 if has_content(row) else max(number(row, "table:number-rows-repeated"), 1)
            if cells:
                rows.append(cells)
        return rows

    def _cells(self, row: Any, at: int) -> dict[int, TextCell]:
        cells: dict[int, TextCell] = {}
        column = 0
        for cell in row:
            kind = tag(cell)
            if kind not in ("table:table-cell", "table:covered-table-cell"):
                continue
            times = max(number(cell, "table:number-columns-repeated"), 1)
            text = self._text(cell, at, column) if kind == "table:table-cell" else ""
            if text:
                self._count.repeated(cell, "table:number-columns-repeated")
                spanned = number(cell, "table:number-columns-spanned")
                cells |= {column + step: TextCell(text, columns=spanned) for step in range(times)}
            column += times
        return cells

    def _text(self, cell: Any, row: int, column: int) -> str:
        """Return what a cell shows: its paragraphs, else its value."""
        for part in cell:
            kind = tag(part)
            if kind == "office:annotation":
                self._comments.append(f"{_place(row, column)}: {comment_of(part)}")
            elif kind.startswith("draw:"):
                self._frames.append(part)
        text = "\n".join(line for part in cell.findall(q("text:p")) if (line := self._walk.line(part).text))
        if not text:
            text = next((value for name in _VALUES if (value := cell.get(q(f"office:{name}")))), "")
        if not text and cell.get(q("table:formula")) and cell.get(q("office:value-type")) != "string":
            self._lacking.append(_place(row, column))
        return text


def _numbered(table: Any, count: CellCount) -> Any:
    return table_rows(table, count)


def _filled(row: dict[int, TextCell], place: dict[int, int]) -> list[TextCell]:
    """Return a row's cells without gaps; a merged cell spans the columns that are left of it."""
    cells: list[TextCell] = []
    at = 0
    for column, cell in sorted(row.items()):
        cells += [TextCell("")] * (place[column] - at)
        covered = [place[right] for right in range(column, column + cell.columns) if right in place]
        free = [index for index in covered if index == place[column] or _is_free(row, place, index)]
        cells.append(TextCell(cell.text, columns=len(free)))
        at = place[column] + len(free)
    cells += [TextCell("")] * (len(place) - at)
    return cells


def _is_free(row: dict[int, TextCell], place: dict[int, int], index: int) -> bool:
    return all(place[column] != index for column in row)


def _place(row: int, column: int) -> str:
    """Return a cell's name: B7."""
    letters = ""
    column += 1
    while column:
        column, letter = divmod(column - 1, _LETTERS)
        letters = chr(ord("A") + letter) + letters
    return f"{letters}{row + 1}"
