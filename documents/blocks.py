"""From docling's tree to blocks in reading order, and to the document's Markdown.

Blocks hold plain words (they are embedded and searched); the Markdown keeps emphasis and links besides. Furniture
(running heads, page numbers) is left out of both. A figure's words, its caption and what stands inside it, are one
block; a table's caption comes before it; the pieces of a paragraph that docling keeps apart (emphasis, links, inline
formulas) are joined again.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from docling_core.types.doc.common.content_layer import ContentLayer
from docling_core.types.doc.common.source import TrackSource
from docling_core.types.doc.document import DoclingDocument
from docling_core.types.doc.items.code import CodeItem
from docling_core.types.doc.items.group import GroupItem
from docling_core.types.doc.items.picture.picture import PictureItem
from docling_core.types.doc.items.table.table import TableItem
from docling_core.types.doc.items.table.table_data import RichTableCell
from docling_core.types.doc.items.text import FormulaItem, ListItem, SectionHeaderItem, TextItem, TitleItem
from docling_core.types.doc.labels import DocItemLabel, GroupLabel

from fastembed.documents.tables import grid_of, markdown_of
from fastembed.pipeline.payload.document import Block, BlockKind

_KINDS: Final[dict[str, BlockKind]] = {
    DocItemLabel.CAPTION: "caption",
    DocItemLabel.FOOTNOTE: "footnote",
    DocItemLabel.LIST_ITEM: "list_item",
}
_FURNITURE: Final = frozenset({DocItemLabel.PAGE_HEADER, DocItemLabel.PAGE_FOOTER})
_CHECKBOXES: Final = {DocItemLabel.CHECKBOX_SELECTED: "[x] ", DocItemLabel.CHECKBOX_UNSELECTED: "[ ] "}
_INDENT: Final = "    "
"""Deep enough below `10. `, not too deep below `- ` (CommonMark 5.2)."""
_FORMULA: Final = re.compile(r"\$\$.+\$\$", re.DOTALL)


@dataclass(frozen=True, slots=True)
class StyledBlock:
    """A block and the same with emphasis and links, for the document's Markdown."""

    block: Block
    rich: str


def pieces_of(document: DoclingDocument) -> list[StyledBlock]:
    """Return the document's content in reading order."""
    return [piece for piece in _TreeWalk(document).children(document.body) if piece.block.text.strip()]


def markdown(pieces: list[StyledBlock]) -> str:
    """Return the pieces as one Markdown text; list items stand close, everything else apart."""
    parts: list[str] = []
    previous: BlockKind | None = None
    for piece in pieces:
        kind = piece.block.kind
        parts.append("\n" if kind == previous == "list_item" else "\n\n")
        parts.append(_marked(piece))
        previous = kind
    return "".join(parts[1:]) + "\n" if parts else ""


def title_of(pieces: list[StyledBlock], fallback: str) -> str:
    """Return the title block's text, else the first heading's, else the fallback."""
    for kind in ("title", "heading"):
        for piece in pieces:
            if piece.block.kind == kind:
                return piece.block.text
    return fallback


def _marked(piece: StyledBlock) -> str:
    block = piece.block
    if block.kind == "title":
        return f"# {piece.rich}"
    if block.kind == "heading":
        return f"{'#' * min(block.level + 1, 6)} {piece.rich}"
    if block.kind == "figure":
        return f"![{' '.join(piece.rich.split())}]()" if "\n" not in piece.rich else f"> {_quoted(piece.rich)}"
    return piece.rich


def _quoted(text: str) -> str:
    return text.replace("\n", "\n> ")


