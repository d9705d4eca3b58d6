"""Headings and their levels: from the file's outline, from its printed table of contents, or from type alone."""

# ruff: noqa: PLR2004 - thresholds are shares of the type size or of a count, each said where it stands

import difflib
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from operators.parsing.pdf.contents import Contents, Entry, is_contents_heading
from operators.parsing.pdf.geometry import clustered
from operators.parsing.pdf.page import Bookmark
from operators.parsing.pdf.rows import PageRows, Row
from operators.parsing.pdf.titles import depth_of, folded, is_label, is_number, spellings, split_number
from operators.parsing.pdf.typography import Body, Look, Run, body_of, heading_runs, look_of, runs_of

_MAX_ROWS = 4
_ALIKE = 0.86
_MIN_MATCHED = 0.4
_MIN_ENTRIES = 4

Place = tuple[int, int]
"""A page (from 1) and the index of a row on it."""


@dataclass(frozen=True, slots=True)
class Heading:
    """A heading of `rows` rows; `level` counts from 1, 0 is the document's title."""

    rows: int
    level: int


def find_headings(pages: Sequence[PageRows], contents: Contents, bookmarks: Sequence[Bookmark]) -> dict[Place, Heading]:
    """Return the headings by the place of their first row.

    The outline decides where there is one that names what is printed; else the printed table of contents; in both cases
    rows set exactly like the headings found are headings too. Without either, type decides: size, weight, number,
    slant, white space.
    """
    runs = [run for page in pages for run in runs_of(page, contents.rows)]
    body = body_of(runs)
    candidates = heading_runs(runs, body)
    title = _title(pages, runs, body)
    rows_of = {page.page.number: page.rows for page in pages}
    named = _from_outline(bookmarks, pages, contents, body)
    if named is None:
        named = _from_contents(contents, pages, candidates)
    if named is not None:
        found = dict(named)
        _add_alike(found, named, candidates, runs, pages)
        if not bookmarks:
            _add_deeper(found, candidates, body)
    else:
        found = _from_type(_after_front(candidates, runs, title, body))
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


def _is_named(place: Place, named: dict[Place, Heading] | None, bookmarks: Sequence[Bookmark]) -> bool:
    """Whether the outline itself lists the place."""
    return bool(bookmarks) and named is not None and place in named


# --- the outline and the printed contents -----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Spot:
    page: int
    row: int
    rows: int


class _Index:
    """Where each folded text of one to four neighbouring rows stands."""

    def __init__(self, pages: Sequence[PageRows], contents: Contents) -> None:
        self._spots: defaultdict[str, list[_Spot]] = defaultdict(list)
        self._by_page: dict[int, list[tuple[str, _Spot]]] = {}
        self.rows: dict[int, tuple[Row, ...]] = {page.page.number: page.rows for page in pages}
        for page in pages:
            number = page.page.number
            own = self._by_page[number] = []
            for text, spot in _sequences(page, contents):
                self._spots[text].append(spot)
                own.append((text, spot))

    def exact(self, wanted: set[str]) -> list[_Spot]:
        return [spot for text in wanted for spot in self._spots.get(text, ())]

    def alike(self, wanted: str, page: int) -> _Spot | None:
        best, best_score = None, _ALIKE
        matcher = difflib.SequenceMatcher(autojunk=False)
        matcher.set_seq2(wanted)
        for text, spot in self._by_page.get(page, ()):
            if not 0.75 < len(text) / max(1, len(wanted)) < 1.34:
                continue
            matcher.set_seq1(text)
            if matcher.quick_ratio() > best_score and (score := matcher.ratio()) > best_score:
                best, best_score = spot, score
        return best


def _sequences(page: PageRows, contents: Contents) -> Iterator[tuple[str, _Spot]]:
    number = page.page.number
    texts = [folded(row.text) if row.line is not None and len(row.text) < 300 else "" for row in page.rows]
    for start, first in enumerate(texts):
        if not first or (number, start) in contents.rows:
            continue
        text = ""
        bare = folded(split_number(page.rows[start].text)[1])
        cut = len(first) - len(bare) if first.endswith(bare) else 0
        for count in range(1, _MAX_ROWS + 1):
            if start + count > len(texts) or not texts[start + count - 1]:
                break
            text += texts[start + count - 1]
            yield text, _Spot(number, start, count)
            if cut and len(text) > cut:
                yield text[cut:], _Spot(number, start, count)


def _from_outline(
    bookmarks: Sequence[Bookmark], pages: Sequence[PageRows], contents: Contents, body: Body
) -> dict[Place, Heading] | None:
    if not bookmarks:
        return None
    index = _Index(pages, contents)
    found: dict[Place, Heading] = {}
    last = (0, -1)
    matched = 0
    for mark in bookmarks:
        spot = _spot_of(mark, index, last, body, found)
        if spot is None:
            continue
        matched += 1
        found[spot.page, spot.row] = Heading(spot.rows, mark.level)
        last = (spot.page, spot.row)
    within = [m for m in bookmarks if m.page == 0 or m.page in index.rows]
    return found if found and matched >= _MIN_MATCHED * len(within) else None


