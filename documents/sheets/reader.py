"""XLSX through docling's reader, with our own cells: as the sheet shows them, and a sheet's table in one piece."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Final

from docling.backend.msexcel_backend import ExcelCell, ExcelTable, MsExcelDocumentBackend
from docling.datamodel.backend_options import MsExcelBackendOptions
from docling_core.types.doc.common.content_layer import ContentLayer
from docling_core.types.doc.document import DoclingDocument
from docling_core.types.doc.labels import GroupLabel

from fastembed.documents.limits import DocumentLimits
from fastembed.documents.ooxml import Package
from fastembed.documents.sheets.formats import shown
from fastembed.documents.sheets.layout import SheetCell, compact, regions, text_cells

HIDDEN: Final = "(hidden sheet)"
_MAIN: Final = "xl/workbook.xml"
_SHEET: Final = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}sheet"
_LINK: Final = "{http://schemas.openxmlformats.org/officeDocument/2006/relationships}id"
_FORMULA: Final = re.compile(
    rb"<(?:\w+:)?c\b[^>]*?(?:\sr=\"(?P<place>[A-Z]+\d+)\")?[^>]*>\s*<(?:\w+:)?f\b(?:[^>]*/>|[^>]*>[^<]*</(?:\w+:)?f>)\s*"
    rb"(?:<(?:\w+:)?v\s*/>|<(?:\w+:)?v>\s*</(?:\w+:)?v>)?\s*</(?:\w+:)?c>"
)
_NAMED: Final = 5


class SheetBackend(MsExcelDocumentBackend):
    """docling's reader of workbooks, which keeps its pictures, charts and comments."""

    limits: DocumentLimits = DocumentLimits()

    def _find_data_tables(self, sheet: Any) -> tuple[list[ExcelTable], dict[tuple[int, int], Any]]:
        spans = {
            (merged.min_row - 1, merged.min_col - 1): (
                merged.max_row - merged.min_row + 1,
                merged.max_col - merged.min_col + 1,
            )
            for merged in sheet.merged_cells.ranges
        }
        cells = text_cells(sheet, spans, shown)
        tables = [self._table(region, sheet.title) for region in regions(cells)]
        return tables, self._comments(sheet)

    def _table(self, region: list[SheetCell], sheet: str) -> ExcelTable:
        name = f"{self.file.name}, sheet {sheet}"
        cells, rows, columns = compact(region, name, self.limits)
        anchor = (min(cell.column for cell in region), min(cell.row for cell in region))
        data = [
            ExcelCell(row=cell.row, col=cell.column, text=cell.text, row_span=cell.rows, col_span=cell.columns)
            for cell in cells
        ]
        return ExcelTable(anchor=anchor, num_rows=rows, num_cols=columns, data=data)

    def _split_leading_section_label(self, table: ExcelTable) -> tuple[None, ExcelTable]:
        return None, table  # the regions are split already

    def _comments(self, sheet: Any) -> dict[tuple[int, int], Any]:
        """Return the comments of a sheet: author, text and time of each, by the place of their cell."""
        threads = self._parse_threaded_comments(sheet.title)
        found = {}
        for (row, column), cell in sheet._cells.items():  # noqa: SLF001 - as in `text_cells`
            if cell.comment is not None:
                known = [(cell.comment.author or "", str(cell.comment.text or "").strip(), None)]
                thread = [entry for entry in threads.get(cell.coordinate) or known if entry[1]]
                if thread:
                    found[row - 1, column - 1] = thread
        return found


def options() -> MsExcelBackendOptions:
    """Return how docling's reader is set up: a single cell is a text."""
    return MsExcelBackendOptions.model_validate({"treat_singleton_as_text": True})


def bring_back(document: DoclingDocument) -> None:
    """Put hidden sheets, marked as such, and comments into the body."""
    for group in document.groups:
        comments = group.label == GroupLabel.COMMENT_SECTION
        if group.label == GroupLabel.SHEET and group.content_layer is ContentLayer.INVISIBLE:
            group.name = f"{group.name} {HIDDEN}"
        elif not comments:
            continue
        items = document.iterate_items(
            root=group, with_groups=True, traverse_pictures=True, included_content_layers=set(ContentLayer)
        )
        for item, _ in list(items):
            item.content_layer = ContentLayer.BODY


def uncounted(path: Path) -> list[str]:
    """Return a remark for each sheet with formulas whose results the file does not hold."""
    package = Package(path)
    try:
        root, relations = package.root(_MAIN), package.relations(_MAIN)
        remarks = []
        for sheet in [] if root is None else root.iter(_SHEET):
            relation = relations.get(sheet.get(_LINK, ""))
            places = [] if relation is None else _formulas(package.read(relation.part))
            if places:
                some = ", ".join(places[:_NAMED]) + (", ..." if len(places) > _NAMED else "")
                remarks.append(
                    f"sheet {sheet.get('name')}: {len(places)} formulas without a stored result ({some}): their cells "
                    "are empty here; open and save the file in a spreadsheet program to store them"
                )
        return remarks
    finally:
        package.close()


def _formulas(content: bytes) -> list[str]:
    if b"<f" not in content and b":f" not in content:
        return []
    return [(match["place"] or b"?").decode() for match in _FORMULA.finditer(content)]
