"""Removes characters that are not text: lone halves of UTF-16 surrogate pairs, and control characters.

They cannot be written as UTF-8 or JSON (halves), end strings early in C code (NUL), or hide words from a search.
"""

from __future__ import annotations

import re
from typing import Any, Final

from docling_core.types.doc.document import DoclingDocument

_STRAY: Final = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff\ufffe\uffff]")
_CONTROL: Final = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ufffe\uffff]")


def clean(text: str) -> str:
    """Return the text with surrogate pairs joined, lone halves replaced by U+FFFD, control characters left out."""
    if not _STRAY.search(text):
        return text
    joined = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return _CONTROL.sub("", joined)


def clean_document(document: DoclingDocument) -> None:
    """Clean every text of a document in place."""
    for item in document.texts:
        _clean_fields(item, "text", "orig")
    for table in document.tables:
        for cell in table.data.table_cells:
            _clean_fields(cell, "text")
    for group in document.groups:
        _clean_fields(group, "name")


def _clean_fields(item: Any, *names: str) -> None:
    for name in names:
        before = getattr(item, name)
        after = clean(before)
        if after is not before:
            setattr(item, name, after)
