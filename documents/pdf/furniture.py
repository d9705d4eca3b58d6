"""Running heads, running feet and page numbers: what repeats at the edge of pages and is no content."""

# ruff: noqa: PLR2004 - thresholds have names; what is left are small counts and signs

import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Final

from fastembed.documents.pdf.page import Page
from fastembed.documents.pdf.text import Line

_EDGE: Final = 0.16  # of the page's height: running heads and feet do not reach farther in
_ROUNDS: Final = 3  # rows at an edge at most
_MAX_WORDS: Final = 22  # in a running head; more are text
_LARGER: Final = 1.15  # times the body's size: such type at the edge may be a heading or a slide's title
_LARGE_REPEATED: Final = 0.5
"""Which share of the pages must say the same in large type for a running head; fewer are titles of slides in a row."""
_SAME: Final = 4  # pages that say the same: enough for small type where nothing else speaks for a running head
_MIN_APART: Final = 6  # pages at least, before a row apart from the text is furniture whatever it says
_COUNTED: Final = 3  # pages whose numbers agree on where page 1 is
_MOST: Final = 0.6  # of the pages with a row at this height count or repeat: then the others' rows are furniture too
_APART_PAGES: Final = 0.7  # of all pages have a row at this height
_APART: Final = 0.85  # of those rows stand apart and are not bold
_TEXT_SPACE_EM: Final = 0.45  # white space within text; a row closer than that belongs to it
_ALONE_EM: Final = 0.8  # white space around a page number
_NUMBER = re.compile(r"\d+")
_ANY_NUMBER = re.compile(r"\d+|\b[ivxlc]{1,7}\b")
PAGE_NUMBER = re.compile(
    r"^\W*(?:page|seite|página|p\.)?\s*(?:\d{1,4}|[ivxlc]{1,7}|[A-Z]{1,2}[-.]\d{1,3}|\d{1,2}[-–]\d{1,3})"
    r"(?:\s*(?:/|of|von|de)\s*\d{1,4})?\W*$",
    re.IGNORECASE,
)


def furniture(pages: Sequence[Page], body: float) -> list[tuple[set[int], set[int]]]:
    """Return, for each page, the indices of the lines in its running head and in its running foot.

    A row at the edge is furniture if rows at the same height on other pages repeat its words or count the pages, and
    if white space separates it from the text; a bare page number is furniture wherever it stands alone at the edge.
    What is set larger than the text and says something else on every page is a heading, though it differs only by a
    number (`Week 1`, `Week 2`): a page number of large type stands apart from the words.

    Args:
        pages: the document's pages.
        body: its body size in points.
    """
    heads = _edge(pages, body, top=True)
    feet = _edge(pages, body, top=False)
    return list(zip(heads, feet, strict=True))


_Row = list[int]


def _edge(pages: Sequence[Page], body: float, *, top: bool) -> list[set[int]]:
    rows = [_edge_rows(page, top=top) for page in pages]
    found: list[set[int]] = [set() for _ in pages]
    for depth in range(_ROUNDS):
        slots: dict[int, list[int]] = defaultdict(list)
        for p, page in enumerate(pages):
            if len(rows[p]) > depth and len(found[p]) == sum(len(r) for r in rows[p][:depth]):
                slots[round(_distance(page, rows[p][depth], top=top))].append(p)
        for where in _merged(slots):
            for p in _repeating(pages, rows, where, depth, body, top=top):
                found[p].update(rows[p][depth])
    for p, page in enumerate(pages):
        _keep_text(page, rows[p], found[p], top=top)
        if rows[p] and not found[p] and _is_bare_number(page, rows[p], top=top):
            found[p].update(rows[p][0])
    return found


def _edge_rows(page: Page, *, top: bool) -> list[_Row]:
    """Return the outermost rows that stand apart from the text, outermost first."""
    upright = [i for i, line in enumerate(page.lines) if not line.turned]
    upright.sort(key=lambda i: page.lines[i].box.t if top else -page.lines[i].box.b)
    rows: list[_Row] = []
    for i in upright:
        line = page.lines[i]
        if rows and _same_row(page.lines[rows[-1][0]], line):
            rows[-1].append(i)
        elif len(rows) > _ROUNDS:
            break
        else:
            rows.append([i])
    limit = _EDGE * page.height
    kept = []
    for row in rows[:_ROUNDS]:
        far = max(page.lines[i].box.b for i in row) if top else page.height - min(page.lines[i].box.t for i in row)
        if far > limit or sum(len(page.lines[i].words) for i in row) > _MAX_WORDS:
            break
        kept.append(row)
    return kept


def _same_row(a: Line, b: Line) -> bool:
    return min(a.box.b, b.box.b) - max(a.box.t, b.box.t) > 0.5 * min(a.box.height, b.box.height)


