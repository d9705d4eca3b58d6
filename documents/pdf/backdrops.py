"""Backdrops: watermarks and letterheads behind the text of many pages, and panels behind that of one: no figures."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from fastembed.documents.pdf.drawing import Drawing
from fastembed.documents.pdf.geometry import Box
from fastembed.documents.pdf.page import Page
from fastembed.documents.pdf.text import Line

_MIN_PAGES = 3
_MIN_AREA = 0.1
_PROSE_WORDS = 7

_PANEL_LINES: Final = 3  # flush lines on a picture that are text; fewer are its title
_PANEL_LETTERS: Final = 30  # on a panel; fewer are values of a chart
_FLUSH: Final = 2.0  # points by which flush lines may differ
_SMALLER: Final = 0.85  # times the body's size: labels of figures are smaller
_DRAWN: Final = 0.8  # of a box lies in another
_MAX_SHADES: Final = 8  # boxes in an embedded drawing: more are a chart's bars
_Place = tuple[int, int, int, int]


def without_backdrops(pages: Sequence[Page]) -> list[Page]:
    """Return the pages without the large pictures that half of them show at one place, with running text over them."""
    page_counts: Counter[_Place] = Counter()
    covered: Counter[_Place] = Counter()
    for page in pages:
        drawing = page.drawing
        large = {_place(b): b for b in (*drawing.images, *drawing.forms, *drawing.strokes) if _is_large(b, page)}
        page_counts.update(large.keys())
        covered.update(place for place, box in large.items() if _holds_text(box, page))
    behind = {
        place
        for place, count in page_counts.items()
        if count >= max(_MIN_PAGES, 0.5 * len(pages)) and covered[place] >= 0.5 * count
    }
    return [_without(page, behind) for page in pages] if behind else list(pages)


def without_panels(page: Page, lines: Sequence[Line], body: float) -> Drawing:
    """Return what a page draws without the pictures and embedded drawings behind text that is set in lines.

    Args:
        page: the page; what is recognised in its pictures is part of them.
        lines: its lines without furniture.
        body: the document's body size in points.
    """
    drawing = page.drawing
    if page.recognised or not (drawing.images or drawing.forms):
        return drawing
    images = [box for box in drawing.images if not _is_panel(box, lines, body)]
    forms = [
        box
        for box in drawing.forms
        if any(stroke.share_inside(box) > _DRAWN for stroke in drawing.strokes)
        or sum(shade.share_inside(box) > _DRAWN for shade in drawing.shades) > _MAX_SHADES
        or not _is_panel(box, lines, body)
    ]
    return replace(drawing, images=images, forms=forms)


def _is_panel(box: Box, lines: Sequence[Line], body: float) -> bool:
    """Whether lines of body size stand below each other on a picture; labels are smaller, or stand anywhere."""
    own = [ln for ln in lines if not ln.turned and ln.size > _SMALLER * body and ln.box.share_inside(box) > _DRAWN]
    edges = Counter(round(line.box.l / _FLUSH) for line in own)
    letters = sum(c.isalpha() for line in own for c in line.text)
    return letters >= _PANEL_LETTERS and max(edges.values(), default=0) >= _PANEL_LINES


def _place(box: Box) -> _Place:
    return round(box.l), round(box.t), round(box.r), round(box.b)


def _is_large(box: Box, page: Page) -> bool:
    return box.area > _MIN_AREA * page.width * page.height


def _holds_text(box: Box, page: Page) -> bool:
    return any(len(line.words) >= _PROSE_WORDS and line.box.touches(box) for line in page.lines if not line.turned)


def _without(page: Page, behind: set[_Place]) -> Page:
    drawing = page.drawing
    images, forms, strokes = (
        [box for box in boxes if _place(box) not in behind]
        for boxes in (drawing.images, drawing.forms, drawing.strokes)
    )
    return replace(page, drawing=replace(drawing, images=images, forms=forms, strokes=strokes))
