"""Builds a docling document from above: a title, headings, paragraphs, lists, tables, slides, one after the other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from docling_core.types.doc.base import BoundingBox, Size
from docling_core.types.doc.common.reference import ImageRef, ProvenanceItem
from docling_core.types.doc.common.source import TrackSource
from docling_core.types.doc.document import DoclingDocument
from docling_core.types.doc.items.table.table_data import TableCell, TableData
from docling_core.types.doc.labels import CodeLanguageLabel, DocItemLabel, GroupLabel
from PIL import Image

_DEEPEST_LIST: Final = 10
_DEEPEST_HEADING: Final = 9


@dataclass(frozen=True, slots=True)
class TextCell:
    """A cell of a table. rows, columns: that it covers. header: of the columns below it."""

    text: str
    rows: int = 1
    columns: int = 1
    header: bool = False


class Outline:
    """A document that grows at its end; what is empty is left out. page: where the next items stand, None: no pages."""

    def __init__(self, name: str) -> None:
        """Start empty."""
        self.document = DoclingDocument(name=name)
        self.page: int | None = None
        self._lists: list[Any] = []
        self._parent: Any = None

    def start_page(self, width: float = 1.0, height: float = 1.0, *, sheet: str | None = None) -> None:
        """Let what follows stand on the next page, as a slide or, with the name of a `sheet`, as that."""
        self.page = (self.page or 0) + 1
        self.document.add_page(page_no=self.page, size=Size(width=width, height=height))
        self._lists.clear()
        label = GroupLabel.CHAPTER if sheet is None else GroupLabel.SHEET
        self._parent = self.document.add_group(label=label, name=f"slide-{self.page - 1}" if sheet is None else sheet)

    def title(self, text: str) -> None:
        """Add the document's title, or a slide's."""
        if text := self._settled(text):
            self.document.add_text(label=DocItemLabel.TITLE, text=text, **self._place)

    def heading(self, text: str, level: int) -> None:
        """Add a heading, the highest of level 1."""
        if text := " ".join(self._settled(text).split()):
            self.document.add_heading(text=text, level=min(max(level, 1), _DEEPEST_HEADING), **self._place)

    def paragraph(self, text: str, seconds: tuple[float, float] | None = None, voice: str | None = None) -> None:
        """Add a paragraph. seconds, voice: when it is said, and by whom."""
        if text := self._settled(text):
            source = None if seconds is None else TrackSource(start_time=seconds[0], end_time=seconds[1], voice=voice)
            self.document.add_text(label=DocItemLabel.TEXT, text=text, source=source, **self._place)

    def footnote(self, text: str) -> None:
        """Add a note that belongs to what came last."""
        if text := self._settled(text):
            self.document.add_text(label=DocItemLabel.FOOTNOTE, text=text, **self._place)

    def code(self, text: str) -> None:
        """Add text whose lines and blanks stand as they are."""
        if text.strip() and self._settled(text):
            self.document.add_code(text=text.strip("\n"), code_language=CodeLanguageLabel.UNKNOWN, **self._place)

    def formula(self, text: str) -> None:
        """Add a formula in TeX's notation, or what comes close to it."""
        if text := self._settled(text):
            self.document.add_text(label=DocItemLabel.FORMULA, text=text, **self._place)

    def item(self, text: str, depth: int = 0, *, marker: str = "") -> None:
        """Add an item to the list that is open at this depth (0: not within another). marker: its number, "": none."""
        text = text.strip()
        if not text:
            return
        depth = min(max(depth, 0), _DEEPEST_LIST)
        del self._lists[depth + 1 :]
        while len(self._lists) <= depth:
            parent = (self._lists[-1][1] or self._lists[-1][0]) if self._lists else self._parent
            self._lists.append([self.document.add_list_group(parent=parent), None])
        group = self._lists[depth][0]
        added = self.document.add_list_item(
            text=text, enumerated=bool(marker), marker=marker or None, parent=group, prov=self._prov
        )
        self._lists[depth][1] = added

    def end_list(self) -> None:
        """Let the next item begin a new list."""
        self._lists.clear()

    def table(self, rows: Sequence[Sequence[TextCell]], caption: str = "") -> None:
        """Add a table; each row has the cells that begin in it, from the left. Default header: the first row."""
        self._settled("")
        cells, height, width = _placed(rows)
        if not any(cell.text for cell in cells):
            return
        if not any(cell.column_header for cell in cells):
            for cell in cells:
                cell.column_header = cell.start_row_offset_idx == 0 and cell.end_row_offset_idx == 1
        data = TableData(num_rows=height, num_cols=width, table_cells=cells)
        said = None
        if caption.strip():
            said = self.document.add_text(label=DocItemLabel.CAPTION, text=caption.strip(), **self._place)
        self.document.add_table(data=data, caption=said, **self._place)

    def picture(self, image: Image.Image | None, caption: str = "") -> None:
        """Add a picture, or only what is said of it."""
        self._settled("")
        if image is None and not caption.strip():
            return
        said = None
        if caption.strip():
            said = self.document.add_text(label=DocItemLabel.CAPTION, text=caption.strip(), **self._place)
        pixels = None if image is None else ImageRef.from_pil(image, dpi=72)
        self.document.add_picture(image=pixels, caption=said, **self._place)

    @property
    def _prov(self) -> ProvenanceItem | None:
        if self.page is None:
            return None
        return ProvenanceItem(page_no=self.page, bbox=BoundingBox(l=0, t=0, r=1, b=1), charspan=(0, 0))

    @property
    def _place(self) -> dict[str, Any]:
        return {"prov": self._prov, "parent": self._parent}

    def _settled(self, text: str) -> str:
        """Return the text without blanks around it; what is no item ends the lists."""
        if text.strip():
            self._lists.clear()
        return text.strip()


def _placed(rows: Sequence[Sequence[TextCell]]) -> tuple[list[TableCell], int, int]:
    """Return cells at their places, and how many rows and columns there are. Cells that would overlap move right."""
    taken: set[tuple[int, int]] = set()
    placed: list[TableCell] = []
    width = 0
    for row, cells in enumerate(rows):
        column = 0
        for cell in cells:
            while (row, column) in taken:
                column += 1
            bottom = min(row + max(cell.rows, 1), len(rows))
            right = column + max(cell.columns, 1)
            if cell.rows > 1 or cell.columns > 1:
                taken.update((y, x) for y in range(row, bottom) for x in range(column, right))
            placed.append(
                TableCell(
                    text=cell.text.strip(),
                    row_span=bottom - row,
                    col_span=right - column,
                    start_row_offset_idx=row,
                    end_row_offset_idx=bottom,
                    start_col_offset_idx=column,
                    end_col_offset_idx=right,
                    column_header=cell.header,
                )
            )
            column = right
            width = max(width, right)
    return placed, len(rows), width
