"""Figures: which parts of a page are a picture, and which text belongs inside it."""

# ruff: noqa: PLR2004 - thresholds have names; what is left are small counts and signs

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from fastembed.documents.pdf.drawing import Drawing
from fastembed.documents.pdf.geometry import Box, enclosing, merged_boxes, x_overlap
from fastembed.documents.pdf.text import Line

CAPTION = re.compile(
    r"^(?:fig(?:ure|\.)?|table|tab\.|abbildung|tabelle|listing|algorithm|scheme|plate|chart|exhibit|figura|tabla|tableau)"
    r"\s*[A-Z]?\.?\d+(?:[.\-–]\d+)*\w?\s*(?:[:.\-–—|(]|$|\s(?-i:[A-Z]))",
    re.IGNORECASE,
)
"""How a caption starts: `Figure 3.1: ...`, `Table 2.`, `Fig. 4 -`."""

_CELL: Final = 6.0  # points: what lies in neighbouring cells of this grid belongs together
_GRID: Final = 300  # cells along a page's longer side at most, so that a poster takes no longer than a page
_MAX_BOXES: Final = 4000  # that are told apart on a page; plots draw far more
_MIN_SIDE: Final = 24.0  # points: smaller line art is an icon or a bullet
_MIN_IMAGE_SIDE: Final = 16.0  # points: the same of pixels, which are seldom decoration
_LABEL_REACH: Final = 15.0  # points between a figure and the labels around it, and between these
_LABEL_CHAIN: Final = 2.2  # times the reach: labels of labels go no farther from the picture itself
_PROSE_WORDS: Final = 7  # in a line of running text; labels have fewer
_PROSE_LINES: Final = 3  # of running text: then the box is a frame around text, no figure
_PROSE_AREA: Final = 0.25  # of the box that running text must fill for that
_PANEL_GAP: Final = 3.0  # points between the panels of one figure
_BACKGROUND: Final = 0.85  # of the page: a picture this large lies behind the text
_WHOLE_PAGE: Final = 0.7  # of the page: what frames this much of it is the page's frame, not the picture's
_INSIDE: Final = 0.6  # of a line's box must lie in a figure for the line to be inside
_HEADING: Final = 1.1  # times the body's size: a line beside the picture, within its frame, heads it
_LEFT_OVER: Final = 0.6  # of the height must remain when such lines are cut off
_SMALL: Final = 0.93  # times the body's size: labels are set smaller
_SHORT: Final = 40  # points: a line this short is a label wherever it stands


def figure_boxes(drawing: Drawing, lines: Sequence[Line], *, width: float, height: float, body: float) -> list[Box]:
    """Return the boxes of the page's figures with their labels, top to bottom.

    A figure is a cluster of images, embedded drawings and line art that does not hold running text; short labels in
    small or turned type close to it belong to it.

    Args:
        drawing: what the page draws.
        lines: the page's lines.
        width: the page's width in points.
        height: the page's height in points.
        body: the document's body size in points.
    """
    page = Box(0, 0, width, height)
    seeds = [b for b in drawing.images if min(b.width, b.height) >= _MIN_IMAGE_SIDE]
    seeds += [b for b in drawing.forms if min(b.width, b.height) >= _MIN_SIDE]
    seeds += drawing.strokes
    seeds = [b for b in seeds if b.area < _BACKGROUND * page.area]
    if not seeds:
        return []
    seeds = _distinct([b for b in seeds if b.height < _MIN_SIDE or not _holds_prose(b, lines)])
    frame = _distinct([r.box for r in drawing.rules] + drawing.shades)
    boxes = []
    for core, whole in _clusters(seeds, frame, page):
        cluster = _without_headings(core, whole, lines, body)
        if min(cluster.width, cluster.height) < _MIN_SIDE or _holds_prose(cluster, lines):
            continue
        boxes.append(_with_labels(cluster, lines, body))
    return sorted(merged_boxes(boxes, _PANEL_GAP), key=lambda b: (b.t, b.l))


def inner_lines(box: Box, lines: Sequence[Line]) -> list[int]:
    """Return the indices of the lines that stand inside a figure's box."""
    return [i for i, line in enumerate(lines) if line.box.share_inside(box) > _INSIDE]


