"""Headers and footers: each text once, headers before the body, footers behind it.

Word keeps up to three of each for a section (first page, even pages, all others) and shows those that its settings ask
for. Page numbers are left out.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any, Final

from fastembed.documents.ooxml import Package, local
from fastembed.documents.word.markup import RELATIONS, find, is_on, text_of, value, w

_PAGE_FIELD: Final = re.compile(r"\b(?:PAGE|NUMPAGES|SECTIONPAGES)\b", re.IGNORECASE)
_PAGE_WORDS: Final = 3
"""Words beside a page number ("Page 3 of 12") that say nothing else."""
_DRAWN: Final = frozenset({"drawing", "pict", "object"})


def write_out(package: Package, part: str, body: Any, prepare: Callable[[str, Any], None]) -> None:
    """Move headers and footers into the body. prepare: what is done to their trees first, by part."""
    relations = package.relations(part)
    settings = next((relation.part for relation in relations.values() if relation.kind == "settings"), "")
    even = bool(is_on(package.root(settings), "evenAndOddHeaders"))
    seen: set[str] = set()
    headers: list[Any] = []
    footers: list[Any] = []
    done: set[str] = set()
    for section in list(body.iter(w("sectPr"))):
        for reference in _shown(section, even=even):
            relation = relations.get(reference.get(f"{{{RELATIONS}}}id", ""))
            if relation is not None and relation.part not in done:
                done.add(relation.part)
                blocks = headers if local(reference) == "headerReference" else footers
                blocks += _blocks(package, relation.part, seen, prepare)
        for name in ("headerReference", "footerReference"):
            for reference in section.findall(w(name)):
                section.remove(reference)
    for place, block in enumerate(headers):
        body.insert(place, block)
    end = next((place for place, child in enumerate(body) if child.tag == w("sectPr")), len(body))
    for place, block in enumerate(footers, end):
        body.insert(place, block)


def _shown(section: Any, *, even: bool) -> Iterator[Any]:
    """Yield a section's references to headers and footers that its pages show."""
    first = bool(is_on(section, "titlePg"))
    for reference in section.iter(w("headerReference"), w("footerReference")):
        kind = reference.get(w("type"), "default")
        if kind == "default" or (kind == "first" and first) or (kind == "even" and even):
            yield reference


def _blocks(package: Package, name: str, seen: set[str], prepare: Callable[[str, Any], None]) -> Iterator[Any]:
    """Yield the paragraphs and tables of a header or footer whose text was not seen before."""
    root = package.root(name)
    if root is None:
        return
    prepare(name, root)
    for block in list(root):
        text = " ".join(text_of(block).split())
        if not text or text in seen or _is_page_number(block, text):
            continue
        seen.add(text)
        for node in [node for node in block.iter() if local(node) in _DRAWN]:  # its pictures are the header's, not ours
            node.getparent().remove(node)
        style = find(block, "pPr/pStyle")
        if style is not None:
            style.getparent().remove(style)
        yield block


def _is_page_number(block: Any, text: str) -> bool:
    fields = "".join(node.text or "" for node in block.iter(w("instrText")))
    simple = "".join(value(node, ".", "instr") or "" for node in block.iter(w("fldSimple")))
    words = re.findall(r"[^\W\d]+", text)
    return bool(_PAGE_FIELD.search(fields + simple)) and len(words) <= _PAGE_WORDS
