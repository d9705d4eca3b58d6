"""Headings that the file names itself: in its outline, or its printed table of contents."""

import difflib
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from fastembed.documents.pdf.contents import Contents, ContentsEntry
from fastembed.documents.pdf.geometry import clustered
from fastembed.documents.pdf.page import Bookmark
from fastembed.documents.pdf.rows import LayoutRow, PageRows
from fastembed.documents.pdf.text import Line
from fastembed.documents.pdf.titles import depth_of, folded, spellings, split_number
from fastembed.documents.pdf.typography import Body, Run, look_of

_MAX_ROWS: Final = 4  # of a heading
_ALIKE: Final = 0.86  # difflib's ratio: a few misread letters
_MIN_MATCHED: Final = 0.4  # of the outline must be printed, or it names something else
_MIN_ENTRIES: Final = 4
_MATCHED_ENTRIES: Final = 0.6  # of the printed entries must be found as headings, or type decides
_AGREED: Final = 0.6  # of the printed entries agree on where page 1 is
_FAR_PAGES: Final = 30  # pages behind the first match: then the likelier one belongs to another chapter
_LENGTHS: Final = (0.75, 1.34)  # of two texts that may be alike, one to the other
_MAX_CHARACTERS: Final = 300  # of a row that may be a heading
_BOLD: Final = 0.6  # of the characters of a row that stands out
_SPACED_EM: Final = 0.9  # white space above a row that stands out
_INDENT: Final = 3.0  # points by which the entries of one level may differ

_ABOVE_TARGET: Final = 8.0  # points by which a title may stand above its entry's target
_BELOW_TARGET: Final = 45.0  # points: targets are set a line or two above the title

Place = tuple[int, int]
"""A page (from 1) and the index of a row on it."""


@dataclass(frozen=True, slots=True)
class Heading:
    """A heading of `rows` rows; `level` counts from 1, 0 is the document's title.

    `lead` is how many words of its row it has where text follows on the same line, 0 for all.
    """

    rows: int
    level: int
    lead: int = 0


def from_outline(
    bookmarks: Sequence[Bookmark], pages: Sequence[PageRows], contents: Contents, body: Body
) -> dict[Place, Heading] | None:
    """Return where the outline's entries are printed; None if it names little of what is."""
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
        found[spot.page, spot.row] = Heading(spot.rows, mark.level, spot.lead)
        last = (spot.page, spot.row)
    within = [m for m in bookmarks if m.page == 0 or m.page in index.rows]
    return found if found and matched >= _MIN_MATCHED * len(within) else None


def from_contents(
    contents: Contents, pages: Sequence[PageRows], candidates: Sequence[Run]
) -> dict[Place, Heading] | None:
    """Match the printed entries, in order, with rows that look like headings, or else stand apart from the text.

    Returns None where there are too few entries, or too few of them are found.
    """
    entries = contents.entries
    if len(entries) < _MIN_ENTRIES:
        return None
    index = _Index(pages, contents)
    likely = {(run.page, row) for run in candidates for row in range(run.start, run.end)}
    levels = _entry_levels(entries)
    shift = _page_shift(entries, index)
    found: dict[Place, Heading] = {}
    last = (0, -1)
    matched = 0
    for entry, level in zip(entries, levels, strict=True):
        stated = int(entry.page) + shift if shift is not None and entry.page.isdecimal() else 0
        spots = [
            s
            for s in index.exact(spellings(entry.title))
            if (s.page, s.row) not in found
            and (s.page == stated or (s.page, s.row) in likely or _stands_out(index.rows[s.page][s.row]))
            and not _other_number(entry.title, index.rows[s.page][s.row].text)
        ]
        later = [s for s in spots if s.page == stated] or [s for s in spots if (s.page, s.row) > last]
        if not later:
            continue
        spot = min(later, key=lambda s: ((s.page, s.row) not in likely, s.page, s.row, s.rows))
        first = min(later, key=lambda s: (s.page, s.row, s.rows))
        if spot.page > first.page + _FAR_PAGES:
            spot = first
        found[spot.page, spot.row] = Heading(spot.rows, level)
        last = (spot.page, spot.row)
        matched += 1
    return found if matched >= _MATCHED_ENTRIES * len(entries) else None


