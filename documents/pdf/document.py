"""PDF files as docling documents, without any model: geometry, type and the file's own structure decide."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from docling_core.types.doc import (
    BoundingBox,
    ContentLayer,
    CoordOrigin,
    DocItemLabel,
    DoclingDocument,
    ProvenanceItem,
    Size,
    TableCell,
    TableData,
)
from docling_core.types.doc.document import GroupItem, NodeItem, TextItem

from fastembed.documents.pdf.aligned import with_aligned_tables
from fastembed.documents.pdf.annotations import with_values
from fastembed.documents.pdf.backdrops import without_backdrops
from fastembed.documents.pdf.blocks import BlockKind, PdfBlock, page_blocks
from fastembed.documents.pdf.cells import Grid
from fastembed.documents.pdf.contents import find_contents
from fastembed.documents.pdf.flow import flowing, with_captions, with_notes
from fastembed.documents.pdf.furniture import furniture
from fastembed.documents.pdf.geometry import Box
from fastembed.documents.pdf.headings import find_headings
from fastembed.documents.pdf.hyphens import Vocabulary
from fastembed.documents.pdf.lists import is_bullet
from fastembed.documents.pdf.ocr import DOUBTFUL, PageOcr, needs_ocr, ocr_scale, recognised_page
from fastembed.documents.pdf.page import Page, PdfFile
from fastembed.documents.pdf.rows import page_rows
from fastembed.documents.pdf.running import kept_once
from fastembed.documents.pdf.text import body_size
from fastembed.documents.upright import PageReading

_LABELS = {
    BlockKind.TEXT: DocItemLabel.TEXT,
    BlockKind.FORMULA: DocItemLabel.FORMULA,
    BlockKind.CAPTION: DocItemLabel.CAPTION,
    BlockKind.NOTE: DocItemLabel.FOOTNOTE,
    BlockKind.HEAD: DocItemLabel.PAGE_HEADER,
    BlockKind.FOOT: DocItemLabel.PAGE_FOOTER,
}
_WITHIN_LISTS = {BlockKind.ITEM, BlockKind.CONTENTS, BlockKind.HEAD, BlockKind.FOOT, BlockKind.RUNNING}
"""What does not end a list: its items, and what the edges of pages say between them."""


def read_pdf(
    path: Path,
    *,
    ocr: PageOcr | None = None,
    max_pages: int | None = None,
    use_outline: bool = True,
    remark: Callable[[str], None] | None = None,
) -> DoclingDocument:
    """Return a PDF as a document: title, headings with levels, paragraphs, lists, listings, tables, figures, notes.

    The first of each running head and foot is content, so that it is found; the others and page numbers are in the
    furniture layer. Text inside a figure is its child.

    Args:
        path: the file.
        ocr: recognises pages that have no text; without it they stay empty.
        max_pages: read at most so many pages.
        use_outline: let the file's outline say what is a heading; otherwise only what is printed counts.
        remark: called with what a reader should know: pages that were turned, or read with little confidence.

    Raises:
        UnreadablePdf: not a PDF, or damaged beyond reading.
        EncryptedPdf: a password is needed.
        FileNotFoundError: there is no such file.
    """
    with PdfFile(path) as file:
        count = len(file) if max_pages is None else min(len(file), max_pages)
        pages = without_backdrops([_page(file, number, ocr, remark) for number in range(1, count + 1)])
        bookmarks = list(file.outline()) if use_outline else []
    body = body_size(line for page in pages for line in page.lines)
    edges = furniture(pages, body)
    rows = [with_aligned_tables(page_rows(page, edge, body), body) for page, edge in zip(pages, edges, strict=True)]
    contents = find_contents(rows)
    headings = find_headings(rows, contents, bookmarks, body)
    vocabulary = Vocabulary(row.text for page in rows for row in page.rows if row.line is not None)
    blocks = [
        block
        for page in rows
        for block in page_blocks(page, headings=headings, contents=contents, vocabulary=vocabulary, body=body)
    ]
    blocks = with_notes(with_captions(flowing(kept_once(blocks), vocabulary)), pages)
    return _Assembly(path.stem, pages).document(blocks)


def _page(file: PdfFile, number: int, ocr: PageOcr | None, remark: Callable[[str], None] | None) -> Page:
    page = file.page(number)
    if ocr is not None and needs_ocr(page):
        page = _recognised(file, page, ocr, remark)
    return replace(page, lines=tuple(with_values(page.lines, page.annotations))) if page.annotations else page


def _recognised(file: PdfFile, page: Page, ocr: PageOcr, remark: Callable[[str], None] | None) -> Page:
    scale = ocr_scale(page)
    image = file.pixels(page.number, scale)
    reading = ocr(image)
    if remark is not None:
        for text in _doubts(page.number, reading):
            remark(text)
    return recognised_page(page, image, reading, scale)


def _doubts(number: int, reading: PageReading) -> Iterator[str]:
    """Yield what is unusual about how a page was read."""
    if reading.lines and reading.turn:
        yield f"page {number}: turned by {reading.turn * 90 % 360} degrees to the left, as its text runs"
    if reading.lines and reading.confidence < DOUBTFUL:
        yield f"page {number}: read by OCR with a confidence of {reading.confidence:.2f}: words may be wrong"


class _Assembly:
    """Fills a docling document from blocks."""

    def __init__(self, name: str, pages: Sequence[Page]) -> None:
        self._document = DoclingDocument(name=name)
        self._heights = {page.number: page.height for page in pages}
        self._mirrored = {page.number: page.width for page in pages if page.mirrored}
        for page in pages:
            self._document.add_page(page_no=page.number, size=Size(width=page.width, height=page.height))
        self._list: GroupItem | None = None
        self._list_kind = BlockKind.TEXT

    def document(self, blocks: Sequence[PdfBlock]) -> DoclingDocument:
        for block in blocks:
            if block.kind not in _WITHIN_LISTS:
                self._list = None
            self._add(block)
        return self._document

    def _add(self, block: PdfBlock) -> None:
        document, provenance = self._document, self._provenance(block)
        if block.kind == BlockKind.TITLE:
            document.add_title(text=block.text, prov=provenance)
        elif block.kind == BlockKind.HEADING:
            document.add_heading(text=block.text, level=block.level, prov=provenance)
        elif block.kind == BlockKind.CODE:
            self._also(document.add_code(text=block.text, prov=provenance), block)
        elif block.kind in {BlockKind.ITEM, BlockKind.CONTENTS}:
            self._add_item(block, provenance)
        elif block.kind == BlockKind.TABLE and block.grid is not None:
            caption = self._caption(block)
            document.add_table(
                data=_table(block.grid, self._mirrored.get(block.places[0][0])), caption=caption, prov=provenance
            )
        elif block.kind == BlockKind.FIGURE:
            picture = document.add_picture(caption=self._caption(block), prov=provenance)
            for line in block.inner:
                self._text(DocItemLabel.TEXT, line.text, block.places[0][0], line.box, picture)
        else:
            layer = ContentLayer.FURNITURE if block.kind in {BlockKind.HEAD, BlockKind.FOOT} else ContentLayer.BODY
            item = document.add_text(
                label=_LABELS.get(block.kind, DocItemLabel.TEXT), text=block.text, prov=provenance, content_layer=layer
            )
            self._also(item, block)

    def _add_item(self, block: PdfBlock, provenance: ProvenanceItem) -> None:
        if self._list is None or self._list_kind != block.kind:
            name = "table of contents" if block.kind == BlockKind.CONTENTS else "list"
            self._list = self._document.add_list_group(name=name)
            self._list_kind = block.kind
        item = self._document.add_list_item(
            text=block.text,
            enumerated=bool(block.marker) and not is_bullet(block.marker),
            marker=block.marker or None,
            orig=f"{block.marker} {block.text}".strip(),
            parent=self._list,
            prov=provenance,
        )
        self._also(item, block)

    def _caption(self, block: PdfBlock) -> TextItem | None:
        if block.caption is None:
            return None
        item: TextItem = self._document.add_text(
            label=DocItemLabel.CAPTION, text=block.caption.text, prov=self._provenance(block.caption)
        )
        return item

    def _text(self, label: DocItemLabel, text: str, page: int, box: Box, parent: NodeItem) -> None:
        self._document.add_text(label=label, text=text, prov=self._at(page, box, len(text)), parent=parent)

    def _provenance(self, block: PdfBlock) -> ProvenanceItem:
        page, box = block.places[0]
        return self._at(page, box, len(block.text))

    def _also(self, item: TextItem, block: PdfBlock) -> None:
        item.prov.extend(self._at(page, box, len(block.text)) for page, box in block.places[1:])

    def _at(self, page: int, box: Box, characters: int) -> ProvenanceItem:
        height = self._heights[page]
        if page in self._mirrored:
            box = box.mirrored(self._mirrored[page])
        bbox = BoundingBox(l=box.l, t=height - box.t, r=box.r, b=height - box.b, coord_origin=CoordOrigin.BOTTOMLEFT)
        return ProvenanceItem(page_no=page, bbox=bbox, charspan=(0, characters))


def _table(grid: Grid, mirrored: float | None) -> TableData:
    """Return a grid as docling's; `mirrored` is the width of a page that reads from right to left."""
    cells = [
        TableCell(
            bbox=_bounds(c.box if mirrored is None else c.box.mirrored(mirrored)),
            row_span=c.row_end - c.row,
            col_span=c.column_end - c.column,
            start_row_offset_idx=c.row,
            end_row_offset_idx=c.row_end,
            start_col_offset_idx=c.column,
            end_col_offset_idx=c.column_end,
            text=c.text,
            column_header=c.header,
        )
        for c in grid.cells
    ]
    return TableData(num_rows=grid.rows, num_cols=grid.columns, table_cells=cells)


def _bounds(box: Box) -> BoundingBox:
    return BoundingBox(l=box.l, t=box.t, r=box.r, b=box.b, coord_origin=CoordOrigin.TOPLEFT)


__all__ = ["PageOcr", "read_pdf"]