def _distinct(boxes: Sequence[Box]) -> list[Box]:
    """Return one box for each that looks the same on the coarse grid, at most some thousands: plots draw far more."""
    return list({tuple(int(v // _CELL) for v in box): box for box in boxes}.values())[:_MAX_BOXES]


def _holds_prose(box: Box, lines: Sequence[Line]) -> bool:
    inside = [line for line in lines if line.box.share_inside(box) > _INSIDE and not line.turned]
    prose = [line for line in inside if len(line.words) >= _PROSE_WORDS]
    return len(prose) >= _PROSE_LINES and sum(ln.box.area for ln in prose) > _PROSE_AREA * box.area


def _without_headings(core: Box, whole: Box, lines: Sequence[Line], body: float) -> Box:
    """Return a picture's box without the lines set larger than the text that only what is around the picture holds."""
    top, bottom = whole.t, whole.b
    for line in lines:
        aside = line.size >= _HEADING * body and not line.turned and line.box.share_inside(core) < 0.5
        if aside and line.box.share_inside(whole) > _INSIDE:
            if line.box.t + line.box.b > whole.t + whole.b:
                bottom = min(bottom, line.box.t)
            else:
                top = max(top, line.box.b)
    return whole._replace(t=top, b=bottom) if bottom - top > _LEFT_OVER * whole.height else whole


def _clusters(seeds: Sequence[Box], frame: Sequence[Box], page: Box) -> list[tuple[Box, Box]]:
    """Return the boxes of the seeds that lie within a few points of each other, found on a coarse grid.

    Each comes alone and with what frames it.

    Rules and shades join the clusters that they touch, but form none.
    """
    owner: dict[tuple[int, int], int] = {}
    parent: list[int] = []

    def root(i: int) -> int:
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = parent[i]
        return i

    members = [*seeds, *frame]
    for index, box in enumerate(members):
        parent.append(index)
        for cell in _border(box, max(_CELL, max(page.width, page.height) / _GRID)):
            _join(owner, parent, root, cell, index)
    groups: dict[int, list[int]] = {}
    for index in range(len(members)):
        groups.setdefault(root(index), []).append(index)
    boxes = []
    for group in groups.values():
        own = [members[i] for i in group if i < len(seeds)]
        if not own:
            continue
        core = enclosing(own)
        whole = enclosing(members[i] for i in group)
        boxes.append((core, whole if whole.area < _WHOLE_PAGE * page.area else core))
    return boxes


def _border(box: Box, step: float) -> Iterator[tuple[int, int]]:
    """Yield the grid cells along a box's edges; what stands inside it is joined later, when the boxes are merged."""
    x0, x1, y0, y1 = (int(v // step) for v in (box.l, box.r, box.t, box.b))
    for x in range(x0, x1 + 1):
        yield x, y0
        if y1 > y0:
            yield x, y1
    for y in range(y0 + 1, y1):
        yield x0, y
        if x1 > x0:
            yield x1, y


def _join(
    owner: dict[tuple[int, int], int], parent: list[int], root: Callable[[int], int], cell: tuple[int, int], index: int
) -> None:
    x, y = cell
    for near in ((x, y), (x - 1, y), (x + 1, y), (x, y - 1), (x, y + 1)):
        other = owner.get(near)
        if other is not None:
            a, b = root(other), root(index)
            if a != b:
                parent[b] = a
    owner[cell] = index


def _with_labels(box: Box, lines: Sequence[Line], body: float) -> Box:
    core = box
    grown = True
    taken: set[int] = set()
    while grown:
        grown = False
        for i, line in enumerate(lines):
            if i in taken or not line.box.touches(box.grown(_LABEL_REACH)) or line.box.share_inside(box) > 0.99:
                continue
            if _is_label(line, core, body):
                taken.add(i)
                box = enclosing((box, line.box))
                grown = True
    return box


def _is_label(line: Line, core: Box, body: float) -> bool:
    if CAPTION.match(line.text) or not line.box.touches(core.grown(_LABEL_CHAIN * _LABEL_REACH)):
        return False
    if line.turned or line.box.share_inside(core) > 0.5:
        return True
    near_middle = x_overlap(line.box, core) > 0.5 * line.box.width or line.box.width < _SHORT
    return line.size < _SMALL * body and len(line.words) < _PROSE_WORDS and near_middle
