"""What a run looks like: its own properties, then its styles', then the document's defaults (ECMA-376, 17.7.2)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from fastembed.documents.word.markup import find, is_on, value, w

_DEEPEST: Final = 12
"""Styles based on one another; a circle ends here."""
_DEFAULT_SIZE: Final = 20
"""Half-points, where nothing says a size."""


class Styles:
    """The styles of a document."""

    def __init__(self, root: Any) -> None:
        """`root`: of styles.xml, None where there is none."""
        styles = [] if root is None else root.findall(w("style"))
        self._styles = {style.get(w("styleId"), ""): style for style in styles}
        self._defaults = None if root is None else find(root, "docDefaults/rPrDefault")
        self._paragraph = next(
            (
                name
                for name, style in self._styles.items()
                if style.get(w("type")) == "paragraph" and style.get(w("default")) in ("1", "true", "on")
            ),
            "",
        )

    def chain(self, paragraph: Any) -> list[Any]:
        """Return the paragraph's style and those that it is based on."""
        return list(self._chain(value(paragraph, "pPr/pStyle") or self._paragraph))

    def size(self, run: Any, chain: list[Any]) -> int:
        """Return a run's size in half-points. `chain`: of its paragraph."""
        for holder in self._holders(run, chain):
            said = value(holder, "rPr/sz")
            if said is not None and said.isdigit():
                return int(said)
        return _DEFAULT_SIZE

    def is_on(self, run: Any, chain: list[Any], name: str) -> bool:
        """Return whether a run has a property (`b`, `vanish`)."""
        for holder in self._holders(run, chain):
            on = is_on(holder, f"rPr/{name}")
            if on is not None:
                return on
        return False

    def _holders(self, run: Any, chain: list[Any]) -> Iterator[Any]:
        yield run
        yield from self._chain(value(run, "rPr/rStyle") or "")
        yield from chain
        yield self._defaults

    def _chain(self, name: str) -> Iterator[Any]:
        for _ in range(_DEEPEST):
            style = self._styles.get(name)
            if style is None:
                return
            yield style
            name = value(style, "basedOn") or ""
