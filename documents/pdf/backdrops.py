"""Backdrops: watermarks and letterheads that stand behind the text of many pages, and are no figures."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from fastembed.documents.pdf.geometry import Box
from fastembed.documents.pdf.page import Page

_MIN_PAGES = 3
_MIN_AREA = 0.1
_PROSE_WORDS = 7

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
