"""Blocks: paragraphs, list items, listings, captions and notes, built from the rows of a page."""

import re
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from fastembed.documents.pdf.cells import Grid
from fastembed.documents.pdf.contents import Contents
from fastembed.documents.pdf.figures import CAPTION
from fastembed.documents.pdf.geometry import Box, enclosing
from fastembed.documents.pdf.hyphens import Vocabulary
from fastembed.documents.pdf.listings import code_text
from fastembed.documents.pdf.lists import is_sure, marker_of
from fastembed.documents.pdf.named import Heading, Place
from fastembed.documents.pdf.rows import Figure, LayoutRow, PageRows
from fastembed.documents.pdf.text import Line, joined

_NOTE_MARK = re.compile(r"^(?:\d{1,3}|[*†‡§¶‖#a-z])$")
_TOC_END = re.compile(r"\s?[.·…_](?:\s{0,3}[.·…_]){2,}\s?|\s+(?=(?:\d{1,4}|[ivxlcdm]{1,7})$)")
_TERMINAL = (".", "!", "?", ":", ";", "”", '"', "…")

# What a row is. Sizes and spaces are in ems of its line unless said otherwise.
_LISTING: Final = 0.88  # of the characters in fixed pitch; less is text with names in it
_OUTPUT: Final = 0.6  # the same within a listing, whose comments and output may be set otherwise
_OUTPUT_EM: Final = 0.6  # white space above such a line
_LINE_SPACE_EM: Final = 0.5  # more white space above makes an uncertain marker that of an item
_CAPTION_SPACE_EM: Final = 0.25  # less is a sentence that begins with `Figure 3`
_FORMULA: Final = 0.5  # of the characters in a mathematical font
_WORD: Final = 5  # letters; a longer word of a text font makes it a sentence
_FULL: Final = 0.12  # of the column may stay empty at the end of a full line
_SMALL: Final = 0.97  # times the body's size: a note goes on
_NOTE: Final = 0.94  # times the body's size: a note begins
_NOTE_RULE: Final = (20.0, 0.55, 0.25)  # shortest in points, longest and highest as shares of the page
_RULE_INDENT: Final = 20.0  # points from the edge of the column, where such a rule begins
_RULE_ABOVE_EM: Final = 2.2  # between the rule and the first note
_RAISED: Final = 0.87  # times the line's size: a raised mark of a note

# Where a block ends.
_SAME_MARGIN_EM: Final = 1.6  # wider space ends the surroundings that share a right margin
_CODE_SPACE_EM: Final = 2.4  # an empty line or two within a listing
_CONTENTS_EM: Final = 1.2  # above a line that goes on with an entry
_FORMULA_EM: Final = 0.9  # between the lines of one formula
_BACK_UP_EM: Final = -2.5  # a row this far above the last one stands in another place
_BOLD: Final = 0.85  # of the characters
_HANGING_EM: Final = 0.6  # by which a row of an item may stand left of its first row
_MORE_SPACE_EM: Final = 0.3  # than the middle space within the paragraph
_FIRST_SPACE_EM: Final = 0.75  # where a paragraph has one line, and so no space of its own yet
_FITTING_EM: Final = 0.8  # beyond the next line's first word: had the paragraph gone on, it would stand there
_INDENT_EM: Final = 0.7
_SHORT_END: Final = 0.25  # of the column, left empty: the line ends a paragraph without a full stop too


class BlockKind(StrEnum):
    """What a block is."""

    TITLE = "title"
    HEADING = "heading"
    TEXT = "text"
    ITEM = "item"
    CODE = "code"
    FORMULA = "formula"
    CONTENTS = "contents"
    CAPTION = "caption"
    NOTE = "note"
    TABLE = "table"
    FIGURE = "figure"
    HEAD = "head"
    FOOT = "foot"
    RUNNING = "running"
    """What a running head or foot says, at the first page that shows it."""


