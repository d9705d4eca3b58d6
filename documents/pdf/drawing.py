"""What is drawn on a page besides text: rules, shaded boxes, line art and pictures."""

import ctypes
from dataclasses import dataclass, field
from typing import Any

import pypdfium2.raw as pdfium

from fastembed.documents.pdf.geometry import Box
from fastembed.documents.pdf.glyphs import View

RULE_THICKNESS = 2.5
"""A box thinner than this many points is a rule."""

_MIN_RULE = 4.0
_MAX_OBJECTS = 20_000
_MAX_SEGMENTS = 600
_MAX_DEPTH = 4
_MAX_PANEL_SEGMENTS = 24
"""Four edges, and four corners of three points each, drawn with room to spare."""
_ON_EDGE = 1.5
"""How far, in points, the points of a panel's path may be from its bounds, which count the stroke's width."""
_Matrix = tuple[float, float, float, float, float, float]
_IDENTITY: _Matrix = (1.0, 0.0, 0.0, 1.0, 0.0, 0.0)


@dataclass(frozen=True, slots=True)
class RuledLine:
    """A straight horizontal or vertical stroke."""

    box: Box
    horizontal: bool

    @property
    def position(self) -> float:
        """The y of a horizontal rule, the x of a vertical one."""
        return (self.box.t + self.box.b) / 2 if self.horizontal else (self.box.l + self.box.r) / 2


@dataclass(slots=True)
class Drawing:
    """All that is drawn on one page."""

    rules: list[RuledLine] = field(default_factory=list)
    shades: list[Box] = field(default_factory=list)
    """Filled or framed rectangles."""
    strokes: list[Box] = field(default_factory=list)
    """Line art: paths with curves, slopes or many corners."""
    images: list[Box] = field(default_factory=list)
    forms: list[Box] = field(default_factory=list)
    """Embedded drawings (form XObjects): most pictures that TeX includes."""

    def mirrored(self, width: float) -> "Drawing":
        """Return the same as in a mirror `width` points wide."""
        kinds = (self.shades, self.strokes, self.images, self.forms)
        rules = [RuledLine(rule.box.mirrored(width), rule.horizontal) for rule in self.rules]
        return Drawing(rules, *([box.mirrored(width) for box in boxes] for boxes in kinds))


def page_drawing(page: Any, view: View) -> Drawing:
    """Return what is drawn on a PDFium page (`FPDF_PAGE`), in points as shown; at most 20 000 objects are looked at."""
    drawing = Drawing()
    width, height = view.size
    walk = _DrawingWalk(view, drawing, Box(0, 0, width, height))
    count = pdfium.FPDFPage_CountObjects(page)
    for i in range(min(count, _MAX_OBJECTS)):
        walk.visit(pdfium.FPDFPage_GetObject(page, i), _IDENTITY, 0)
    return drawing


