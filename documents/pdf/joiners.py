"""Zero-width non-joiners: the marks that keep the parts of Persian words apart, which PDFium leaves out.

A font has no glyph for U+200C, so writers draw a space that takes no room and say what it means (LibreOffice, by
ISO 32000-1, 14.9.4): `/Span <</ActualText <FEFF200C>>> BDC ... EMC`. PDFium (pypdfium2 5.15.2) gives no character for
such a span, but its marks and its place.
"""

from __future__ import annotations

import ctypes
from typing import Any, Final

import pypdfium2.raw as pdfium

from fastembed.documents.pdf.visual import Glyph

NON_JOINER: Final = 0x200C
_MEANS_NON_JOINER: Final = (chr(NON_JOINER), chr(NON_JOINER >> 8) + chr(NON_JOINER & 0xFF))
"""PDFium gives the bytes of UTF-16 in a content stream one by one."""
_MOST_OBJECTS: Final = 200_000
_MOST_BYTES: Final = 64
_BASELINE: Final = 1.0
"""Points by which the origins of a line's glyphs may differ."""
_REACH: Final = 2.0
"""Points by which the glyphs beside a mark may overlap it, or leave room."""

Place = tuple[float, float]


def non_joiners(page: Any) -> list[Place]:
    """Return the places of the marks on a page (PDFium's `FPDF_PAGE`), in its own coordinates."""
    places = []
    matrix = pdfium.FS_MATRIX()
    for index in range(min(pdfium.FPDFPage_CountObjects(page), _MOST_OBJECTS)):
        item = pdfium.FPDFPage_GetObject(page, index)
        if pdfium.FPDFPageObj_GetType(item) != pdfium.FPDF_PAGEOBJ_TEXT or not pdfium.FPDFPageObj_CountMarks(item):
            continue
        if _says_non_joiner(item) and pdfium.FPDFPageObj_GetMatrix(item, matrix):
            places.append((matrix.e, matrix.f))
    return places


def with_non_joiners(glyphs: list[Glyph], places: list[Place]) -> list[Glyph]:
    """Return the glyphs of lines in visual order with a mark wherever one stands between two of them."""
    if not places:
        return glyphs
    after: dict[int, int] = {}
    rows: dict[int, list[int]] = {}
    for number, glyph in enumerate(glyphs):
        rows.setdefault(round(glyph[6] / _BASELINE), []).append(number)
    for x, y in places:
        row = round(y / _BASELINE)
        near = [
            number
            for step in (-1, 0, 1)
            for number in rows.get(row + step, ())
            if abs(glyphs[number][6] - y) < _BASELINE
        ]
        left = max(
            (number for number in near if glyphs[number][3] <= x + _REACH), key=lambda n: glyphs[n][3], default=None
        )
        if left is not None and left + 1 < len(glyphs) and _follows(glyphs[left], glyphs[left + 1], x):
            after[left] = after.get(left, 0) + 1
    found: list[Glyph] = []
    for number, glyph in enumerate(glyphs):
        found.append(glyph)
        if number in after:
            _, _, bottom, right, top, _, y, _, run = glyph
            found.append((NON_JOINER, right, bottom, right, top, right, y, False, run))
    return found


def _follows(left: Glyph, right: Glyph, x: float) -> bool:
    """Whether two glyphs stand beside a mark at `x`, with no space between them."""
    beside = abs(left[3] - x) <= _REACH and abs(right[1] - x) <= _REACH
    return beside and not right[7] and abs(left[6] - right[6]) < _BASELINE


def _says_non_joiner(item: Any) -> bool:
    buffer = ctypes.create_string_buffer(_MOST_BYTES)
    size = ctypes.c_ulong()
    for number in range(pdfium.FPDFPageObj_CountMarks(item)):
        mark = pdfium.FPDFPageObj_GetMark(item, number)
        if pdfium.FPDFPageObjMark_GetParamStringValue(
            mark, b"ActualText", ctypes.cast(buffer, ctypes.POINTER(ctypes.c_ushort)), _MOST_BYTES, size
        ):
            text = buffer.raw[: max(size.value - 2, 0)].decode("utf-16-le", "replace")
            if text in _MEANS_NON_JOINER:
                return True
    return False
