"""Printed tables of contents: which rows list titles with their page numbers, and what they list."""

import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from fastembed.documents.pdf.rows import LayoutRow, PageRows

# Leaders and page numbers are found with patterns that cannot backtrack far: lines may be long and hostile.
_LEADERS = re.compile(r"[.·…_](?:\s{0,3}[.·…_]){2,}")
_PAGE = re.compile(r"(?:^|(?<=[\s.·…_]))(?:\d{1,4}|[ivxlcdm]{1,7}|[A-Z]-?\d{1,3})$")
_HEADING = re.compile(
    r"^(?:(?:short|detailed|brief|full)\s+)?(?:table of )?contents(?: at a glance)?$|"
    r"^list of (?:figures|tables|listings|examples)$|"
    r"^inhalt(?:sverzeichnis)?$|^table des mati[eè]res$|^[ií]ndice(?: general)?$|^sommaire$|^sum[aá]rio$",
    re.IGNORECASE,
)
_LISTS = re.compile(r"^list of ", re.IGNORECASE)
_MIN_ENTRIES: Final = 4  # fewer lines with leaders are a form or a price list, unless a title announces them
_ASCENDING: Final = 0.85  # of the steps from one page number to the next go up; misread digits may not
_RIGHT_EDGE: Final = 0.08  # of the column: page numbers stand as close to its edge
_MOST_ENTRIES: Final = (
    0.4  # of the rows between first and last entry end in page numbers; the others are parts of these
)
_WRAPPED_EM: Final = 0.9  # white space between the lines of one entry
_MAX_BETWEEN: Final = 6  # rows between two entries: more are text
_SHORT_ROW: Final = 0.75  # of the column, of a title without a page number
_BOLD: Final = 0.8  # of the characters: the heading that ends such a list
_BOLD_ENTRY: Final = 0.5  # of the characters


@dataclass(frozen=True, slots=True)
class ContentsEntry:
    """A line of a printed table of contents; `indent` in points from the column's left edge."""

    title: str
    page: str
    indent: float
    bold: bool


@dataclass(frozen=True, slots=True)
class Contents:
    """The printed tables of contents: their rows, as (page, index of the row), and the entries of the main one."""

    rows: frozenset[tuple[int, int]]
    entries: tuple[ContentsEntry, ...]


def is_contents_heading(text: str) -> bool:
    """Whether a line announces a table of contents or a list of figures."""
    return bool(_HEADING.match(text.strip().rstrip(":")))


def find_contents(pages: Sequence[PageRows]) -> Contents:
    """Return the printed tables of contents.

    Rows that end in dot leaders and a page number are entries wherever at least half of their neighbours are; rows that
    end in a number far to the right are entries below a heading such as `Contents`.
    """
    rows: set[tuple[int, int]] = set()
    entries: list[ContentsEntry] = []
    open_list, main = False, True
    for page in pages:
        announced = [i for i, row in enumerate(page.rows) if is_contents_heading(row.text)]
        if announced:
            main = not _LISTS.match(page.rows[announced[0]].text.strip())
        found = _entry_rows(page, announced, continued=open_list)
        if announced and not found:
            found = _bare_titles(page, announced[0])
        open_list = bool(found)
        rows.update((page.page.number, i) for i in found)
        own = _entries(page, found) if main else []
        if _ascends(own):  # the page numbers of an index go up and down
            entries += own
    return Contents(frozenset(rows), tuple(entries))


def _ascends(entries: Sequence[ContentsEntry]) -> bool:
    """Whether the page numbers go up, as in a table of contents."""
    numbers = [int(e.page) for e in entries if e.page.isdigit()]
    steps = list(itertools.pairwise(numbers))
    return sum(a <= b for a, b in steps) >= _ASCENDING * len(steps)


def _match(row: LayoutRow) -> tuple[str, str, bool] | None:
    """Return the title, the page number and whether leaders or a wide gap stand between them."""
    text = row.text.rstrip()
    match = _PAGE.search(text[-12:])
    if match is None:
        return None
    page = match[0]
    title = text[: len(text) - len(page)].rstrip(" .·…_")
    if not title:
        return None
    gap = len(row.parts) > 1 and row.parts[-1].text == page
    right = row.box.r > row.column.r - _RIGHT_EDGE * row.column.width
    return _LEADERS.sub(" ", title).strip(), page, bool(_LEADERS.search(text)) or (gap and right)


def _entry_rows(page: PageRows, announced: list[int], *, continued: bool) -> list[int]:
    rows = page.rows
    sure = [i for i, row in enumerate(rows) if row.line is not None and (m := _match(row)) is not None and m[2]]
    leaders = [i for i in sure if _LEADERS.search(rows[i].text)]
    if len(leaders) < _MIN_ENTRIES and not announced and not continued:
        return []
    first = announced[0] + 1 if announced else 0
    sure = [i for i in sure if i >= first]
    if len(sure) < (2 if announced or continued else _MIN_ENTRIES):
        return []
    start = first if announced else sure[0]
    end = _end(rows, sure)
    span = [i for i in range(start, end + 1) if rows[i].line is not None]
    if not announced:
        start = _begin(rows, sure[0])
        span = [i for i in range(start, end + 1) if rows[i].line is not None]
    return span if len(sure) >= _MOST_ENTRIES * len(span) else sure


def _begin(rows: Sequence[LayoutRow], first: int) -> int:
    """Return the first row of a wrapped entry that ends in row `first`."""
    while first > 0 and rows[first].space < _WRAPPED_EM * _size(rows[first]) and rows[first - 1].line is not None:
        first -= 1
    return first


def _size(row: LayoutRow) -> float:
    return row.line.size if row.line is not None else 10.0


def _end(rows: Sequence[LayoutRow], sure: list[int]) -> int:
    """Return the last entry before a long stretch of other rows."""
    end = sure[0]
    for i in sure[1:]:
        between = [rows[k] for k in range(end + 1, i)]
        if len(between) > _MAX_BETWEEN:
            break
        end = i
    return end


def _bare_titles(page: PageRows, heading: int) -> list[int]:
    """Return the rows of a table of contents without page numbers, as web pages print them: short rows only."""
    found = []
    for i in range(heading + 1, len(page.rows)):
        row = page.rows[i]
        if (
            row.line is None
            or row.box.width > _SHORT_ROW * row.column.width
            or row.line.bold_share > _BOLD
            or row.text.endswith(".")
        ):
            break
        found.append(i)
    return found if len(found) >= _MIN_ENTRIES else []


def _entries(page: PageRows, found: list[int]) -> list[ContentsEntry]:
    entries: list[ContentsEntry] = []
    pending = ""
    indent = 0.0
    for i in found:
        row = page.rows[i]
        match = _match(row)
        if not pending:
            indent = row.box.l - row.column.l
        bold = row.line is not None and row.line.bold_share > _BOLD_ENTRY
        if match is None or not match[2]:
            pending = f"{pending} {row.text}".strip()
            continue
        title = f"{pending} {match[0]}".strip()
        entries.append(ContentsEntry(title, match[1], indent, bold))
        pending = ""
    return entries
