"""Headings and their levels: from the file's outline, from its printed table of contents, or from type alone."""

# ruff: noqa: PLR2004 - thresholds have names; what is left are small counts and signs

from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Final

from fastembed.documents.pdf.cells import Grid
from fastembed.documents.pdf.contents import Contents, is_contents_heading
from fastembed.documents.pdf.named import Heading, Place, from_contents, from_outline
from fastembed.documents.pdf.page import Bookmark
from fastembed.documents.pdf.rows import LayoutRow, PageRows
from fastembed.documents.pdf.titles import depth_of, folded, is_label, is_number, split_number
from fastembed.documents.pdf.typography import (
    Body,
    Look,
    Run,
    body_of,
    heading_runs,
    is_centred,
    look_of,
    runs_of,
)

_MAX_ROWS: Final = 4  # of a title: a longer run of large type is a cover's text
_LARGER: Final = 1.12  # times the body's size, as in `fastembed.documents.pdf.typography`
_NUMBERED: Final = 0.5  # of the printed contents' entries: then a heading without a number is none
_OWN_LOOK: Final = 0.6  # of a look's uses must be named headings before others of this look become headings
_ALL_NUMBERED: Final = 0.85  # of a look's named headings: one of this look without a number is a caption or a name
_TITLE_TOP: Final = 0.62  # of the first page's height, from above: titles of covers stand as low as the middle
_TITLE_LARGER: Final = 1.18  # times the body's size; a title stands out more than a heading has to
_FRONT_TEXT: Final = 1.15  # times the body's size: larger type on a cover is no text yet
_WIDE: Final = 0.6  # of the column: lines this wide are text, not an address
_TEXT_CHARACTERS: Final = (90, 180)  # that make wide and narrow lines a text: more than an address or a list of authors
_RANKED_BY_NUMBER: Final = 0.3  # of a look's headings have numbers: then their depth is the level of this look
_DEEPEST: Final = 6  # Markdown's and HTML's deepest level


def find_headings(
    pages: Sequence[PageRows], contents: Contents, bookmarks: Sequence[Bookmark], size: float
) -> dict[Place, Heading]:
    """Return the headings by the place of their first row.

    The outline decides where there is one that names what is printed; else the printed table of contents; in both cases
    rows set exactly like the headings found are headings too. Without either, type decides: size, weight, number,
    slant, white space.

    Args:
        pages: the pages' rows.
        contents: the printed tables of contents.
        bookmarks: the file's outline.
        size: the document's body size in points.
    """
    runs = [run for page in pages for run in runs_of(page, contents.rows)]
    body = body_of(runs, size)
    candidates = heading_runs(runs, body)
    title = _title(pages, runs, body)
    rows_of = {page.page.number: page.rows for page in pages}
    named = from_outline(bookmarks, pages, contents, body)
    if named is None:
        named = from_contents(contents, pages, candidates)
    inner = _after_front(candidates, runs, title, body, rows_of)
    if named is not None:
        found = dict(named)
        _add_alike(found, named, inner, runs, pages)
        if not bookmarks:
            numbered = sum(depth_of(entry.title) > 0 for entry in contents.entries) > _NUMBERED * len(contents.entries)
            _add_deeper(found, inner, body, _smallest(named, rows_of), numbered=numbered)
    else:
        found = _from_type(inner)
    for place in [
        p for p in found if is_contents_heading(rows_of[p[0]][p[1]].text) and not _is_named(p, named, bookmarks)
    ]:
        del found[place]
    if title is not None:
        place, rows = title
        if place not in found or found[place].level == 1:
            found[place] = Heading(max(rows, found[place].rows if place in found else 0), 0)
    _without_overlaps(found)
    return found


def _smallest(named: dict[Place, Heading], rows_of: dict[int, tuple[LayoutRow, ...]]) -> float:
    lines = [rows_of[page][row].line for page, row in named]
    return min((look_of(line)[0] for line in lines if line is not None), default=0.0)


def _is_named(place: Place, named: dict[Place, Heading] | None, bookmarks: Sequence[Bookmark]) -> bool:
    """Whether the outline itself lists the place."""
    return bool(bookmarks) and named is not None and place in named


# --- what is set like them --------------------------------------------------------------------------------------------


def _add_alike(
    found: dict[Place, Heading],
    named: dict[Place, Heading],
    candidates: Sequence[Run],
    runs: Sequence[Run],
    pages: Sequence[PageRows],
) -> None:
    """Add the runs set like the headings that outline or contents name, if that look is used for little else."""
    rows = {page.page.number: page.rows for page in pages}
    levels: defaultdict[Look, Counter[int]] = defaultdict(Counter)
    numbered: Counter[Look] = Counter()
    for (page, row), heading in named.items():
        line = rows[page][row].line
        if line is not None:
            levels[look_of(line)][heading.level] += 1
            numbered[look_of(line)] += depth_of(line.text) > 0
    uses = Counter(run.look for run in runs)
    covered = {(page, row + k) for (page, row), h in named.items() for k in range(h.rows)}
    for run in candidates:
        votes = levels.get(run.look)
        if votes is None or sum(votes.values()) < max(2, _OWN_LOOK * uses[run.look]) or is_label(run.text):
            continue
        count = sum(votes.values())
        if count >= 4 and numbered[run.look] >= _ALL_NUMBERED * count and not depth_of(run.text):
            continue  # sections of this look have numbers, so this is a caption or a name set like them
        if any((run.page, row) in covered for row in range(run.start, run.end)):
            continue
        found[run.page, run.start] = Heading(len(run.rows), votes.most_common(1)[0][0])


