"""Words: glyphs with no space between them."""

from dataclasses import dataclass

from fastembed.documents.pdf.geometry import Box
from fastembed.documents.pdf.style import Style


@dataclass(frozen=True, slots=True)
class PdfWord:
    """Glyphs with no space between them.

    `baseline` is a y in points; `spaced` says that the file writes a space before the word; `sure` is the reader's
    confidence, 1 for text of the file, less for recognised text.
    """

    text: str
    box: Box
    baseline: float
    style: Style
    spaced: bool = False
    sure: float = 1.0
