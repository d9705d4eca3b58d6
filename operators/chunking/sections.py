"""Groups blocks into sections by heading, and merges small neighbours so that no chunk is a single line.

Sections under one top heading are united when one of the two is small and both fit into a chunk; sections under
different top headings only when both are tiny (the slides of a deck, the entries of a glossary). A united section keeps
the headings that its parts share; the others stand in its text.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from fastembed.operators.chunking.segments import Segment, heading, segments_of
from fastembed.operators.chunking.tokens import Counter
from fastembed.pipeline.payload.document import Block

_SMALL: Final = 4
_TINY: Final = 8
_PATH_SHARE: Final = 0.5
"""Headings may take this share of a chunk; of a longer path the outermost ones are left out."""
_SEPARATOR: Final = " > "

Path = tuple[Block, ...]


@dataclass(frozen=True, slots=True)
class Section:
    """A run of segments under one path of headings, the outermost first. room: tokens that a chunk has for them."""

    headings: tuple[str, ...]
    segments: tuple[Segment, ...]
    room: int


@dataclass(frozen=True, slots=True)
class _Raw:
    """The blocks between two headings. tokens: theirs and those of the innermost heading."""

    path: Path
    blocks: tuple[Block, ...]
    tokens: int


def sections_of(blocks: Sequence[Block], budget: int, count: Counter) -> list[Section]:
    """Return the document's sections in order; every block is in exactly one, headings in paths or in texts."""
    return [_section(group, budget, count) for group in _grouped(_raw(blocks, count), budget)]


def path_text(headings: Sequence[str]) -> str:
    """Return the headings as they stand before a chunk's text when it is embedded."""
    return _SEPARATOR.join(headings)


def _raw(blocks: Sequence[Block], count: Counter) -> list[_Raw]:
    sizes = count([block.text for block in blocks])
    made: list[_Raw] = []
    path: Path = ()
    content: list[Block] = []
    tokens = 0
    for block, size in zip(blocks, sizes, strict=True):
        if block.kind in ("title", "heading"):
            made.append(_Raw(path, tuple(content), tokens))
            path, content, tokens = (*_above(path, block), block), [], size
        else:
            content.append(block)
            tokens += size
    made.append(_Raw(path, tuple(content), tokens))
    return [raw for raw, after in zip(made, [*made[1:], None], strict=True) if raw.blocks or _ends_here(raw, after)]


def _above(path: Path, block: Block) -> Path:
    """Return the headings that a new one stands under: the title (level 0) and those of a lower level number."""
    if block.kind == "title":
        return ()
    return tuple(above for above in path if above.kind == "title" or above.level < block.level)


def _ends_here(raw: _Raw, after: _Raw | None) -> bool:
    """Whether an empty section's heading would be lost: nothing follows whose path shows it."""
    return bool(raw.path) and (after is None or len(_shared([raw.path, after.path])) < len(raw.path))


def _grouped(sections: list[_Raw], budget: int) -> list[list[_Raw]]:
    groups: list[list[_Raw]] = []
    for section in sections:
        if groups and _unites(groups[-1], section, budget):
            groups[-1].append(section)
        else:
            groups.append([section])
    return groups


def _unites(group: list[_Raw], section: _Raw, budget: int) -> bool:
    tokens = sum(raw.tokens for raw in group)
    if tokens + section.tokens > budget * (1 - 1 / _SMALL):
        return False
    if _top(group[-1].path) == _top(section.path):
        return min(tokens, section.tokens) < budget / _SMALL
    return max(tokens, section.tokens) < budget / _TINY


def _top(path: Path) -> Block | None:
    """Return the outermost heading below the title."""
    return next((block for block in path if block.kind == "heading"), None)


def _section(group: list[_Raw], budget: int, count: Counter) -> Section:
    base = _shared([raw.path for raw in group])
    if not any(raw.blocks for raw in group):
        base = base[: len(group[0].path) - 1]  # headings alone: the last one is the text
    headings, dropped = _fitting([block.text for block in base], budget, count)
    room = budget - count([path_text(headings)])[0]
    segments: list[Segment] = [heading(text, None, room, count) for text in dropped]
    previous = base
    for raw in group:
        known = len(_shared([previous, raw.path]))
        segments += [heading(block.text, block.page, room, count) for block in raw.path[known:]]
        segments += segments_of(raw.blocks, room, count)
        previous = raw.path
    return Section(headings, tuple(segments), room)


def _shared(paths: Sequence[Path]) -> Path:
    """Return the headings with which all paths begin; the same words in another place are another heading."""
    shared: list[Block] = []
    for blocks in zip(*paths, strict=False):
        if any(block is not blocks[0] for block in blocks):
            break
        shared.append(blocks[0])
    return tuple(shared)


def _fitting(headings: list[str], budget: int, count: Counter) -> tuple[tuple[str, ...], list[str]]:
    """Return the headings that leave room for a text, and those that do not."""
    first = 0
    while first < len(headings) and count([path_text(headings[first:])])[0] > budget * _PATH_SHARE:
        first += 1
    return tuple(headings[first:]), headings[:first]
