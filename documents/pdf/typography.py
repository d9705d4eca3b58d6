"""What type says about structure: runs of rows set alike, the body's look, and which runs look like headings."""

# ruff: noqa: PLR2004 - thresholds have names; what is left are small counts and signs

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from fastembed.documents.pdf.figures import CAPTION
from fastembed.documents.pdf.geometry import Box
from fastembed.documents.pdf.lists import marker_of
from fastembed.documents.pdf.rows import LayoutRow, PageRows
from fastembed.documents.pdf.text import Line
from fastembed.documents.pdf.titles import depth_of, is_label, split_number

_LARGER: Final = 1.12  # times the body's size: type this large heads something, whatever else it looks like
_SLIGHTLY: Final = 1.03  # times the body's size: more than rounding; it counts together with another sign only
_SMALLER: Final = 0.97  # times the body's size: smaller type heads nothing, unless it is bold and numbered
_MAX_TEXT: Final = 200  # characters; a longer run is a paragraph
_MAX_ROWS: Final = 4  # a longer run is a paragraph
_STYLED: Final = 0.7  # of a line's characters: a word in bold or italics does not make the line so
_FIXED: Final = 0.8  # of a line's characters; higher, for names in fixed pitch stand within text
_SHORT_ROW: Final = 0.5  # of the column: a row above that is shorter has ended its paragraph
_CLOSE_EM: Final = 0.75  # white space between the rows of one run
_CLOSE_BOLD_EM: Final = 0.95  # the same within bold headings of several rows, which are leaded more widely than text
_MIN_LETTERS: Final = 0.33  # of the characters; less are formulas, dates and numbers of tables
_MATH: Final = 0.5  # of the characters: a formula that stands alone
_RUNNING: Final = 3  # a look with so many times more rows in paragraphs than runs alone is that of text
_SHORT_SENTENCE: Final = 60  # characters: larger type that ends in a full stop may still be a heading
_WIDE: Final = 0.85  # of the column: a slanted row that fills it is text
_TITLE_WORDS: Final = 14  # what only slant, capitals or colour sets apart is a sentence beyond that
_SPACED_EM: Final = 0.45  # white space above a heading, more than between the lines of text
_TERM_INDENT_EM: Final = 0.9  # by which the description of a term is indented
_CENTRED_ROOM: Final = 0.1  # of the column, left of a centred row
_CENTRED_SKEW: Final = 0.12  # of the column, by which its two sides may differ
_OFTEN: Final = 3  # bold runs of body size that head paragraphs: then the look is that of headings without white space
_SHORT: Final = 0.6  # of the column: the widest of such headings
_FULL: Final = 0.8  # of the column: the text below it fills it
_KNOWN = re.compile(
    r"^(?:abstract|introduction|acknowledge?ments?|references|bibliography|preface|foreword|summary|conclusions?|index|"
    r"glossary|appendix|contents|table of contents|zusammenfassung|literatur|einleitung|résumé|resumen|referencias)$",
    re.IGNORECASE,
)

Look = tuple[float, bool, bool, bool, int]
"""Size to half a point, bold, italic, fixed pitch, colour."""


@dataclass(frozen=True, slots=True)
class Run:
    """Rows of one look that follow each other closely: `start` and `end` index the page's rows, end excluded."""

    page: int
    start: int
    end: int
    look: Look
    text: str
    rows: tuple[LayoutRow, ...]
    below: LayoutRow | None
    below_next: LayoutRow | None

    @property
    def space(self) -> float:
        """The white space above in points."""
        return self.rows[0].space

    @property
    def size(self) -> float:
        """The type size in points."""
        return self.look[0]


def look_of(line: Line) -> Look:
    """Return the look that most of a line has."""
    return (
        max(0.5, round(line.size * 2) / 2),
        line.bold_share > _STYLED,
        line.italic_share > _STYLED,
        line.mono_share > _FIXED,
        line.style.colour,
    )


