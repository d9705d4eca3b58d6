"""Checks the DocTags that a document model wrote for a page, and converts them to a docling document."""

from __future__ import annotations

import re
from typing import Final

from docling_core.types.doc.document import DoclingDocument, DocTagsDocument
from PIL import Image

from fastembed.inference.engines.docling.engine import Written

_BLOCK: Final = re.compile(
    r"<(title|section_header_level_[1-6]|text|otsl|list_item|code|formula|caption|footnote|picture|chart|page_header|"
    r"page_footer|document_index|checkbox_selected|checkbox_unselected|key_value_region)>"
)
_TAG: Final = re.compile(r"<[a-z/][^<>]*>")
_WORDLESS: Final = frozenset({"picture", "chart"})


def problem(written: Written) -> str:
    """Return why a page's DocTags cannot be used, "" if they can."""
    if written.ending == "loop":
        return f"its output repeated itself and was stopped after {written.token_count} tokens"
    if written.ending == "length":
        return f"its output had no end after {written.token_count} tokens"
    if written.ending == "garbled":
        return "its numbers were not finite"
    blocks = {match[1] for match in _BLOCK.finditer(written.text)}
    if not blocks:
        return "it wrote no DocTags" if written.text.strip() else "it wrote nothing"
    if not blocks & _WORDLESS and not _TAG.sub("", written.text).strip():
        return "it wrote no words"
    return ""


def page_of(doctags: str, size: tuple[int, int], name: str) -> DoclingDocument:
    """Return the document of one page. size: the page's width and height, in which its boxes will be."""
    sheet = Image.new("1", size)  # docling takes the size from it, and cuts pictures out, which nobody keeps
    pages = DocTagsDocument.from_doctags_and_image_pairs([doctags], [sheet])
    document: DoclingDocument = DoclingDocument.load_from_doctags(pages, document_name=name)
    return document