def _spot_of(mark: Bookmark, index: _Index, last: Place, body: Body, found: dict[Place, Heading]) -> _Spot | None:
    wanted = spellings(mark.title)
    spots = [s for s in index.exact(wanted) if (s.page, s.row) not in found]
    near = [s for s in spots if not mark.page or abs(s.page - mark.page) <= 1]
    if near:
        full = folded(mark.title)

        def cost(spot: _Spot) -> tuple[bool, bool, bool, bool, int]:
            row = index.rows[spot.page][spot.row]
            plain = row.line is None or look_of(row.line) == body.look
            text = "".join(folded(r.text) for r in index.rows[spot.page][spot.row : spot.row + spot.rows])
            ordered = (spot.page, spot.row) > last
            return (spot.page != mark.page and bool(mark.page), not ordered, plain, text != full, spot.row)

        return min(near, key=cost)
    if not mark.page:
        return None
    for page in (mark.page, mark.page + 1):
        spot = index.alike(folded(mark.title), page) or index.alike(folded(split_number(mark.title)[1]), page)
        if spot is not None and (spot.page, spot.row) not in found:
            row = index.rows[spot.page][spot.row]
            if row.line is not None and look_of(row.line) != body.look:
                return spot
    return None


def _from_contents(
    contents: Contents, pages: Sequence[PageRows], candidates: Sequence[Run]
) -> dict[Place, Heading] | None:
    """Match the printed entries, in order, with rows that look like headings, or else stand apart from the text."""
    entries = contents.entries
    if len(entries) < _MIN_ENTRIES:
        return None
    index = _Index(pages, contents)
    likely = {(run.page, row) for run in candidates for row in range(run.start, run.end)}
    levels = _entry_levels(entries)
    found: dict[Place, Heading] = {}
    last = (0, -1)
    matched = 0
    for entry, level in zip(entries, levels, strict=True):
        spots = [
            s
            for s in index.exact(spellings(entry.title))
            if (s.page, s.row) not in found and ((s.page, s.row) in likely or _stands_out(index.rows[s.page][s.row]))
        ]
        later = [s for s in spots if (s.page, s.row) > last]
        if not later:
            continue
        spot = min(later, key=lambda s: ((s.page, s.row) not in likely, s.page, s.row, s.rows))
        first = min(later, key=lambda s: (s.page, s.row, s.rows))
        if spot.page > first.page + 30:
            spot = first
        found[spot.page, spot.row] = Heading(spot.rows, level)
        last = (spot.page, spot.row)
        matched += 1
    return found if matched >= 0.6 * len(entries) else None


def _stands_out(row: Row) -> bool:
    line = row.line
    return line is not None and (line.bold_share > 0.6 or row.space > 0.9 * line.size)


def _entry_levels(entries: Sequence[Entry]) -> list[int]:
    indents = clustered((e.indent for e in entries), 3.0)
    rank = {e: min(range(len(indents)), key=lambda k: abs(indents[k] - e.indent)) + 1 for e in entries}
    depths: defaultdict[int, Counter[int]] = defaultdict(Counter)
    for e in entries:
        if depth_of(e.title):
            depths[rank[e]][depth_of(e.title)] += 1
    levels = []
    for e in entries:
        depth = depth_of(e.title)
        votes = depths.get(rank[e])
        levels.append(depth or (votes.most_common(1)[0][0] if votes else rank[e]))
    return levels


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
        if votes is None or sum(votes.values()) < max(2, 0.6 * uses[run.look]) or is_label(run.text):
            continue
        count = sum(votes.values())
        if count >= 4 and numbered[run.look] >= 0.85 * count and not depth_of(run.text):
            continue  # sections of this look have numbers, so this is a caption or a name set like them
        if any((run.page, row) in covered for row in range(run.start, run.end)):
            continue
        found[run.page, run.start] = Heading(len(run.rows), votes.most_common(1)[0][0])


def _add_deeper(found: dict[Place, Heading], candidates: Sequence[Run], body: Body) -> None:
    """Add the numbered headings of deeper levels than the printed contents list."""
    deepest = max(h.level for h in found.values())
    covered = {(page, row + k) for (page, row), h in found.items() for k in range(h.rows)}
    for run in candidates:
        depth = depth_of(run.text)
        strong = run.look[1] or run.size > body.size
        if (
            depth > max(1, deepest - 1)
            and strong
            and not any((run.page, r) in covered for r in range(run.start, run.end))
        ):
            found[run.page, run.start] = Heading(len(run.rows), depth)


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
        and run.rows[0].box.t < 0.62 * first.page.height
        and run.size >= 1.18 * body.size
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
    candidates: Sequence[Run], runs: Sequence[Run], title: tuple[Place, int] | None, body: Body
) -> list[Run]:
    """Drop what looks like headings on a cover or between title and text: authors, dates, institutions."""
    if title is None:
        return list(candidates)
    (page, _), _ = title
    texts = [
        run
        for run in runs
        if run.page == page
        and (sum(len(r.text) for r in run.rows) > 180 and len(run.rows) >= 3 and run.size < 1.15 * body.size)
    ]
    end = min((run.start for run in texts), default=10**6)
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
        if numbered and sum(numbered.values()) >= 0.3 * sum(counts.values()):
            level_of[look] = max(numbered, key=lambda d: numbered[d])
        else:
            level_of[look] = above + 1
        above = max(above, level_of[look])
    deepest = 6
    return [min(deepest, depth_of(run.text) or level_of[run.look]) for run in runs]


def _without_overlaps(found: dict[Place, Heading]) -> None:
    taken: set[Place] = set()
    for place in sorted(found):
        heading = found[place]
        if place in taken:
            del found[place]
            continue
        taken.update((place[0], place[1] + k) for k in range(heading.rows))
