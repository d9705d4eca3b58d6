"""Glyphs of a PDF page, read with PDFium, and the words that they form."""

# ruff: noqa: PLR2004 - code points of UTF-16 surrogates

import ctypes
import math
import unicodedata
from collections import Counter
from dataclasses import dataclass, replace
from typing import Any, Final

import pypdfium2.raw as pdfium

from fastembed.documents.pdf.bidi import FIRST_RIGHT_TO_LEFT, is_right_to_left
from fastembed.documents.pdf.geometry import Box, x_overlap, y_overlap
from fastembed.documents.pdf.joiners import non_joiners, with_non_joiners
from fastembed.documents.pdf.style import Style, is_mono_name, style_of
from fastembed.documents.pdf.text import SPACE_EM, Line, lines_of
from fastembed.documents.pdf.visual import Glyph, in_visual_order, reading_lines
from fastembed.documents.pdf.words import PdfWord

# What old TeX files without character names write: the T1 encoding; 0x0F is the bullet of OMS, 0x88 that of TS1.
_BARE_CODES = {
    0x0F: "•",
    0x88: "•",
    0x10: "“",
    0x11: "”",
    0x15: "–",
    0x16: "—",
    0x1B: "ff",
    0x1C: "fi",
    0x1D: "fl",
    0x1E: "ffi",
    0x1F: "ffl",
}
_HYPHENS = {0x02, 0xAD, 0xFFFE}
"""PDFium's marks for a hyphen at the end of a line."""
_ACCENTS = dict(
    zip("´`¨ˆ˜¯˘˙¸˚ˇ˝", "\u0301\u0300\u0308\u0302\u0303\u0304\u0306\u0307\u0327\u030a\u030c\u030b", strict=True)
)
_ACCENT_REACH: Final = 150
"""How many glyphs away an accent may be written from its letter: PDFium sorts by place, TeX draws them first."""
_ACCENT_RAISED: Final = 0.4  # of the letter's height, by which the accent's own baseline may differ from the letter's
_ACCENT_INSET: Final = 0.1  # of the letter's width: nearer to its edge an accent is the next letter's
_BASELINE_EM: Final = 0.12  # by which the baselines of a word's glyphs differ at most
_OVERLAP_EM: Final = 1.2  # by which a glyph may begin before the end of the last one: kerning, and text drawn twice
_TURNED_ACROSS_EM: Final = 0.75  # of overlap across the line that a turned word's glyphs have
_TURNED_REACH_EM: Final = 0.6  # of room around a turned word in which its next glyph stands
_MIN_PITCH_GLYPHS: Final = 6  # different letters of a font until its pitch is judged
_PITCH_SPREAD: Final = 0.15  # of the widest letter: by which widths in fixed pitch differ at most, as drawn
_UPRIGHT: Final = 0.17  # the sine of 10 degrees


@dataclass(frozen=True, slots=True)
class View:
    """How the page's own coordinates (y upwards) become points from the top left as the page is shown."""

    crop: tuple[float, float, float, float]
    """Left, bottom, right, top of the visible part, in the page's coordinates."""
    turn: int = 0
    """Quarter turns clockwise, 0 to 3."""

    @property
    def size(self) -> tuple[float, float]:
        """Width and height as shown, in points."""
        w, h = self.crop[2] - self.crop[0], self.crop[3] - self.crop[1]
        return (h, w) if self.turn % 2 else (w, h)

    def point(self, x: float, y: float) -> tuple[float, float]:
        """Return a point as shown."""
        l, b, r, t = self.crop  # noqa: E741
        if self.turn == 0:
            return x - l, t - y
        if self.turn == 1:
            return y - b, x - l
        if self.turn == 2:
            return r - x, y - b
        return t - y, r - x

    def box(self, x0: float, y0: float, x1: float, y1: float) -> Box:
        """Return a rectangle as shown."""
        if self.turn == 0 and x0 <= x1 and y0 <= y1:  # nearly always, and asked for every glyph
            left, _, _, top = self.crop
            return Box(x0 - left, top - y1, x1 - left, top - y0)
        ax, ay = self.point(x0, y0)
        bx, by = self.point(x1, y1)
        return Box(min(ax, bx), min(ay, by), max(ax, bx), max(ay, by))

    def direction(self, dx: float, dy: float) -> int:
        """Return into which quarter text runs as shown: 0 right, 1 down, 2 left, 3 up; -1 for a slope."""
        ax, ay = self.point(0, 0)
        bx, by = self.point(dx, dy)
        ux, uy = bx - ax, by - ay
        length = math.hypot(ux, uy) or 1.0
        if abs(uy) <= _UPRIGHT * length:
            return 0 if ux >= 0 else 2
        if abs(ux) <= _UPRIGHT * length:
            return 1 if uy > 0 else 3
        return -1


