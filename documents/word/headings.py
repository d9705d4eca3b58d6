"""Headings that no style names: paragraphs that look like one get a heading's style.

A heading by look is short, stands alone, and is set larger than the body, or bold throughout at the body's size before
text that is not. Their sizes, the largest first, are their levels. A paragraph's own outline level counts as well.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Final

from lxml import etree

from fastembed.documents.word.markup import find, text_of, value, w
from fastembed.documents.word.styles import Styles

_LONGEST: Final = 120
_LONGEST_BOLD: Final = 80
_LARGER: Final = 1.14
"""Times the body's size: 11 and 12.5 points, 10 and 11.5."""
_IN_A_ROW: Final = 3
"""More of one look, one after the other, are a poster or an address, not headings."""
_DEEPEST: Final = 6
_BODY_LEVEL: Final = 9
_SENTENCE_END: Final = (".", ",", ";", ":", "!")
_STYLED: Final = re.compile(r"heading|title|toc|caption|list|quote|code|header|footer", re.IGNORECASE)
STYLE: Final = "FastEmbedHeading"


@dataclass(frozen=True, slots=True)
class _ParagraphLook:
    """A paragraph of the body: its text, largest size (half-points), and whether all of it is bold."""

    element: Any
    text: str
    size: int
    bold: bool
    plain: bool


def promote(body: Any, styles: Styles) -> None:
    """Give a heading's style to each paragraph directly in the body that looks like a heading."""
    lines = {element: _line(element, styles) for element in body.iterchildren(w("p"))}
    written = [line for line in lines.values() if line.text]
    if not written:
        return
    sizes: Counter[int] = Counter()
    for line in written:
        sizes[line.size] += len(line.text)
    body_size = sizes.most_common(1)[0][0]
    found = [line for line in written if _is_heading(line, lines, body_size)]
    if sum(len(line.text) for line in found if line.size <= body_size) * 4 > sum(len(line.text) for line in written):
        found = [line for line in found if line.size > body_size]
    found = _without_crowds(found, written)
    ranks = sorted({line.size for line in found}, reverse=True)
    above = _styled_levels(lines)
    for line in found:
        _style(line.element, min(above + ranks.index(line.size) + 1, _DEEPEST))
    for element in lines:
        level = value(element, "pPr/outlineLvl")
        if level is not None and level.isdigit() and int(level) < _BODY_LEVEL:
            _style(element, int(level) + 1)


def add_styles(root: Any) -> None:
    """Add the headings' styles to the document's."""
    for level in range(1, 10):
        style = etree.SubElement(root, w("style"))
        style.set(w("type"), "paragraph")
        style.set(w("styleId"), f"{STYLE}{level}")
        etree.SubElement(style, w("name")).set(w("val"), f"heading {level}")
        etree.SubElement(etree.SubElement(style, w("pPr")), w("outlineLvl")).set(w("val"), str(level - 1))


def _line(element: Any, styles: Styles) -> _ParagraphLook:
    chain = styles.chain(element)
    runs = [run for run in element.iter(w("r")) if any(text.text and text.text.strip() for text in run.iter(w("t")))]
    sizes = [styles.size(run, chain) for run in runs]
    return _ParagraphLook(
        element,
        text_of(element),
        max(sizes, default=0),
        bold=bool(runs) and all(styles.is_on(run, chain, "b") for run in runs),
        plain=not any(_is_named(style) for style in chain) and min(sizes, default=0) == max(sizes, default=0),
    )


def _is_named(style: Any) -> bool:
    """Whether a style says what its paragraphs are."""
    name = value(style, "name") or ""
    return bool(_STYLED.search(name)) or find(style, "pPr/outlineLvl") is not None or name.lower() == "subtitle"


def _is_heading(line: _ParagraphLook, lines: dict[Any, _ParagraphLook], body_size: int) -> bool:
    text = line.text
    if not line.plain or len(text) > _LONGEST or "\t" in text or not any(letter.isalpha() for letter in text):
        return False
    if line.size >= body_size * _LARGER:
        return line.bold or (not text.endswith(_SENTENCE_END) and find(line.element, "pPr/numPr/numId") is None)
    if not line.bold or line.size < body_size or len(text) > _LONGEST_BOLD or text.endswith(_SENTENCE_END):
        return False
    if find(line.element, "pPr/numPr/numId") is not None or "\n" in text:
        return False
    after = line.element.getnext()
    while after is not None and after.tag == w("p") and not lines[after].text:
        after = after.getnext()
    if after is None or after.tag not in (w("p"), w("tbl")):
        return False
    return after.tag == w("tbl") or not lines[after].bold


def _without_crowds(found: list[_ParagraphLook], written: list[_ParagraphLook]) -> list[_ParagraphLook]:
    """Return the headings without those in a row of more than a few lines of one look."""
    crowded: set[Any] = set()
    for _, row in groupby(written, key=lambda line: (line.size, line.bold)):
        lines = list(row)
        if len(lines) > _IN_A_ROW:
            crowded |= {line.element for line in lines}
    return [line for line in found if line.element not in crowded]


def _styled_levels(lines: dict[Any, _ParagraphLook]) -> int:
    """Return the deepest level of headings that have a style: 0 where there are none."""
    return max((level for element in lines if (level := _named_level(element))), default=0)


def _named_level(element: Any) -> int:
    digits = re.fullmatch(r"Heading(\d)", value(element, "pPr/pStyle") or "")
    return int(digits[1]) if digits else 0


def _style(element: Any, level: int) -> None:
    properties = find(element, "pPr")
    if properties is None:
        properties = etree.Element(w("pPr"))
        element.insert(0, properties)
    style = find(properties, "pStyle")
    if style is None:
        style = etree.Element(w("pStyle"))
        properties.insert(0, style)
    style.set(w("val"), f"{STYLE}{level}")
