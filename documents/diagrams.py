"""SmartArt: the words of a diagram's data part (`diagrams/data1.xml`), in its hierarchy's order (ECMA-376, 21.4)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import Any, Final

from fastembed.documents.ooxml import whole

_DIAGRAM: Final = "{http://schemas.openxmlformats.org/drawingml/2006/diagram}"
_TEXT: Final = "{http://schemas.openxmlformats.org/drawingml/2006/main}t"
_PARAGRAPH: Final = "{http://schemas.openxmlformats.org/drawingml/2006/main}p"
_NODES: Final = frozenset({"node", "asst"})
"""Kinds of points that people write in; the others present them or lead from one to the next."""


def lines_of(root: Any) -> list[str]:
    """Return the texts of a diagram's nodes, parents before their children. `root`: of the data part, or None."""
    if root is None:
        return []
    points = {point.get("modelId", ""): point for point in root.iter(f"{_DIAGRAM}pt")}
    children: defaultdict[str, list[tuple[int, str]]] = defaultdict(list)
    for link in root.iter(f"{_DIAGRAM}cxn"):
        if link.get("type", "parOf") == "parOf":
            place = (whole(link.get("srcOrd")), link.get("destId", ""))
            children[link.get("srcId", "")].append(place)
    below = {name for links in children.values() for _, name in links}
    tops = [name for name in points if name not in below]
    order = dict.fromkeys(name for top in tops for name in _walk(top, children))
    return [text for name in dict.fromkeys([*order, *points]) if (text := _text(points.get(name)))]


def _walk(name: str, children: dict[str, list[tuple[int, str]]]) -> Iterator[str]:
    """Yield a point and those below it; each link is followed once, so that a circle ends."""
    stack = [name]
    while stack:
        name = stack.pop()
        yield name
        stack += [child for _, child in sorted(children.pop(name, []), reverse=True)]


def _text(point: Any) -> str:
    if point is None or point.get("type", "node") not in _NODES:
        return ""
    paragraphs = ("".join(run.text or "" for run in part.iter(_TEXT)) for part in point.iter(_PARAGRAPH))
    return " ".join(text.strip() for text in paragraphs if text.strip())
