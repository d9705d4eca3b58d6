"""Pages of pixels: what recognises their text, and how its result becomes lines and rules."""

from dataclasses import replace
from typing import Final, Protocol

import numpy as np
import numpy.typing as npt

from fastembed.documents.pdf.drawing import Drawing, RuledLine
from fastembed.documents.pdf.geometry import Box
from fastembed.documents.pdf.page import Page
from fastembed.documents.pdf.style import Style
from fastembed.documents.pdf.text import Line
from fastembed.documents.pdf.words import PdfWord
from fastembed.documents.upright import PageReading

OCR_SCALE: Final = 200 / 72
"""Pixels a point in which a page is given to be recognised: 200 dpi."""

DOUBTFUL: Final = 0.85
"""A page's mean confidence below which the document says so: clean print reaches 0.97 and more."""
_MAX_PIXELS: Final = 40_000_000  # of a page's picture: a poster is rendered at less than 200 dpi
_MAX_CHARACTERS: Final = 25  # a page with as many has text of its own; fewer are a stamp or a page number on a scan
_MIN_IMAGE: Final = 0.05  # of the page: a smaller picture is a logo on an empty page
_MIN_DRAWN: Final = 100  # lines and areas: fewer are a frame; text drawn as outlines has far more
_SCAN: Final = 0.5  # of the page: a picture that large is the page itself, no figure on it
_CAP_HEIGHT_EM: Final = 0.78  # a recognised line's box goes from ascenders to descenders; its type size is less
_MIN_SURE: Final = 0.4  # confidence: below, it is ornaments read as letters
_ONE_SIZE: Final = (0.82, 1.17)  # of the middle size: boxes differ so much by which letters have ascenders
_BOLD_STROKE: Final = 1.22  # times the middle stroke of the page
_CHARACTERS_A_VOTE: Final = 10  # a line counts for its size and stroke once for so many characters
_MIN_CONTRAST: Final = 60  # grey levels between ink and paper in a line's box
_INK_BLOCK: Final = 25  # pixels a side: of the neighbourhood whose mean tells ink from paper
_INK_BELOW: Final = -8  # grey levels from that mean
_MIN_RULE: Final = 12.0  # points: shorter is a letter's stroke or a dash
_MAX_THICK: Final = 8.0  # points: thicker is a bar
_LONG_ACROSS: Final = 20.0  # points that a kernel is long which horizontal strokes must fill: more than any letter
_LONG_DOWN: Final = 11.0  # points, of vertical ones: rows of tables are low


class PageOcr(Protocol):
    """Recognises the text of a page image."""

    def __call__(self, image: npt.NDArray[np.uint8], /) -> PageReading:
        """Return the lines of an RGB image (height x width x 3, uint8), and how it has to be turned for them."""
        ...


def needs_ocr(page: Page) -> bool:
    """Whether a page has (nearly) no text but something to look at."""
    if page.width <= 0 or page.height <= 0 or page.characters >= _MAX_CHARACTERS:
        return False
    drawing = page.drawing
    covered = max((b.area for b in drawing.images), default=0.0) > _MIN_IMAGE * page.width * page.height
    return covered or len(drawing.strokes) + len(drawing.shades) > _MIN_DRAWN


def ocr_scale(page: Page) -> float:
    """Return the scale at which to render a page: 200 dpi, less for huge pages."""
    return float(min(OCR_SCALE, (_MAX_PIXELS / max(1.0, page.width * page.height)) ** 0.5))


def recognised_page(page: Page, image: npt.NDArray[np.uint8], reading: PageReading, scale: float) -> Page:
    """Return the page, turned upright, with the lines that were read in its image and the rules that its pixels draw.

    Args:
        page: as it lies.
        image: of the page as it lies, RGB.
        reading: of that image.
        scale: pixels a point.
    """
    upright = np.ascontiguousarray(np.rot90(image, reading.turn))
    width, height = (page.height, page.width) if reading.turn % 2 else (page.width, page.height)
    images = [_turned(box, page, reading.turn) for box in page.drawing.images if not _is_scan(box, page)]
    drawing = Drawing(rules=pixel_rules(upright, scale), images=images)
    known = [_line(text, box, sure, scale) for text, box, sure in reading.lines if text.strip() and sure >= _MIN_SURE]
    lines = _weighted(_in_line(known), upright, scale)
    annotations = tuple(replace(a, box=_turned(a.box, page, reading.turn)) for a in page.annotations)
    return Page(page.number, width, height, tuple(lines), drawing, recognised=True, annotations=annotations)


def _turned(box: Box, page: Page, turn: int) -> Box:
    """Return a box of a page after quarter turns to the left."""
    width, height = page.width, page.height
    for _ in range(turn):
        box = Box(box.t, width - box.r, box.b, width - box.l)
        width, height = height, width
    return box