@dataclass(slots=True)
class PdfBlock:
    """A piece of the document in reading order.

    `places` are the pages and boxes that it covers; `level` is a heading's; `marker` a list item's; `indent` its left
    edge in points; `inner` is the text inside a figure.
    """

    kind: BlockKind
    text: str
    places: list[tuple[int, Box]]
    level: int = 0
    marker: str = ""
    indent: float = 0.0
    size: float = 10.0
    grid: Grid | None = None
    inner: tuple[Line, ...] = ()
    caption: "PdfBlock | None" = field(default=None, repr=False)


def page_blocks(
    page: PageRows, *, headings: dict[Place, Heading], contents: Contents, vocabulary: Vocabulary, body: float
) -> list[PdfBlock]:
    """Return the page's blocks in reading order, its furniture first and last.

    Args:
        page: the page's rows.
        headings: the document's headings.
        contents: its printed tables of contents.
        vocabulary: its words, to join broken ones.
        body: its body size in points.
    """
    number = page.page.number
    blocks = [_furniture(BlockKind.HEAD, line, number) for line in page.head]
    notes = _note_rows(page, body)
    group: list[LayoutRow] = []
    margins = _margins(page.rows)
    kind_of_group = BlockKind.TEXT

    def close() -> None:
        if group:
            blocks.extend(_finished(group, kind_of_group, vocabulary))
            group.clear()

    i = 0
    while i < len(page.rows):
        row = page.rows[i]
        heading = headings.get((number, i))
        if heading is not None:
            close()
            rows = page.rows[i : i + heading.rows]
            blocks += _heading(heading, rows, vocabulary)
            i += heading.rows
            continue
        if row.line is None:
            close()
            blocks.append(_solid(row))
        else:
            kind = _kind_of(row, i, number, contents=contents, notes=notes, before=group, group_kind=kind_of_group)
            if group and (kind != kind_of_group or not _continues(group, row, kind, margins)):
                close()
                kind = _kind_of(row, i, number, contents=contents, notes=notes, before=(), group_kind=kind)
            kind_of_group = kind
            group.append(row)
        i += 1
    close()
    blocks += [_furniture(BlockKind.HEAD, line, number) for line in page.margin]
    blocks += [_furniture(BlockKind.FOOT, line, number) for line in page.foot]
    return blocks


def _heading(heading: Heading, rows: Sequence[LayoutRow], vocabulary: Vocabulary) -> list[PdfBlock]:
    kind = BlockKind.TITLE if heading.level == 0 else BlockKind.HEADING
    line = rows[0].line
    if not heading.lead or line is None:
        return [_block(kind, vocabulary.joined([r.text for r in rows]), rows, level=heading.level)]
    title, rest = joined(line.words[: heading.lead]), joined(line.words[heading.lead :])
    return [_block(kind, title, rows, level=heading.level), _block(BlockKind.TEXT, rest, rows)]


def _furniture(kind: BlockKind, line: Line, page: int) -> PdfBlock:
    return PdfBlock(kind, line.text, [(page, line.box)], size=line.size)


def _solid(row: LayoutRow) -> PdfBlock:
    if isinstance(row.solid, Grid):
        return PdfBlock(BlockKind.TABLE, "", [(row.page, row.box)], grid=row.solid)
    inner = row.solid.lines if isinstance(row.solid, Figure) else ()
    return PdfBlock(BlockKind.FIGURE, "", [(row.page, row.box)], inner=inner)


def _block(kind: BlockKind, text: str, rows: Sequence[LayoutRow], *, level: int = 0, marker: str = "") -> PdfBlock:
    line = rows[0].line
    box = enclosing(r.box for r in rows)
    size = line.size if line is not None else 10.0
    return PdfBlock(kind, text, [(rows[0].page, box)], level=level, marker=marker, indent=rows[0].box.l, size=size)


# --- which kind a row is ----------------------------------------------------------------------------------------------


