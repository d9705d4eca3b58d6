"""What of a value an operator works on, and where its result goes: the options `of` and `into`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastembed.pipeline.errors import InvalidInput
from fastembed.pipeline.item import Item
from fastembed.pipeline.payload.plain import PlainValue
from fastembed.pipeline.plan import Expression


class WorkedField:
    """Reads what `of` gives, by default the value itself; puts a result under `into`, by default in the value's place.

    The result stands beside the fields of a mapping; of anything else, alone.
    """

    def __init__(self, of: Expression | None, into: str | None) -> None:
        """Keep the options."""
        self._of = of
        self._into = into

    def read(self, item: Item[Any]) -> Any:
        """Return what to work on."""
        return item.value if self._of is None else self._of.evaluate(item)

    def text(self, item: Item[Any]) -> str:
        """Return the text to work on. InvalidInput: it is none, or empty."""
        found = self.read(item)
        if not isinstance(found, str):
            hint = "" if self._of else "; the option `of` says what of a value: of: value.text"
            raise InvalidInput(f"found {type(found).__name__}, expected text{hint}")
        if not found.strip():
            raise InvalidInput("found an empty text, expected words")
        return found

    def put(self, item: Item[Any], result: PlainValue) -> PlainValue:
        """Return what flows on."""
        if self._into is None:
            return result
        return {**item.value, self._into: result} if isinstance(item.value, Mapping) else {self._into: result}