def _add_deeper(
    found: dict[Place, Heading], candidates: Sequence[Run], body: Body, smallest: float, *, numbered: bool
) -> None:
    """Add the headings of deeper levels than the printed contents: numbered, or in a size of their own above the text.

    `smallest` is the least size of the headings that the contents name, in points; where those are `numbered`, what has
    no number is none.
    """
    deepest = max(h.level for h in found.values())
    sizes = sorted({r.size for r in candidates if _LARGER * body.size <= r.size < smallest}, reverse=True)
    covered = {(page, row + k) for (page, row), h in found.items() for k in range(h.rows)}
    for run in candidates:
        depth = depth_of(run.text)
        if any((run.page, r) in covered for r in range(run.start, run.end)):
            continue
        if depth > max(1, deepest - 1) and (run.look[1] or run.size > body.size):
            found[run.page, run.start] = Heading(len(run.rows), depth)
        elif not numbered and not depth and run.size in sizes and not is_label(run.text):
            found[run.page, run.start] = Heading(len(run.rows), deepest + 1 + sizes.index(run.size))


# --- type alone -------------------------------------------------------------------------------------------------------


def _title(pages: Sequence[PageRows], runs: Sequence[Run], body: Body) -> tuple[Place, int] | None:
    """Return the place and number of rows of the document's title: the largest type in the upper part of page one."""
    first = next((page for page in pages if page.rows), None)
    if first is None or first.page.number > 2:
        return None
    own = [
        run
        for run in runs
        if run.page == first.page.number
        and run.rows[0].box.t < _TITLE_TOP * first.page.height
        and run.size >= _TITLE_LARGER * body.size
        and sum(c.isalpha() for c in run.text) >= 3
        and not is_contents_heading(run.text)
    ]
    if not own:
        return None
    best = max(own, key=lambda run: (run.size, -run.start))
    if depth_of(best.text) and len(pages) > 1 and not split_number(best.text)[0].isalpha():
        return None
    rows = best.end - best.start
    for run in own:
        if run.start == best.start + rows and run.size == best.size and rows < _MAX_ROWS:
            rows += run.end - run.start
    return (best.page, best.start), rows


def _after_front(
    candidates: Sequence[Run],
    runs: Sequence[Run],
    title: tuple[Place, int] | None,
    body: Body,
    rows_of: dict[int, tuple[LayoutRow, ...]],
) -> list[Run]:
    """Drop what looks like headings on a cover or between title and text or table: authors, dates, institutions."""
    if title is None:
        return list(candidates)
    (page, _), _ = title
    texts = [run for run in runs if run.page == page and run.size < _FRONT_TEXT * body.size and _is_running(run)]
    tables = [i for i, row in enumerate(rows_of[page]) if isinstance(row.solid, Grid)]
    end = min((*(run.start for run in texts), *tables), default=10**6)
    kept = []
    for run in candidates:
        if run.page == page and run.start < end:
            last_before_text = run.end == end and run.look[1]
            if (
                not (depth_of(run.text) or _is_opening(run.text) or last_before_text)
                or (run.page, run.start) == title[0]
            ):
                continue
        kept.append(run)
    return kept


def _is_running(run: Run) -> bool:
    """Whether a run is text, not an address: lines that fill the column."""
    first = run.rows[0]
    wide = first.box.width > _WIDE * first.column.width and not is_centred(first)
    return len(run.rows) >= (2 if wide else 3) and len(run.text) > _TEXT_CHARACTERS[not wide]


def _is_opening(text: str) -> bool:
    return folded(text) in {
        "abstract",
        "contents",
        "tableofcontents",
        "introduction",
        "summary",
        "preface",
        "overview",
        "zusammenfassung",
        "inhalt",
    }


def _from_type(runs: Sequence[Run]) -> dict[Place, Heading]:
    levels = _levels(runs)
    found: dict[Place, Heading] = {}
    labels = [k for k, run in enumerate(runs) if is_label(run.text) or is_number(run.text)]
    skip = set()
    for k in labels:  # "Chapter 3" with its title in the next run: the title is the heading
        if k + 1 < len(runs) and runs[k + 1].page == runs[k].page and runs[k + 1].start == runs[k].end:
            skip.add(k)
    for k, run in enumerate(runs):
        if k not in skip:
            found[run.page, run.start] = Heading(len(run.rows), levels[k])
    return found


def _levels(runs: Sequence[Run]) -> list[int]:
    """Return a level for each run: the depth of its number, or the rank of its look among the numbered ones."""
    depths: defaultdict[Look, Counter[int]] = defaultdict(Counter)
    for run in runs:
        depths[run.look][depth_of(run.text)] += 1
    looks = sorted(depths, key=lambda look: (-look[0], not look[1], look[2]))
    level_of: dict[Look, int] = {}
    above = 0
    for look in looks:
        counts = depths[look]
        numbered = {d: n for d, n in counts.items() if d}
        if numbered and sum(numbered.values()) >= _RANKED_BY_NUMBER * sum(counts.values()):
            level_of[look] = max(numbered, key=lambda d: numbered[d])
        else:
            level_of[look] = above + 1
        above = max(above, level_of[look])
    return [min(_DEEPEST, depth_of(run.text) or level_of[run.look]) for run in runs]


def _without_overlaps(found: dict[Place, Heading]) -> None:
    taken: set[Place] = set()
    for place in sorted(found):
        heading = found[place]
        if place in taken:
            del found[place]
            continue
        taken.update((place[0], place[1] + k) for k in range(heading.rows))