def _kind_of(  # noqa: PLR0911 - a list of decisions, each with its result
    row: LayoutRow,
    i: int,
    number: int,
    *,
    contents: Contents,
    notes: set[int],
    before: Sequence[LayoutRow],
    group_kind: BlockKind,
) -> BlockKind:
    line = row.line
    if line is None:
        raise AssertionError("solids have no kind of line")
    if (number, i) in contents.rows:
        return BlockKind.CONTENTS
    if i in notes:
        return BlockKind.NOTE
    marker = marker_of(line.text)
    if is_sure(marker) and not marker.startswith("["):
        return BlockKind.ITEM
    if line.mono_share > _LISTING:
        # A line of a paragraph may consist of names in fixed pitch: it goes on from a full line at the same edge.
        last = before[-1] if before and group_kind != BlockKind.CODE else None
        flush = last is not None and _is_full(last) and abs(last.box.l - row.box.l) < 1.0
        return group_kind if flush and row.space < _LINE_SPACE_EM * line.size else BlockKind.CODE
    if group_kind == BlockKind.CODE and before and row.space < _OUTPUT_EM * line.size and _is_output(row, before):
        return BlockKind.CODE
    if CAPTION.match(line.text) and (not before or row.space > _CAPTION_SPACE_EM * line.size):
        return BlockKind.CAPTION
    if before and group_kind in {BlockKind.ITEM, BlockKind.CAPTION} and not marker_of(line.text):
        return group_kind
    if line.math_share > _FORMULA and not any(
        len(w.text) > _WORD and w.text.isalpha() and not w.style.math for w in line.words
    ):
        return BlockKind.FORMULA
    return BlockKind.ITEM if _starts_item(row, before) else BlockKind.TEXT


def _is_output(row: LayoutRow, before: Sequence[LayoutRow]) -> bool:
    line = row.line
    return line is not None and line.mono_share > _OUTPUT and row.box.l >= before[0].box.l - 1


def _starts_item(row: LayoutRow, before: Sequence[LayoutRow]) -> bool:
    marker = marker_of(row.text)
    if not marker:
        return False
    if is_sure(marker) or not before:
        return True
    last = before[-1]
    size = row.line.size if row.line is not None else 10.0
    return (
        row.space > _LINE_SPACE_EM * size
        or abs(row.box.l - last.box.l) > _LINE_SPACE_EM * size
        or not _is_full(last)
        or bool(marker_of(before[0].text))
    )


def _is_full(row: LayoutRow) -> bool:
    return row.box.r > row.column.r - _FULL * row.column.width


def _note_rows(page: PageRows, body: float) -> set[int]:
    """Return the rows of footnotes: small type at the foot of a column, below a short rule or after a raised mark."""
    found: set[int] = set()
    shortest, longest, highest = _NOTE_RULE
    rules = [
        r.box
        for r in page.page.drawing.rules
        if r.horizontal and shortest < r.box.width < longest * page.page.width and r.box.t > highest * page.page.height
    ]
    open_column: Box | None = None
    for i, row in enumerate(page.rows):
        line = row.line
        if open_column is not None and row.column == open_column and line is not None and line.size < _SMALL * body:
            found.add(i)
            continue
        open_column = None
        if line is None or line.size > _NOTE * body:
            continue
        under = any(
            0 <= row.box.t - r.b < _RULE_ABOVE_EM * line.size
            and r.l < row.box.r
            and r.r > row.box.l
            and abs(r.l - row.column.l) < _RULE_INDENT
            for r in rules
        )
        below = [r for r in page.rows[i:] if r.column == row.column]
        small = all(r.line is not None and r.line.size < _SMALL * body for r in below)
        if small and (under or _has_note_mark(line)):
            open_column = row.column
            found.add(i)
    return found


def _has_note_mark(line: Line) -> bool:
    first = line.words[0]
    return bool(_NOTE_MARK.match(first.text)) and first.style.size < _RAISED * line.size and len(line.words) > 1


# --- where a block ends -----------------------------------------------------------------------------------------------


