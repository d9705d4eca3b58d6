"""Make a value of another."""

from __future__ import annotations

from collections.abc import Mapping

from fastembed.pipeline.component import operator
from fastembed.pipeline.config.option_types import ValueExpression
from fastembed.pipeline.errors import InvalidInput
from fastembed.pipeline.item import Item
from fastembed.pipeline.payload.plain import PlainValue


@operator
class Map:
    """Replace each value by what an expression makes of it, or by a mapping of names to expressions.

    In: anything. Out: what the expression gives (text, a number, a list, a mapping, an array), or a mapping.

    Args:
        to: an expression (`map: value.text.strip()`), or names and their expressions
            (`map: {to: {text: value.body, words: len(value.body.split())}}`).
        keep: with names: the value's other fields stay; the value must be a mapping then.

    Raises:
        InvalidInput: a value that the expression does not fit, or, with `keep`, one that is no mapping.

    """

    def __init__(self, to: ValueExpression | dict[str, ValueExpression], *, keep: bool = False) -> None:
        if keep and not isinstance(to, dict):
            msg = "found keep beside a single expression, expected names and their expressions under `to`"
            raise ValueError(msg)
        self._to = to
        self._keep = keep

    def __call__(self, item: Item[object]) -> PlainValue:
        """Make one value; runs on the event loop."""
        if not isinstance(self._to, dict):
            made: PlainValue = self._to.evaluate(item)
            return made
        fields = {name: expression.evaluate(item) for name, expression in self._to.items()}
        if not self._keep:
            return fields
        if not isinstance(item.value, Mapping):
            raise InvalidInput(f"found {type(item.value).__name__}, expected a mapping whose fields can be kept")
        return {**item.value, **fields}