def _page_shift(entries: Sequence[ContentsEntry], index: "_Index") -> int | None:
    """Return how many pages of the file precede the one numbered 1, None if too few titles stand where that says."""
    votes: Counter[int] = Counter()
    for entry in entries:
        if entry.page.isdecimal():
            pages = {spot.page for spot in index.exact(spellings(entry.title))}
            votes.update(page - int(entry.page) for page in pages)
    shift, count = votes.most_common(1)[0] if votes else (0, 0)
    return shift if count >= max(_MIN_ENTRIES, _AGREED * len(entries)) else None


@dataclass(frozen=True, slots=True)
class _Spot:
    page: int
    row: int
    rows: int
    lead: int = 0


class _Index:
    """Where each folded text of one to four neighbouring rows stands."""

    def __init__(self, pages: Sequence[PageRows], contents: Contents) -> None:
        self._spots: defaultdict[str, list[_Spot]] = defaultdict(list)
        self._by_page: dict[int, list[tuple[str, _Spot]]] = {}
        self.rows: dict[int, tuple[LayoutRow, ...]] = {page.page.number: page.rows for page in pages}
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
            if not _LENGTHS[0] < len(text) / max(1, len(wanted)) < _LENGTHS[1]:
                continue
            matcher.set_seq1(text)
            if matcher.quick_ratio() > best_score and (score := matcher.ratio()) > best_score:
                best, best_score = spot, score
        return best


def _sequences(page: PageRows, contents: Contents) -> Iterator[tuple[str, _Spot]]:
    number = page.page.number
    texts = [folded(row.text) if row.line is not None and len(row.text) < _MAX_CHARACTERS else "" for row in page.rows]
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


def _spot_of(mark: Bookmark, index: _Index, last: Place, body: Body, found: dict[Place, Heading]) -> _Spot | None:
    if (spot := _spot_at_target(mark, index, body, found)) is not None:
        return spot
    wanted = spellings(mark.title)
    spots = [s for s in index.exact(wanted) if (s.page, s.row) not in found]
    near = [s for s in spots if not mark.page or abs(s.page - mark.page) <= 1]
    near = [s for s in near if not _other_number(mark.title, index.rows[s.page][s.row].text)] or near
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


def _spot_at_target(mark: Bookmark, index: _Index, body: Body, found: dict[Place, Heading]) -> _Spot | None:
    """Return the row at an entry's target that starts with its title, as in a reference that says more on the line."""
    wanted = folded(mark.title)
    if mark.top is None or not wanted:
        return None
    for i, row in enumerate(index.rows.get(mark.page, ())):
        line = row.line
        if line is None or not -_ABOVE_TARGET < row.box.t - mark.top < _BELOW_TARGET or (mark.page, i) in found:
            continue
        lead = _leading_words(line, wanted)
        if 0 < lead < len(line.words) and (len(row.parts) > 1 or look_of(line) != body.look):
            apart = line.words[lead].box.l - line.words[lead - 1].box.r > line.size
            other = line.words[lead].style.key != line.words[0].style.key
            return _Spot(mark.page, i, 1, lead if apart or other else 0)
    return None


def _leading_words(line: Line, wanted: str) -> int:
    """Return how many words of a line make up a folded title, 0 if it does not start so."""
    text = ""
    for count, word in enumerate(line.words, 1):
        text += folded(word.text)
        if text == wanted:
            return count
        if not wanted.startswith(text):
            break
    return 0


def _other_number(wanted: str, printed: str) -> bool:
    """Whether both titles have numbers, and these differ: every chapter may have its `Summary`."""
    a, b = split_number(wanted)[0], split_number(printed)[0]
    return bool(a and b) and a.casefold() != b.casefold()


def _stands_out(row: LayoutRow) -> bool:
    line = row.line
    return line is not None and (line.bold_share > _BOLD or row.space > _SPACED_EM * line.size)


def _entry_levels(entries: Sequence[ContentsEntry]) -> list[int]:
    indents = clustered((e.indent for e in entries), _INDENT)
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