@dataclass(frozen=True, slots=True)
class _Run:
    style: Style
    dx: float
    dy: float
    font: int = 0
    """Which font, as PDFium knows it."""


def page_lines(text_page: Any, view: View, page: Any = None) -> tuple[list[Line], View, bool]:
    """Return a page's lines, the view that shows most of them upright, and whether they read from right to left.

    The boxes of a page that reads from right to left are mirrored.

    Args:
        text_page: PDFium's `FPDF_TEXTPAGE`.
        view: how the page is shown; a page whose text mostly runs up or down is turned further.
        page: PDFium's `FPDF_PAGE`, for what its text page leaves out.
    """
    glyphs, runs = _glyphs(text_page)
    count: Counter[int] = Counter()
    for glyph in glyphs:
        run = runs[glyph[-1]]
        count[view.direction(run.dx, run.dy)] += 1
    main = count.most_common(1)[0][0] if count else 0
    if main > 0:
        view = View(view.crop, (view.turn - main) % 4)
    backwards = any(glyph[0] >= FIRST_RIGHT_TO_LEFT and is_right_to_left(glyph[0]) for glyph in glyphs)
    if backwards:
        glyphs = in_visual_order(glyphs, lambda glyph: _place(glyph, runs, view))
        glyphs = with_non_joiners(glyphs, [] if page is None else non_joiners(page))
    upright, turned = _words(glyphs, runs, view)
    lines = lines_of(upright) + [Line((w,), turned=True) for w in turned]
    if not backwards:
        return lines, view, False
    lines, mirrored = reading_lines(lines, view.size[0])
    return lines, view, mirrored


def _place(glyph: Glyph, runs: list[_Run], view: View) -> tuple[float, float, float] | None:
    """Return an upright glyph's baseline, left and right as shown."""
    _, left, bottom, right, top, x, y, _, run = glyph
    if view.direction(runs[run].dx, runs[run].dy) != 0:
        return None
    box = view.box(left, bottom, right, top)
    return view.point(x, y)[1], box.l, box.r


def _glyphs(text_page: Any) -> tuple[list[Glyph], list[_Run]]:
    get_unicode, is_generated = pdfium.FPDFText_GetUnicode, pdfium.FPDFText_IsGenerated
    get_box, get_origin, get_object = (
        pdfium.FPDFText_GetLooseCharBox,
        pdfium.FPDFText_GetCharOrigin,
        pdfium.FPDFText_GetTextObject,
    )
    rect, x, y = pdfium.FS_RECTF(), ctypes.c_double(), ctypes.c_double()
    glyphs: list[Glyph] = []
    runs: list[_Run] = []
    run_of: dict[int, int] = {}
    fonts: dict[int, tuple[str, int, int]] = {}
    spaced = False
    high = 0
    for i in range(pdfium.FPDFText_CountChars(text_page)):
        code = get_unicode(text_page, i)
        if code in {32, 13, 10, 9, 0xA0, 0x3000, 0}:
            spaced = spaced or (code != 0 and not is_generated(text_page, i))
            continue
        if 0xD800 <= code < 0xDC00:
            high = code
            continue
        if 0xDC00 <= code < 0xE000:
            code = 0x10000 + ((high - 0xD800) << 10) + (code - 0xDC00) if high else 0xFFFD
            high = 0
        if code in _HYPHENS:
            code = 0x2D
        text_object = get_object(text_page, i)
        key = ctypes.addressof(text_object.contents) if text_object else 0
        run = run_of.get(key)
        if run is None:
            run = run_of[key] = len(runs)
            runs.append(_run(text_page, i, text_object, fonts))
        if not get_box(text_page, i, rect) or not get_origin(text_page, i, x, y):
            continue
        glyphs.append((code, rect.left, rect.bottom, rect.right, rect.top, x.value, y.value, spaced, run))
        spaced = False
    return _accented(glyphs), _with_pitch(glyphs, runs)


