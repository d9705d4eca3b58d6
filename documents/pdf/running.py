"""Running heads and feet as content: what they say is kept once, so that it can be searched."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

from fastembed.documents.pdf.blocks import BlockKind, PdfBlock
from fastembed.documents.pdf.furniture import PAGE_NUMBER
from fastembed.documents.pdf.titles import folded, spellings

_EDGES = {BlockKind.HEAD, BlockKind.FOOT}
_COUNT = re.compile(
    r"^(?P<first>\d{1,4}|[ivxlc]{1,7})\b(?:\s*(?:/|of|von|de|sur)\s*\d{1,4})?[\s|·•–—-]*"
    r"|[\s|·•–—-]*(?:\b(?:page|seite|página|p\.)\s*)?\b(?P<last>\d{1,4}|[ivxlc]{1,7})(?:\s*(?:/|of|von|de|sur)\s*\d{1,4})?$",
    re.IGNORECASE,
)
"""A number at an end of a running head, with the sign that separates it."""
_COUNTED = re.compile(
    r"(?:\b(?:nos?|nr|num|number|nummer|numéro|número|n°|id|week|woche|semaine|semana|day|tag|jour|día|month|monat|year|"
    r"jahr|quarter|quartal|lesson|lektion|leçon|lección|unit|exercise|übung|aufgabe|exercice|ejercicio|chapter|kapitel|"
    r"part|teil|step|schritt|module|modul|session|question|frage|task|sheet|blatt|level|stage|round|release|version|"
    r"invoice|rechnung|customer|kunde|employee|personnel|account|konto|order|auftrag|case|claim|policy|form|room)"
    r"|[#№:])[.:]?$",
    re.IGNORECASE,
)
"""Words that a number belongs to: after them it names something, even where it happens to count up with the pages."""
_MAX_OFFSET = 60
"""How far a page number may be from the page's place in the file: front matter is rarely longer, and numbers that count
up from 1001 are those of persons, invoices, certificates."""
_MAX_BARE = 999
"""The largest bare number that is taken for a page's; four digits are years and numbers of things."""


def kept_once(blocks: Sequence[PdfBlock]) -> list[PdfBlock]:
    """Return the blocks with the first of each running head or foot as content, the others as they are.

    A number at its end is the page's if it counts up with the pages; one that means something (`Personnel no. 1001`)
    makes each a text of its own. What a heading says already is not said again.
    """
    edges = [block for block in blocks if block.kind in _EDGES]
    counts = _counting(edges)
    titles = {s for b in blocks if b.kind in {BlockKind.TITLE, BlockKind.HEADING} for s in spellings(b.text)}
    for block in edges:
        text = _without_count(block, counts)
        names = spellings(text)
        if names and not names & titles and not _is_page_number(block, counts):
            block.kind, block.text = BlockKind.RUNNING, text
        titles |= names
    return list(blocks)


def _counting(edges: Iterable[PdfBlock]) -> set[tuple[str, int]]:
    """Return which texts count the pages, each with the number of pages before the one numbered 1."""
    votes: defaultdict[str, Counter[int]] = defaultdict(Counter)
    for block in edges:
        match = _COUNT.search(block.text)
        number = match and (match["first"] or match["last"])
        if match and number and number.isdecimal() and not _COUNTED.search(block.text[: match.start()].rstrip()):
            votes[_rest(block.text, match)][int(number) - block.places[0][0]] += 1
    return {(rest, n) for rest, own in votes.items() for n, count in own.items() if count > 1 and abs(n) <= _MAX_OFFSET}


def _without_count(block: PdfBlock, counts: set[tuple[str, int]]) -> str:
    match = _COUNT.search(block.text)
    if match is None:
        return block.text
    rest, number = _rest(block.text, match), match["first"] or match["last"]
    if number.isdecimal():
        return rest if (rest, int(number) - block.places[0][0]) in counts else block.text
    return rest


def _rest(text: str, match: re.Match[str]) -> str:
    return (text[: match.start()] + text[match.end() :]).strip()


def _is_page_number(block: PdfBlock, counts: set[tuple[str, int]]) -> bool:
    if not PAGE_NUMBER.match(block.text):
        return False
    digits = re.findall(r"\d+", block.text)
    return not digits or int(digits[0]) <= _MAX_BARE or not folded(_without_count(block, counts))