class _TreeWalk:
    """Walks the tree depth first; leaves out items that are part of others (captions, cells)."""

    def __init__(self, document: DoclingDocument) -> None:
        self._document = document
        floating = [*document.tables, *document.pictures, *document.key_value_items, *document.form_items]
        floating += [text for text in document.texts if isinstance(text, CodeItem)]
        self._told = {ref.cref for item in floating for ref in (*item.captions, *item.footnotes)}
        self._numbers: list[int] = []
        self._titled = False

    def children(self, node: Any) -> Iterator[StyledBlock]:
        """Yield what stands below a node."""
        for ref in node.children:
            if ref.cref not in self._told:
                yield from self.item(ref.resolve(self._document))

    def item(self, item: Any) -> Iterator[StyledBlock]:
        """Yield an item's own piece and those below it."""
        if item.content_layer is not ContentLayer.BODY:
            return
        if isinstance(item, GroupItem):
            yield from self._group(item)
        elif isinstance(item, TableItem):
            yield from self._table(item)
        elif isinstance(item, PictureItem):
            yield self._picture(item)
            yield from self._chart(item)
        elif isinstance(item, ListItem):
            yield from self._list_item(item)
        elif isinstance(item, TextItem):
            yield from self._text(item)
        else:  # key-value regions and forms hold their words in cells of a graph
            words = " ".join(cell.text for cell in item.graph.cells) if hasattr(item, "graph") else ""
            yield _piece("paragraph", words, words, item)
            yield from self.children(item)

    def _group(self, group: GroupItem) -> Iterator[StyledBlock]:
        if group.label == GroupLabel.INLINE:
            plain, rich = self._inline(group)
            first = group.children[0].resolve(self._document) if group.children else group
            yield _piece("paragraph", plain, rich, first)
        elif group.label in (GroupLabel.LIST, GroupLabel.ORDERED_LIST):
            self._numbers.append(0)
            yield from self.children(group)
            self._numbers.pop()
        else:
            if group.label == GroupLabel.SHEET:
                yield StyledBlock(Block("heading", group.name, self._first_page(group), 1), group.name)
            yield from self.children(group)

    def _first_page(self, node: Any) -> int | None:
        for ref in node.children:
            if (page := _page(ref.resolve(self._document))) is not None:
                return page
        return None

    def _text(self, item: TextItem) -> Iterator[StyledBlock]:
        if item.label in _FURNITURE:
            return
        plain, rich, rest = self._words(item)
        page = _page(item)
        if isinstance(item, TitleItem):
            yield StyledBlock(self._title(plain, page), rich)
        elif isinstance(item, SectionHeaderItem):
            yield StyledBlock(Block("heading", plain, page, item.level), rich)
        elif isinstance(item, CodeItem):
            yield from self._captions(item)
            yield StyledBlock(Block("code", code := _fenced(item), page), code)
        elif isinstance(item, FormulaItem):
            yield _piece("formula", formula := f"$${plain or item.orig}$$", formula, item)
        else:
            mark = _CHECKBOXES.get(item.label, "")
            kind: BlockKind = "formula" if _FORMULA.fullmatch(plain.strip()) else _KINDS.get(item.label, "paragraph")
            yield _piece(kind, mark + plain, mark + rich, item)
        for child in rest:
            yield from self.item(child)

    def _title(self, text: str, page: int | None) -> Block:
        """Return the title; a document has one, so later ones (each slide of a deck has its own) are headings."""
        if self._titled or not text.strip():
            return Block("heading", text, page, 1)
        self._titled = True
        return Block("title", text, page)

    def _list_item(self, item: ListItem) -> Iterator[StyledBlock]:
        plain, rich, rest = self._words(item)
        if not self._numbers:
            self._numbers.append(0)
        self._numbers[-1] += 1
        mark = f"{self._numbers[-1]}." if item.enumerated else "-"
        if item.enumerated and item.marker.strip(" -•*"):
            mark = item.marker.strip()
        lead = _INDENT * (len(self._numbers) - 1) + mark + " "
        yield _piece("list_item", lead + plain if plain.strip() else "", lead + rich, item)
        for child in rest:
            yield from self.item(child)

    def _words(self, item: TextItem) -> tuple[str, str, list[Any]]:
        """Return an item's words, plain and rich, and those children that are no part of them."""
        below = [ref.resolve(self._document) for ref in item.children if ref.cref not in self._told]
        if item.text.strip():
            return item.text, _rich(item), below
        inline = [child for child in below if isinstance(child, GroupItem) and child.label == GroupLabel.INLINE]
        if not inline:
            return item.text, item.text, below
        plain, rich = self._inline(inline[0])
        return plain, rich, [child for child in below if child is not inline[0]]

    def _inline(self, group: GroupItem) -> tuple[str, str]:
        """Join the pieces of a paragraph: with a space, but not before punctuation."""
        plain: list[str] = []
        rich: list[str] = []
        for ref in group.children:
            item = ref.resolve(self._document)
            if isinstance(item, GroupItem):
                words, marked = self._inline(item)
            else:
                words, marked = _inline_words(item)
            if words.strip():
                plain.append(words.strip())
                rich.append(marked.strip())
        return _spaced(plain), _spaced(rich, plain)

    def _captions(self, item: Any) -> Iterator[StyledBlock]:
        for ref in item.captions:
            caption = ref.resolve(self._document)
            plain, rich, _ = self._words(caption)
            yield _piece("caption", plain, rich, caption)

    def _table(self, item: TableItem) -> Iterator[StyledBlock]:
        yield from self._captions(item)
        text = markdown_of(*grid_of(item.data, self._cell))
        yield StyledBlock(Block("table", text, _page(item)), text)
        for ref in item.footnotes:
            note = ref.resolve(self._document)
            yield _piece("footnote", note.text, note.text, note)

    def _cell(self, cell: Any) -> str:
        """Return a cell's words; a rich cell's are those of the item that it refers to."""
        if isinstance(cell, RichTableCell):
            return self._flat(cell.ref.resolve(self._document)) or cell.text
        return str(cell.text)

    def _flat(self, item: Any) -> str:
        """Return an item's words on one line; a table within a table gives its rows one after the other."""
        if isinstance(item, TableItem):
            rows, _ = grid_of(item.data, self._cell)
            return "; ".join(", ".join(text for text in row if text) for row in rows)
        if isinstance(item, GroupItem) and item.label != GroupLabel.INLINE:
            words = [self._flat(ref.resolve(self._document)) for ref in item.children]
        else:
            words = [piece.block.text.strip() for piece in self.item(item)]
        return " ".join(word for word in words if word)

    def _picture(self, item: PictureItem) -> StyledBlock:
        caption = item.caption_text(self._document).strip()
        inside = [piece.block.text for piece in self.children(item)]
        text = "\n".join(words for words in (caption, *inside) if words.strip())
        return StyledBlock(Block("figure", text, _page(item)), text)

    def _chart(self, item: PictureItem) -> Iterator[StyledBlock]:
        """Yield what a chart of an Office file plots: categories, series and values, as a table."""
        chart = item.meta.tabular_chart if item.meta is not None else None
        if chart is not None:
            text = markdown_of(*grid_of(chart.chart_data, self._cell))
            yield StyledBlock(Block("table", text, _page(item)), text)


