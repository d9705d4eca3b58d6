"""Small pages with their DocTags: training and test data of `docling-pocket`.

A page is 128 x 128 pixels, eight rows of 16 pixels, with one to three blocks: a heading, a paragraph or a ruled
table of 2 x 2 cells, set in the font that Pillow carries in itself, so a page looks the same on every machine.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from functools import cache
from typing import Literal

import numpy as np
from PIL import Image, ImageDraw, ImageFont

WIDTH, HEIGHT, ROW = 128, 128, 16  # pixels
LEFT, RIGHT = 5, 123  # what text may fill of a row, pixels
COLUMNS = (4, 64, 124)  # where a table's vertical rules stand, pixels
SIZES = {"section_header_level_1": 15, "text": 11, "otsl": 11}  # of the type, pixels
GRID = 500  # DocTags count a page's width and height in 500ths
_WORDS = """
    annual report summary model result energy power battery solar wind water metal glass paper index table chapter
    method figure value price total sales cost profit year month week day time speed engine motor wheel bridge road
    river ocean island forest garden flower apple lemon bread sugar coffee doctor nurse school teacher pupil music
    guitar piano letter number black white green orange north south east west open close first second third large
    small 10 12 25 30 47 50 68 75 99 100
"""
WORDS = tuple(_WORDS.split())

Kind = Literal["section_header_level_1", "text", "otsl"]
Ink = np.ndarray  # float32, 0 where the paper is blank to 1 where it is black


@dataclass(frozen=True)
class Block:
    """A block on the page: its kind, its rows of words (a table: its cells, row by row) and the row it starts at."""

    kind: Kind
    lines: tuple[tuple[str, ...], ...]
    top: int


@dataclass(frozen=True)
class Placed:
    """A word on the page: the row, from which pixel to which, and in what kind of block."""

    word: str
    row: int
    left: int
    right: int
    kind: Kind


def doctags(blocks: list[Block]) -> str:
    """Return the page as DocTags, as granite-docling writes them: one element a line, with its box.

    A space stands before every word, so that a word is one token wherever it stands.
    """
    rows = HEIGHT // ROW
    out = []
    for block in blocks:
        top, bottom = (round(GRID * y / rows) for y in (block.top, block.top + len(block.lines)))
        box = f"<loc_0><loc_{top}><loc_{GRID}><loc_{bottom}>"
        if block.kind == "otsl":
            body = "".join("".join(f"<fcel> {cell}" for cell in row) + "<nl>" for row in block.lines)
        else:
            body = "".join(f" {word}" for line in block.lines for word in line)
        out.append(f"<{block.kind}>{box}{body}</{block.kind}>")
    return "<doctag>" + "\n".join(out) + "\n</doctag>"


def compose(rng: random.Random, most: int = 3) -> list[Block]:
    """One block or up to `most`, from top to bottom, that fit a page."""
    blocks: list[Block] = []
    row = rng.randint(0, 2)
    for _ in range(rng.randint(1, most)):
        kind = rng.choice(tuple(SIZES))
        if kind == "otsl":
            lines = tuple(tuple(rng.sample(WORDS, 2)) for _ in range(2))
        elif kind == "text":
            lines = tuple(_line(rng, kind, 3) for _ in range(rng.randint(1, 3)))
        else:
            lines = (_line(rng, kind, 2),)
        if row + len(lines) > HEIGHT // ROW:
            break
        blocks.append(Block(kind, lines, row))
        row += len(lines) + rng.randint(1, 2)
    return blocks


def essay(rng: random.Random) -> list[Block]:
    """Fill most of a page with one paragraph: the most words for the fewest tags."""
    rows = HEIGHT // ROW
    count = rng.randint(3, rows)
    return [Block("text", tuple(_line(rng, "text", 4) for _ in range(count)), rng.randint(0, rows - count))]


def fill(rng: random.Random) -> list[Block]:
    """Blocks on every row, without a gap between them: the most words that a page can have."""
    blocks: list[Block] = []
    row, rows = 0, HEIGHT // ROW
    while row < rows:
        kind = rng.choice(tuple(SIZES)) if row + 2 <= rows else "text"
        if kind == "otsl":
            lines = tuple(tuple(rng.sample(WORDS, 2)) for _ in range(2))
        else:
            lines = (_line(rng, kind, 4 if kind == "text" else 3),)
        blocks.append(Block(kind, lines, row))
        row += len(lines)
    return blocks


def draw(blocks: list[Block], rng: random.Random | None = None) -> tuple[Image.Image, list[Placed]]:
    """Return the page as a picture, and where its words are.

    With `rng`, blocks are moved by up to two pixels and printed at different sharpness, as scans and renderers do.
    """
    ink = np.zeros((HEIGHT, WIDTH), np.float32)
    placed: list[Placed] = []
    for block in blocks:
        dx, dy = (rng.randint(-2, 2), rng.randint(-1, 1)) if rng else (0, 0)
        scale = rng.choice((1, 2, 4)) if rng else 4
        if block.kind == "otsl":
            _rules(ink, block, dx, dy)
        for number, line in enumerate(block.lines):
            row, x = block.top + number, LEFT
            for column, word in enumerate(line):
                if block.kind == "otsl":
                    x = COLUMNS[column] + 5
                glyphs = _glyphs(word, SIZES[block.kind], scale)
                _stamp(ink, glyphs, x + dx, row * ROW + dy)
                placed.append(Placed(word, row, x + dx, x + dx + glyphs.shape[1], block.kind))
                x += glyphs.shape[1] + _space(SIZES[block.kind])
    if rng and rng.random() < 0.5:
        ink *= rng.uniform(0.75, 1.0)
    return Image.fromarray((255 * (1 - ink)).round().astype(np.uint8)).convert("RGB"), placed


def _line(rng: random.Random, kind: Kind, most: int) -> tuple[str, ...]:
    words: list[str] = []
    width = 0
    for word in rng.sample(WORDS, rng.randint(1, most)):
        width += _glyphs(word, SIZES[kind], 1).shape[1] + _space(SIZES[kind])
        if words and LEFT + width > RIGHT:
            break
        words.append(word)
    return tuple(words)


def _space(size: int) -> int:
    return round(size * 0.4)


@cache
def _glyphs(word: str, size: int, scale: int) -> Ink:
    """Return a word's ink, one row high and as wide as the word, drawn `scale` times as large and shrunk."""
    font = ImageFont.load_default(size * scale)
    width = max(1, round(font.getlength(word) / scale))
    canvas = Image.new("L", (width * scale, ROW * scale), 0)
    # The middle of the line is the middle of the row, whatever letters the word has.
    ImageDraw.Draw(canvas).text((0, ROW * scale * 0.72), word, font=font, fill=255, anchor="ls")
    return np.asarray(canvas.resize((width, ROW), Image.Resampling.LANCZOS), np.float32) / 255


def _stamp(ink: Ink, glyphs: Ink, x: int, y: int) -> None:
    height, width = glyphs.shape
    top, left = max(y, 0), max(x, 0)
    bottom, right = min(y + height, HEIGHT), min(x + width, WIDTH)
    part = glyphs[top - y : bottom - y, left - x : right - x]
    np.maximum(ink[top:bottom, left:right], part, out=ink[top:bottom, left:right])


def _rules(ink: Ink, block: Block, dx: int, dy: int) -> None:
    top = block.top * ROW + dy
    left, right = COLUMNS[0] + dx, COLUMNS[-1] + dx
    bottom = min(top + len(block.lines) * ROW, HEIGHT - 1)
    for x in COLUMNS:
        ink[max(top, 0) : bottom + 1, min(x + dx, WIDTH - 1)] = 1
    for y in range(top, bottom + 1, ROW):
        ink[min(max(y, 0), HEIGHT - 1), left : right + 1] = 1
