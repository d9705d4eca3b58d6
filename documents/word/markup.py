"""WordprocessingML (ECMA-376, part 1, 17): names, properties that are on or off, and new paragraphs."""

from __future__ import annotations

from typing import Any, Final

from lxml import etree

MAIN: Final = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
RELATIONS: Final = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_SPACE: Final = "{http://www.w3.org/XML/1998/namespace}space"
_OFF: Final = frozenset({"0", "false", "off", "none"})


def w(name: str) -> str:
    """Return the full name of an element or attribute."""
    return f"{{{MAIN}}}{name}"


def value(element: Any, path: str, attribute: str = "val") -> str | None:
    """Return the attribute of an element below, its path given by local names; None where there is none."""
    found = find(element, path)
    return None if found is None else found.get(w(attribute))


def find(element: Any, path: str) -> Any:
    """Return the first element at a path of local names; None where there is none."""
    return None if element is None else element.find("/".join(w(name) for name in path.split("/")))


def is_on(element: Any, path: str) -> bool | None:
    """Return whether a property is on; None where it is not set (17.17.4: present without a value is on)."""
    found = find(element, path)
    return None if found is None else found.get(w("val"), "1").lower() not in _OFF


def text_of(element: Any) -> str:
    """Return the text of a paragraph or more; tabs and line ends as such, paragraphs joined by spaces."""
    parts = []
    for node in element.iter(w("t"), w("tab"), w("br"), w("cr"), w("noBreakHyphen"), w("p")):
        if node.tag == w("t"):
            parts.append(node.text or "")
        elif node.tag == w("tab"):
            parts.append("" if node.getparent().tag == w("tabs") else "\t")
        else:
            parts.append({w("noBreakHyphen"): "-", w("p"): " " if parts else ""}.get(node.tag, "\n"))
    return "".join(parts).strip()


def text_node(text: str) -> Any:
    """Return a `w:t` that keeps its spaces."""
    made = etree.Element(w("t"))
    made.text = text
    made.set(_SPACE, "preserve")
    return made


def paragraph(text: str, style: str | None = None) -> Any:
    """Return a new paragraph of one run."""
    made = etree.Element(w("p"))
    if style is not None:
        properties = etree.SubElement(made, w("pPr"))
        etree.SubElement(properties, w("pStyle")).set(w("val"), style)
    etree.SubElement(made, w("r")).append(text_node(text))
    return made
