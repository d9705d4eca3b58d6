"""CSV and TSV: which mark parts the columns, where the header is, and what stands before it."""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Final

from docling_core.types.doc.document import DoclingDocument
from docling_core.types.doc.items.table.table_data import TableCell, TableData
from docling_core.types.doc.labels import DocItemLabel

from fastembed.documents.encodings import decode

_MARKS: Final = "\t;|,"
_SAMPLE_ROWS: Final = 500
_WIDTH_BONUS: Final = 0.04
"""How much a column more is worth, as a share of the rows that have the usual width."""
_MOST_WIDTH: Final = 10
_LONGEST_PREAMBLE: Final = 30
_SEPARATOR: Final = re.compile(r'"?sep=(.)"?\r?\n', re.IGNORECASE)

Rows = list[list[str]]


@dataclass(frozen=True, slots=True)
class DelimitedTable:
    """What a file says before its table, the table with its header, and whether its rows differ in length."""

    preamble: list[str]
    rows: Rows
    ragged: tuple[int, int] | None = None


def read_delimited(path: Path, name: str, remarks: list[str]) -> DoclingDocument:
    """Return the document of a CSV or TSV file."""
    found = decode(path.read_bytes())
    if found.remark:
        remarks.append(found.remark)
    table = table_of(found.text)
    if table.ragged is not None:
        least, most = table.ragged
        remarks.append(f"the rows have different numbers of columns, from {least} to {most}")
    document = DoclingDocument(name=Path(name).stem)
    for line in table.preamble:
        document.add_text(label=DocItemLabel.TEXT, text=line)
    if table.rows:
        document.add_table(data=table_data(table.rows))
    return document


def table_of(text: str) -> DelimitedTable:
    """Return the table of a text; its first row is the header."""
    declaration = _SEPARATOR.match(text)
    if declaration:
        text = text[declaration.end() :]
    rows = _parsed(text, declaration[1] if declaration else _mark(text))
    start = _header(rows)
    preamble = [" ".join(cell for cell in row if cell) for row in rows[:start]]
    table = rows[start:]
    widths = {len(row) for row in table}
    ragged = (min(widths), max(widths)) if len(widths) > 1 else None
    return DelimitedTable(preamble, table, ragged)


def _parsed(text: str, mark: str, most: int | None = None) -> Rows:
    """Return the rows that hold something. An odd number of quotes are inch marks or a mistake, and quote nothing."""
    csv.field_size_limit(max(len(text), 1 << 17))
    odd = text.count('"') % 2 == 1
    lines = io.StringIO(text, newline="")
    blanks = mark != "\t"
    if odd:
        reader = csv.reader(lines, delimiter=mark, quoting=csv.QUOTE_NONE, skipinitialspace=blanks)
    else:
        reader = csv.reader(lines, delimiter=mark, skipinitialspace=blanks)
    rows = ([cell.strip() for cell in row] for row in islice(reader, most))
    return [row for row in rows if any(row)]


def _mark(text: str) -> str:
    """Return the mark that parts most rows into one and the same number of columns."""
    best, best_score = ",", 0.0
    for mark in _MARKS:
        widths = [len(row) for row in _parsed(text, mark, _SAMPLE_ROWS)]
        width, count = next(iter(Counter(width for width in widths if width > 1).most_common(1)), (1, 0))
        score = count / max(1, len(widths)) * (1 + _WIDTH_BONUS * min(width, _MOST_WIDTH))
        if score > best_score:
            best, best_score = mark, score
    return best


def _header(rows: Rows) -> int:
    """Return the place of the header: the first row as wide as most rows are, if what stands before is short."""
    widths = Counter(len(row) for row in rows[:_SAMPLE_ROWS])
    usual, count = next(iter(widths.most_common(1)), (0, 0))
    if len(widths) == 1 or count <= 1:
        return 0
    start = next(place for place, row in enumerate(rows) if len(row) == usual)
    narrow = all(len([cell for cell in row if cell]) < usual for row in rows[:start])
    return start if usual > 1 and narrow and start <= min(_LONGEST_PREAMBLE, len(rows) // 2) else 0


def table_data(rows: Rows) -> TableData:
    """Return rows as docling's table; the first is the header."""
    cells = [
        TableCell(
            text=text,
            start_row_offset_idx=place,
            end_row_offset_idx=place + 1,
            start_col_offset_idx=column,
            end_col_offset_idx=column + 1,
            column_header=place == 0,
        )
        for place, row in enumerate(rows)
        for column, text in enumerate(row)
    ]
    return TableData(num_rows=len(rows), num_cols=max(map(len, rows)), table_cells=cells)