def _is_scan(box: Box, page: Page) -> bool:
    return box.area > _SCAN * page.width * page.height


def _line(text: str, box: tuple[float, float, float, float], sure: float, scale: float) -> Line:
    left, top, right, bottom = (v / scale for v in box)
    size = round((bottom - top) * _CAP_HEIGHT_EM * 2) / 2 or 1.0
    parts = text.split()
    total = sum(len(p) for p in parts) + len(parts) - 1
    step = (right - left) / max(1, total)
    words: list[PdfWord] = []
    x = left
    for part in parts:
        width = step * len(part)
        own = Box(x, top, x + width, bottom)
        words.append(PdfWord(part, own, round(bottom, 1), Style("", size), spaced=bool(words), sure=sure))
        x += width + step
    return Line(tuple(words))


def _in_line(lines: list[Line]) -> list[Line]:
    """Give lines of nearly one size that size, so that what a recogniser measures does not break paragraphs."""
    sizes = sorted(line.size for line in lines for _ in range(_votes(line)))
    if not sizes:
        return []
    body = sizes[len(sizes) // 2]
    return [_sized(line, body) if _ONE_SIZE[0] < line.size / body < _ONE_SIZE[1] else line for line in lines]


def _votes(line: Line) -> int:
    """Return how often a line counts for the page's middle values: by its length, each at least once."""
    return max(1, len(line.text) // _CHARACTERS_A_VOTE)


def _sized(line: Line, size: float) -> Line:
    return _styled(line, Style("", size))


def _styled(line: Line, style: Style) -> Line:
    return Line(tuple(PdfWord(w.text, w.box, w.baseline, style, w.spaced, w.sure) for w in line.words))


def _weighted(lines: list[Line], image: npt.NDArray[np.uint8], scale: float) -> list[Line]:
    """Mark the lines in bold: their strokes are wider than most, for their size."""
    strokes = [_stroke_em(line, image, scale) for line in lines]
    usual = sorted(s for s, line in zip(strokes, lines, strict=True) for _ in range(_votes(line)) if s)
    if not usual:
        return lines
    bold = _BOLD_STROKE * usual[len(usual) // 2]
    return [
        _styled(line, Style("", line.size, bold=True)) if stroke >= bold else line
        for line, stroke in zip(lines, strokes, strict=True)
    ]


def _stroke_em(line: Line, image: npt.NDArray[np.uint8], scale: float) -> float:
    """Return the mean length of the dark runs in a line's pixels, as a share of its size; 0 for no ink."""
    left, top, right, bottom = (max(0, int(v * scale)) for v in line.box)
    grey = image[top:bottom, left:right].mean(axis=2)
    if grey.size == 0 or grey.max() - grey.min() < _MIN_CONTRAST:
        return 0.0
    dark = grey < (float(grey.max()) + float(grey.min())) / 2
    starts = int(np.count_nonzero(dark[:, 1:] & ~dark[:, :-1])) + int(np.count_nonzero(dark[:, 0]))
    return float(np.count_nonzero(dark)) / max(1, starts) / (line.size * scale)


def pixel_rules(image: npt.NDArray[np.uint8], scale: float) -> list[RuledLine]:
    """Return the straight rules in a page's pixels, found by opening with long thin kernels.

    Args:
        image: RGB, height x width x 3.
        scale: pixels a point.
    """
    import cv2

    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    inverted = cv2.bitwise_not(cv2.GaussianBlur(grey, (3, 3), 0))
    ink = cv2.adaptiveThreshold(inverted, 255, cv2.ADAPTIVE_THRESH_MEAN_C, cv2.THRESH_BINARY, _INK_BLOCK, _INK_BELOW)
    rules = []
    for width, height in ((int(_LONG_ACROSS * scale), 1), (1, int(_LONG_DOWN * scale))):
        opened = cv2.morphologyEx(ink, cv2.MORPH_OPEN, cv2.getStructuringElement(cv2.MORPH_RECT, (width, height)))
        opened = cv2.dilate(opened, np.ones((3, 3), np.uint8))
        count, _, stats, _ = cv2.connectedComponentsWithStats(opened)
        for k in range(1, count):
            x, y, w, h = (float(v) for v in stats[k][:4])
            horizontal = width > height
            long, thin = (w, h) if horizontal else (h, w)
            if long > _MIN_RULE * scale and thin < _MAX_THICK * scale:
                box = Box(x / scale, y / scale, (x + w) / scale, (y + h) / scale)
                rules.append(RuledLine(box, horizontal=horizontal))
    return rules