def _piece(kind: BlockKind, plain: str, rich: str, item: Any) -> StyledBlock:
    text = plain.rstrip() if kind == "list_item" else plain.strip()
    return StyledBlock(Block(kind, text, _page(item), seconds=_seconds(item)), rich.rstrip())


def _seconds(item: Any) -> tuple[float, float] | None:
    """Return from when to when an item of a recording is said."""
    track = next((source for source in getattr(item, "source", None) or () if isinstance(source, TrackSource)), None)
    return None if track is None else (track.start_time, track.end_time)


def _page(item: Any) -> int | None:
    """Return the item's first page; None where there are no pages."""
    prov = getattr(item, "prov", None)
    return prov[0].page_no if prov else None


def _inline_words(item: Any) -> tuple[str, str]:
    if isinstance(item, FormulaItem):
        return (formula := f"${item.text or item.orig}$"), formula
    if isinstance(item, CodeItem):
        return item.text, f"`{item.text}`"
    if isinstance(item, TextItem):
        return item.text, _rich(item)
    return "", ""


def _rich(item: TextItem) -> str:
    """Return a text with its emphasis and link."""
    text = item.text.strip()
    if not text:
        return ""
    if item.formatting is not None:
        text = f"**{text}**" if item.formatting.bold else text
        text = f"*{text}*" if item.formatting.italic else text
        text = f"~~{text}~~" if item.formatting.strikethrough else text
    return f"[{text}]({item.hyperlink})" if item.hyperlink else text


def _spaced(parts: list[str], plain: list[str] | None = None) -> str:
    """Join with single spaces, but none before closing punctuation or after an opening bracket."""
    text = ""
    for index, part in enumerate(parts):
        bare = (plain or parts)[index]
        before = (plain or parts)[index - 1] if index else ""
        text += part if not text or bare[0] in ".,;:!?)]}%”’" or before[-1] in "([{“‘" else f" {part}"
    return text


def _fenced(item: CodeItem) -> str:
    language = item.code_language.value.lower() if item.code_language.value != "unknown" else ""
    fence = "````" if "```" in item.text else "```"
    return f"{fence}{language}\n{item.text.strip(chr(10))}\n{fence}"
