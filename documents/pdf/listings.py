"""Listings: lines of fixed pitch with their indents and gaps."""

import itertools
import statistics
from collections.abc import Sequence
from typing import Final

from fastembed.documents.pdf.rows import LayoutRow
from fastembed.documents.pdf.text import SPACE_EM
from fastembed.documents.pdf.words import PdfWord

_EMPTY_LINE: Final = 1.7  # times a listing's line pitch


def code_text(rows: Sequence[LayoutRow]) -> str:
    """Return a listing with its lines, indents, gaps and empty lines as they stand on the page."""
    words = [w for r in rows if r.line is not None for w in r.line.words]
    pitch = statistics.median(w.box.width / len(w.text) for w in words) or 1.0
    left = min(r.box.l for r in rows)
    steps = [b.box.t - a.box.t for a, b in itertools.pairwise(rows) if b.box.t > a.box.t]
    step = min(steps) if steps else 1.0
    out: list[str] = []
    for k, row in enumerate(rows):
        if row.line is None:
            continue
        if k and row.box.t - rows[k - 1].box.t > _EMPTY_LINE * step:
            out.append("")
        out.append(_spaced(row.line.words, left, pitch))
    return "\n".join(out)


def _spaced(words: Sequence[PdfWord], left: float, pitch: float) -> str:
    text = ""
    for before, word in zip((None, *words), words, strict=False):
        if before is None:
            gap = round((word.box.l - left) / pitch)
        else:
            width = word.box.l - before.box.r
            apart = word.spaced or width > SPACE_EM * word.style.size
            gap = max(int(apart), round(width / pitch))
        text += " " * max(0, min(gap, 200)) + word.text
    return text