def _accented(glyphs: list[Glyph]) -> list[Glyph]:
    """Put the accents that a file draws as glyphs of their own, somewhere near, onto the letters below them."""
    marks = [i for i, glyph in enumerate(glyphs) if chr(glyph[0]) in _ACCENTS]
    if not marks:
        return glyphs
    glyphs, gone = list(glyphs), set()
    for i in marks:
        around = range(max(0, i - _ACCENT_REACH), min(len(glyphs), i + _ACCENT_REACH))
        k = next((k for k in around if _stands_over(glyphs[i], glyphs[k])), i)
        whole = unicodedata.normalize("NFC", chr(glyphs[k][0]) + _ACCENTS[chr(glyphs[i][0])])
        if k != i and len(whole) == 1:
            glyphs[k] = (ord(whole), *glyphs[k][1:])
            gone.add(i)
    return [glyph for i, glyph in enumerate(glyphs) if i not in gone]


def _stands_over(mark: Glyph, letter: Glyph) -> bool:
    middle = (mark[1] + mark[3]) / 2
    if not letter[1] < middle < letter[3] or abs(letter[6] - mark[6]) > _ACCENT_RAISED * (letter[4] - letter[2]):
        return False
    inset = _ACCENT_INSET * (letter[3] - letter[1])
    return letter[1] + inset < middle < letter[3] - inset and chr(letter[0]).isalpha()


def _run(text_page: Any, i: int, text_object: Any, fonts: dict[int, tuple[str, int, int]]) -> _Run:
    matrix = pdfium.FS_MATRIX()
    pdfium.FPDFText_GetMatrix(text_page, i, matrix)
    scale = math.sqrt(abs(matrix.a * matrix.d - matrix.b * matrix.c)) or 1.0
    size = pdfium.FPDFText_GetFontSize(text_page, i) * scale
    name, flags, weight = _font(text_object, fonts) if text_object else ("", 0, 0)
    red, green, blue, alpha = (ctypes.c_uint() for _ in range(4))
    colour = 0
    if pdfium.FPDFText_GetFillColor(text_page, i, red, green, blue, alpha):
        colour = (red.value << 16) | (green.value << 8) | blue.value
    style = style_of(name, size or 1.0, flags=flags, weight=weight, colour=colour)
    font = pdfium.FPDFTextObj_GetFont(text_object) if text_object else None
    return _Run(style, matrix.a, matrix.b, ctypes.addressof(font.contents) if font else 0)


def _is_fixed(widths: dict[int, float]) -> bool | None:
    """Whether narrow letters are as wide as wide ones; None for too few, as digits are equally wide in most fonts."""
    letters = {chr(code): width for code, width in widths.items() if chr(code).isalpha()}
    if len(letters) < _MIN_PITCH_GLYPHS or not set("iljtfr") & set(letters) or not set("mwaeo") & set(letters):
        return None
    return max(letters.values()) - min(letters.values()) < _PITCH_SPREAD * max(letters.values())


def _with_pitch(glyphs: list[Glyph], runs: list[_Run]) -> list[_Run]:
    """Measure the pitch of the fonts without a name (bitmap fonts) and of those that only their flags call fixed."""
    unsure = {run.font for run in runs if run.font and _is_unsure(run.style)}
    if not unsure:
        return runs
    widths: dict[int, dict[int, float]] = {font: {} for font in unsure}
    for code, left, _, right, _, _, _, _, index in glyphs:
        run = runs[index]
        if run.font in unsure and (right - left) > 0:
            widths[run.font][code] = (right - left) / run.style.size
    fixed = {font: _is_fixed(own) for font, own in widths.items()}
    return [_with_mono(run, fixed=fixed.get(run.font)) for run in runs]


def _is_unsure(style: Style) -> bool:
    return not style.font or (style.mono and not is_mono_name(style.font))


def _with_mono(run: _Run, *, fixed: bool | None) -> _Run:
    return run if fixed is None else replace(run, style=replace(run.style, mono=fixed))


def _font(text_object: Any, fonts: dict[int, tuple[str, int, int]]) -> tuple[str, int, int]:
    font = pdfium.FPDFTextObj_GetFont(text_object)
    if not font:
        return "", 0, 0
    key = ctypes.addressof(font.contents)
    if key not in fonts:
        name = ctypes.create_string_buffer(256)
        pdfium.FPDFFont_GetBaseFontName(font, name, 256)
        flags = max(0, pdfium.FPDFFont_GetFlags(font))
        fonts[key] = (name.value.decode("utf-8", "replace"), flags, max(0, pdfium.FPDFFont_GetWeight(font)))
    return fonts[key]


