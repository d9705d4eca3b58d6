"""What people add to a page: values of form fields, and notes; neither is part of the page's own text."""

import ctypes
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pypdfium2.raw as pdfium

from fastembed.documents.pdf.geometry import Box, x_overlap, y_overlap
from fastembed.documents.pdf.glyphs import View
from fastembed.documents.pdf.style import Style
from fastembed.documents.pdf.text import Line
from fastembed.documents.pdf.words import PdfWord

_MAX_ANNOTATIONS = 5_000
_MAX_CHARACTERS = 65_536
_UNSEEN = pdfium.FPDF_ANNOT_FLAG_INVISIBLE | pdfium.FPDF_ANNOT_FLAG_HIDDEN | pdfium.FPDF_ANNOT_FLAG_NOVIEW
_PASSWORD = 1 << 13
"""The field flag of a text field that shows no characters (PDF 32000-1, table 228)."""
_NOTES = {
    pdfium.FPDF_ANNOT_TEXT,
    pdfium.FPDF_ANNOT_HIGHLIGHT,
    pdfium.FPDF_ANNOT_UNDERLINE,
    pdfium.FPDF_ANNOT_SQUIGGLY,
    pdfium.FPDF_ANNOT_STRIKEOUT,
    pdfium.FPDF_ANNOT_CARET,
    pdfium.FPDF_ANNOT_STAMP,
    pdfium.FPDF_ANNOT_FILEATTACHMENT,
}
_READ = {pdfium.FPDF_ANNOT_WIDGET, pdfium.FPDF_ANNOT_FREETEXT, *_NOTES}
_TICKS = {pdfium.FPDF_FORMFIELD_CHECKBOX, pdfium.FPDF_FORMFIELD_RADIOBUTTON}
_CHOICES = {pdfium.FPDF_FORMFIELD_COMBOBOX, pdfium.FPDF_FORMFIELD_LISTBOX}
_SIZE = 10.0
_SIZE_OF_HEIGHT = 0.7
"""Which share of a field's height its type has, where no text stands beside it."""
_WIDTH_EM = 0.5
_LEADING = 1.2


@dataclass(frozen=True, slots=True)
class Annotation:
    """A text at a place of the page: a field's value as shown, `[x]` or `[ ]` for a box to tick, or a note."""

    box: Box
    text: str
    note: bool = False
    """Whether it is a remark about the page, not a part of it."""


def page_annotations(page: Any, form: Any | None, view: View) -> list[Annotation]:
    """Return the filled fields and the notes of a PDFium page, without hidden ones and passwords.

    Args:
        page: `FPDF_PAGE`, loaded after the form.
        form: `FPDF_FORMHANDLE`; None for a document without a form.
        view: how the page is shown.
    """
    found: list[Annotation] = []
    for i in range(min(pdfium.FPDFPage_GetAnnotCount(page), _MAX_ANNOTATIONS)):
        annotation = pdfium.FPDFPage_GetAnnot(page, i)
        if not annotation:
            continue
        try:
            found += _read(annotation, form, view)
        finally:
            pdfium.FPDFPage_CloseAnnot(annotation)
    return found


def _read(annotation: Any, form: Any | None, view: View) -> Iterator[Annotation]:
    kind = pdfium.FPDFAnnot_GetSubtype(annotation)
    if kind not in _READ:  # links are by far the most
        return
    rect = pdfium.FS_RECTF()
    if pdfium.FPDFAnnot_GetFlags(annotation) & _UNSEEN or not pdfium.FPDFAnnot_GetRect(annotation, rect):
        return
    box = view.box(rect.left, rect.bottom, rect.right, rect.top)
    if kind == pdfium.FPDF_ANNOT_WIDGET:
        text = _value(annotation, form) if form is not None else ""
    else:
        text = _entry(annotation, b"Contents")
        author = _entry(annotation, b"T").strip()
        if text.strip() and author and kind in _NOTES:
            text = f"{author}: {text}"
    if text.strip():
        yield Annotation(box, text.strip(), note=kind in _NOTES)


def _value(annotation: Any, form: Any) -> str:
    kind = pdfium.FPDFAnnot_GetFormFieldType(form, annotation)
    if kind in _TICKS:
        return "[x]" if pdfium.FPDFAnnot_IsChecked(form, annotation) else "[ ]"
    if kind in _CHOICES:
        count = pdfium.FPDFAnnot_GetOptionCount(form, annotation)
        chosen = [i for i in range(count) if pdfium.FPDFAnnot_IsOptionSelected(form, annotation, i)]
        labels = [_text(lambda *a, i=i: pdfium.FPDFAnnot_GetOptionLabel(form, annotation, i, *a)) for i in chosen]
        if any(labels):
            return ", ".join(labels)
    elif kind != pdfium.FPDF_FORMFIELD_TEXTFIELD or pdfium.FPDFAnnot_GetFormFieldFlags(form, annotation) & _PASSWORD:
        return ""
    return _text(lambda *a: pdfium.FPDFAnnot_GetFormFieldValue(form, annotation, *a))


def _entry(annotation: Any, key: bytes) -> str:
    return _text(lambda *a: pdfium.FPDFAnnot_GetStringValue(annotation, key, *a))


def _text(read: Callable[[Any, int], int]) -> str:
    """Return what a function of PDFium writes as UTF-16: it says how many bytes it needs, then fills them."""
    size = min(read(None, 0), 2 * _MAX_CHARACTERS)
    buffer = ctypes.create_string_buffer(size + 2)
    read(ctypes.cast(buffer, ctypes.POINTER(ctypes.c_ushort)), size)
    return buffer.raw[:size].decode("utf-16-le", "replace").split("\0")[0].replace("\r\n", "\n").replace("\r", "\n")


def with_values(lines: Sequence[Line], annotations: Sequence[Annotation]) -> list[Line]:
    """Return a page's lines with the values of its fields among them, set like the text beside them."""
    values = [a for a in annotations if not a.note]
    if not values:
        return list(lines)
    filled = [line for value in values for line in _lines(value, lines)]
    return sorted([*lines, *filled], key=lambda line: (line.box.t, line.box.l))


def _lines(value: Annotation, lines: Sequence[Line]) -> Iterator[Line]:
    box = value.box
    beside = [ln for ln in lines if not ln.turned and y_overlap(ln.box, box) > 0.3 * ln.box.height]
    near = min(beside, key=lambda ln: -x_overlap(ln.box, box), default=None)
    size = near.size if near is not None else min(_SIZE, _SIZE_OF_HEIGHT * box.height)
    baseline = near.baseline if near is not None else min(box.b, box.t + _LEADING * size)
    style = Style(near.style.font if near is not None else "Form", size)
    for k, text in enumerate(text for text in value.text.split("\n") if text.strip()):
        foot = baseline + k * _LEADING * size
        width = min(box.width, _WIDTH_EM * size * len(text))
        place = Box(box.l, foot - 0.8 * size, box.l + width, foot + 0.2 * size)
        yield Line((PdfWord(" ".join(text.split()), place, round(foot, 1), style),))
