"""PDF pages, until `operators.parsing.pdf` reads them: plain lines by PDFium."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pypdfium2
from docling_core.types.doc.document import BoundingBox, DocItemLabel, DoclingDocument, ProvenanceItem, Size


def read_pdf(path: Path, *, ocr: Callable[[Any], Any] | None, max_pages: int | None = None) -> DoclingDocument:
    """Return the document, a paragraph a line."""
    document = DoclingDocument(name=path.stem)
    pdf = pypdfium2.PdfDocument(path)
    for index in range(min(len(pdf), max_pages or len(pdf))):
        page = pdf[index]
        document.add_page(page_no=index + 1, size=Size(width=page.get_width(), height=page.get_height()))
        prov = ProvenanceItem(page_no=index + 1, bbox=BoundingBox(l=0, t=0, r=1, b=1), charspan=(0, 0))
        lines = page.get_textpage().get_text_range().splitlines()
        if not "".join(lines).strip() and ocr is not None:
            lines = [line[0] for line in ocr(np.asarray(page.render(scale=200 / 72).to_pil().convert("RGB")))]
        for line in lines:
            if line.strip():
                document.add_text(DocItemLabel.TEXT, line.strip(), prov=prov)
    return document