class _DrawingWalk:
    def __init__(self, view: View, drawing: Drawing, page: Box) -> None:
        self.view, self.drawing, self.page = view, drawing, page
        self.left = _MAX_OBJECTS
        self.numbers = [ctypes.c_float() for _ in range(4)]

    def visit(self, page_object: Any, matrix: _Matrix, depth: int) -> None:
        self.left -= 1
        kind = pdfium.FPDFPageObj_GetType(page_object)
        if self.left < 0 or kind == pdfium.FPDF_PAGEOBJ_TEXT:
            return
        if kind == pdfium.FPDF_PAGEOBJ_FORM:
            self._form(page_object, matrix, depth)
            return
        box = self._box(page_object, matrix)
        if box is None:
            return
        if kind == pdfium.FPDF_PAGEOBJ_IMAGE:
            if min(box.height, box.width) <= RULE_THICKNESS:
                self._add_rule(box)  # dvips draws its rules as images of one pixel
            else:
                self.drawing.images.append(box)
        elif kind == pdfium.FPDF_PAGEOBJ_PATH:
            self._path(page_object, matrix, box)
        elif kind == pdfium.FPDF_PAGEOBJ_SHADING:
            self.drawing.shades.append(box)

    def _form(self, form: Any, matrix: _Matrix, depth: int) -> None:
        if depth >= _MAX_DEPTH:
            return
        own = pdfium.FS_MATRIX()
        if not pdfium.FPDFPageObj_GetMatrix(form, own):
            return
        box = self._box(form, matrix)
        if box is not None:
            self.drawing.forms.append(box)
        inner = _times((own.a, own.b, own.c, own.d, own.e, own.f), matrix)
        for i in range(min(pdfium.FPDFFormObj_CountObjects(form), self.left)):
            self.visit(pdfium.FPDFFormObj_GetObject(form, i), inner, depth + 1)

    def _box(self, page_object: Any, matrix: _Matrix) -> Box | None:
        """Return the object's box within the page, None where it lies outside."""
        left, bottom, right, top = self.numbers
        if not pdfium.FPDFPageObj_GetBounds(page_object, left, bottom, right, top):
            return None
        if matrix is _IDENTITY:
            box = self.view.box(left.value, bottom.value, right.value, top.value)
        else:
            corners = [
                self.view.point(*_apply(matrix, x, y))
                for x in (left.value, right.value)
                for y in (bottom.value, top.value)
            ]
            xs, ys = [c[0] for c in corners], [c[1] for c in corners]
            box = Box(min(xs), min(ys), max(xs), max(ys))
        page = self.page
        box = Box(max(box.l, page.l), max(box.t, page.t), min(box.r, page.r), min(box.b, page.b))
        return box if box.r >= box.l and box.b >= box.t else None

    def _path(self, path: Any, matrix: _Matrix, box: Box) -> None:
        mode, stroked = ctypes.c_int(), ctypes.c_int()
        pdfium.FPDFPath_GetDrawMode(path, mode, stroked)
        if not mode.value and not stroked.value:
            return
        if box.height <= RULE_THICKNESS or box.width <= RULE_THICKNESS:
            self._add_rule(box)
            return
        segments = pdfium.FPDFPath_CountSegments(path)
        if segments > _MAX_SEGMENTS:
            self.drawing.strokes.append(box)
            return
        straight = self._straight(path, matrix, segments)
        if straight is None:
            round_panel = segments <= _MAX_PANEL_SEGMENTS and self._is_panel(path, matrix, segments, box)
            (self.drawing.shades if round_panel else self.drawing.strokes).append(box)
            return
        filled = mode.value != pdfium.FPDF_FILLMODE_NONE
        if filled:
            self.drawing.shades.append(box)
        if stroked.value or filled:
            for edge in straight:
                self._add_rule(edge)

    def _straight(self, path: Any, matrix: _Matrix, segments: int) -> list[Box] | None:
        """Return the edges of a path of horizontal and vertical lines, None for any other path."""
        x, y = ctypes.c_float(), ctypes.c_float()
        edges: list[Box] = []
        start = last = (0.0, 0.0)
        for i in range(segments):
            segment = pdfium.FPDFPath_GetPathSegment(path, i)
            kind = pdfium.FPDFPathSegment_GetType(segment)
            if kind == pdfium.FPDF_SEGMENT_BEZIERTO:
                return None
            pdfium.FPDFPathSegment_GetPoint(segment, x, y)
            own = self._matrix_of(path)
            point = self.view.point(*_apply(matrix, *_apply(own, x.value, y.value)))
            if kind == pdfium.FPDF_SEGMENT_MOVETO:
                start = last = point
                continue
            if not _is_axial(last, point):
                return None
            edges.append(_span(last, point))
            last = point
            if pdfium.FPDFPathSegment_GetClose(segment):
                if not _is_axial(last, start):
                    return None
                edges.append(_span(last, start))
                last = start
        return edges

    def _is_panel(self, path: Any, matrix: _Matrix, segments: int, box: Box) -> bool:
        """Whether a path is a box with round corners: its points lie on the edges, and some edges are straight."""
        x, y = ctypes.c_float(), ctypes.c_float()
        own, last, straight = self._matrix_of(path), (0.0, 0.0), 0.0
        for i in range(segments):
            segment = pdfium.FPDFPath_GetPathSegment(path, i)
            pdfium.FPDFPathSegment_GetPoint(segment, x, y)
            point = self.view.point(*_apply(matrix, *_apply(own, x.value, y.value)))
            off = (point[0] - box.l, box.r - point[0], point[1] - box.t, box.b - point[1])
            if min(map(abs, off)) > _ON_EDGE:
                return False
            if pdfium.FPDFPathSegment_GetType(segment) == pdfium.FPDF_SEGMENT_LINETO and _is_axial(last, point):
                straight = max(straight, abs(point[0] - last[0]), abs(point[1] - last[1]))
            last = point
        return straight > 0.5 * max(box.width, box.height)

    def _matrix_of(self, path: Any) -> _Matrix:
        own = pdfium.FS_MATRIX()
        pdfium.FPDFPageObj_GetMatrix(path, own)
        return (own.a, own.b, own.c, own.d, own.e, own.f)

    def _add_rule(self, box: Box) -> None:
        if max(box.width, box.height) >= _MIN_RULE:
            self.drawing.rules.append(RuledLine(box, horizontal=box.width >= box.height))


def _is_axial(a: tuple[float, float], b: tuple[float, float]) -> bool:
    return abs(a[0] - b[0]) < 0.3 or abs(a[1] - b[1]) < 0.3  # noqa: PLR2004 - a third of a point is no slope


def _span(a: tuple[float, float], b: tuple[float, float]) -> Box:
    return Box(min(a[0], b[0]), min(a[1], b[1]), max(a[0], b[0]), max(a[1], b[1]))


def _apply(m: _Matrix, x: float, y: float) -> tuple[float, float]:
    return m[0] * x + m[2] * y + m[4], m[1] * x + m[3] * y + m[5]


def _times(inner: _Matrix, outer: _Matrix) -> _Matrix:
    a, b, c, d, e, f = inner
    p, q, r, s, u, v = outer
    return (a * p + b * r, a * q + b * s, c * p + d * r, c * q + d * s, e * p + f * r + u, e * q + f * s + v)