def _margins(rows: Sequence[LayoutRow]) -> dict[int, float]:
    """Return, by identity, the right margin of each row: the rightmost end among the rows set around it."""
    margins: dict[int, float] = {}
    run: list[LayoutRow] = []

    def close() -> None:
        right = max((r.box.r for r in run), default=0.0)
        for r in run:
            margins[id(r)] = right
        run.clear()

    for row in rows:
        line = row.line
        if line is None or (run and (row.column != run[-1].column or row.space > _SAME_MARGIN_EM * line.size)):
            close()
        if line is not None:
            run.append(row)
    close()
    return margins


def _continues(  # noqa: PLR0911 - a list of decisions, each with its result
    group: Sequence[LayoutRow], row: LayoutRow, kind: BlockKind, margins: dict[int, float]
) -> bool:
    last = group[-1]
    line, before = row.line, last.line
    if line is None or before is None:
        return False
    if kind == BlockKind.CODE:
        return row.space < _CODE_SPACE_EM * line.size
    if kind == BlockKind.CONTENTS:
        return not re.search(r"(?:\d|[ivxlc])$", last.text.rstrip()) and row.space < _CONTENTS_EM * line.size
    if kind == BlockKind.FORMULA:
        return row.space < _FORMULA_EM * line.size
    if abs(line.size - before.size) > 0.1 * before.size or row.space > _normal_space(group, row):
        return False
    if kind == BlockKind.NOTE:
        return not _has_note_mark(line)
    if row.column == last.column and row.space < _BACK_UP_EM * line.size:
        return False
    if (line.bold_share > _BOLD) != (before.bold_share > _BOLD) and not _is_full(last):
        return False
    if kind == BlockKind.ITEM:
        return not _starts_item(row, group) and row.box.l > group[0].box.l - _HANGING_EM * line.size
    if kind == BlockKind.CAPTION:
        return True
    return not _starts_paragraph(group, row, margins)


def _normal_space(group: Sequence[LayoutRow], row: LayoutRow) -> float:
    """Return the widest space between two lines of one paragraph, in points."""
    size = row.line.size if row.line is not None else 10.0
    inner = [r.space for r in group[1:] if r.space > -size]
    if inner:
        return max(statistics.median(inner), 0.0) + _MORE_SPACE_EM * size
    return _FIRST_SPACE_EM * size


def _starts_paragraph(group: Sequence[LayoutRow], row: LayoutRow, margins: dict[int, float]) -> bool:
    last = group[-1]
    line, before = row.line, last.line
    if line is None or before is None or before.text.endswith("-"):
        return False
    size = line.size
    indent = row.box.l - last.box.l
    room = margins[id(last)] - last.box.r
    fits = room > line.words[0].box.width + _FITTING_EM * size
    if indent > _INDENT_EM * size:
        # An indent starts a paragraph, unless all further lines hang (bibliographies), or the text is centred.
        return fits or len(group) > 1
    if indent < -_INDENT_EM * size:
        return len(group) > 1 or fits
    return fits and (before.text.endswith(_TERMINAL) or room > _SHORT_END * row.column.width)


# --- finished blocks --------------------------------------------------------------------------------------------------


def _finished(group: Sequence[LayoutRow], kind: BlockKind, vocabulary: Vocabulary) -> list[PdfBlock]:
    if kind == BlockKind.CODE:
        return [_block(kind, code_text(group), group)]
    if kind == BlockKind.FORMULA:
        return [_block(kind, "\n".join(r.text for r in group), group)]
    if kind == BlockKind.CONTENTS:
        text = " ".join(r.text for r in group)
        return [_block(kind, _TOC_END.sub(" … ", text, count=1) if _TOC_END.search(text) else text, group)]
    text = vocabulary.joined([r.text for r in group])
    if kind == BlockKind.ITEM:
        marker = marker_of(text)
        return [_block(kind, text[len(marker) :].strip(), group, marker=marker)]
    return [_block(kind, text, group)]