def _distance(page: Page, row: _Row, *, top: bool) -> float:
    baseline = page.lines[row[0]].baseline
    return baseline if top else page.height - baseline


def _merged(slots: dict[int, list[int]]) -> list[list[int]]:
    groups: list[tuple[int, list[int]]] = []
    for height in sorted(slots):
        if groups and height - groups[-1][0] <= 1:
            groups[-1] = (height, groups[-1][1] + slots[height])
        else:
            groups.append((height, list(slots[height])))
    return [sorted(pages) for _, pages in groups]


def _text(page: Page, row: _Row) -> str:
    return " ".join(page.lines[i].text for i in sorted(row, key=lambda i: page.lines[i].box.l))


def _repeating(
    pages: Sequence[Page], rows: list[list[_Row]], where: list[int], depth: int, body: float, *, top: bool
) -> list[int]:
    """Return those of the pages `where` whose row at one height is furniture."""
    if len(where) < 2:
        return []
    texts = [_text(pages[p], rows[p][depth]) for p in where]
    names = [_without_page(pages[p], rows[p][depth]) for p in where]
    exact = Counter(names)
    shapes = Counter(_ANY_NUMBER.sub("#", t).strip() for t in texts)
    offsets: Counter[int] = Counter()
    for p, text in zip(where, texts, strict=True):
        numbers = _NUMBER.findall(text)
        offsets.update({int(n) - p for n in {*numbers[:1], *numbers[-1:]} if len(n) < 5})
    offset, votes = offsets.most_common(1)[0] if offsets else (0, 0)
    often = 2 if len(where) < 6 else 3
    many = max(often, _LARGE_REPEATED * len(where))
    good, kept, same, small = 0, [], [], []
    for p, text, name in zip(where, texts, names, strict=True):
        counted = votes >= _COUNTED and any(int(n) - p == offset for n in _NUMBER.findall(text) if len(n) < 5)
        count = shapes[_ANY_NUMBER.sub("#", text).strip()]
        good += counted or count >= often or bool(PAGE_NUMBER.match(text))
        large = max(pages[p].lines[i].size for i in rows[p][depth]) >= _LARGER * body
        if not large or exact[name] >= many or PAGE_NUMBER.match(text):
            kept.append(p)
        if not large:  # several slides in a row may have one title
            small.append(p)
            if count >= _SAME:
                same.append(p)
    if pages[where[0]].width > pages[where[0]].height:  # slides: what many have at one height may be their titles
        return kept if good >= _MOST * len(where) else []
    if good >= _MOST * len(where):
        return kept
    return small if _stand_apart(pages, rows, where, depth, top=top) else same


def _without_page(page: Page, row: _Row) -> str:
    """Return a running head without the page number that stands apart at one of its ends."""
    parts = [page.lines[i].text for i in sorted(row, key=lambda i: page.lines[i].box.l)]
    kept = [part for part in parts if not PAGE_NUMBER.match(part)]
    return " ".join(kept or parts)


def _stand_apart(pages: Sequence[Page], rows: list[list[_Row]], where: list[int], depth: int, *, top: bool) -> bool:
    """Whether nearly all pages have a light row at one height, apart from the text: then its words may differ."""
    if depth or len(where) < max(_MIN_APART, _APART_PAGES * len(pages)):
        return False
    apart = 0
    for p in where:
        row = rows[p][depth]
        line = pages[p].lines[row[0]]
        light = max(pages[p].lines[i].bold_share for i in row) < 0.5
        apart += light and _gap(pages[p], row, top=top) > line.size
    return apart >= _APART * len(where)


def _keep_text(page: Page, rows: list[_Row], found: set[int], *, top: bool) -> None:
    """Remove from `found` the innermost rows that follow the text as closely as its own lines do."""
    for row in reversed(rows):
        if not found.issuperset(row) or len(row) > 1 or PAGE_NUMBER.match(_text(page, row)):
            continue
        line = page.lines[row[0]]
        near = [ln.box for i, ln in enumerate(page.lines) if i not in found and not ln.turned]
        gap = min(((b.t - line.box.b if top else line.box.t - b.b) for b in near), default=line.size)
        if gap > _TEXT_SPACE_EM * line.size:
            return
        found.difference_update(row)


def _is_bare_number(page: Page, rows: list[_Row], *, top: bool) -> bool:
    row = rows[0]
    if not PAGE_NUMBER.match(_text(page, row)):
        return False
    return _ALONE_EM * page.lines[row[0]].size < _gap(page, row, top=top) < page.height


def _gap(page: Page, row: _Row, *, top: bool) -> float:
    """Return the white space between a row at the edge and all other lines in points, the page's height for none."""
    line = page.lines[row[0]]
    rest = [ln.box for i, ln in enumerate(page.lines) if i not in row and not ln.turned]
    if not rest:
        return page.height
    return min(b.t for b in rest) - line.box.b if top else line.box.t - max(b.b for b in rest)
