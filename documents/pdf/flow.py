"""The document's flow: paragraphs that go on over a page or column, and captions that find their figure or table."""

import re
from collections.abc import Sequence
from typing import Final

from fastembed.documents.pdf.blocks import BlockKind, PdfBlock
from fastembed.documents.pdf.geometry import Box, x_overlap, y_overlap
from fastembed.documents.pdf.hyphens import Vocabulary
from fastembed.documents.pdf.page import Page

_FURNITURE = {BlockKind.HEAD, BlockKind.FOOT, BlockKind.RUNNING}
_FLOATING = {BlockKind.FIGURE, BlockKind.TABLE, BlockKind.CAPTION, BlockKind.NOTE, *_FURNITURE}
_TERMINAL = (".", "!", "?", ":", ";", "”", "…", ".)", '."')
_CAPTION_REACH: Final = 60.0  # points between a figure or table and its caption
_OTHER_SIZE: Final = 0.6  # points: type that differs more does not go on with a paragraph
_TABLE_WORD = re.compile(r"^(?:tab|cuadro)", re.IGNORECASE)


def flowing(blocks: Sequence[PdfBlock], vocabulary: Vocabulary) -> list[PdfBlock]:
    """Return the blocks with those paragraphs joined that a page, a column or a float interrupts."""
    out: list[PdfBlock] = []
    last: PdfBlock | None = None
    for block in blocks:
        if block.kind in _FLOATING:
            out.append(block)
            continue
        if last is not None and _goes_on(last, block):
            separator = "\n" if block.kind == BlockKind.CODE else None
            last.text = last.text + separator + block.text if separator else vocabulary.joined([last.text, block.text])
            last.places += block.places
            continue
        out.append(block)
        last = block
    return out


def _goes_on(last: PdfBlock, block: PdfBlock) -> bool:
    (page, box), (next_page, next_box) = last.places[-1], block.places[0]
    moved = next_page != page or next_box.t < box.t
    if not moved or next_page > page + 1:
        return False
    if last.kind == block.kind == BlockKind.CODE:
        return next_page != page
    if (
        last.kind not in {BlockKind.TEXT, BlockKind.ITEM}
        or block.kind != BlockKind.TEXT
        or abs(last.size - block.size) > _OTHER_SIZE
    ):
        return False
    text = last.text.rstrip()
    if text.endswith("-"):
        return True
    return not text.endswith(_TERMINAL) and block.text[:1].islower()


def with_captions(blocks: Sequence[PdfBlock]) -> list[PdfBlock]:
    """Return the blocks with each caption moved into the figure or table next to it on its page."""
    taken: set[int] = set()
    captions = [(i, b) for i, b in enumerate(blocks) if b.kind == BlockKind.CAPTION]
    for i, caption in captions:
        page, box = caption.places[0]
        kind = BlockKind.TABLE if _TABLE_WORD.match(caption.text) else BlockKind.FIGURE
        near = [
            (_distance(box, b.places[0][1]) + (0 if b.kind == kind else 25), k)
            for k, b in enumerate(blocks)
            if b.kind in {BlockKind.FIGURE, BlockKind.TABLE} and b.caption is None and b.places[0][0] == page
        ]
        if near and min(near)[0] < _CAPTION_REACH:
            blocks[min(near)[1]].caption = caption
            taken.add(i)
    return [b for i, b in enumerate(blocks) if i not in taken]


def with_notes(blocks: Sequence[PdfBlock], pages: Sequence[Page]) -> list[PdfBlock]:
    """Return the blocks with the notes that readers attached to a page, each behind what it stands nearest to."""
    out = list(blocks)
    for page in pages:
        for note in page.annotations:
            if note.note:
                block = PdfBlock(BlockKind.NOTE, " ".join(note.text.split()), [(page.number, note.box)])
                out.insert(_behind(out, page.number, note.box), block)
    return out


def _behind(blocks: Sequence[PdfBlock], page: int, box: Box) -> int:
    """Return where a note goes: behind the nearest block of its page, or else behind the pages before."""
    near = [
        (_distance(box, own), i)
        for i, b in enumerate(blocks)
        for number, own in b.places
        if number == page and b.kind not in _FURNITURE
    ]
    if near:
        return min(near)[1] + 1
    return sum(b.places[0][0] < page for b in blocks)


def _distance(a: Box, b: Box) -> float:
    return max(0.0, -x_overlap(a, b)) + max(0.0, -y_overlap(a, b))