def runs_of(page: PageRows, skip: frozenset[tuple[int, int]]) -> list[Run]:
    """Return the page's rows grouped into runs; tables, figures and the rows in `skip` separate them."""
    groups: list[list[int]] = []
    look: Look | None = None
    for i, row in enumerate(page.rows):
        if row.line is None or (page.page.number, i) in skip:
            look = None
            continue
        own = look_of(row.line)
        # Headings are leaded more widely than text; a number or a short row above starts a new one.
        before = page.rows[i - 1].box.width if i else 0.0
        apart = not own[1] or depth_of(row.text) or before < _SHORT_ROW * row.column.width
        close = row.space < (_CLOSE_EM if apart else _CLOSE_BOLD_EM) * own[0]
        if look is not None and own == look and close and groups[-1][-1] == i - 1:
            groups[-1].append(i)
        else:
            groups.append([i])
        look = own
    return [_run(page, group) for group in groups]


def _run(page: PageRows, group: list[int]) -> Run:
    rows = tuple(page.rows[i] for i in group)
    line = rows[0].line
    if line is None:
        raise AssertionError("a run consists of lines")
    after = page.rows[group[-1] + 1 : group[-1] + 3]
    return Run(
        page.page.number,
        group[0],
        group[-1] + 1,
        look_of(line),
        " ".join(r.text for r in rows),
        rows,
        after[0] if after else None,
        after[1] if len(after) > 1 else None,
    )


@dataclass(frozen=True, slots=True)
class Body:
    """The style of running text, and how often each style stands alone or in paragraphs."""

    look: Look
    alone: Counter[Look]
    """How many short runs a look has."""
    running: Counter[Look]
    """How many rows in long runs a look has."""

    @property
    def size(self) -> float:
        """The body size in points."""
        return self.look[0]


def body_of(runs: Iterable[Run], size: float) -> Body:
    """Return the body's look, by number of characters, and the statistics of all looks.

    Args:
        runs: those of the document, which tables and figures are no part of.
        size: the size of most of the document's characters in points, those in tables counted.
    """
    characters: Counter[Look] = Counter()
    alone: Counter[Look] = Counter()
    running: Counter[Look] = Counter()
    for run in runs:
        if not run.look[3]:
            characters[run.look] += len(run.text)
        if len(run.rows) <= _MAX_ROWS:
            alone[run.look] += 1
        else:
            running[run.look] += len(run.rows)
    look = characters.most_common(1)[0][0] if characters else (10.0, False, False, False, 0)
    if look[0] > _LARGER * size:  # nearly all text is in tables, so that only headings are left
        look = (max(0.5, round(size * 2) / 2), False, False, False, 0)
    return Body(look, alone, running)


def heading_runs(runs: Sequence[Run], body: Body) -> list[Run]:
    """Return the runs that look like headings: set apart by size, weight, number, slant or colour."""
    plausible = [run for run in runs if _is_plausible(run, body)]
    beside = Counter((run.page, run.look, round(run.rows[0].box.t)) for run in plausible)
    # Runs of one look at one height are the head cells of a table whose columns were taken apart.
    plausible = [
        run for run in plausible if depth_of(run.text) or beside[run.page, run.look, round(run.rows[0].box.t)] == 1
    ]
    often = Counter(run.look for run in plausible)
    slanted: defaultdict[Look, int] = defaultdict(int)
    for run in plausible:
        slanted[run.look] += _is_set_apart(run, body)
    return [run for run in plausible if _is_heading(run, body, often, slanted)]


def _is_plausible(run: Run, body: Body) -> bool:  # noqa: PLR0911 - a list of decisions, each with its result
    text = run.text.strip()
    bare = split_number(text)[1].replace(" ", "")
    letters = sum(c.isalpha() for c in bare)
    if (
        bare.startswith(("(", "[", "-", "–"))
        or letters < 2
        or letters < _MIN_LETTERS * len(bare)
        or len(text) > _MAX_TEXT
        or len(run.rows) > _MAX_ROWS
    ):
        return False
    if not run.rows[0].line or (not run.rows[0].line.style.font and text[0] in "\\{}<>$#%|~@*+="):
        return False  # of a scan only the weight is known, and listings are often as heavy as headings
    if run.size < _SMALLER * body.size and not (run.look[1] and depth_of(text)):
        return False
    if CAPTION.match(text) or any(_is_tabular(row) for row in run.rows):
        return False
    if (marker_of(text) and not depth_of(text)) or text.endswith((",", ";")):
        return False
    line = run.rows[0].line
    if line is None or line.math_share > _MATH:
        return False
    if run.below is None and not (depth_of(text) and (run.look[1] or run.size >= _LARGER * body.size)):
        return False
    return not (run.look[3] and run.size < _LARGER * body.size)


