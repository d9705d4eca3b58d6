"""Blocks that can be cut: their parts in order, and the text that must surround any run of parts.

prose   parts: sentences (words where a sentence is too long)     around: nothing
table   parts: rows                                               before: caption, header row and its rule
code    parts: lines                                              before and after: the fence
heading one part: it stands in a chunk that unites several sections
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest
from typing import Final, Literal

from fastembed.operators.chunking.sentences import sentences, words
from fastembed.operators.chunking.tokens import Counter
from fastembed.pipeline.payload.document import Block

Kind = Literal["prose", "table", "code", "heading"]

_FENCE: Final = re.compile(r"(`{3,}[^\n]*)\n(.*?)\n?(`{3,})", re.DOTALL)
_HEADER_LINES: Final = 2
_LEAD_SHARE: Final = 0.5
"""A header that takes more than this share of a chunk is not repeated: it is cut like the rows."""


@dataclass(frozen=True, slots=True)
class ChunkUnit:
    """What is never cut. text: with the white space before it. whole: a sentence, row or line, not a piece of one."""

    text: str
    tokens: int
    whole: bool = True


@dataclass(frozen=True, slots=True)
class Segment:
    """A block, or a run of its parts.

    overhead: tokens of `before` and `after`, which every run pays. listed: an item of a list, which stands close to the
    next one. overlap: sentences that the chunk before it has, too. continues: its block began in the chunk before.
    seconds: of a recording, from when to when; speaker: who says it.
    """

    kind: Kind
    parts: tuple[ChunkUnit, ...]
    page: int | None
    listed: bool = False
    before: str = ""
    after: str = ""
    overhead: int = 0
    overlap: bool = False
    continues: bool = False
    seconds: tuple[float, float] | None = None
    speaker: str = ""

    @property
    def tokens(self) -> int:
        """Tokens of the whole segment."""
        return self.overhead + sum(part.tokens for part in self.parts)

    @property
    def text(self) -> str:
        """The segment as it stands in a chunk."""
        text = "".join(part.text for part in self.parts)
        text = text.strip("\n") if self.kind == "code" or self.listed else text.strip()
        return f"{self.before}{text}{self.after}"

    def run(self, parts: Sequence[ChunkUnit]) -> Segment:
        """Return the same segment with a run of its parts only."""
        return replace(self, parts=tuple(parts), continues=bool(parts) and parts[0] is not self.parts[0])


def segments_of(blocks: Sequence[Block], budget: int, count: Counter) -> list[Segment]:
    """Return the blocks, each cut into parts of at most `budget` tokens (what surrounds them included).

    A caption before a table goes with the table: it is repeated with the header row. Only a word of more than `budget`
    tokens (at most `MAX_WORD_CHARS` characters) makes a part that is larger.
    """
    made: list[Segment] = []
    caption: Block | None = None
    for block, following in zip_longest(blocks, blocks[1:]):
        if block.kind == "caption" and following is not None and following.kind == "table":
            caption = block
            continue
        if block.kind == "table":
            made += _table(block, caption, budget, count)
        elif block.kind == "code":
            made.append(_code(block, budget, count))
        else:
            made.append(_prose(block, budget, count))
        caption = None
    return made


def heading(text: str, page: int | None, budget: int, count: Counter) -> Segment:
    """Return a heading as a segment of its own."""
    return Segment("heading", _parts([text], budget, count), page)


def _prose(block: Block, budget: int, count: Counter) -> Segment:
    parts = _parts(list(sentences(block.text)), budget, count)
    return Segment(
        "prose", parts, block.page, listed=block.kind == "list_item", seconds=block.seconds, speaker=block.speaker
    )


def _code(block: Block, budget: int, count: Counter) -> Segment:
    match = _FENCE.fullmatch(block.text.strip())
    opening, code, closing = match.groups() if match else ("```", block.text, "```")
    before, after = f"{opening}\n", f"\n{closing}"
    overhead = sum(count([before, after]))
    lines = _parts(_lines(code), budget - overhead, count)
    return Segment("code", lines, block.page, before=before, after=after, overhead=overhead)


def _table(block: Block, caption: Block | None, budget: int, count: Counter) -> list[Segment]:
    lines = block.text.split("\n")
    header, rows = lines[:_HEADER_LINES], lines[_HEADER_LINES:]
    before = "".join(f"{line}\n" for line in ([caption.text] if caption else []) + header)
    overhead = count([before])[0]
    if overhead <= budget * _LEAD_SHARE and rows:
        parts = _parts(_lines("\n".join(rows)), budget - overhead, count)
        return [Segment("table", parts, block.page, before=before, overhead=overhead)]
    lead = [_prose(caption, budget, count)] if caption else []
    return [*lead, Segment("table", _parts(_lines(block.text), budget, count), block.page)]


def _lines(text: str) -> list[str]:
    """Return the lines, each but the first with the line end before it."""
    first, *others = text.split("\n")
    return [first, *(f"\n{line}" for line in others)]


def _parts(texts: Sequence[str], budget: int, count: Counter) -> tuple[ChunkUnit, ...]:
    made: list[ChunkUnit] = []
    for text, tokens in zip(texts, count(texts), strict=True):
        if tokens <= budget:
            made.append(ChunkUnit(text, tokens))
        else:
            made += _pieces(text, budget, count)
    return tuple(made)


def _pieces(text: str, budget: int, count: Counter) -> list[ChunkUnit]:
    """Cut an overlong sentence, row or line between words, into pieces as long as the budget allows."""
    found = list(words(text))
    made: list[ChunkUnit] = []
    piece: list[str] = []
    used = 0
    for word, tokens in zip(found, count(found), strict=True):
        if piece and used + tokens > budget:
            made.append(ChunkUnit("".join(piece), used, whole=False))
            piece, used = [], 0
        piece.append(word)
        used += tokens
    if piece:
        made.append(ChunkUnit("".join(piece), used, whole=False))
    return made