class _Draft:
    """A word while its glyphs arrive."""

    __slots__ = ("b", "baseline", "chars", "l", "r", "run", "spaced", "t")

    def __init__(self, char: str, box: Box, baseline: float, run: int, *, spaced: bool) -> None:
        self.chars = [char]
        self.l, self.t, self.r, self.b = box
        self.baseline, self.run, self.spaced = baseline, run, spaced


def _words(glyphs: list[Glyph], runs: list[_Run], view: View) -> tuple[list[PdfWord], list[PdfWord]]:
    """Return the upright words and the turned ones."""
    width, height = view.size
    drafts: list[tuple[_Draft, bool]] = []
    directions = [view.direction(run.dx, run.dy) for run in runs]
    draft: _Draft | None = None
    for code, x0, y0, x1, y1, ox, oy, spaced, run in glyphs:
        box = view.box(x0, y0, x1, y1)
        if box.r < 0 or box.b < 0 or box.l > width or box.t > height:
            continue
        upright = directions[run] == 0
        char = _bare(code) if code < 32 or 0x80 <= code < 0xA0 else chr(code)
        if upright:
            baseline = view.point(ox, oy)[1]
            if draft is not None and not spaced and _follows(draft, box, baseline, runs):
                _append(draft, char, box)
                continue
            draft = _Draft(char, box, baseline, run, spaced=spaced)
            drafts.append((draft, True))
            continue
        draft = None
        last = drafts[-1][0] if drafts and not drafts[-1][1] else None
        if (
            last is not None
            and directions[last.run] == directions[run]
            and _beside(last, box, runs[run].style.size, directions[run])
        ):
            reach = Box(last.l, last.t, last.r, last.b).grown(SPACE_EM * runs[run].style.size)
            last.chars.append((" " if spaced or not reach.touches(box) else "") + char)
            last.l, last.t, last.r, last.b = (
                min(last.l, box.l),
                min(last.t, box.t),
                max(last.r, box.r),
                max(last.b, box.b),
            )
        else:
            drafts.append((_Draft(char, box, box.b, run, spaced=spaced), False))
    upright_words = [_word(d, runs) for d, up in drafts if up]
    turned_words = [_word(d, runs) for d, up in drafts if not up]
    return upright_words, turned_words


def _bare(code: int) -> str:
    """Return what a control code means where fonts have no character names: T1's sign, or Windows' above 0x80."""
    return _BARE_CODES.get(code) or (bytes([code]).decode("cp1252", "ignore") if code > 32 else "")


def _follows(draft: _Draft, box: Box, baseline: float, runs: list[_Run]) -> bool:
    size = runs[draft.run].style.size
    gap = box.l - draft.r
    return abs(baseline - draft.baseline) <= _BASELINE_EM * size and -_OVERLAP_EM * size < gap <= SPACE_EM * size


def _beside(draft: _Draft, box: Box, size: float, direction: int) -> bool:
    """Whether a glyph goes on with a turned word: close to it, and in its line where the line is no slope."""
    last = Box(draft.l, draft.t, draft.r, draft.b)
    across = {0: size, -1: size, 2: y_overlap(last, box)}.get(direction, x_overlap(last, box))
    return across > _TURNED_ACROSS_EM * size and last.grown(_TURNED_REACH_EM * size).touches(box)


def _append(draft: _Draft, char: str, box: Box) -> None:
    draft.chars.append(char)
    draft.l, draft.r = min(draft.l, box.l), max(draft.r, box.r)
    draft.t, draft.b = min(draft.t, box.t), max(draft.b, box.b)


_LIGATURES = {"ﬀ": "ff", "ﬁ": "fi", "ﬂ": "fl", "ﬃ": "ffi", "ﬄ": "ffl", "ﬅ": "st", "ﬆ": "st"}
_LIGATURE_TABLE = str.maketrans(_LIGATURES)


def _word(draft: _Draft, runs: list[_Run]) -> PdfWord:
    text = "".join(draft.chars).translate(_LIGATURE_TABLE)
    box = Box(draft.l, draft.t, draft.r, draft.b)
    return PdfWord(text, box, round(draft.baseline, 1), runs[draft.run].style, draft.spaced)