def _is_tabular(row: LayoutRow) -> bool:
    return len(row.parts) > 2 or (len(row.parts) == 2 and not depth_of(row.text) and not is_label(row.parts[0].text))


def _is_heading(  # noqa: PLR0911 - a list of decisions, each with its result
    run: Run, body: Body, often: Counter[Look], slanted: dict[Look, int]
) -> bool:
    text = run.text.strip()
    ratio = run.size / body.size
    bold = run.look[1] and not body.look[1]
    numbered = depth_of(text) > 0 and (_starts_like_title(text) or (bold and depth_of(text) > 1))
    if body.running[run.look] > _RUNNING * body.alone[run.look] and not numbered:
        return False
    if ratio >= _LARGER:
        return not text.endswith(".") or numbered or bold or len(text) < _SHORT_SENTENCE
    if _KNOWN.match(text) and (bold or ratio >= _SLIGHTLY or run.look != body.look) and _is_spaced(run):
        return True
    if text.endswith((".", ":")) and not (numbered and bold):
        return False
    if bold:
        return _is_bold_heading(run, numbered=numbered, ratio=ratio, often=often)
    if numbered and ratio >= _SLIGHTLY and len(run.rows) <= 2:
        return _is_spaced(run)
    if not _is_set_apart(run, body):
        return False
    return numbered or slanted[run.look] >= 3


def _is_bold_heading(run: Run, *, numbered: bool, ratio: float, often: Counter[Look]) -> bool:
    if _is_term(run):
        return False
    if not _is_spaced(run):
        return often[run.look] >= _OFTEN and _heads_paragraph(run)
    if numbered or ratio >= _SLIGHTLY:
        return True
    return often[run.look] >= 2 or run.space > run.size


def _heads_paragraph(run: Run) -> bool:
    """Whether a bold line is short and text that fills the column follows in another weight."""
    row, below = run.rows[0], run.below
    if len(run.rows) > 1 or below is None or below.line is None or below.column != row.column:
        return False
    short = row.box.width < _SHORT * row.column.width
    full = below.box.width > _FULL * row.column.width and below.line.bold_share < 0.5
    return short and full and _starts_like_title(run.text.strip())


def _is_set_apart(run: Run, body: Body) -> bool:
    """Whether a short run differs from the body by slant, capitals or colour and stands alone like a title."""
    text = run.text.strip()
    letters = [c for c in text if c.isalpha()]
    capitals = len(letters) >= 4 and all(c.isupper() for c in letters)
    if "://" in text:
        return False  # what bibliographies and lists of links slant
    different = (run.look[2] and not body.look[2]) or capitals or run.look[4] != body.look[4]
    if not different or len(run.rows) > 2 or text.endswith((".", ":", "!", "?")) or not _starts_like_title(text):
        return False
    wide = run.rows[0].box.width > _WIDE * run.rows[0].column.width
    return _is_spaced(run) and not wide and not _is_term(run) and len(text.split()) <= _TITLE_WORDS


def _starts_like_title(text: str) -> bool:
    first = next((c for c in text if c.isalpha()), "")
    return first.isupper() or not first.islower()


def _is_spaced(run: Run) -> bool:
    return run.space > _SPACED_EM * run.size


def _is_term(run: Run) -> bool:
    """Whether an indented description follows, as after the term of a definition list."""
    below, after = run.below, run.below_next
    if below is None or after is None or below.line is None or after.line is None or below.page != run.page:
        return False
    left = run.rows[0].box.l
    return min(below.box.l, after.box.l) > left + _TERM_INDENT_EM * run.size and not _is_centred(
        run.rows[0].box, run.rows[0].column
    )


def _is_centred(box: Box, column: Box) -> bool:
    left, right = box.l - column.l, column.r - box.r
    return left > _CENTRED_ROOM * column.width and abs(left - right) < _CENTRED_SKEW * column.width


def is_centred(row: LayoutRow) -> bool:
    """Whether a row stands in the middle of its column, with room on both sides."""
    return _is_centred(row.box, row.column)
