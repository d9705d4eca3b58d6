"""Cuts a passage into the sentences that can be quoted; a row of a table is one."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from fastembed.operators.chunking.sentences import sentences

MAX_UNITS: Final = 40
_MARKS: Final = re.compile(r"^\s*(?:#{1,6}\s+|[-*+]\s+(?:\[[ xX]\]\s*)?|>\s+|\d{1,3}[.)]\s+)|\*\*|__|`")
_RULE: Final = re.compile(r"^\s*\|?[\s:|-]+\|?\s*$")
_LEAST_CHARS: Final = 8


def units(text: str) -> list[str]:
    """Return the sentences of a passage in order, without Markdown's marks."""
    return list(_units(text))[:MAX_UNITS]


def _units(text: str) -> Iterator[str]:
    header: list[str] = []
    for block in re.split(r"\n{2,}", text):
        lines = block.splitlines()
        if lines and all(line.lstrip().startswith("|") for line in lines):
            for place, line in enumerate(lines):
                cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line.strip().strip("|"))]
                if _RULE.match(line):
                    continue
                if place == 0 and len(lines) > 1 and _RULE.match(lines[1]):
                    header = cells
                    continue
                yield _row(header, cells)
            continue
        for sentence in sentences(block):
            plain = " ".join(_MARKS.sub("", sentence).split())
            if len(plain) >= _LEAST_CHARS:
                yield plain


def _row(header: list[str], cells: list[str]) -> str:
    """Write a row as a sentence: each cell behind what heads its column."""
    if len(header) != len(cells):
        return "; ".join(cell for cell in cells if cell)
    return "; ".join(f"{name}: {cell}" if name else cell for name, cell in zip(header, cells, strict=True) if cell)
